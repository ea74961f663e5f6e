"""A `ModelRequest` as a body for Cohere's ``/v2/chat``."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import Image, Message, Part, Text, Tool, ToolCall, ToolResult
from engine.providers.contract import Endpoint
from engine.request import ModelRequest

__all__ = ["render_cohere"]

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
        "messages": [
            line for message in request.messages for line in _lines(message, endpoint.name)
        ],
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
        if any(tool.strict for tool in request.tools):
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


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": {**function, "parameters": tool.parameters}}


def _lines(message: Message, provider: str) -> list[dict[str, Any]]:
    """One message as the lines it takes: each tool result is a line of its own."""
    if message.role == "tool":
        return [
            {"role": "tool", "tool_call_id": part.id, "content": part.content}
            for part in message.parts
            if isinstance(part, ToolResult)
        ]
    if message.role == "assistant":
        return [_answer(message, provider)]
    if all(isinstance(part, Text) for part in message.parts):
        return [{"role": message.role, "content": message.text}]
    return [{"role": message.role, "content": [_part(part) for part in message.parts]}]


def _answer(message: Message, provider: str) -> dict[str, Any]:
    line: dict[str, Any] = {"role": "assistant"}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    thinking = message.thinking if message.provider == provider else ""
    if calls:
        if thinking:
            line["tool_plan"] = thinking
        line["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    text = message.text or message.refusal or ""
    if thinking and not calls:
        parts = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": text}]
        line["content"] = parts
    elif text or not calls:
        line["content"] = text
    return line


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    raise ConfigError(
        f"input: a part of type {type(part).__name__} cannot stand in a question to Cohere"
    )
