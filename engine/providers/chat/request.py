"""A `ModelRequest` as a Chat Completions body."""

from __future__ import annotations

from typing import Any, Final

from engine.messages import Tool, VendorTool
from engine.providers.chat.lines import render_lines
from engine.providers.contract import Endpoint
from engine.providers.origin import tool_extra, with_extra
from engine.request import ModelRequest, ThinkingLevel

__all__ = ["render_chat", "render_tool"]


def render_chat(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://platform.openai.com/docs/api-reference/chat/create.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": render_lines(request.messages, endpoint.name, request.model, request.rendered),
    }
    if request.stream:
        body["stream"] = True
        if endpoint.include_usage:
            body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [render_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice, request.tools)
    if request.max_tokens is not None:
        body[endpoint.max_tokens_field] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.seed is not None:
        body[_SEED.get(endpoint.name, "seed")] = request.seed
    if request.stop:
        body["stop"] = request.stop
    if request.thinking is not None:
        body |= _thinking(request.thinking, endpoint.name)
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    return body


# https://docs.mistral.ai/api: "random_seed"; "seed" is refused with 422.
_SEED: Final = {"mistral": "random_seed"}


def _thinking(level: ThinkingLevel, provider: str) -> dict[str, Any]:
    """The level in the provider's terms; OpenAI's where nothing else is known."""
    switch = {"type": "disabled" if level == "none" else "enabled"}
    match provider:
        case "deepseek":  # https://api-docs.deepseek.com/guides/thinking_mode
            effort = {} if level == "none" else {"reasoning_effort": level}
            return {"thinking": switch, **effort}
        case "zai" | "moonshot":  # on or off, no levels
            return {"thinking": switch}
        case "dashscope":
            return {"enable_thinking": level != "none"}
        case "openrouter":  # https://openrouter.ai/docs/use-cases/reasoning-tokens
            return {"reasoning": {"effort": level}}
        case _:
            return {"reasoning_effort": level}


def render_tool(tool: Tool | VendorTool) -> dict[str, Any]:
    """A tool definition."""
    if isinstance(tool, VendorTool):
        return tool.data
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return with_extra({"type": "function", "function": function}, tool_extra(tool, "chat"))


def _tool_choice(choice: str, tools: list[Tool | VendorTool]) -> Any:
    if choice in ("auto", "none", "required"):
        return choice
    if any(isinstance(tool, VendorTool) and tool.name == choice for tool in tools):
        return {"type": "custom", "custom": {"name": choice}}
    return {"type": "function", "function": {"name": choice}}


def _response_format(wanted: Any) -> dict[str, Any]:
    if wanted == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": dict(wanted)}
