"""A `ModelRequest` as a Chat Completions body."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.contract import Endpoint
from engine.providers.sealed import unsealed
from engine.request import ModelRequest, ThinkingLevel

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
    """One message as the lines it takes: each tool result is a line of its own, before the rest."""
    if message.role == "assistant":
        return [_assistant(message, provider)]
    lines: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.id, "content": part.content}
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    parts = [part for part in message.parts if not isinstance(part, ToolResult)]
    role = "user" if message.role == "tool" else message.role
    if all(isinstance(part, Text) for part in parts):
        if parts:
            lines.append({"role": role, "content": message.text})
    else:
        lines.append({"role": role, "content": [_part(part) for part in parts]})
    return lines


# Those that want their reasoning back with the tool calls it led to.
_WANTS_REASONING = frozenset({"deepseek", "zai", "moonshot"})


def _assistant(message: Message, provider: str) -> dict[str, Any]:
    line: dict[str, Any] = {"role": "assistant"}
    own = message.provider == provider  # seals go back to whom they came from
    calls = [_call(part, own) for part in message.parts if isinstance(part, ToolCall)]
    line["content"] = message.text or (None if calls else "")
    if message.refusal is not None:
        line["refusal"] = message.refusal
    if own and message.thinking and provider in _WANTS_REASONING:
        line["reasoning_content"] = message.thinking
    for part in message.parts:
        if own and isinstance(part, RedactedThinking):
            line |= unsealed(part.data)
    if calls:
        line["tool_calls"] = calls
    return line


def _call(call: ToolCall, own: bool) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if own and call.signature is not None:
        # https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"
        line["extra_content"] = {"google": {"thought_signature": call.signature}}
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
