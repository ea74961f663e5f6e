"""Addresses: the environment's, the table's, and what one request's URL is made of."""

from __future__ import annotations

import pytest

from engine.asking.base_url import base_url_of, request_url, split_endpoint
from engine.errors import ConfigError
from engine.providers import endpoint
from tests.cases import each_case


@each_case(
    ("name", "environ", "url"),
    [
        ("openai", {}, "https://api.openai.com/v1"),
        ("openai", {"OPENAI_BASE_URL": "https://a.example/v1/"}, "https://a.example/v1"),
        ("openai", {"OPENAI_API_BASE": "https://b.example/v1"}, "https://b.example/v1"),
        ("openai", {"OPENAI_BASE_URL": "", "OPENAI_API_BASE": "http://b/v1"}, "http://b/v1"),
        (
            "azure",
            {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"},
            "https://r.openai.azure.com/openai/v1",
        ),
        (
            "azure",
            {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/openai/v1"},
            "https://r.openai.azure.com/openai/v1",
        ),
        ("groq", {"GROQ_BASE_URL": "https://g.example"}, "https://g.example/openai/v1"),
        ("gemini", {"GOOGLE_GEMINI_BASE_URL": "https://g.example"}, "https://g.example/v1beta"),
        ("anthropic", {"ANTHROPIC_BASE_URL": "https://a.example/x"}, "https://a.example/x"),
        ("ollama", {"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434"),
        ("ollama", {"OLLAMA_HOST": "https://ollama.com"}, "https://ollama.com:443"),
        ("ollama", {"OLLAMA_HOST": "gpu:56789"}, "http://gpu:56789"),
        ("ollama-openai", {"OLLAMA_HOST": "gpu"}, "http://gpu:11434/v1"),
    ],
)
def test_the_environment_may_move_a_provider(name: str, environ: dict[str, str], url: str) -> None:
    assert base_url_of(endpoint(name), environ) == url


def test_an_address_of_ones_own_must_be_given() -> None:
    variables = {"azure": "AZURE_OPENAI_ENDPOINT", "cloudflare": "CLOUDFLARE_ACCOUNT_ID"}
    for name, variable in variables.items():
        with pytest.raises(ConfigError, match=rf"set {variable}, or give base_url="):
            base_url_of(endpoint(name), {})
    account = {"CLOUDFLARE_ACCOUNT_ID": "acc"}
    url = "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1"
    assert base_url_of(endpoint("cloudflare"), account) == url


@each_case("value", ["api.example.com/v1", "ftp://x/", "https://u:p@x/", "https:///v1"])
def test_what_is_no_address_is_refused_by_the_variables_name(value: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL"):
        base_url_of(endpoint("openai"), {"OPENAI_BASE_URL": value})


@each_case(
    ("base_url", "dialect", "path", "url"),
    [
        ("http://h/v1", "chat", "/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/", "responses", "/responses", "http://h/v1/responses"),
        ("http://h", "messages", "/v1/messages", "http://h/v1/messages"),
        ("http://h/v1", "messages", "/v1/messages", "http://h/v1/messages"),
        ("https://h/api/v1", "messages", "/v1/messages", "https://h/api/v1/messages"),
        ("http://h/v1", "ollama", "/api/chat", "http://h/api/chat"),
        ("http://h/v1", "gemini", "/models/m:x?alt=sse", "http://h/v1beta/models/m:x?alt=sse"),
        ("http://h/v1beta", "gemini", "/models/m:x", "http://h/v1beta/models/m:x"),
        # What vendors call a part of the base URL, and is one of the path here.
        ("http://h/api", "ollama", "/api/chat", "http://h/api/chat"),
        ("http://h/api/", "ollama-generate", "/api/generate", "http://h/api/generate"),
        ("http://h/ollama", "ollama", "/api/chat", "http://h/ollama/api/chat"),
        ("http://h/v1beta/models", "gemini", "/models/m:x", "http://h/v1beta/models/m:x"),
        ("http://h/v1/models", "gemini-array", "/models/m:x", "http://h/v1/models/m:x"),
        ("http://h/v2", "cohere", "/v2/chat", "http://h/v2/chat"),
        ("http://h/api", "chat", "/chat/completions", "http://h/api/chat/completions"),
        ("http://h/models", "responses", "/responses", "http://h/models/responses"),
        ("http://h/d?api-version=1", "chat", "/chat", "http://h/d/chat?api-version=1"),
        ("http://h/d?v=1", "gemini", "/m:x?alt=sse", "http://h/d/m:x?alt=sse&v=1"),
    ],
)
def test_the_url_of_a_request(base_url: str, dialect: str, path: str, url: str) -> None:
    assert request_url(base_url, dialect, path) == url


HOSTS_OF_ENDINGS = [
    ("api", "ollama", "/api/chat"),
    ("api", "ollama-generate", "/api/generate"),
    ("models", "gemini", "/models/m:x"),
    ("models", "gemini-array", "/models/m:x"),
    ("v2", "cohere", "/v2/chat"),
    ("v1", "messages", "/v1/messages"),
    ("v1", "ollama", "/api/chat"),
    ("v1", "gemini", "/models/m:x"),
]


@each_case("scheme", ["http", "https", "HTTP"])
@each_case("place", ["{}", "{}:8080", "u:p@{}", "u@{}:1", "u:p@h.{}"])
@each_case(("host", "dialect", "path"), HOSTS_OF_ENDINGS)
def test_a_host_named_like_an_ending_of_paths_is_a_host(
    scheme: str, place: str, host: str, dialect: str, path: str
) -> None:
    for name in (host, host.upper()):
        origin = f"{scheme}://{place.format(name)}"
        for base in (origin, f"{origin}/", f"{origin}//"):
            assert request_url(base, dialect, path) == origin + path
            assert request_url(f"{base}?a=1", dialect, path) == f"{origin}{path}?a=1"
        # Behind the host the ending is one, as anywhere.
        said_twice = {"v1": "/v1beta" if dialect == "gemini" else ""}.get(host, "")
        assert request_url(f"{origin}/{host}/", dialect, path) == origin + said_twice + path


@each_case("host", ["messages", "responses", "completions", "models"])
@each_case("scheme", ["http", "https", "HTTP"])
def test_a_host_named_like_an_endpoint_is_not_cut_off(host: str, scheme: str) -> None:
    for place in (host, f"{host}:8080", host.upper()):
        origin = f"{scheme}://{place}"
        for base in (origin, f"{origin}/", f"{origin}/v1"):
            assert split_endpoint(base) == (base.rstrip("/"), None)
        assert split_endpoint(f"{origin}/v1/messages/") == (f"{origin}/v1", "messages")
    for base in ("http://chat/completions", "http://api/chat", "http://v2/chat"):
        assert split_endpoint(base) == (
            ("http://chat", "completions") if "completions" in base else (base, None)
        )
    assert split_endpoint("http://models/m:generateContent") == (
        "http://models/m:generateContent",
        None,
    )


def test_an_endpoint_is_told_from_its_base_without_a_scheme_too() -> None:
    assert split_endpoint("h/v1/messages") == ("h/v1", "messages")
