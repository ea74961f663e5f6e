"""Reasoning that a user's message brings along beside its content, for who gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.asking.shape import CHAT, OLLAMA, Shape
from engine.errors import ConfigError
from engine.messages import Part, RedactedThinking, Thinking

__all__ = ["REASONING", "reasoning_of"]

# Members of a message: the words, each vendor under its own name, and what is sealed.
_WORDS: Final = ("reasoning_content", "reasoning", "thinking")
_SEALED: Final = ("reasoning_details", "thinking_blocks")
REASONING: Final = (*_WORDS, *_SEALED)


def reasoning_of(item: Mapping[str, Any], where: str, shape: Shape) -> list[Part]:
    """The reasoning of `item`, a message of the chat format or Ollama's. Other formats are not
    told of it: it is nobody's but its author's.

    Raises:
        ConfigError: it is no text, or what is sealed no list.
    """
    parts: list[Part] = []
    for name in _WORDS:
        words = item.get(name)
        if words is None:
            continue
        if not isinstance(words, str):
            raise ConfigError(f"{where}.{name} must be a string, not {type(words).__name__}")
        shape.narrow(CHAT if name != "thinking" else OLLAMA if _is_ollama(item) else CHAT | OLLAMA)
        parts.append(Thinking(words, field=name))
    sealed = {name: item[name] for name in _SEALED if item.get(name) is not None}
    if sealed:
        shape.narrow(CHAT)
        try:
            parts.append(RedactedThinking(msgspec.json.encode(sealed).decode()))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ConfigError(f"{where}: reasoning that is no JSON: {error}") from error
    return parts


def _is_ollama(item: Mapping[str, Any]) -> bool:
    """Whether `item` is a message of Ollama's, whose arguments are objects."""
    calls = item.get("tool_calls")
    functions = [
        call.get("function")
        for call in (calls if isinstance(calls, list | tuple) else ())
        if isinstance(call, Mapping)
    ]
    return "images" in item or any(
        isinstance(function, Mapping) and isinstance(function.get("arguments"), Mapping)
        for function in functions
    )
