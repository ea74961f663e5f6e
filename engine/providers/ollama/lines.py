"""A conversation as the ``messages`` of an ``/api/chat`` body."""

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
    Text,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers.arguments import arguments_of
from engine.providers.call_ids import is_made_up
from engine.providers.origin import is_own, is_told, with_extra
from engine.providers.turns import with_calls_together

__all__ = ["asked_line", "render_lines"]

FORMAT: Final = "ollama"


def render_lines(messages: Iterable[Message], provider: str) -> list[dict[str, Any]]:
    """The lines of `messages`; see https://docs.ollama.com/api/chat. Each tool result is a line of
    its own.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    names: dict[str, str] = {}  # of the tools that were called, by id
    lines: list[dict[str, Any]] = []
    for message in with_calls_together(messages):
        told = is_told(message, provider, FORMAT)
        if message.role == "assistant":
            answer = _answer(message, provider, told, names)
            lines += [] if answer is None else [answer]
            continue
        lines += [
            _result(part, told, names) for part in message.parts if isinstance(part, ToolResult)
        ]
        if not all(isinstance(part, ToolResult) for part in message.parts):
            line = asked_line(message)
            lines.append(with_extra(line, message.extra) if told else line)
    return lines


def asked_line(message: Message) -> dict[str, Any]:
    """The line of a question: its text, and its images beside it.

    Raises:
        ConfigError: it holds something else.
    """
    role = "user" if message.role == "tool" else message.role
    line: dict[str, Any] = {"role": role, "content": message.text}
    images = [_image(part) for part in message.parts if not isinstance(part, Text | ToolResult)]
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


def _answer(
    message: Message, provider: str, told: bool, names: dict[str, str]
) -> dict[str, Any] | None:
    """An answer; None where nothing of it can be told."""
    line: dict[str, Any] = {"role": "assistant", "content": message.text or message.refusal or ""}
    if is_own(message, provider, FORMAT) and message.thinking:
        line["thinking"] = message.thinking
    _check(message)
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    images = [part.data for part in message.parts if isinstance(part, Image) and part.data]
    if images:
        line["images"] = images
    if calls:
        line["tool_calls"] = [_call(call, told) for call in calls]
        names.update((call.id, call.name) for call in calls)
    if told:
        line = with_extra(line, message.extra)
    said = len(line) > 2 or any(isinstance(part, Text | Refusal) for part in message.parts)
    return line if said else None


def _check(message: Message) -> None:
    """What a user gave must arrive; what another provider answered need not."""
    for part in message.parts:
        if message.provider is None and isinstance(part, Audio | Document | VendorItem):
            raise ConfigError(
                f"input: a part of type {type(part).__name__} cannot stand in an answer for Ollama"
            )


def _call(call: ToolCall, told: bool) -> dict[str, Any]:
    line: dict[str, Any] = {"function": {"name": call.name, "arguments": arguments_of(call)}}
    if call.id and not is_made_up(call.id):
        line = {"id": call.id, **line}
    return with_extra(line, call.extra) if told else line


def _result(result: ToolResult, told: bool, names: dict[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {"role": "tool", "content": result.content}
    name = result.name or names.get(result.id)
    if name is not None:
        line["tool_name"] = name
    if result.id and not is_made_up(result.id):
        line["tool_call_id"] = result.id
    images = [_image(part) for part in result.parts if not isinstance(part, Text)]
    if images:
        line["images"] = images
    return with_extra(line, result.extra) if told else line
