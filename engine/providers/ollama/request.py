"""A `ModelRequest` as a body for Ollama's ``/api/chat`` or ``/api/generate``."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import Tool, VendorTool
from engine.providers.contract import Endpoint
from engine.providers.ollama.lines import asked_line, render_lines
from engine.providers.origin import tool_extra, with_extra
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
    messages = render_lines(request.messages, endpoint.name)
    body: dict[str, Any] = {"model": request.model, "messages": messages}
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
    line = asked_line(asked[0])
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


def _tool(tool: Tool | VendorTool) -> dict[str, Any]:
    if isinstance(tool, VendorTool):
        return tool.data
    if tool.strict:
        raise ConfigError(
            f"tools: Ollama cannot hold a model to the schema of {tool.name!r}; leave strict out"
        )
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return with_extra({"type": "function", "function": function}, tool_extra(tool, "ollama"))
