"""Ollama's own API: newline-delimited JSON that ends with ``"done": true``.

https://docs.ollama.com/api/chat and https://docs.ollama.com/api/generate.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from engine.errors import ConfigError
from engine.providers.blocks import DialectShell
from engine.providers.contract import Decoder, Endpoint
from engine.providers.ollama.parser import OllamaParser
from engine.providers.ollama.request import render_chat, render_generate
from engine.request import ModelRequest
from engine.wire import NDJSONDecoder

__all__ = ["OllamaDialect", "OllamaGenerateDialect", "OllamaParser", "ollama_base_url"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class OllamaDialect(DialectShell):
    """``/api/chat``."""

    name = "ollama"
    content_types: tuple[str, ...] = ("application/x-ndjson",)
    _path = "/api/chat"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_chat(request, endpoint)

    def decoder(self) -> Decoder:
        return NDJSONDecoder()

    def parser(self) -> OllamaParser:
        return OllamaParser()


class OllamaGenerateDialect(OllamaDialect):
    """``/api/generate``: one question, no tools."""

    name = "ollama-generate"
    _path = "/api/generate"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_generate(request)


def ollama_base_url(value: str) -> str:
    """The base URL that the environment variable ``OLLAMA_HOST`` stands for.

    The rules are Ollama's own (its ``envconfig`` and its Python client): no scheme is http with
    port 11434; with a scheme the port is that scheme's; a path is kept. An address a server
    listens at everywhere (``0.0.0.0``, ``[::]``) is no place to go to: it becomes loopback.

    Raises:
        ConfigError: the port is no port.
    """
    text = value.strip().strip("\"'").strip()
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    if text == "ollama.com":
        scheme = "https"
    default = _DEFAULT_PORTS.get(scheme, 11434) if found or scheme == "https" else 11434
    place, _, path = rest.partition("/")
    host, port = _host_and_port(place)
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"OLLAMA_HOST names the port {port!r}; it must be a number below 65536")
    path = path.rstrip("/")
    return f"{scheme}://{_reachable(host)}:{port or default}" + (f"/{path}" if path else "")


def _host_and_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":")
    if place.count(":") > 1:  # an IPv6 address without brackets has no port
        return place, ""
    host, _, port = place.partition(":")
    return host, port


def _reachable(host: str) -> str:
    """`host` as it stands in a URL, loopback where it names no one machine."""
    try:
        address = ipaddress.ip_address(host or "127.0.0.1")
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"
