"""Reading what several dialects say in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.emulator.contract import BadRequest, Turn

__all__ = ["as_role", "as_stops", "checked_turns", "plain_text", "wanted_schema", "wants_thinking"]

_ROLES: Mapping[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}


def as_role(role: str) -> Literal["system", "user", "assistant", "tool"]:
    """The role of a message, in the emulator's words.

    Raises:
        BadRequest: it is none.
    """
    try:
        return _ROLES[role]
    except KeyError:
        raise BadRequest(f"role: must be one of {', '.join(_ROLES)}; got {role!r}") from None


def plain_text(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts with ``text``; parts of other
    kinds are counted as one word."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part_text(part) for part in content)
    raise BadRequest("content: must be a string or a list of parts")


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise BadRequest("content: a part must be an object")
    for field in ("text", "refusal"):
        if isinstance(part.get(field), str):
            return str(part[field])
    return f"<{part.get('type', 'part')}>"


def checked_turns(turns: list[Turn]) -> list[Turn]:
    """`turns`, in which every tool call has its result right after it, and every result its call:
    the vendors refuse a conversation in which one is missing.

    Raises:
        BadRequest: one is missing; the message names it.
    """
    open_calls: list[str] = []
    for turn in turns:
        if turn.role == "tool":
            if turn.result_of not in open_calls:
                raise BadRequest(
                    f"the result of call {turn.result_of!r} must follow the assistant's message "
                    "that has this call"
                )
            open_calls.remove(turn.result_of)
            continue
        if open_calls:
            break
        open_calls = list(turn.calls)
    if open_calls:
        raise BadRequest(
            f"the assistant's call {open_calls[0]!r} must be followed by its result, before any "
            "other message"
        )
    return turns


def as_stops(stop: str | list[str] | None) -> list[str]:
    """Stop strings."""
    return [stop] if isinstance(stop, str) else stop or []


def wants_thinking(asked: Any) -> bool:
    """Whether a thinking field of a request, an effort or an object, asks for reasoning."""
    if isinstance(asked, dict):
        return asked.get("type", "enabled") != "disabled" and asked.get("effort") != "none"
    return bool(asked) and asked != "none"


def wanted_schema(format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The schema OpenAI's response format asks for: in `json_schema.schema` (chat) or in `schema`
    (Responses); empty for any object, None for text."""
    kind = (format or {}).get("type", "text")
    if format is None or kind == "text":
        return None
    if kind == "json_object":
        return {}
    if kind != "json_schema":
        raise BadRequest(f"response_format: no type {kind!r}; text, json_object, json_schema")
    inner = format.get("json_schema", format)
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    if not isinstance(schema, Mapping):
        raise BadRequest("response_format: json_schema needs a schema")
    return schema
