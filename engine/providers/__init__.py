"""Pure dialects and the table of providers: requests to JSON, records to events."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from engine.errors import ConfigError
from engine.providers.contract import Decoder, Dialect, Endpoint, Parser
from engine.providers.endpoints import (
    detect,
    endpoint,
    endpoints,
    key_variable_for_host,
    note_registration,
    register,
    registered,
    split_model,
)

__all__ = [
    "Decoder",
    "Dialect",
    "Endpoint",
    "Parser",
    "detect",
    "dialect",
    "endpoint",
    "endpoints",
    "is_built_in",
    "key_variable_for_host",
    "register",
    "register_dialect",
    "registered",
    "split_model",
]

# Where each dialect is; it is imported when it is first asked for.
_BUILT_IN: Final = {
    "chat": "chat.dialect:ChatDialect",
    "responses": "responses.dialect:ResponsesDialect",
    "messages": "messages.dialect:MessagesDialect",
    "gemini": "gemini.dialect:GeminiDialect",
    "gemini-array": "gemini.dialect:GeminiArrayDialect",
    "interactions": "interactions.dialect:InteractionsDialect",
    "ollama": "ollama.dialect:OllamaDialect",
    "ollama-generate": "ollama.dialect:OllamaGenerateDialect",
    "completions": "completions:CompletionsDialect",
    "cohere": "cohere.dialect:CohereDialect",
}

_dialects: dict[str, Dialect] = {}


def dialect(name: str) -> Dialect:
    """The dialect called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in _dialects:
        if name not in _BUILT_IN:
            known = ", ".join({**_BUILT_IN, **_dialects})
            raise ConfigError(f"dialect {name!r} is not known; known are {known}")
        module, _, kind = _BUILT_IN[name].partition(":")
        register_dialect(getattr(import_module(f"engine.providers.{module}"), kind)())
    return _dialects[name]


def register_dialect(new: Dialect) -> None:
    """Add the dialect `new`, or replace the one of that name, for this process."""
    _dialects[new.name] = new
    note_registration()


def is_built_in(used: Dialect) -> bool:
    """Whether `used` is the engine's own dialect of its name, and not somebody's in its place."""
    kind = type(used)
    module, _, name = _BUILT_IN.get(used.name, ":").partition(":")
    return kind.__module__ == f"engine.providers.{module}" and kind.__name__ == name
