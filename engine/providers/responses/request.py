"""A `ModelRequest` as an OpenAI Responses body."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import Message, Text, Tool, VendorTool
from engine.providers.contract import Endpoint
from engine.providers.origin import tool_extra, with_extra
from engine.providers.responses.items import render_items
from engine.request import ModelRequest

__all__ = ["render_responses"]

# Models without reasoning answer 400 to the request for their encrypted reasoning.
_REASONS: Final = re.compile(r"(?:^|/)(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)|codex)")


def render_responses(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://platform.openai.com/docs/api-reference/responses/create.

    Nothing is stored at the provider unless ``extra_body={"store": True}`` asks for it; the
    conversation travels whole, its reasoning encrypted. Reasoning and server tools go back only to
    the provider that wrote them; others are not told of them.

    Raises:
        ConfigError: an argument cannot be said in this format.
    """
    for name, value in (("seed", request.seed), ("stop", request.stop or None)):
        if value is not None:
            raise ConfigError(f"{name}: OpenAI's responses format has none; use dialect='chat'")
    body: dict[str, Any] = {"model": request.model}
    messages = request.messages
    leading = next((n for n, m in enumerate(messages) if not _is_plain(m)), len(messages))
    if leading:
        body["instructions"] = "\n\n".join(message.text for message in messages[:leading])
    body["input"] = render_items(messages[leading:], endpoint.name)
    if request.stream:
        body["stream"] = True
    body["store"] = False
    if _asks_reasoning(request):
        body["include"] = ["reasoning.encrypted_content"]
    body.update(_settings(request))
    return body


def _is_plain(message: Message) -> bool:
    """Whether it can stand in ``instructions``, which are one text."""
    return (
        message.role == "system"
        and not message.extra
        and not any(not isinstance(part, Text) or part.extra for part in message.parts)
    )


def _asks_reasoning(request: ModelRequest) -> bool:
    if request.thinking is not None:
        return request.thinking != "none"
    return _REASONS.search(request.model) is not None


def _settings(request: ModelRequest) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if request.tools:
        settings["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice in ("auto", "none", "required"):
        settings["tool_choice"] = request.tool_choice
    elif request.tool_choice is not None:
        settings["tool_choice"] = _choice(request.tool_choice, request.tools)
    if request.max_tokens is not None:
        settings["max_output_tokens"] = request.max_tokens
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.top_p is not None:
        settings["top_p"] = request.top_p
    if request.thinking == "none":
        settings["reasoning"] = {"effort": "none"}
    elif request.thinking is not None:
        settings["reasoning"] = {"effort": request.thinking, "summary": "auto"}
    if request.response_format is not None:
        settings["text"] = {"format": _format(request.response_format)}
    return settings


def _tool(tool: Tool | VendorTool) -> dict[str, Any]:
    if isinstance(tool, VendorTool):
        return tool.data
    definition: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        definition["description"] = tool.description
    definition["parameters"] = tool.parameters
    if tool.strict is not None:
        definition["strict"] = tool.strict
    return with_extra(definition, tool_extra(tool, "responses"))


def _choice(name: str, tools: list[Tool | VendorTool]) -> dict[str, Any]:
    vendors = [tool for tool in tools if isinstance(tool, VendorTool) and tool.name == name]
    return {"type": vendors[0].data.get("type") if vendors else "function", "name": name}


def _format(wanted: Any) -> dict[str, Any]:
    if wanted == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "name": "answer", **wanted}
