"""A `ModelRequest` as a Chat Completions body."""

from __future__ import annotations

from typing import Any

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.contract import Endpoint
from engine.request import ModelRequest

__all__ = ["render_chat", "render_tool"]


def render_chat(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://platform.openai.com/docs/api-reference/chat/create.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            line for message in request.messages for line in _message(message, endpoint.name)
        ],
    }
    if request.stream:
        body["stream"] = True
        if endpoint.include_usage:
            body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [render_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.max_tokens is not None:
        body[endpoint.max_tokens_field] = request.max_tokens
    for name in ("temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop"] = request.stop
    if request.thinking is not None:
        body["reasoning_effort"] = request.thinking
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    return body


def render_tool(tool: Tool) -> dict[str, Any]:
    """A tool definition."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> Any:
    if choice in ("auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def _response_format(wanted: Any) -> dict[str, Any]:
    if wanted == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": dict(wanted)}


def _message(message: Message, provider: str) -> list[dict[str, Any]]:
    """One message as the lines it takes: each tool result is a line of its own."""
    if message.role == "tool":
        return [
            {"role": "tool", "tool_call_id": part.id, "content": part.content}
            for part in message.parts
            if isinstance(part, ToolResult)
        ]
    if message.role == "assistant":
        return [_assistant(message, provider)]
    if all(isinstance(part, Text) for part in message.parts):
        return [{"role": message.role, "content": message.text}]
    return [{"role": message.role, "content": [_part(part) for part in message.parts]}]


# Those that want their reasoning back with the tool calls it led to.
_WANTS_REASONING = frozenset({"deepseek", "zai", "moonshot"})


def _assistant(message: Message, provider: str) -> dict[str, Any]:
    line: dict[str, Any] = {"role": "assistant"}
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": part.arguments},
        }
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    line["content"] = message.text or (None if calls else "")
    if any(isinstance(part, Refusal) for part in message.parts):
        line["refusal"] = message.refusal
    if message.thinking and provider in _WANTS_REASONING and message.provider == provider:
        line["reasoning_content"] = message.thinking
    if calls:
        line["tool_calls"] = calls
    return line


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
        image: dict[str, Any] = {"url": url}
        if part.detail is not None:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    if isinstance(part, Document):
        if part.data is None:
            raise ConfigError(
                "input: the chat format takes documents as data, not by url; read the file, or "
                "use dialect='responses'"
            )
        data = f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
        return {"type": "file", "file": {"filename": part.title or "document", "file_data": data}}
    raise ConfigError(
        f"input: a part of type {type(part).__name__} cannot stand in a question to this provider"
    )
