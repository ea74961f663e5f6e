"""Pure dialects and the table of providers: requests to JSON, records to events."""

from __future__ import annotations

from engine.errors import ConfigError
from engine.providers.chat import ChatDialect
from engine.providers.contract import Decoder, Dialect, Endpoint, Parser
from engine.providers.endpoints import (
    detect,
    endpoint,
    endpoints,
    key_variable_for_host,
    register,
    split_model,
)
from engine.providers.refusal import http_error, stream_error

__all__ = [
    "Decoder",
    "Dialect",
    "Endpoint",
    "Parser",
    "detect",
    "dialect",
    "endpoint",
    "endpoints",
    "http_error",
    "key_variable_for_host",
    "register",
    "register_dialect",
    "split_model",
    "stream_error",
]

_dialects: dict[str, Dialect] = {}


def dialect(name: str) -> Dialect:
    """The dialect called `name`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return _dialects[name]
    except KeyError:
        known = ", ".join(_dialects)
        raise ConfigError(f"dialect {name!r} is not known; known are {known}") from None


def register_dialect(new: Dialect) -> None:
    """Add a dialect, or replace the one of that name, for this process."""
    _dialects[new.name] = new


register_dialect(ChatDialect())
