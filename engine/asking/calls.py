"""Calls of tools and their results as users write them, in the shapes of each vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.asking.shape import CHAT, MESSAGES, OLLAMA, RESPONSES, Shape, as_json, member
from engine.errors import ConfigError
from engine.messages import Part, Text, ToolCall, ToolResult

__all__ = [
    "as_call",
    "as_call_item",
    "as_result",
    "as_result_item",
    "as_tool_result",
    "as_tool_use",
]

AsPart = Callable[[Any, str, Shape], Part]

# Members of a call that its answer alone had a use for.
_TOLD: Final = ("index", "id", "status")

# What may stand in a result beside text, and who takes it there.
_MIXED: Final = RESPONSES | MESSAGES | {"gemini"}


def as_call(call: Any, where: str, shape: Shape) -> ToolCall:
    """One of ``tool_calls``: OpenAI's, Ollama's, Cohere's.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(call, ToolCall):
        return call
    if not isinstance(call, Mapping):
        raise ConfigError(f"{where} must be a dict, not {type(call).__name__}")
    id = member(call, "id", str, where, default="") or ""
    custom = call.get("custom")
    if isinstance(custom, Mapping):  # OpenAI's, whose input is free text
        shape.narrow(CHAT)
        inner = shape.extra(custom, ("name", "input"), CHAT, f"{where}.custom")
        extra = {"custom": inner} if inner else {}
        extra |= shape.extra(call, ("id", "type", "custom"), CHAT, where, _TOLD)
        text = _quoted(member(custom, "input", str, f"{where}.custom"))
        name = member(custom, "name", str, f"{where}.custom")
        return ToolCall(id, name, text, custom=True, extra=extra)
    function = call.get("function", call)
    if not isinstance(function, Mapping):
        raise ConfigError(f"{where}.function must be a dict, not {type(function).__name__}")
    formats = CHAT | {"cohere"} | OLLAMA
    extra = {}
    if function is not call:
        inner = shape.extra(function, ("name", "arguments"), formats, f"{where}.function", _TOLD)
        extra = {"function": inner} if inner else {}
        extra |= shape.extra(call, ("id", "type", "function"), formats, where, _TOLD)
    else:
        extra = shape.extra(call, ("id", "type", "name", "arguments"), formats, where, _TOLD)
    return ToolCall(
        id,
        member(function, "name", str, where),
        as_json(function.get("arguments"), f"{where}.arguments"),
        extra=extra,
    )


def as_tool_use(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """Anthropic's call.

    Raises:
        ConfigError: it is none.
    """
    return ToolCall(
        member(part, "id", str, where),
        member(part, "name", str, where),
        as_json(part.get("input"), f"{where}.input"),
        extra=shape.extra(part, ("type", "id", "name", "input"), MESSAGES, where),
    )


def as_call_item(item: Mapping[str, Any], where: str, shape: Shape) -> ToolCall:
    """A call as an item of the Responses format.

    Raises:
        ConfigError: it is none.
    """
    custom = item["type"] == "custom_tool_call"
    given = "input" if custom else "arguments"
    extra = shape.extra(item, ("type", "call_id", "name", given), RESPONSES, where, _TOLD)
    if custom:
        arguments = _quoted(member(item, given, str, where))
        shape.narrow(RESPONSES)
    else:
        arguments = as_json(item.get(given), f"{where}.{given}")
    id, name = member(item, "call_id", str, where), member(item, "name", str, where)
    return ToolCall(id, name, arguments, custom=custom, extra=extra)


def as_result(item: Mapping[str, Any], where: str, shape: Shape, as_part: AsPart) -> ToolResult:
    """A message of the role tool: OpenAI's, Mistral's, Cohere's, Ollama's; before 2023-11 the role
    was function, and there was no id.

    Raises:
        ConfigError: it is none.
    """
    content, parts = _content(item.get("content"), f"{where}.content", shape, as_part)
    if any(not isinstance(part, Text) for part in parts):
        shape.bind(_MIXED | CHAT | {"cohere"}, f"{where}.content")
    name = member(item, "name", str, where, default=None)
    ollama = member(item, "tool_name", str, where, default=None)
    known = ("role", "content", "tool_call_id", "tool_name", "images")
    told = ("name", "role", "id", *_TOLD)
    extra = shape.extra(item, known, CHAT | {"cohere"} | OLLAMA, where, told)
    if item.get("role") == "function":
        shape.narrow(CHAT)
        extra["role"] = "function"
    id = member(item, "tool_call_id", str, where, default="") or ""
    return ToolResult(id, content, name or ollama, parts=parts, extra=extra)


def as_tool_result(
    part: Mapping[str, Any], where: str, shape: Shape, as_part: AsPart
) -> ToolResult:
    """Anthropic's result.

    Raises:
        ConfigError: it is none.
    """
    content, parts = _content(part.get("content"), f"{where}.content", shape, as_part)
    if any(not isinstance(part, Text) for part in parts):
        shape.bind(_MIXED, f"{where}.content")
    known = ("type", "tool_use_id", "content", "is_error")
    extra = shape.extra(part, known, MESSAGES, where)
    if part.get("is_error") is False:
        extra["is_error"] = False
        shape.narrow(MESSAGES)
    id = member(part, "tool_use_id", str, where)
    return ToolResult(id, content, is_error=part.get("is_error") is True, parts=parts, extra=extra)


def as_result_item(
    item: Mapping[str, Any], where: str, shape: Shape, as_part: AsPart
) -> ToolResult:
    """A result as an item of the Responses format.

    Raises:
        ConfigError: it is none.
    """
    content, parts = _content(item.get("output"), f"{where}.output", shape, as_part)
    if any(not isinstance(part, Text) for part in parts):
        shape.bind(_MIXED, f"{where}.output")
    extra = shape.extra(item, ("type", "call_id", "output"), RESPONSES, where, _TOLD)
    if item["type"] == "custom_tool_call_output":
        shape.narrow(RESPONSES)
        extra["type"] = item["type"]
    return ToolResult(member(item, "call_id", str, where), content, parts=parts, extra=extra)


def _content(content: Any, where: str, shape: Shape, as_part: AsPart) -> tuple[str, list[Any]]:
    """The text of a result; and its parts, where they are more than text."""
    if content is None or isinstance(content, str):
        return content or "", []
    if isinstance(content, Mapping):  # some give the object that the tool gave
        return as_json(content, where), []
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        raise ConfigError(f"{where} must be a string or a list of parts")
    parts = [as_part(inner, f"{where}[{n}]", shape) for n, inner in enumerate(content)]
    for number, part in enumerate(parts):
        if isinstance(part, ToolCall | ToolResult):
            raise ConfigError(f"{where}[{number}] cannot stand in the result of a tool")
    text = "".join(part.text for part in parts if isinstance(part, Text))
    several = sum(isinstance(inner, Mapping) for inner in content) > 1
    if not several and all(isinstance(part, Text) and not part.extra for part in parts):
        return text, []
    return text, parts


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
