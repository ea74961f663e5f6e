"""The table of providers: where each one is and which key it wants.

Sources: each vendor's API reference, and the environment variables of its official SDK.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ConfigError
from engine.providers.contract import Endpoint

__all__ = [
    "detect",
    "endpoint",
    "endpoints",
    "is_at",
    "key_variable_for_host",
    "register",
    "row_for_url",
    "split_model",
]

_ROWS: Final = (
    Endpoint(
        "openai",
        "https://api.openai.com/v1",
        ("chat", "responses", "completions"),
        ("OPENAI_API_KEY",),
        base_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        max_tokens_field="max_completion_tokens",
    ),
    Endpoint(
        "azure",
        "https://{resource}.openai.azure.com/openai/v1",
        ("chat", "responses"),
        ("AZURE_OPENAI_API_KEY",),
        auth="api-key",
        base_variables=("AZURE_OPENAI_ENDPOINT",),
        max_tokens_field="max_completion_tokens",
        # Azure OpenAI, AI services, Foundry, serverless models, and the resources of a region.
        # https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints
        hosts=(
            *("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
            *("models.ai.azure.com", "api.cognitive.microsoft.com"),
            # The clouds of governments and of China.
            *("openai.azure.us", "cognitiveservices.azure.us", "services.ai.azure.us"),
            *("openai.azure.cn", "cognitiveservices.azure.cn", "services.ai.azure.cn"),
        ),
    ),
    Endpoint(
        "anthropic",
        "https://api.anthropic.com",
        ("messages",),
        ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        auth="x-api-key",
        base_variables=("ANTHROPIC_BASE_URL",),
    ),
    Endpoint(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        ("gemini", "interactions"),
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),  # google-genai: GOOGLE_API_KEY wins
        auth="x-goog-api-key",
        base_variables=("GOOGLE_GEMINI_BASE_URL",),
    ),
    Endpoint(
        "gemini-interactions",
        "https://generativelanguage.googleapis.com/v1beta",
        ("interactions",),
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        auth="x-goog-api-key",
        base_variables=("GOOGLE_GEMINI_BASE_URL",),
    ),
    Endpoint(
        "gemini-openai",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ),
    Endpoint(
        "ollama",
        "http://127.0.0.1:11434",
        ("ollama", "ollama-generate"),
        ("OLLAMA_API_KEY",),
        key_required=False,
        base_variables=("OLLAMA_HOST",),
    ),
    Endpoint(
        "ollama-openai",
        "http://127.0.0.1:11434/v1",
        ("chat", "responses", "completions"),
        ("OLLAMA_API_KEY",),
        key_required=False,
        base_variables=("OLLAMA_HOST",),
    ),
    Endpoint(
        "groq",
        "https://api.groq.com/openai/v1",
        ("chat", "responses"),
        ("GROQ_API_KEY",),
        base_variables=("GROQ_BASE_URL",),
        own_ids=r"groq/compound(-.+)?",
        max_tokens_field="max_completion_tokens",
    ),
    # Mistral answers 422 to stream_options and max_completion_tokens; usage comes without asking.
    Endpoint(
        "mistral",
        "https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        include_usage=False,
    ),
    Endpoint("deepseek", "https://api.deepseek.com", key_variables=("DEEPSEEK_API_KEY",)),
    Endpoint("xai", "https://api.x.ai/v1", ("chat", "responses"), ("XAI_API_KEY",)),
    Endpoint("together", "https://api.together.xyz/v1", key_variables=("TOGETHER_API_KEY",)),
    Endpoint(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        ("chat", "responses"),
        ("FIREWORKS_API_KEY",),
    ),
    Endpoint(
        "openrouter",
        "https://openrouter.ai/api/v1",
        ("chat", "responses", "messages"),
        ("OPENROUTER_API_KEY",),
        # All of its ids are vendor/model, and openrouter is a vendor: auto, free, previews.
        own_ids=r"openrouter/[^/]+",
    ),
    Endpoint(
        "cerebras",
        "https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        max_tokens_field="max_completion_tokens",
    ),
    Endpoint(
        "cohere",
        "https://api.cohere.com",
        ("cohere",),
        ("CO_API_KEY", "COHERE_API_KEY"),
        base_variables=("CO_API_URL",),
        hosts=("cohere.com", "cohere.ai"),
    ),
    # https://docs.cohere.com/docs/compatibility-api
    Endpoint(
        "cohere-openai",
        "https://api.cohere.ai/compatibility/v1",
        key_variables=("CO_API_KEY", "COHERE_API_KEY"),
        hosts=("cohere.com", "cohere.ai"),
    ),
    Endpoint("moonshot", "https://api.moonshot.ai/v1", key_variables=("MOONSHOT_API_KEY",)),
    Endpoint("zai", "https://api.z.ai/api/paas/v4", key_variables=("ZAI_API_KEY",)),
    Endpoint(
        "dashscope",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        key_variables=("DASHSCOPE_API_KEY",),
    ),
    Endpoint(
        "perplexity",
        "https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY",),
        include_usage=False,
    ),
    Endpoint("sambanova", "https://api.sambanova.ai/v1", key_variables=("SAMBANOVA_API_KEY",)),
    Endpoint(
        "deepinfra", "https://api.deepinfra.com/v1/openai", key_variables=("DEEPINFRA_API_KEY",)
    ),
    Endpoint(
        "huggingface", "https://router.huggingface.co/v1", ("chat", "responses"), ("HF_TOKEN",)
    ),
    Endpoint("github", "https://models.github.ai/inference", key_variables=("GITHUB_TOKEN",)),
    Endpoint(
        "cloudflare",
        "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/v1",
        key_variables=("CLOUDFLARE_API_KEY",),
        include_usage=False,
    ),
    Endpoint("hyperbolic", "https://api.hyperbolic.xyz/v1", key_variables=("HYPERBOLIC_API_KEY",)),
    Endpoint("llama", "https://api.llama.com/compat/v1", key_variables=("LLAMA_API_KEY",)),
    Endpoint(
        "vllm",
        "http://localhost:8000/v1",
        ("chat", "responses", "messages", "completions"),
        ("VLLM_API_KEY",),
        key_required=False,
    ),
    Endpoint("sglang", "http://localhost:30000/v1", key_required=False),
    Endpoint(
        "llama-server",
        "http://localhost:8080/v1",
        ("chat", "responses", "messages", "completions"),
        key_required=False,
    ),
    Endpoint(
        "llama-cpp-python",
        "http://localhost:8000/v1",
        ("chat", "completions"),
        key_required=False,
        include_usage=False,
    ),
    Endpoint("lmstudio", "http://localhost:1234/v1", ("chat", "responses"), key_required=False),
    # transformers serve refuses fields it does not know.
    Endpoint(
        "transformers",
        "http://localhost:8000/v1",
        ("chat", "responses", "completions"),
        key_required=False,
        include_usage=False,
    ),
    Endpoint(
        "litellm",
        "http://localhost:4000/v1",
        ("chat", "responses", "messages", "completions"),
        ("LITELLM_MASTER_KEY",),
        key_required=False,
    ),
    Endpoint(
        "emulator",
        "http://127.0.0.1:8089/v1",
        ("chat", "responses", "messages", "gemini", "ollama", "ollama-generate", "completions"),
        key_required=False,
        base_variables=("ENGINE_EMULATOR_URL",),
    ),
)

_table: dict[str, Endpoint] = {row.name: row for row in _ROWS}

# Families whose bare names belong to one provider beyond doubt.
_FAMILIES: Final = (
    (re.compile(r"gpt-\d|chatgpt-|o\d(?:$|-)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
)


def endpoints() -> list[Endpoint]:
    """All rows, in the order of the table."""
    return list(_table.values())


def endpoint(name: str) -> Endpoint:
    """The row called `name`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return _table[name]
    except KeyError:
        known = ", ".join(_table)
        raise ConfigError(
            f"provider {name!r} is not known; known are {known}; "
            "for any other server give base_url="
        ) from None


