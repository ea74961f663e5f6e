"""A `ModelRequest` as a body for Ollama's ``/api/chat`` or ``/api/generate``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.messages import Image, Message, Part, Text, Tool, ToolCall, ToolResult
from engine.providers.call_ids import is_made_up
from engine.providers.contract import Endpoint
from engine.request import ModelRequest

__all__ = ["render_chat", "render_generate"]

# https://docs.ollama.com/modelfile#valid-parameters-and-values
_OPTIONS: Final = (
    ("num_predict", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("seed", "seed"),
    ("stop", "stop"),
)


def render_chat(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body of ``/api/chat``; see https://docs.ollama.com/api/chat.

    Raises:
        ConfigError: a part or an argument cannot be said in this format.
    """
    names: dict[str, str] = {}
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            line for message in request.messages for line in _lines(message, endpoint.name, names)
        ],
    }
    if request.tool_choice not in (None, "auto", "none"):
        raise ConfigError(
            f"tool_choice: Ollama cannot be made to call a tool ({request.tool_choice!r}); leave "
            "it out, or use provider 'ollama-openai'"
        )
    if request.tools and request.tool_choice != "none":
        body["tools"] = [_tool(tool) for tool in request.tools]
    return {**body, **_common(request)}


def render_generate(request: ModelRequest) -> dict[str, Any]:
    """The body of ``/api/generate``; see https://docs.ollama.com/api/generate.

    Raises:
        ConfigError: it is more than a system text and one question, or asks for tools.
    """
    system = "\n\n".join(m.text for m in request.messages if m.role == "system")
    asked = [message for message in request.messages if message.role != "system"]
    if len(asked) != 1 or asked[0].role != "user":
        raise ConfigError(
            "input: /api/generate takes one question; use dialect='ollama' for a conversation"
        )
    for name in ("tools", "tool_choice"):
        if getattr(request, name):
            raise ConfigError(f"{name}: /api/generate knows none; use dialect='ollama'")
    line = _asked(asked[0])
    body: dict[str, Any] = {"model": request.model, "prompt": line["content"]}
    if system:
        body["system"] = system
    if "images" in line:
        body["images"] = line["images"]
    return {**body, **_common(request)}


def _common(request: ModelRequest) -> dict[str, Any]:
    # Streaming is the default, so that both have to be said.
    fields: dict[str, Any] = {"stream": request.stream}
    if request.response_format == "json":
        fields["format"] = "json"
    elif request.response_format is not None:
        if "schema" not in request.response_format:
            raise ConfigError("response_format has no 'schema'; give 'json', or name and schema")
        fields["format"] = request.response_format["schema"]
    if request.thinking is not None:
        fields["think"] = _think(request.thinking, request.model)
    options = {}
    for option, name in _OPTIONS:
        value = getattr(request, name)
        if value is not None and value != []:
            options[option] = value
    if options:
        fields["options"] = options
    return fields


def _think(level: str, model: str) -> bool | str:
    # "GPT-OSS requires think to be set to low, medium, or high"; the others are on or off, and a
    # server of August 2025 answers 400 to a level: "think value "low" is not supported".
    if level == "none":
        return False
    return level if "gpt-oss" in model else True


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.strict:
        raise ConfigError(
            f"tools: Ollama cannot hold a model to the schema of {tool.name!r}; leave strict out"
        )
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def _lines(message: Message, provider: str, names: dict[str, str]) -> list[dict[str, Any]]:
    """One message as the lines it takes: each tool result is a line of its own. `names` collects
    the tools that were called, by id."""
    if message.role == "tool":
        return [_result(part, names) for part in message.parts if isinstance(part, ToolResult)]
    if message.role == "assistant":
        return [_answer(message, provider, names)]
    return [_asked(message)]


def _asked(message: Message) -> dict[str, Any]:
    line: dict[str, Any] = {"role": message.role, "content": message.text}
    images = [_image(part) for part in message.parts if not isinstance(part, Text)]
    if images:
        line["images"] = images
    return line


def _image(part: Part) -> str:
    if not isinstance(part, Image):
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to Ollama"
        )
    if part.data is None:
        raise ConfigError("input: Ollama takes images as data, not by url; read the file")
    return part.data


def _answer(message: Message, provider: str, names: dict[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {"role": "assistant", "content": message.text or message.refusal or ""}
    if message.thinking and message.provider is not None and message.provider == provider:
        line["thinking"] = message.thinking
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if calls:
        line["tool_calls"] = [_call(call) for call in calls]
        names.update((call.id, call.name) for call in calls)
    return line


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.input
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"input: the arguments of call {call.id!r} are no JSON: {error}"
        ) from error
    line: dict[str, Any] = {"function": {"name": call.name, "arguments": arguments}}
    return line if is_made_up(call.id) else {"id": call.id, **line}


def _result(result: ToolResult, names: dict[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {"role": "tool", "content": result.content}
    name = result.name or names.get(result.id)
    if name is not None:
        line["tool_name"] = name
    if result.id and not is_made_up(result.id):
        line["tool_call_id"] = result.id
    return line
