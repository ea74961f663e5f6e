"""A conversation as the ``contents`` and ``systemInstruction`` of a `generateContent` body."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from typing import Any, Final

import msgspec

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
from engine.providers.call_ids import is_made_up
from engine.providers.origin import is_own, is_told, with_extra
from engine.providers.thought_seals import UNSIGNED, signs_calls
from engine.providers.turns import with_calls_together

__all__ = ["render_contents", "render_system"]

FORMAT: Final = "gemini"


def render_system(messages: Iterable[Message], provider: str) -> dict[str, Any] | None:
    """The ``systemInstruction`` of `messages`, wherever they stand; None where there is none."""
    parts: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    for message in messages:
        if message.role != "system":
            continue
        told = is_told(message, provider, FORMAT)
        if not told or (FORMAT not in message.formats and not message.extra):
            parts.append({"text": message.text})
            continue
        extra |= message.extra
        parts += [_asked(part, told) for part in message.parts]
    return with_extra({"parts": parts}, extra) if parts else None


def render_contents(messages: Iterable[Message], provider: str, model: str) -> list[dict[str, Any]]:
    """The contents of `messages`; see https://ai.google.dev/api/caching#Content.

    Raises:
        ConfigError: a part cannot be said in this format, or nothing is said at all.
    """
    conversation = _Conversation(provider, signs_calls(model))
    for message in with_calls_together(m for m in messages if m.role != "system"):
        conversation.add(message)
    if not conversation.contents:
        raise ConfigError("input: Gemini takes no empty text, and there is nothing else")
    return conversation.contents


class _Conversation:
    """The turns as contents; results find the calls they belong to."""

    def __init__(self, provider: str, signs_calls: bool) -> None:
        self._provider = provider
        self._signs_calls = signs_calls
        self._calls: dict[str, tuple[str, bool]] = {}  # id → name; whether Google knows the id
        self._results: list[dict[str, Any]] | None = None  # of the turn before
        self.contents: list[dict[str, Any]] = []

    def add(self, message: Message) -> None:
        own = is_own(message, self._provider, FORMAT)
        told = is_told(message, self._provider, FORMAT)
        if message.role == "assistant":
            parts = self._answer(message, own, told)
        else:
            parts = [
                self._question(part, own, told)
                for part in message.parts
                if part != Text("")  # "Unable to submit request because it must have a text"
            ]
        extra = message.extra if told else {}
        if message.role == "tool" and self._results is not None and not extra:
            # The results of parallel calls stand in one content.
            self._results.extend(parts)
            return
        if parts:
            role = "model" if message.role == "assistant" else "user"
            self.contents.append(with_extra({"role": role, "parts": parts}, extra))
        self._results = parts if parts and message.role == "tool" else None

    def _question(self, part: Part, own: bool, told: bool) -> dict[str, Any]:
        if isinstance(part, ToolResult):
            return self._result(part, own, told)
        if isinstance(part, Thinking) and own:  # as the user had it
            return with_extra(_thought(part), part.extra)
        return _asked(part, told)

    def _result(self, result: ToolResult, own: bool, told: bool) -> dict[str, Any]:
        known, sent = self._calls.get(result.id, (None, False))
        name = result.name or known
        if name is None:
            raise ConfigError(
                f"input: the result for call {result.id!r} has no name and no call of that id is "
                "before it; Gemini wants the tool's name: ToolResult(…, name=…)"
            )
        response: dict[str, Any] = {"name": name, "response": _response(result)}
        if sent or (own and result.id):
            response = {"id": result.id, **response}
        shown = [part for part in result.parts if not isinstance(part, Text)]
        if shown:  # https://ai.google.dev/gemini-api/docs/function-calling#multimodal
            response["parts"] = [_asked(part, told) for part in shown]
        written = {"functionResponse": response}
        return with_extra(written, result.extra) if told else written

    def _answer(self, message: Message, own: bool, told: bool) -> list[dict[str, Any]]:
        """An answer as it came where it came from here; else its text, images and calls."""
        parts: list[dict[str, Any]] = []
        called = False
        for part in message.parts:
            if isinstance(part, Thinking):
                if own:
                    _add_thinking(part, parts)
                continue
            line = self._answer_part(part, own, message.provider is None)
            if line is None:
                continue
            extra = getattr(part, "extra", None)
            if told and extra:
                line = with_extra(line, extra)
            if isinstance(part, ToolCall) and not called:
                called = True
                if self._signs_calls:
                    # Gemini 3 answers 400 where the first call of a step has no signature.
                    line.setdefault("thoughtSignature", UNSIGNED)
            parts.append(line)
        return parts

    def _answer_part(self, part: Part, own: bool, given: bool) -> dict[str, Any] | None:
        match part:
            case ToolCall():
                return self._call(part, own)
            case ServerTool() if own:
                return part.data
            case VendorItem() if part.format in (None, FORMAT) and (own or given):
                return part.data
            case Text() if part.text or (own and part.signature):
                return _signed({"text": part.text}, part.signature if own else None)
            case Image() | Audio() | Document():
                return _asked(part, False)
            case Refusal() if not own:
                return {"text": part.text}
        return None

    def _call(self, call: ToolCall, own: bool) -> dict[str, Any]:
        sent = own and bool(call.id) and not is_made_up(call.id)
        self._calls[call.id] = call.name, sent
        function: dict[str, Any] = {"name": call.name, "args": arguments_of(call)}
        if sent:
            function = {"id": call.id, **function}
        return _signed({"functionCall": function}, call.signature if own else None)


def _asked(part: Part, told: bool) -> dict[str, Any]:
    """A part of a question."""
    if isinstance(part, VendorItem) and part.format in (None, FORMAT):
        return part.data
    if isinstance(part, Text):
        written: dict[str, Any] = {"text": part.text}
        if told and part.signature is not None:
            written["thoughtSignature"] = part.signature
    elif isinstance(part, Image | Audio | Document):
        written = _blob(part, _USUAL[type(part)])
    else:
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to Gemini"
        )
    extra: dict[str, Any] = getattr(part, "extra", {})
    return with_extra(written, extra) if told else written


_USUAL: Final = {Image: "image/png", Audio: "audio/wav", Document: "application/pdf"}


def _add_thinking(thinking: Thinking, parts: list[dict[str, Any]]) -> None:
    if thinking.text:
        parts.append(with_extra(_thought(thinking), thinking.extra))
    elif parts and "inlineData" in parts[-1]:
        _signed(parts[-1], thinking.signature)  # an image has its signature beside it
    else:
        parts.append(_signed({"text": ""}, thinking.signature))


def _thought(thinking: Thinking) -> dict[str, Any]:
    return _signed({"text": thinking.text, "thought": True}, thinking.signature)


def _signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def _blob(part: Image | Audio | Document, usual: str) -> dict[str, Any]:
    if part.data is not None:
        return {"inlineData": {"mimeType": part.media_type or usual, "data": part.data}}
    if isinstance(part, Audio) or part.url is None:
        raise ConfigError(f"input: {type(part).__name__} has neither data nor url")
    media_type = part.media_type or mimetypes.guess_type(part.url.partition("?")[0])[0]
    file = {"mimeType": media_type} if media_type else {}
    return {"fileData": {**file, "fileUri": part.url}}


def _response(result: ToolResult) -> Any:
    """The result as the object Google asks for: an error under ``error``, an object as it is."""
    if result.is_error:
        return {"error": result.content}
    try:
        value = msgspec.json.decode(result.content)
    except msgspec.MsgspecError:
        value = None
    return value if isinstance(value, dict) else {"result": result.content}
