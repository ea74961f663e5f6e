"""A conversation as the ``messages`` and ``system`` of an Anthropic Messages body."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers.arguments import arguments_of
from engine.providers.call_ids import FITS_ANTHROPIC, fitting_ids
from engine.providers.call_names import fitting_name
from engine.providers.origin import is_own, is_told, with_extra

__all__ = ["container_of", "render_system", "render_turns"]

FORMAT: Final = "messages"

_THINKING: Final = ("thinking", "redacted_thinking")


def render_system(messages: Iterable[Message], provider: str) -> Any:
    """The ``system`` of `messages`, joined wherever they stand: a text, or blocks where a user
    gave them more than text to hold (a ``cache_control``); None where there is none."""
    system = [message for message in messages if message.role == "system"]
    told = [message for message in system if is_told(message, provider, FORMAT)]
    if any(part for m in told for part in m.parts if getattr(part, "extra", None)) or any(
        FORMAT in message.formats for message in told
    ):
        return [
            _block(part, message in told)
            for message in system
            for part in message.parts
            if not isinstance(part, Text) or part.text.strip()
        ]
    return "\n\n".join(message.text for message in system) if system else None


def container_of(messages: Iterable[Message], provider: str) -> str | None:
    """The container the conversation goes on in: that of the last answer that had one."""
    for message in reversed(list(messages)):
        container = message.extra.get("container")
        if container and message.role == "assistant" and is_own(message, provider, FORMAT):
            id = container.get("id") if isinstance(container, dict) else container
            return id if isinstance(id, str) else None
    return None


def render_turns(messages: Iterable[Message], provider: str) -> list[dict[str, Any]]:
    """Turns of user and assistant. Tool results are the user's, and all that belong to one turn
    must stand in one message, before anything else in it.

    Raises:
        ConfigError: a part cannot be said in this format, or nothing is left to send.
    """
    messages = [message for message in messages if message.role != "system"]
    turns = _Turns(messages, provider)
    for message in messages:
        turns.add(message)
    return turns.finished()


class _Turns:
    def __init__(self, messages: list[Message], provider: str) -> None:
        self._provider = provider
        self._id = fitting_ids(messages, FITS_ANTHROPIC)
        self._turns: list[dict[str, Any]] = []

    def add(self, message: Message) -> None:
        told = is_told(message, self._provider, FORMAT)
        if message.role == "assistant":
            role = "assistant"
            blocks = self._answer(message, told)
        else:
            role = "user"
            blocks = [
                self._block(part, told)
                for part in message.parts
                # "text content blocks must contain non-whitespace text"
                if not isinstance(part, Text) or part.text.strip()
            ]
            blocks.sort(key=lambda block: block.get("type") != "tool_result")
        if not blocks:
            return
        extra = {k: v for k, v in message.extra.items() if k != "container"} if told else {}
        turns = self._turns
        if turns and turns[-1]["role"] == role and not extra and len(turns[-1]) == 2:
            turns[-1]["content"] += blocks
        else:
            turns.append(with_extra({"role": role, "content": blocks}, extra))

    def finished(self) -> list[dict[str, Any]]:
        turns = [turn for turn in self._turns if turn["role"] == "user" or _ended(turn)]
        if not turns:
            raise ConfigError("input: Anthropic takes no empty text, and there is nothing else")
        if turns[-1]["role"] == "assistant":
            _trim(turns[-1])
        for turn in turns:
            blocks = turn["content"]
            if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
                turn["content"] = blocks[0]["text"]
        return turns

    # -- answers -------------------------------------------------------------------------------

    def _answer(self, message: Message, told: bool) -> list[dict[str, Any]]:
        own = is_own(message, self._provider, FORMAT)
        blocks: list[dict[str, Any]] = []
        for part in message.parts:
            block = self._answer_block(part, own, message.provider is None)
            if block is not None:
                extra = getattr(part, "extra", None)
                blocks.append(with_extra(block, extra) if told and extra else block)
        return blocks

    def _answer_block(self, part: Part, own: bool, given: bool) -> dict[str, Any] | None:
        """A part of an answer, None for what this provider cannot read or did not write."""
        match part:
            case Text():
                if not part.text.strip():
                    return None
                block: dict[str, Any] = {"type": "text", "text": part.text}
                if own and part.citations:
                    block["citations"] = [citation.data for citation in part.citations]
                return block
            case Refusal() if part.text.strip() and not own:
                return {"type": "text", "text": part.text}
            case ToolCall():
                input = arguments_of(part)
                name = fitting_name(part.name)
                return {"type": "tool_use", "id": self._id(part), "name": name, "input": input}
            case Thinking() if own and part.signature:
                return {"type": "thinking", "thinking": part.text, "signature": part.signature}
            case RedactedThinking() if own:
                return {"type": "redacted_thinking", "data": part.data}
            case ServerTool() if own:
                return part.data
            case VendorItem() if part.format in (None, FORMAT) and (own or given):
                return part.data
            case Image() | Document() | Audio() if given:
                return _block(part, False)
        return None

    def _block(self, part: Part, told: bool) -> dict[str, Any]:
        if not isinstance(part, ToolResult):
            return _block(part, told)
        content: Any = part.content
        if part.parts:
            content = [_block(inner, told) for inner in part.parts]
        block = {"type": "tool_result", "tool_use_id": self._id(part), "content": content}
        if part.is_error:
            block["is_error"] = True
        return with_extra(block, part.extra) if told else block


def _ended(turn: dict[str, Any]) -> bool:
    """Whether the answer has more than reasoning, which must not be the last of it: "The final
    block in an assistant message cannot be `thinking`"."""
    blocks = turn["content"]
    while blocks and blocks[-1].get("type") in _THINKING:
        blocks.pop()
    return bool(blocks)


def _trim(turn: dict[str, Any]) -> None:
    """The beginning of an answer that the model is to go on with: "final assistant content cannot
    end with trailing whitespace"."""
    last = turn["content"][-1]
    if last.get("type") == "text":
        turn["content"][-1] = {**last, "text": last["text"].rstrip()}


# -- parts ---------------------------------------------------------------------------------------


def _block(part: Part, told: bool) -> dict[str, Any]:
    """A part of a question."""
    if isinstance(part, VendorItem) and part.format in (None, FORMAT):
        return part.data
    if isinstance(part, Text):
        block: dict[str, Any] = {"type": "text", "text": part.text}
    elif isinstance(part, Image):
        block = {"type": "image", "source": _source(part, "image/png")}
    elif isinstance(part, Document):
        block = {"type": "document", "source": _source(part, "application/pdf")}
        if part.title:
            block["title"] = part.title
    else:
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to this "
            "provider"
        )
    return with_extra(block, part.extra) if told else block


def _source(part: Image | Document, usual: str) -> dict[str, Any]:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.data is None:
        raise ConfigError(f"input: a part of type {type(part).__name__} has neither url nor data")
    media_type = part.media_type or usual
    if media_type == "text/plain":
        text = base64.b64decode(part.data).decode("utf-8", "replace")
        return {"type": "text", "media_type": media_type, "data": text}
    return {"type": "base64", "media_type": media_type, "data": part.data}
