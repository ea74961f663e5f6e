"""Base URLs: of a provider, of the environment, as they are pasted; and the URL of a request."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ConfigError
from engine.providers import Endpoint
from engine.request import check_url

__all__ = ["base_url_of", "request_url", "split_endpoint"]

# What the environment's address leaves out, because the vendor's own SDK appends it.
_APPENDED: Final = {
    "AZURE_OPENAI_ENDPOINT": "/openai/v1",
    "GROQ_BASE_URL": "/openai/v1",
    "GOOGLE_GEMINI_BASE_URL": "/v1beta",
}


# Where a part of the address is the account's.
_PLACES: Final = {"{account_id}": "CLOUDFLARE_ACCOUNT_ID"}


# The paths that are pasted with the base URL, from a vendor's page or another program's settings.
_ENDINGS: Final = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/responses", "responses"),
    ("/messages", "messages"),
    ("/api/chat", "ollama"),
    ("/api/generate", "ollama-generate"),
    ("/v2/chat", "cohere"),
)
_GEMINI_METHOD: Final = re.compile(r"/(?:models|tunedModels)/[^/]+:(?:streamG|g)enerateContent$")


def split_endpoint(url: str) -> tuple[str, str | None]:
    """The base URL in `url`, and the dialect of the endpoint that is pasted behind it, or None.

    Azure's target URI, ``…/openai/deployments/d/chat/completions?api-version=…``, is such a one;
    the query stays.
    """
    base, found, query = url.partition("?")
    base = base.rstrip("/")
    dialect = None
    origin, path = _origin_and_path(base)
    gemini = _GEMINI_METHOD.search(path)
    if gemini is not None:
        path, dialect = path[: gemini.start()], "gemini"
        query = "&".join(part for part in query.split("&") if not part.startswith("alt="))
    for ending, name in _ENDINGS:
        if dialect is None and path.endswith(ending):
            path, dialect = path.removesuffix(ending), name
    base = origin + path
    return f"{base}?{query}" if found and query else base, dialect


def _origin_and_path(url: str) -> tuple[str, str]:
    """`url` in two, so that a host's name (``http://api``) is not taken for an ending."""
    scheme, found, _ = url.partition("://")
    start = url.find("/", len(scheme) + 3 if found else 0)
    return (url, "") if start < 0 else (url[:start], url[start:])


def base_url_of(row: Endpoint, environ: Mapping[str, str] | None = None) -> str:
    """The address of `row`: that of the environment, if it has one, else that of the table.

    Raises:
        ConfigError: the environment's is no address, or the row needs one of the user's own.
    """
    environ = os.environ if environ is None else environ
    for name in row.base_variables:
        value = environ.get(name)
        if value:
            return _from_environment(row, name, value)
    url = row.base_url
    for place, name in _PLACES.items():
        if place in url and environ.get(name):
            url = check_url(url.replace(place, environ[name]), name)
    if "{" in url:
        variables = [*row.base_variables, *(name for p, name in _PLACES.items() if p in url)]
        raise ConfigError(
            f"{row.name} has an address of its own for each account; set {' or '.join(variables)}, "
            f"or give base_url= in the form {url}"
        )
    return url


def _from_environment(row: Endpoint, name: str, value: str) -> str:
    if name == "OLLAMA_HOST":
        from engine.providers.ollama.dialect import (
            ollama_base_url,  # dialects are imported on demand
        )

        url = check_url(ollama_base_url(value), name)
        return url + urlsplit(row.base_url).path
    url, _ = split_endpoint(check_url(value, name))
    return url if urlsplit(url).path else url + _APPENDED.get(name, "")


def request_url(base_url: str, dialect: str, path: str) -> str:
    """The URL of a request to `path` in the format `dialect`.

    A base URL ends in ``/v1`` for servers like OpenAI's. Where such a server speaks other formats
    too (vLLM, llama-server, LiteLLM, OpenRouter), they are beside it: Anthropic's and Ollama's
    paths begin above ``/v1``, Gemini's under ``/v1beta``. Where vendors call the beginning of the
    path a part of the base URL (Ollama's ``…/api``), it is not said twice. The query of the base
    URL (Azure's ``api-version``) stays last.
    """
    base, found, query = base_url.partition("?")
    origin, beginning = _origin_and_path(base.rstrip("/"))
    above = beginning.removesuffix("/v1")
    if above != beginning and dialect in _ABOVE_V1:
        beginning = above + _ABOVE_V1[dialect]
    base = origin + beginning.removesuffix(_BEGINS.get(dialect, ""))
    if not found:
        return base + path
    return f"{base}{path}{'&' if '?' in path else '?'}{query}"


_ABOVE_V1: Final = {
    "messages": "",
    "ollama": "",
    "ollama-generate": "",
    "gemini": "/v1beta",
    "gemini-array": "/v1beta",
}

# With what the paths of a format begin, and no base URL of such a server ends otherwise.
_BEGINS: Final = {
    "ollama": "/api",
    "ollama-generate": "/api",
    "gemini": "/models",
    "gemini-array": "/models",
    "cohere": "/v2",
}
