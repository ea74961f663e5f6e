"""A `ModelRequest` as an OpenAI Responses body."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.contract import Endpoint
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
    leading = next((n for n, m in enumerate(messages) if m.role != "system"), len(messages))
    if leading:
        body["instructions"] = "\n\n".join(message.text for message in messages[:leading])
    body["input"] = [
        item for message in messages[leading:] for item in _items(message, endpoint.name)
    ]
    if request.stream:
        body["stream"] = True
    body["store"] = False
    if _asks_reasoning(request):
        body["include"] = ["reasoning.encrypted_content"]
    body.update(_settings(request))
    return body


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
        settings["tool_choice"] = {"type": "function", "name": request.tool_choice}
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


def _tool(tool: Tool) -> dict[str, Any]:
    definition: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        definition["description"] = tool.description
    definition["parameters"] = tool.parameters
    if tool.strict is not None:
        definition["strict"] = tool.strict
    return definition


def _format(wanted: Any) -> dict[str, Any]:
    if wanted == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "name": "answer", **wanted}


# -- items -------------------------------------------------------------------------------------


def _items(message: Message, provider: str) -> list[dict[str, Any]]:
    """The input items one message takes: results, calls and reasoning are items of their own."""
    if message.role == "assistant":
        return _answer_items(message, message.provider == provider)
    results = [_result(part) for part in message.parts if isinstance(part, ToolResult)]
    parts = [part for part in message.parts if not isinstance(part, ToolResult)]
    if not parts:
        return results
    content: Any = message.text
    if not all(isinstance(part, Text) for part in parts):
        content = [_content(part) for part in parts]
    return [*results, {"role": message.role, "content": content}]


def _result(result: ToolResult) -> dict[str, Any]:
    # There is no field for a failed call: the text itself has to tell.
    return {"type": "function_call_output", "call_id": result.id, "output": result.content}


def _answer_items(message: Message, own: bool) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, Text | Refusal):
            _say(part, items)
        elif isinstance(part, ToolCall):
            items.append(
                {
                    "type": "function_call",
                    "call_id": part.id,
                    "name": part.name,
                    "arguments": part.arguments,
                }
            )
        elif isinstance(part, Thinking) and own:
            if part.text:
                summary.append({"type": "summary_text", "text": part.text})
            if part.signature:
                items.append(_reasoning(part, summary))
                summary = []
        elif isinstance(part, ServerTool) and own:
            items.append(part.data)
    return items


def _reasoning(part: Thinking, summary: list[dict[str, Any]]) -> dict[str, Any]:
    # Without its id: what was not stored cannot be found by it ("Items are not persisted when
    # `store` is set to false"), and the encrypted content is the item itself.
    return {"type": "reasoning", "summary": summary, "encrypted_content": part.signature}


def _say(part: Text | Refusal, items: list[dict[str, Any]]) -> None:
    """Add text to the assistant's message that is last, or begin one."""
    if not part.text:
        return
    if isinstance(part, Text):
        content = {"type": "output_text", "text": part.text}
    else:
        content = {"type": "refusal", "refusal": part.text}
    if items and items[-1].get("role") == "assistant" and "type" not in items[-1]:
        items[-1]["content"].append(content)
    else:
        items.append({"role": "assistant", "content": [content]})


def _content(part: Part) -> dict[str, Any]:
    """A part of a question."""
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Image):
        image = {"type": "input_image", "image_url": part.url or _data_url(part, "image/png")}
        return {**image, "detail": part.detail} if part.detail is not None else image
    if isinstance(part, Document):
        if part.url is not None:
            return {"type": "input_file", "file_url": part.url}
        data = _data_url(part, "application/pdf")
        return {"type": "input_file", "filename": part.title or "document", "file_data": data}
    raise ConfigError(
        f"input: a part of type {type(part).__name__} cannot stand in a question to this provider"
    )


def _data_url(part: Image | Document, usual: str) -> str:
    if part.data is None:
        raise ConfigError(f"input: a part of type {type(part).__name__} has neither url nor data")
    return f"data:{part.media_type or usual};base64,{part.data}"
