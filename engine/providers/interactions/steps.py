"""A conversation as the ``input`` of an Interactions body: a list of steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers.arguments import arguments_of
from engine.providers.call_ids import fitting_ids
from engine.providers.origin import is_own, is_told, with_extra

__all__ = ["render_steps"]

FORMAT: Final = "interactions"

# What stands in an output, and is no step of its own.
_CONTENT: Final = frozenset({"text", "image", "audio", "video", "document"})


def render_steps(messages: Iterable[Message], provider: str) -> list[dict[str, Any]]:
    """The steps of `messages`; see https://ai.google.dev/api/interactions-api#Step. Thoughts and
    what Google ran itself go back to Google alone.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    messages = [message for message in messages if message.role != "system"]
    steps = _Steps(messages, provider)
    return [step for message in messages for step in steps.of(message)]


class _Steps:
    def __init__(self, messages: list[Message], provider: str) -> None:
        self._provider = provider
        self._id = fitting_ids(messages, None)
        self._names = {call.id: call.name for message in messages for call in message.tool_calls}

    def of(self, message: Message) -> list[dict[str, Any]]:
        """The steps of one message."""
        told = is_told(message, self._provider, FORMAT)
        if message.role == "assistant":
            return self._answer(message, told)
        steps: list[dict[str, Any]] = []
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                steps.append(self._result(part, told))
            elif isinstance(part, VendorItem) and part.format in (None, FORMAT):
                steps.append(part.data)
            elif part != Text(""):
                content.append(_content(part, told))
        if content:
            step = {"type": "user_input", "content": content}
            steps.append(with_extra(step, message.extra) if told else step)
        return steps

    def _result(self, result: ToolResult, told: bool) -> dict[str, Any]:
        content: Any = result.content
        if result.parts:
            content = [_content(part, told) for part in result.parts]
        step: dict[str, Any] = {
            "type": "function_result",
            "call_id": self._id(result),
            "result": content,
        }
        name = result.name or self._names.get(result.id)
        if name is not None:
            step["name"] = name
        if result.is_error:
            step["is_error"] = True
        return with_extra(step, result.extra) if told else step

    def _answer(self, message: Message, told: bool) -> list[dict[str, Any]]:
        own = is_own(message, self._provider, FORMAT)
        steps: list[dict[str, Any]] = []
        for part in message.parts:
            match part:
                case Text() | Image() | Audio() | Document():
                    if part != Text(""):
                        _say(_content(part, told), steps)
                case Refusal() if not own:
                    _say({"type": "text", "text": part.text}, steps)
                case Thinking() if own and (part.signature or message.provider is None):
                    steps.append(_thought(part))  # "signature: required"
                case ToolCall():
                    steps.append(self._call(part, own, told))
                case ServerTool() if own:
                    steps.append(part.data)
                case VendorItem() if part.format in (None, FORMAT):
                    if not own and message.provider is not None:
                        continue
                    if part.name in _CONTENT:
                        _say(part.data, steps)
                    else:
                        steps.append(part.data)
        return steps

    def _call(self, call: ToolCall, own: bool, told: bool) -> dict[str, Any]:
        step: dict[str, Any] = {
            "type": "function_call",
            "id": self._id(call),
            "name": call.name,
            "arguments": arguments_of(call),
        }
        if own and call.signature is not None:
            step["signature"] = call.signature
        return with_extra(step, call.extra) if told else step


def _thought(part: Thinking) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "thought"}
    if part.signature is not None:
        step["signature"] = part.signature
    if part.text:
        step["summary"] = [{"type": "text", "text": part.text}]
    return with_extra(step, part.extra)


def _say(content: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """Add to the output that is last, or begin one."""
    if steps and steps[-1]["type"] == "model_output":
        steps[-1]["content"].append(content)
    else:
        steps.append({"type": "model_output", "content": [content]})


def _content(part: Part, told: bool) -> dict[str, Any]:
    if isinstance(part, Text):
        written: dict[str, Any] = {"type": "text", "text": part.text}
        if told and part.citations:
            written["annotations"] = [citation.data for citation in part.citations]
    elif isinstance(part, Image):
        written = {"type": "image", **_blob(part, "image/png")}
    elif isinstance(part, Audio):
        written = {"type": "audio", "mime_type": part.media_type or "audio/wav", "data": part.data}
    elif isinstance(part, Document):
        video = (part.media_type or "").startswith("video/")
        kind = "video" if video else "document"
        written = {"type": kind, **_blob(part, "application/pdf")}
    else:
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to Gemini"
        )
    return with_extra(written, part.extra) if told else written


def _blob(part: Image | Document, usual: str) -> dict[str, Any]:
    if part.url is not None:
        return {"uri": part.url, **({"mime_type": part.media_type} if part.media_type else {})}
    if part.data is None:
        raise ConfigError(f"input: a part of type {type(part).__name__} has neither url nor data")
    return {"mime_type": part.media_type or usual, "data": part.data}
