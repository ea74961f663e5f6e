"""What users may give as input and tools, made into `Message` and `Tool`.

Messages may be the engine's own or dicts in the shapes of OpenAI (Chat Completions and Responses),
Anthropic and Gemini. What cannot be read is refused before anything is sent, by its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import msgspec

from engine.asking.parts import as_json, as_part, member, text_of
from engine.errors import ConfigError
from engine.messages import Message, Part, Role, Text, Tool, ToolCall, ToolResult
from engine.wire.json import is_json

__all__ = ["Input", "ToolLike", "as_messages", "as_tools"]

Input = str | Message | Mapping[str, Any] | Sequence[Message | Mapping[str, Any]]


@runtime_checkable
class HasDefinition(Protocol):
    """Anything that knows its tool definition, such as a decorated function."""

    @property
    def definition(self) -> Tool: ...


_Made = TypeVar("_Made", Message, Tool)

ToolLike = Tool | HasDefinition | Mapping[str, Any]


def as_messages(input: Input, system: str | None) -> list[Message]:
    """The messages of `input`, with `system` before them.

    Raises:
        ConfigError: `input` is empty, or holds something that is no message; it is named by its
            place, as in ``input[2].content[0]``.
    """
    if system is not None and not isinstance(system, str):
        raise ConfigError(f"system must be a string, not {type(system).__name__}")
    messages = [Message.system(system)] if system else []
    if isinstance(input, str):
        messages.append(Message.user(input))
    elif isinstance(input, Message | Mapping):
        messages.append(_message(input, "input"))
    elif isinstance(input, Iterable) and not isinstance(input, bytes | bytearray):
        messages += [_message(item, f"input[{number}]") for number, item in enumerate(input)]
    else:
        raise ConfigError(f"input must be a string or messages, not {type(input).__name__}")
    if all(message.role == "system" for message in messages):
        raise ConfigError("input is empty: there is no message to answer")
    return messages


def as_tools(tools: Iterable[ToolLike] | None) -> list[Tool]:
    """The definitions of `tools`.

    Raises:
        ConfigError: one is no tool, or two have the same name.
    """
    if tools is None:
        return []
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise ConfigError(f"tools must be a list of tools, not {type(tools).__name__}")
    definitions = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)]
    names: set[str] = set()
    for number, tool in enumerate(definitions):
        if not tool.name:
            raise ConfigError(f"tools[{number}].name is empty")
        if tool.name in names:
            raise ConfigError(f"tools: two of them are called {tool.name!r}")
        names.add(tool.name)
    return definitions


def _tool(tool: Any, where: str) -> Tool:
    if isinstance(tool, Tool):
        return _checked(tool, where)
    if isinstance(tool, Mapping):
        # OpenAI: {"type": "function", "function": {…}}; Responses has it flat; Anthropic says
        # input_schema; Gemini and others have the bare function.
        nested = isinstance(tool.get("function"), Mapping)
        inner = member(tool, "function", Mapping, where) if nested else tool
        schema = inner.get("parameters")
        if schema is None:
            schema = inner.get("input_schema")
        if schema is not None and not isinstance(schema, Mapping):
            raise ConfigError(f"{where} has parameters that are no JSON schema (a dict)")
        strict = inner.get("strict")
        return Tool(
            member(inner, "name", str, where),
            member(inner, "description", str, where, default="") or "",
            strict=strict if isinstance(strict, bool) else None,
            **({"parameters": schema} if schema is not None else {}),
        )
    definition = getattr(tool, "definition", None)
    if isinstance(definition, Tool):
        return definition
    raise ConfigError(f"{where} is no tool; give engine.Tool(name, description, parameters)")


def _checked(made: _Made, where: str) -> _Made:
    """`made`, whose fields nobody has checked yet: constructors check nothing."""
    try:
        made = msgspec.json.decode(msgspec.json.encode(made), type=type(made))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from error
    if isinstance(made, Message):
        if not made.parts:
            raise ConfigError(f"{where} has no content")
        for number, part in enumerate(made.parts):
            if isinstance(part, ToolCall) and not is_json(part.arguments):
                raise ConfigError(f"{where}.parts[{number}].arguments is a string that is no JSON")
    return made


# Other names of the roles: OpenAI's newer "system", Gemini's assistant, the tools before 2023-11.
_ROLES: Final[dict[Any, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}


def _message(item: Any, where: str) -> Message:
    if isinstance(item, Message):
        return _checked(item, where)
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"{where} must be a Message or a dict with role and content, not {type(item).__name__}"
        )
    if "role" not in item and item.get("type") in _ITEMS:
        return _item(item, where)
    name = item.get("role", "user" if "parts" in item else None)
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise ConfigError(
            f"{where} has the role {name!r}; there are system, user, assistant and tool"
        )
    if role == "tool" and not _is_results(item):
        return Message("tool", [_result(item, where)])
    parts = _parts(item, where)
    # Anthropic and Gemini send the results of tools as the user's.
    if role == "user" and parts and all(isinstance(part, ToolResult) for part in parts):
        role = "tool"
    if not parts:
        raise ConfigError(f"{where} has no content")
    return Message(role, parts)


def _parts(item: Mapping[str, Any], where: str) -> list[Part]:
    place = "parts" if "parts" in item and "content" not in item else "content"
    content = item.get(place)
    parts: list[Part] = []
    if isinstance(content, str):
        parts.append(Text(content))
    elif isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        parts += [as_part(part, f"{where}.{place}[{n}]") for n, part in enumerate(content)]
    elif content is not None:
        raise ConfigError(f"{where}.{place} must be a string or a list of parts")
    calls = item.get("tool_calls")
    if calls is not None and (isinstance(calls, str) or not isinstance(calls, Sequence)):
        raise ConfigError(f"{where}.tool_calls must be a list")
    for number, call in enumerate(calls or ()):
        parts.append(_call(call, f"{where}.tool_calls[{number}]"))
    return parts


def _call(call: Any, where: str) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    if not isinstance(call, Mapping):
        raise ConfigError(f"{where} must be a dict, not {type(call).__name__}")
    function = call.get("function", call)
    if not isinstance(function, Mapping):
        raise ConfigError(f"{where}.function must be a dict, not {type(function).__name__}")
    return ToolCall(
        member(call, "id", str, where, default="") or "",
        member(function, "name", str, where),
        as_json(function.get("arguments"), f"{where}.arguments"),
    )


def _is_results(item: Mapping[str, Any]) -> bool:
    """Whether a message of the role tool holds whole results (Anthropic's, Gemini's, the engine's
    own), rather than the text of one (OpenAI's)."""
    content = item.get("content", item.get("parts"))
    if isinstance(content, str) or not isinstance(content, Sequence):
        return False
    return any(
        isinstance(part, ToolResult)
        or (isinstance(part, Mapping) and not _RESULTS.isdisjoint((part.get("type"), *part)))
        for part in content
        if not isinstance(part, Mapping) or isinstance(part.get("type"), str | None)
    )


_RESULTS: Final = frozenset({"tool_result", "functionResponse", "function_response"})


def _result(item: Mapping[str, Any], where: str) -> ToolResult:
    return ToolResult(
        member(item, "tool_call_id", str, where, default="") or "",
        text_of(item.get("content"), f"{where}.content"),
        member(item, "name", str, where, default=None),
    )


# Items of the Responses API that have no role.
_ITEMS: Final = ("function_call", "function_call_output")


def _item(item: Mapping[str, Any], where: str) -> Message:
    if item["type"] == "function_call":
        call = ToolCall(
            member(item, "call_id", str, where),
            member(item, "name", str, where),
            as_json(item.get("arguments"), f"{where}.arguments"),
        )
        return Message("assistant", [call])
    output = text_of(item.get("output"), f"{where}.output")
    return Message("tool", [ToolResult(member(item, "call_id", str, where), output)])
