"""A `ModelRequest` as an interaction: the conversation as steps.

Nothing is stored at Google unless ``extra_body={"store": True}`` asks for it; the whole
conversation goes out each time.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    VendorItem,
    VendorTool,
)
from engine.providers.contract import Endpoint
from engine.providers.origin import is_own
from engine.request import ModelRequest

__all__ = ["render_interactions"]

_FORMAT: Final = "interactions"
_LEVELS: Final = {"none": "minimal"}


def render_interactions(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://ai.google.dev/api/interactions-api.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    steps: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "assistant":
            _answer(message, is_own(message, endpoint.name, _FORMAT), steps)
        elif message.role != "system":
            content = [_content(part) for part in message.parts if _says_something(part)]
            if content:
                steps.append({"type": "user_input", "content": content})
    body: dict[str, Any] = {"model": request.model, "input": steps, "store": False}
    if request.stream:
        body["stream"] = True
    system = "\n\n".join(m.text for m in request.messages if m.role == "system")
    if system:
        body["system_instruction"] = system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    config = _config(request)
    if config:
        body["generation_config"] = config
    if request.response_format is not None:
        wanted: dict[str, Any] = {"type": "text", "mime_type": "application/json"}
        if request.response_format != "json":
            wanted["schema"] = request.response_format["schema"]
        body["response_format"] = [wanted]
    return body


def _config(request: ModelRequest) -> dict[str, Any]:
    config: dict[str, Any] = {
        name: value
        for name, value in (
            ("max_output_tokens", request.max_tokens),
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("seed", request.seed),
            ("stop_sequences", request.stop or None),
        )
        if value is not None
    }
    if request.thinking is not None:
        config["thinking_level"] = _LEVELS.get(request.thinking, request.thinking)
        if request.thinking != "none":
            config["thinking_summaries"] = "auto"
    choice = request.tool_choice
    if choice in ("auto", "none"):
        config["tool_choice"] = choice
    elif choice == "required":
        config["tool_choice"] = "any"
    elif choice is not None:
        config["tool_choice"] = {"allowed_tools": {"mode": "any", "tools": [choice]}}
    return config


def _tool(tool: Tool | VendorTool) -> dict[str, Any]:
    if isinstance(tool, VendorTool):
        return dict(tool.data)
    line: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        line["description"] = tool.description
    line["parameters"] = tool.parameters
    return line


def _answer(message: Message, own: bool, steps: list[dict[str, Any]]) -> None:
    """An answer as the steps it was made of; thoughts and what Google's tools did go back to it
    alone."""
    for part in message.parts:
        if isinstance(part, Thinking) and own:
            step: dict[str, Any] = {"type": "thought"}
            if part.signature:
                step["signature"] = part.signature
            if part.text:
                step["summary"] = [{"type": "text", "text": part.text}]
            steps.append(step)
        elif isinstance(part, ToolCall):
            steps.append(_call(part, own))
        elif isinstance(part, ServerTool) and own:
            steps.append(part.data)
        elif isinstance(part, VendorItem) and part.format == _FORMAT and own:
            steps.append({"type": "model_output", "content": [part.data]})
        elif isinstance(part, Text | Image | Audio) and _says_something(part):
            last = steps[-1] if steps else {}
            if last.get("type") != "model_output":
                last = {"type": "model_output", "content": []}
                steps.append(last)
            last["content"].append(_content(part))


def _call(call: ToolCall, own: bool) -> dict[str, Any]:
    given = call.input
    step: dict[str, Any] = {
        "type": "function_call",
        "id": call.id,
        "name": call.name,
        "arguments": given if isinstance(given, dict) else {"input": given},
    }
    if own:
        step |= call.extra
        if call.signature:
            step["signature"] = call.signature
    return step


def _says_something(part: Part) -> bool:
    return not isinstance(part, Text) or bool(part.text)


def _content(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            return _media("image", part.url, part.data, part.media_type or "image/png")
        case Audio():
            return _media("audio", None, part.data, part.media_type or "audio/wav")
        case Document():
            kind = (part.media_type or "").partition("/")[0]
            kind = kind if kind in ("video", "audio", "image") else "document"
            return _media(kind, part.url, part.data, part.media_type or "application/pdf")
        case ToolResult():
            return _result(part)
        case VendorItem(format=format) if format in (None, _FORMAT):
            return dict(part.data)
    raise ConfigError(
        f"input: a part of type {type(part).__name__} cannot stand in a question in the "
        f"{_FORMAT} format"
    )


def _media(kind: str, url: str | None, data: str | None, media_type: str) -> dict[str, Any]:
    if url is not None:
        return {"type": kind, "uri": url}
    return {"type": kind, "data": data, "mime_type": media_type}


def _result(result: ToolResult) -> dict[str, Any]:
    told: Any = result.content
    if result.parts:
        told = [_content(part) for part in result.parts]
    line: dict[str, Any] = {"type": "function_result", "call_id": result.id, "result": told}
    if result.name:
        line["name"] = result.name
    if result.is_error:
        line["is_error"] = True
    return msgspec.to_builtins(line) if result.parts else line
