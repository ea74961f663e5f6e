"""Whom a client asks: one table of who, which id, where and whose key."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from engine.asking.keys import find_key
from engine.asking.target import Target, resolve_model
from engine.errors import ConfigError
from engine.providers import endpoints
from engine.request import ModelRequest
from tests.cases import each_case

OWN = "http://127.0.0.1:8000/v1"
LAN = "https://llm.example/v1"
GROQ = "https://api.groq.com/openai/v1"
ROUTER = "https://openrouter.ai/api/v1"
VARIABLE = {"OPENAI_BASE_URL": "http://127.0.0.1:1234/v1"}


@each_case(
    ("model", "provider", "base_url", "environ", "who", "id"),
    [
        # provider= decides, and the id is as it was written.
        ("gpt-4o", "openai", None, {}, "openai", "gpt-4o"),
        ("openai/gpt-4o", "openai", None, {}, "openai", "openai/gpt-4o"),
        ("openai/gpt-oss-20b", "vllm", None, {}, "vllm", "openai/gpt-oss-20b"),
        ("vllm/m", "vllm", None, {}, "vllm", "vllm/m"),
        ("mistral:7b", "ollama", None, {}, "ollama", "mistral:7b"),
        ("ollama/mistral:7b", "ollama", OWN, {}, "ollama", "ollama/mistral:7b"),
        ("claude-x", "groq", GROQ, {}, "groq", "claude-x"),
        ("m", "anthropic", LAN, VARIABLE, "anthropic", "m"),
        # Else the host of the argument, where the table knows it: its own prefix comes off.
        ("llama-3", None, GROQ, {}, "groq", "llama-3"),
        ("groq/llama-3", None, GROQ, {}, "groq", "llama-3"),
        ("groq:llama-3", None, GROQ, {}, "groq", "llama-3"),
        ("openai/gpt-oss-120b", None, GROQ, {}, "groq", "openai/gpt-oss-120b"),
        ("groq/openai/gpt-oss-120b", None, GROQ, {}, "groq", "openai/gpt-oss-120b"),
        ("groq/compound", None, GROQ, {}, "groq", "groq/compound"),
        ("groq/compound-mini", None, GROQ, {}, "groq", "groq/compound-mini"),
        ("openai/gpt-4o", None, ROUTER, {}, "openrouter", "openai/gpt-4o"),
        ("openrouter/auto", None, ROUTER, {}, "openrouter", "openrouter/auto"),
        ("openrouter/openai/gpt-4o", None, ROUTER, {}, "openrouter", "openai/gpt-4o"),
        ("claude-x", None, ROUTER, {}, "openrouter", "claude-x"),
        ("d", None, "https://r.openai.azure.com/openai/v1", {}, "azure", "d"),
        ("azure/d", None, "https://r.services.ai.azure.com/models", {}, "azure", "d"),
        # A host in no table, and this machine, are plain chat: the id is the server's business.
        ("openai/gpt-oss-20b", None, OWN, {}, "", "openai/gpt-oss-20b"),
        ("openai/gpt-oss-20b", None, LAN, {}, "", "openai/gpt-oss-20b"),
        ("anthropic/claude-x", None, LAN, {}, "", "anthropic/claude-x"),
        ("gpt-5", None, LAN, {}, "", "gpt-5"),
        ("claude-x", None, OWN, VARIABLE, "", "claude-x"),
        ("mistral:7b", None, "http://localhost:11434/v1", {}, "", "mistral:7b"),
        ("Qwen/Qwen3-8B", None, "http://[::1]:8000/v1", {}, "", "Qwen/Qwen3-8B"),
        # No URL given: the id's prefix where it is a row, which comes off unless it belongs to it.
        ("openai/gpt-4o", None, None, {}, "openai", "gpt-4o"),
        ("openai:gpt-4o", None, None, {}, "openai", "gpt-4o"),
        ("openai/ft:gpt-4o:me", None, None, {}, "openai", "ft:gpt-4o:me"),
        ("openrouter/auto", None, None, {}, "openrouter", "openrouter/auto"),
        ("openrouter/free", None, None, {}, "openrouter", "openrouter/free"),
        ("openrouter/openai/gpt-4o", None, None, {}, "openrouter", "openai/gpt-4o"),
        ("openrouter/openrouter/auto", None, None, {}, "openrouter", "openrouter/auto"),
        ("groq/compound", None, None, {}, "groq", "groq/compound"),
        ("ollama/mistral:7b", None, None, {}, "ollama", "mistral:7b"),
        ("huggingface/Qwen/Qwen3-8B", None, None, {}, "huggingface", "Qwen/Qwen3-8B"),
        # Else the family of a bare name.
        ("gpt-4o", None, None, {}, "openai", "gpt-4o"),
        ("o3-mini", None, None, {}, "openai", "o3-mini"),
        ("claude-x", None, None, {}, "anthropic", "claude-x"),
        ("gemini-2.5-flash", None, None, {}, "gemini", "gemini-2.5-flash"),
        # A variable says where a row is, and nothing of who or of the id …
        ("openai/gpt-4o", None, None, VARIABLE, "openai", "gpt-4o"),
        ("anthropic/claude-x", None, None, VARIABLE, "anthropic", "claude-x"),
        ("claude-x", None, None, VARIABLE, "anthropic", "claude-x"),
        # … but a name that tells nobody goes to OPENAI_BASE_URL.
        ("llama3", None, None, VARIABLE, "", "llama3"),
        ("Qwen/Qwen3-8B", None, None, VARIABLE, "", "Qwen/Qwen3-8B"),
        ("llama3:8b", None, None, {"OPENAI_API_BASE": LAN}, "", "llama3:8b"),
    ],
)
def test_who_is_asked_under_which_id(
    model: str,
    provider: str | None,
    base_url: str | None,
    environ: dict[str, str],
    who: str,
    id: str,
) -> None:
    row, asked = resolve_model(model, provider, base_url, environ)
    assert (row.name, asked) == (who, id)


@each_case("model", ["llama3", "Qwen/Qwen3-8B", "nobody:7b", "model"])
@each_case("environ", [{}, {"OPENAI_BASE_URL": ""}])
def test_a_name_that_tells_nobody_is_refused(model: str, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"does not tell its provider.*provider= or base_url="):
        resolve_model(model, None, None, environ)


@each_case("model", ["", None, 5, ["m"]])
def test_a_model_must_be_named(model: object) -> None:
    with pytest.raises(ConfigError, match="model must be a name"):
        resolve_model(model, "openai", None)  # type: ignore[arg-type]


KEYS = {v: f"key-of-{v}" for row in endpoints() for v in row.key_variables}


@pytest.mark.parametrize(
    ("model", "target", "environ", "url", "header", "variable"),
    [
        # The row's own, at its own host.
        ("openai/m", {}, {}, "https://api.openai.com/v1", "Authorization", "OPENAI_API_KEY"),
        ("claude-x", {}, {}, "https://api.anthropic.com", "x-api-key", "ANTHROPIC_API_KEY"),
        # A host in no table gets OPENAI_API_KEY, whatever the id looks like …
        ("anthropic/m", {"base_url": LAN}, {}, LAN, "Authorization", "OPENAI_API_KEY"),
        ("m", {}, {"OPENAI_BASE_URL": LAN}, LAN, "Authorization", "OPENAI_API_KEY"),
        # … or that of the provider who is named.
        ("m", {"provider": "groq", "base_url": LAN}, {}, LAN, "Authorization", "GROQ_API_KEY"),
        # The host decides, whoever is asked: no key goes to another's host.
        ("m", {"provider": "openai", "base_url": GROQ}, {}, GROQ, "Authorization", "GROQ_API_KEY"),
        ("gpt-4o", {}, {"OPENAI_BASE_URL": GROQ}, GROQ, "Authorization", "GROQ_API_KEY"),
        ("m", {}, {"OPENAI_BASE_URL": ROUTER}, ROUTER, "Authorization", "OPENROUTER_API_KEY"),
        (
            "claude-x",
            {},
            {"ANTHROPIC_BASE_URL": "https://openrouter.ai/api"},
            "https://openrouter.ai/api",
            "Authorization",
            "OPENROUTER_API_KEY",
        ),
        (
            "gpt-4o",
            {},
            {"OPENAI_BASE_URL": "https://r.openai.azure.com/openai/v1"},
            "https://r.openai.azure.com/openai/v1",
            "api-key",
            "AZURE_OPENAI_API_KEY",
        ),
        # Two rows at one host: the one that is asked.
        (
            "gemini-openai/m",
            {},
            {},
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "Authorization",
            "GOOGLE_API_KEY",
        ),
    ],
)
def test_the_host_decides_whose_key_goes(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    target: dict[str, str],
    environ: dict[str, str],
    url: str,
    header: str,
    variable: str,
) -> None:
    for name, value in (KEYS | environ).items():
        monkeypatch.setenv(name, value)
    place = Target(**target).place(model)  # type: ignore[arg-type]
    assert (place.base_url, place.key_variable) == (url, variable)
    bearer = "Bearer " if header == "Authorization" else ""
    assert place.headers[header] == f"{bearer}{KEYS[variable]}"
    assert sum("key-of-" in value for value in place.headers.values()) == 1


@each_case(
    ("target", "told"),
    [
        ({}, "OPENAI_API_KEY"),
        ({"api_key": "k"}, "api_key="),
        ({"headers": {"authorization": "Bearer k"}}, "headers="),
        ({"headers": {"X-Other": "k"}}, "OPENAI_API_KEY"),
        ({"headers": {"X-Api-Key": "k"}, "provider": "anthropic", "api_key": "k"}, "headers="),
    ],
)
def test_advice_about_a_key_names_where_it_is_from(target: dict[str, Any], told: str) -> None:
    place = Target(**{"base_url": LAN, "allow_insecure": True, **target}).place("m")
    assert place.key_variable == told


AZURE = (
    *("r.openai.azure.com", "r.cognitiveservices.azure.com", "r.services.ai.azure.com"),
    *("R.OpenAI.Azure.com", "r.eastus.models.ai.azure.com", "eastus.api.cognitive.microsoft.com"),
    *("r.privatelink.openai.azure.com", "r.openai.azure.us", "r.cognitiveservices.azure.cn"),
)


@pytest.mark.parametrize("host", AZURE)
def test_every_host_of_azure_gets_azures_key_alone(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for path in ("/openai/v1", "/openai/deployments/d?api-version=2024-10-21", "/anthropic"):
        for given in ({}, {"provider": "openai"}, {"provider": "azure"}):
            place = Target(base_url=f"https://{host}{path}", **given).place("gpt-4o")  # type: ignore[arg-type]
            held = {name: value for name, value in place.headers.items() if "key-of" in value}
            assert held == {"api-key": "key-of-AZURE_OPENAI_API_KEY"}


@each_case(
    "host",
    [
        *("openai.azure.com", "azure.com", "r.openai.azure.com.evil.example"),
        *("evil-openai.azure.com", "r.services.ai.azure.com.evil.example"),
    ],
)
def test_what_only_looks_like_azure_gets_no_key_of_azure(host: str) -> None:
    url = f"https://{host}/openai/v1"
    row, _ = resolve_model("m", None, url, {})
    assert find_key(row, url, None, KEYS)[1] == "OPENAI_API_KEY"


def url_of(base_url: str, model: str = "m", **target: object) -> tuple[str, str]:
    place = Target(base_url=base_url, api_key="k", **target).place(model)  # type: ignore[arg-type]
    request = ModelRequest(model=place.model, messages=[])
    return place.url(place.dialect, request), place.dialect.name


D = "https://r.openai.azure.com/openai/deployments/d"


@each_case(
    ("base_url", "url", "dialect"),
    [
        (f"{LAN}/", f"{LAN}/chat/completions", "chat"),
        (f"{LAN}/chat/completions", f"{LAN}/chat/completions", "chat"),
        (f"{LAN}/chat/completions/", f"{LAN}/chat/completions", "chat"),
        (f"{LAN}/responses", f"{LAN}/responses", "responses"),
        (f"{LAN}/completions", f"{LAN}/completions", "completions"),
        (f"{LAN}/messages", f"{LAN}/messages", "messages"),
        ("https://h.example/x/messages", "https://h.example/x/messages", "messages"),
        (
            "https://api.anthropic.com/v1/messages",
            "https://api.anthropic.com/v1/messages",
            "messages",
        ),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1/responses", "responses"),
        ("http://localhost:11434/api/chat", "http://localhost:11434/api/chat", "ollama"),
        (f"{D}/chat/completions?api-version=1", f"{D}/chat/completions?api-version=1", "chat"),
        (f"{D}?api-version=1", f"{D}/chat/completions?api-version=1", "chat"),
        (
            "https://r.openai.azure.com/openai/responses?api-version=1",
            "https://r.openai.azure.com/openai/responses?api-version=1",
            "responses",
        ),
        (
            "https://r.services.ai.azure.com/models/chat/completions?api-version=1",
            "https://r.services.ai.azure.com/models/chat/completions?api-version=1",
            "chat",
        ),
        (
            "https://r.services.ai.azure.com/anthropic/v1/messages",
            "https://r.services.ai.azure.com/anthropic/v1/messages",
            "messages",
        ),
        (
            "https://g.example/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
            "https://g.example/v1beta/models/m:streamGenerateContent?alt=sse",
            "gemini",
        ),
        # The vendor's host alone, as its own pages write it.
        (
            "https://r.openai.azure.com",
            "https://r.openai.azure.com/openai/v1/chat/completions",
            "chat",
        ),
        (
            "https://r.openai.azure.com/",
            "https://r.openai.azure.com/openai/v1/chat/completions",
            "chat",
        ),
        ("https://api.openai.com", "https://api.openai.com/v1/chat/completions", "chat"),
        ("https://api.deepseek.com", "https://api.deepseek.com/chat/completions", "chat"),
        ("https://h.example", "https://h.example/chat/completions", "chat"),
    ],
)
def test_a_base_url_may_be_the_whole_endpoint(base_url: str, url: str, dialect: str) -> None:
    assert url_of(base_url) == (url, dialect)


def test_dialect_decides_where_it_is_given() -> None:
    pasted = f"{LAN}/chat/completions"
    assert url_of(pasted, dialect="responses") == (f"{LAN}/responses", "responses")
    assert url_of(pasted, dialect="chat") == (pasted, "chat")
    assert url_of(f"{LAN}/messages?k=1", dialect="chat") == (f"{LAN}/chat/completions?k=1", "chat")


def test_the_environments_may_be_the_whole_endpoint_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{OWN}/chat/completions")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    place = Target().place("openai/gpt-4o")
    assert place.base_url == OWN


@each_case(
    ("given", "socket", "url"),
    [
        ({"unix_socket": "/run/vllm.sock"}, "/run/vllm.sock", "http://localhost/v1"),
        ({"base_url": "http+unix://%2Frun%2Fv.sock/v1"}, "/run/v.sock", "http://localhost/v1"),
        ({"base_url": LAN, "unix_socket": "/run/v.sock"}, "/run/v.sock", LAN),
        (
            {"provider": "ollama", "unix_socket": "/run/o.sock"},
            "/run/o.sock",
            "http://127.0.0.1:11434",
        ),
    ],
)
def test_a_server_behind_a_unix_socket(given: dict[str, str], socket: str, url: str) -> None:
    place = Target(**given).place("openai/gpt-oss-20b")  # type: ignore[arg-type]
    assert (place.unix_socket, place.base_url) == (socket, url)
    assert place.model == "openai/gpt-oss-20b"


def test_a_unix_socket_is_this_machine_whatever_the_host() -> None:
    target = Target(base_url="http://llm.example/v1", unix_socket="/run/v.sock", api_key="sk-1")
    assert target.place("m").headers["Authorization"] == "Bearer sk-1"
    with pytest.raises(ConfigError, match=r"unencrypted to llm\.example"):
        Target(base_url="http://llm.example/v1", api_key="sk-1").place("m")


def test_neither_target_nor_place_prints_a_key() -> None:
    target = Target(base_url=f"{LAN}?key=canary-1234", api_key="canary-1234")
    assert "canary" not in repr(target) + repr(target.place("m"))


def test_requests_share_a_lane_where_they_share_address_key_and_model() -> None:
    def lane(model: str = "m", **given: str) -> int:
        target = {"base_url": LAN, "api_key": "sk-1", **given}
        return Target(**target).place(model).lane  # type: ignore[arg-type]

    assert lane() == lane() == lane(base_url=f"{LAN}/") == lane(base_url=f"{LAN}/chat/completions")
    others = [lane("n"), lane(api_key="sk-2"), lane(base_url=OWN), lane(unix_socket="/run/a")]
    assert len({lane(), *others}) == 5


@each_case(
    ("name", "value"),
    [
        ("gate", "mine"),
        ("gate", True),
        ("max_event_bytes", None),
        ("max_event_bytes", 0),
        ("max_event_bytes", "1"),
        ("max_answer_bytes", -1),
        ("max_answer_bytes", 1.5),
        ("max_unread_bytes", None),
        ("unix_socket", b"/run/a"),
    ],
)
def test_each_limit_is_checked(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        engine.Client(**{name: value})  # type: ignore[arg-type]


@each_case(
    "model",
    ["../../v1/files", "models/../../x", "a/./b", "/etc", "a//b", "..\\..\\x/.."],
)
def test_a_model_that_is_a_path_stays_inside_its_url(model: str) -> None:
    place = Target(base_url="https://g.example/v1beta", dialect="gemini").place(model)
    with pytest.raises(ConfigError, match="would lead out of it"):
        place.url(place.dialect, ModelRequest(model=place.model, messages=[]))


@each_case(
    ("model", "path"),
    [
        ("gemini-x", "/models/gemini-x"),
        ("tunedModels/a.b", "/tunedModels/a.b"),
        ("publishers/google/models/x", "/publishers/google/models/x"),
        ("x?key=1#f", "/models/x%3Fkey%3D1%23f"),
        ("x y", "/models/x%20y"),
        ("..", "/models/.."),  # "..:method" is a name
        ("%2e%2e/x", "/%252e%252e/x"),
    ],
)
def test_a_model_in_the_path_is_written_as_one(model: str, path: str) -> None:
    url, _ = url_of("https://g.example/v1beta", model, dialect="gemini")
    assert url == f"https://g.example/v1beta{path}:streamGenerateContent?alt=sse"
