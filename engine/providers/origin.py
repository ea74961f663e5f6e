"""Whose a message is: what only its author reads goes back to the author alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.messages import Message, Tool

__all__ = ["format_of", "is_own", "is_told", "tool_extra", "with_extra"]

# Dialects that differ in how an answer travels, and not in what is said.
_SAME: Final = {"gemini-array": "gemini", "ollama-generate": "ollama"}


def format_of(dialect: str) -> str:
    """The format of a dialect: the name that `Message.formats` has."""
    return _SAME.get(dialect, dialect)


def is_own(message: Message, provider: str, format: str) -> bool:
    """Whether seals and reasoning of `message` go to `provider`, asked in `format`: it wrote them
    in this format, or the user did, who then vouches for them."""
    if message.provider is None:
        return format in message.formats
    return message.provider == provider and (not message.formats or format in message.formats)


def is_told(message: Message, provider: str, format: str) -> bool:
    """Whether the `extra` of `message` and its parts goes to `provider`, asked in `format`: where
    seals go, and where a user wrote it by hand and named no format."""
    if message.provider is None and not message.formats:
        return True
    return is_own(message, provider, format)


def tool_extra(tool: Tool, format: str) -> Mapping[str, Any]:
    """What of `tool.extra` goes to a provider asked in `format`."""
    return tool.extra if not tool.formats or format in tool.formats else {}


def with_extra(written: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`written` with the members of `extra`, which win; objects in both are joined."""
    if not extra:
        return written
    joined = dict(written)
    for name, value in extra.items():
        inner = joined.get(name)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            value = with_extra(inner, value)
        joined[name] = value
    return joined
