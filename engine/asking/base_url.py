"""Where a request goes: the base URL of a provider, and the URL of one request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ConfigError
from engine.providers import Endpoint, detect, endpoint, split_model
from engine.providers.endpoints import row_for_url
from engine.request import check_url

__all__ = ["base_url_of", "request_url", "resolve_model"]

# What the environment's address leaves out, because the vendor's own SDK appends it.
_APPENDED: Final = {
    "AZURE_OPENAI_ENDPOINT": "/openai/v1",
    "GROQ_BASE_URL": "/openai/v1",
    "GOOGLE_GEMINI_BASE_URL": "/v1beta",
}


# Where a part of the address is the account's.
_PLACES: Final = {"{account_id}": "CLOUDFLARE_ACCOUNT_ID"}


# A server that is in no table.
_ANY_SERVER: Final = Endpoint("", "", key_required=False)


def resolve_model(model: str, provider: str | None, base_url: str | None) -> tuple[Endpoint, str]:
    """The provider `model` is asked of, and the model's own name there.

    `provider` decides where it is given, else the host of `base_url` where that is a known one,
    else the model's prefix; a server in no table has an `Endpoint` without a name.

    Raises:
        ConfigError: none of these tells the provider.
    """
    if not isinstance(model, str) or not model:
        raise ConfigError(f"model must be a name such as 'provider/model', not {model!r}")
    prefix, rest = split_model(model)
    if provider is not None:
        row: Endpoint | None = endpoint(provider)
    else:
        row = row_for_url(base_url) if base_url is not None else None
    if row is not None:
        # OpenRouter's own names hold other providers' ("openai/gpt-4o").
        return row, (rest if prefix == row.name else model) or (row.default_model or "")
    if prefix is not None:
        return endpoint(prefix), rest
    if base_url is not None:
        return _ANY_SERVER, model
    detected = detect(model)
    if detected is None:
        raise ConfigError(
            f"model {model!r} does not tell its provider; write 'provider/model' "
            "(`engine providers` lists them), or give provider= or base_url="
        )
    return endpoint(detected), model


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
    url = check_url(value, name).rstrip("/")
    return url if urlsplit(url).path else url + _APPENDED.get(name, "")


def request_url(base_url: str, dialect: str, path: str) -> str:
    """The URL of a request to `path` in the format `dialect`.

    A base URL ends in ``/v1`` for servers like OpenAI's. Where such a server speaks other formats
    too (vLLM, llama-server, LiteLLM, OpenRouter), they are beside it: Anthropic's and Ollama's
    paths begin above ``/v1``, Gemini's under ``/v1beta``. The query of the base URL (Azure's
    ``api-version``) stays last.
    """
    base, found, query = base_url.partition("?")
    base = base.rstrip("/")
    above = base.removesuffix("/v1")
    if above != base and dialect in _ABOVE_V1:
        base = above + _ABOVE_V1[dialect]
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
