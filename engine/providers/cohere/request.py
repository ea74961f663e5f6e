"""A `ModelRequest` as a body for Cohere's ``/v2/chat``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.messages import (
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    VendorItem,
    VendorTool,
)
from engine.providers.arguments import arguments_of
from engine.providers.call_ids import fitting_ids
from engine.providers.contract import Endpoint
from engine.providers.origin import is_own, is_told, tool_extra, with_extra
from engine.providers.turns import with_calls_together
from engine.request import ModelRequest

__all__ = ["render_cohere"]

FORMAT: Final = "cohere"

_FIELDS: Final = (
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("p", "top_p"),
    ("seed", "seed"),
)

# Cohere names a budget and no levels; high is its default, which is as much as fits.
_BUDGETS: Final = {"low": 1024, "medium": 8192, "high": None}


def render_cohere(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://docs.cohere.com/reference/chat-stream.

    Raises:
        ConfigError: a part or an argument cannot be said in this format.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _Lines(with_calls_together(request.messages), endpoint.name).all(),
        "stream": request.stream,
    }
    for field, name in _FIELDS:
        value = getattr(request, name)
        if value is not None:
            body[field] = value
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if any(isinstance(tool, Tool) and tool.strict for tool in request.tools):
            body["strict_tools"] = True
    if request.tool_choice in ("none", "required"):
        body["tool_choice"] = request.tool_choice.upper()
    elif request.tool_choice not in (None, "auto"):
        raise ConfigError(
            f"tool_choice: Cohere cannot be made to call {request.tool_choice!r}; give it that one "
            "tool and 'required'"
        )
    if request.thinking is not None:
        body["thinking"] = _thinking(request.thinking)
    if request.response_format is not None:
        body["response_format"] = {"type": "json_object"}
        if request.response_format != "json":
            body["response_format"]["schema"] = request.response_format.get("schema", {})
    return body


def _thinking(level: str) -> dict[str, Any]:
    if level == "none":
        return {"type": "disabled"}
    budget = _BUDGETS[level]
    return {"type": "enabled"} if budget is None else {"type": "enabled", "token_budget": budget}


def _tool(tool: Tool | VendorTool) -> dict[str, Any]:
    if isinstance(tool, VendorTool):
        return tool.data
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    return with_extra({"type": "function", "function": function}, tool_extra(tool, FORMAT))


class _Lines:
    """The conversation as lines: each tool result is one of its own."""

    def __init__(self, messages: list[Message], provider: str) -> None:
        self._messages = messages
        self._provider = provider
        self._id = fitting_ids(messages, None)

    def all(self) -> list[dict[str, Any]]:
        return [line for message in self._messages for line in self._of(message)]

    def _of(self, message: Message) -> list[dict[str, Any]]:
        told = is_told(message, self._provider, FORMAT)
        extra = message.extra if told else {}
        if message.role == "assistant":
            line = self._answer(message, told)
            return [] if line is None else [with_extra(line, extra)]
        lines = [self._result(p, told) for p in message.parts if isinstance(p, ToolResult)]
        parts = [part for part in message.parts if not isinstance(part, ToolResult)]
        if parts:
            role = "user" if message.role == "tool" else message.role
            content: Any = [_part(part, told) for part in parts]
            plain = all(isinstance(part, Text) and not (told and part.extra) for part in parts)
            if plain and (len(parts) < 2 or FORMAT not in message.formats):
                content = message.text
            lines.append(with_extra({"role": role, "content": content}, extra))
        return lines

    def _result(self, result: ToolResult, told: bool) -> dict[str, Any]:
        content: Any = result.content
        if result.parts:
            content = [_part(part, told) for part in result.parts]
        line = {"role": "tool", "tool_call_id": self._id(result), "content": content}
        return with_extra(line, result.extra) if told else line

    def _answer(self, message: Message, told: bool) -> dict[str, Any] | None:
        """An answer; None where nothing of it can be told."""
        line: dict[str, Any] = {"role": "assistant"}
        own = is_own(message, self._provider, FORMAT)
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        thinking = message.thinking if own else ""
        if calls:
            if thinking and message.provider is not None:
                line["tool_plan"] = thinking
            line["tool_calls"] = [self._call(call, told) for call in calls]
        content = self._content(message, own, told, bool(calls))
        if content or not calls:
            line["content"] = content
        if told:
            line = with_extra(line, message.extra)
        return line if content or len(line) > 2 or calls else None

    def _content(self, message: Message, own: bool, told: bool, called: bool) -> Any:
        """A text; parts where there is more than that."""
        parts: list[dict[str, Any]] = []
        plain = True
        for part in message.parts:
            if isinstance(part, Text):
                parts.append(_part(part, told))
                plain = plain and not (told and part.extra)
            elif isinstance(part, Thinking) and own and (not called or message.provider is None):
                parts.append(with_extra({"type": "thinking", "thinking": part.text}, part.extra))
                plain = False
            elif isinstance(part, VendorItem) and own and part.format in (None, FORMAT):
                parts.append(part.data)
                plain = False
        if plain and (len(parts) < 2 or FORMAT not in message.formats or message.provider):
            return message.text or message.refusal or ""
        return parts

    def _call(self, call: ToolCall, told: bool) -> dict[str, Any]:
        arguments = call.arguments
        if call.custom or arguments.strip() in ("null", ""):
            arguments = msgspec.json.encode(arguments_of(call)).decode()
        function = {"name": call.name, "arguments": arguments}
        line = {"id": self._id(call), "type": "function", "function": function}
        return with_extra(line, call.extra) if told else line


def _part(part: Part, told: bool) -> dict[str, Any]:
    if isinstance(part, VendorItem) and part.format in (None, FORMAT):
        return part.data
    if isinstance(part, Text):
        written: dict[str, Any] = {"type": "text", "text": part.text}
    elif isinstance(part, Image):
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
        image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
        written = {"type": "image_url", "image_url": image}
    else:
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to Cohere"
        )
    return with_extra(written, part.extra) if told else written