_registrations = 0


def registered() -> int:
    """How often a provider or a dialect was registered: another number where what was known of
    them may not hold any more."""
    return _registrations


def note_registration() -> None:
    """A provider or a dialect was added or replaced."""
    global _registrations
    _registrations += 1


def register(row: Endpoint) -> None:
    """Add the provider `row`, or replace the one of that name, for this process."""
    _table[row.name] = row
    row_for_url.cache_clear()
    note_registration()


def split_model(model: str) -> tuple[str | None, str]:
    """``"provider/model"`` or ``"provider:model"`` cut in two where the prefix is a known provider
    (ids of Hugging Face hold ``/``, tags of Ollama ``:``); else (None, model)."""
    for separator in "/:":
        prefix, found, rest = model.partition(separator)
        if found and prefix in _table:
            return prefix, rest
    return None, model


def detect(model: str) -> str | None:
    """The provider a bare model name belongs to beyond doubt, or None."""
    return next((name for pattern, name in _FAMILIES if pattern.match(model)), None)


@lru_cache(maxsize=128)
def row_for_url(url: str) -> Endpoint | None:
    """The provider whose host `url` names, or None. Local servers are not told apart by address.
    Where several rows share a host, the one whose path goes the furthest with the url's."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    path = parts.path.rstrip("/") + "/"
    found: Endpoint | None = None
    depth = -1
    for row in _table.values():
        row_parts = urlsplit(row.base_url)
        row_path = row_parts.path.rstrip("/") + "/"
        if _is_of(host, row_parts.hostname or "", row.hosts):
            fits = len(row_path) if path.startswith(row_path) else 0
            if fits > depth:
                found, depth = row, fits
    return found


def is_at(row: Endpoint, url: str) -> bool:
    """Whether `row` is one of those whose host `url` names."""
    host = (urlsplit(url).hostname or "").lower()
    return _is_of(host, urlsplit(row.base_url).hostname or "", row.hosts)


def _is_of(host: str, row_host: str, domains: tuple[str, ...]) -> bool:
    if host.endswith(tuple(f".{domain}" for domain in domains)):
        return True
    name, brace, domain = row_host.partition("}")
    if brace:  # "{resource}.example.com": a name of one's own, and a domain
        return name.startswith("{") and host.endswith(domain) and host != domain.lstrip(".")
    return host == row_host and host not in ("localhost", "127.0.0.1")


def key_variable_for_host(url: str) -> str:
    """libchatty's rule: the host of the base URL `url` selects the variable that holds the key."""
    row = row_for_url(url)
    return row.key_variables[0] if row is not None and row.key_variables else "OPENAI_API_KEY"
