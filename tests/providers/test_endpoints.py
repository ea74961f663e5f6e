"""The table of providers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.errors import ConfigError
from engine.providers.contract import Endpoint
from engine.providers.endpoints import (
    _table,
    detect,
    endpoint,
    endpoints,
    key_variable_for_host,
    register,
    row_for_url,
    split_model,
)
from engine.request import check_url
from tests.cases import each_case


def test_every_row_can_be_asked() -> None:
    rows = endpoints()
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        check_url(row.base_url.replace("{resource}", "r").replace("{account_id}", "a"))
        assert not row.base_url.endswith("/")
        assert row.dialects
        assert row.key_variables or not row.key_required, f"{row.name} needs a key from nowhere"
        assert row.auth in ("authorization", "api-key", "x-api-key", "x-goog-api-key")
        # A key leaves this machine by https alone.
        local = row.base_url.startswith(("http://localhost", "http://127.0.0.1"))
        assert row.base_url.startswith("https://") or (local and not row.key_required)


# Address and variables as the vendors' documents have them.
DOCUMENTED = [
    ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    ("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    ("gemini", "https://generativelanguage.googleapis.com/v1beta", "GOOGLE_API_KEY"),
    ("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    ("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    ("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    ("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    ("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    ("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    ("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    ("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    ("cohere", "https://api.cohere.com", "CO_API_KEY"),
    ("cohere-openai", "https://api.cohere.ai/compatibility/v1", "CO_API_KEY"),
    ("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    ("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    (
        "dashscope",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
    ),
    ("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    ("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    ("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    ("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
    ("github", "https://models.github.ai/inference", "GITHUB_TOKEN"),
]


@each_case(("name", "base_url", "variable"), DOCUMENTED)
def test_documented_addresses(name: str, base_url: str, variable: str) -> None:
    row = endpoint(name)
    assert (row.base_url, row.key_variables[0]) == (base_url, variable)
    assert row_for_url(f"{base_url}/") is row
    assert key_variable_for_host(base_url.upper().replace("HTTPS", "https")) == variable


def test_quirks_of_what_is_asked() -> None:
    assert not endpoint("mistral").include_usage  # 422 on stream_options
    assert not endpoint("transformers").include_usage  # refuses unknown fields
    for name in ("openai", "azure", "groq", "cerebras"):
        assert endpoint(name).max_tokens_field == "max_completion_tokens"
    assert endpoint("mistral").max_tokens_field == "max_tokens"


@each_case(
    ("url", "name"),
    [
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://openai.azure.com/openai/v1", None),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-openai"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini"),
        ("https://generativelanguage.googleapis.com", "gemini"),
        ("https://API.OPENAI.COM:443/other", "openai"),
        ("https://api.cohere.com/v2", "cohere"),
        ("https://api.cohere.ai", "cohere"),
        ("https://api.cohere.com/compatibility/v1", "cohere-openai"),
        ("https://api.openai.com.example/v1", None),
        ("https://example/api.openai.com", None),
        ("http://localhost:8000/v1", None),
        ("http://127.0.0.1:11434", None),
        ("", None),
    ],
)
def test_the_host_tells_the_provider(url: str, name: str | None) -> None:
    row = row_for_url(url)
    assert (row.name if row else None) == name


@each_case(
    ("model", "cut"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("ollama:llama3:8b", ("ollama", "llama3:8b")),
        ("openrouter/openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
        ("ollama/hf.co/x/y:Q4", ("ollama", "hf.co/x/y:Q4")),
        ("llama3:8b", (None, "llama3:8b")),
        ("meta-llama/Llama-3", (None, "meta-llama/Llama-3")),
        ("gpt-4o", (None, "gpt-4o")),
        ("openai", (None, "openai")),
        ("", (None, "")),
    ],
)
def test_only_a_known_prefix_is_cut_off(model: str, cut: tuple[str | None, str]) -> None:
    assert split_model(model) == cut


@each_case(
    ("model", "name"),
    [
        ("gpt-4o", "openai"),
        ("gpt-oss:20b", None),
        ("o3", "openai"),
        ("o4-mini", "openai"),
        ("olmo-2", None),
        ("chatgpt-4o-latest", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("gemini-2.5-flash", "gemini"),
        ("llama3", None),
        ("my-gpt-4", None),
    ],
)
def test_only_families_beyond_doubt_are_detected(model: str, name: str | None) -> None:
    assert detect(model) == name


@pytest.fixture
def own_row() -> Iterator[Endpoint]:
    row = Endpoint("mine", "https://mine.example/v1", key_variables=("MINE_API_KEY",))
    assert row_for_url(row.base_url) is None
    register(row)
    yield row
    del _table["mine"]
    row_for_url.cache_clear()


def test_a_row_of_ones_own_is_like_the_others(own_row: Endpoint) -> None:
    assert endpoint("mine") is own_row
    assert own_row in endpoints()
    assert split_model("mine/m") == ("mine", "m")
    assert key_variable_for_host("https://mine.example/v1/x") == "MINE_API_KEY"


def test_an_unknown_provider_is_told_with_what_is_known() -> None:
    with pytest.raises(ConfigError, match=r"opnai.*openai.*base_url="):
        endpoint("opnai")
