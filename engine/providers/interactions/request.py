"""A `ModelRequest` as a body for ``/interactions``."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import Tool, VendorTool
from engine.providers.contract import Endpoint
from engine.providers.interactions.steps import render_steps
from engine.providers.origin import tool_extra, with_extra
from engine.request import ModelRequest

__all__ = ["render_interactions"]

_CONFIG: Final = (
    ("max_output_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("seed", "seed"),
)


def render_interactions(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://ai.google.dev/api/interactions-api.

    Nothing is stored at Google unless ``extra_body={"store": True}`` asks for it; the conversation
    travels whole.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "input": render_steps(request.messages, endpoint.name),
    }
    system = [message.text for message in request.messages if message.role == "system"]
    if system:
        body["system_instruction"] = "\n\n".join(system)
    if request.stream:
        body["stream"] = True
    body["store"] = False
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    config = _generation_config(request)
    if config:
        body["generation_config"] = config
    if request.response_format is not None:
        body["response_format"] = [_format(request.response_format)]
    return body


def _generation_config(request: ModelRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for field, name in _CONFIG:
        value = getattr(request, name)
        if value is not None:
            config[field] = value
    if request.stop:
        config["stop_sequences"] = request.stop
    if request.thinking is not None:
        # "minimal" is as near to none as it comes.
        config["thinking_level"] = "minimal" if request.thinking == "none" else request.thinking
        if request.thinking != "none":
            config["thinking_summaries"] = "auto"
    choice = request.tool_choice
    if choice == "required":
        config["tool_choice"] = "any"
    elif choice in ("auto", "none"):
        config["tool_choice"] = choice
    elif choice is not None:
        config["tool_choice"] = {"allowed_tools": {"mode": "any", "tools": [choice]}}
    return config


def _tool(tool: Tool | VendorTool) -> dict[str, Any]:
    if isinstance(tool, VendorTool):
        return tool.data
    definition: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        definition["description"] = tool.description
    definition["parameters"] = tool.parameters
    return with_extra(definition, tool_extra(tool, "interactions"))


def _format(wanted: Any) -> dict[str, Any]:
    format: dict[str, Any] = {"type": "text", "mime_type": "application/json"}
    if wanted == "json":
        return format
    if "schema" not in wanted:
        raise ConfigError("response_format has no 'schema'; give 'json', or name and schema")
    return {**format, "schema": wanted["schema"]}
