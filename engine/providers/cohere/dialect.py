"""Cohere's own chat, version 2: typed events that end with ``message-end``.

https://docs.cohere.com/reference/chat-stream and https://docs.cohere.com/v2/docs/streaming. What
the model plans before it calls tools (``tool_plan``) is thinking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.errors import EngineError, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import Citation, FinishReason, Usage
from engine.providers.cohere.request import render_cohere
from engine.providers.contract import Endpoint
from engine.providers.refusal import is_error, stream_error
from engine.providers.tool_calls import OpenCall
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json

__all__ = ["CohereDialect", "CohereParser"]

FINISH_REASONS: Final = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_USE,
    "ERROR": FinishReason.ERROR,
    "TIMEOUT": FinishReason.ERROR,
}


class _Content(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    """Of a whole answer the fields are lists, of an event one item."""

    content: _Content | list[_Content] | None = None
    tool_plan: str | None = None
    tool_calls: _ToolCall | list[_ToolCall] | None = None
    citations: Any = None


class _Delta(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Any = None
    error: Any = None


class _Chunk(msgspec.Struct):
    type: str | None = None
    delta: _Delta | None = None
    id: str | None = None
    message: _Message | str | None = None
    finish_reason: str | None = None
    usage: Any = None


_decoder = TypedDecoder(_Chunk)


class CohereDialect:
    """``/v2/chat``."""

    name = "cohere"
    content_types = ("text/event-stream",)

    def path(self, request: ModelRequest) -> str:
        return "/v2/chat"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_cohere(request, endpoint)

    def decoder(self) -> SSEDecoder:
        return SSEDecoder()

    def parser(self) -> CohereParser:
        return CohereParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        return CohereParser().whole(body)


class CohereParser:
    """Turns the events of one stream into ours."""

    def __init__(self) -> None:
        self.complete = False
        self._kind: type[Event] | None = None
        self._block = 0
        self._blocks = 0
        self._text_block: int | None = None
        self._call: OpenCall | None = None
        self._ended = False

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        decode = _decoder.decode
        for record in records:
            if self._ended:
                break
            try:
                chunk = decode(record.data)
            except UNREADABLE as error:
                chunk = self._unreadable(record.data, error, events)
            delta = chunk.delta
            if delta is None:
                self._no_delta(chunk, record.data, events)
                continue
            message = delta.message
            if chunk.type == "content-delta" and message is not None:
                content = message.content
                if self._kind is TextDelta and type(content) is _Content and content.text:
                    events.append(TextDelta(content.text, self._block))
                else:
                    self._message(message, events)
            else:
                self._event(chunk, delta, events)
        return events

    def finish(self) -> list[Event]:
        return []

    def whole(self, body: bytes) -> list[Event]:
        """The events of an answer that was not streamed."""
        events: list[Event] = []
        try:
            chunk = _decoder.decode(body)
        except UNREADABLE as error:
            chunk = self._unreadable(body, error, events)
        if isinstance(chunk.message, _Message):
            events.append(Start(chunk.id, None))
            self._message(chunk.message, events)
            self._end(chunk.finish_reason, chunk.usage, events)
        elif not self._ended:
            self._no_delta(chunk, body, events)
            if not self._ended:
                self._fail(_no_answer(), events)
        return events

    # ----------------------------------------------------------------------------------------

    def _unreadable(self, data: bytes, error: Exception, events: list[Event]) -> _Chunk:
        try:
            return _decoder.recover(data, error)
        except ProtocolError as failure:
            self._fail(failure, events)
            return _Chunk("unreadable")

    def _no_delta(self, chunk: _Chunk, data: bytes, events: list[Event]) -> None:
        """The end of a block, or an error that has no event around it."""
        if chunk.type == "tool-call-end" and self._call is not None:
            events += self._call.close()
            self._call = None
        elif chunk.type is None and isinstance(chunk.message, str):
            self._fail(stream_error({"error": {"message": chunk.message}}), events)
        elif chunk.type is None:
            plain = decode_json(data)
            if is_error(plain):
                self._fail(stream_error(plain), events)

    def _event(self, chunk: _Chunk, delta: _Delta, events: list[Event]) -> None:
        if chunk.type == "message-end":
            if delta.error and delta.finish_reason not in ("COMPLETE", "MAX_TOKENS"):
                self._fail(stream_error({"error": delta.error}), events)
            else:
                self._end(delta.finish_reason, delta.usage, events)
        elif chunk.type == "message-start":
            events.append(Start(chunk.id, None))
        elif delta.message is None:
            events.append(Unknown(chunk.type or "", msgspec.to_builtins(delta), self._block))
        else:
            if chunk.type == "content-start":
                self._kind = None
            self._message(delta.message, events)

    def _message(self, message: _Message, events: list[Event]) -> None:
        """What a message, or a piece of one, holds."""
        if message.tool_plan:
            self._open(ThinkingDelta)
            events.append(ThinkingDelta(message.tool_plan, self._block))
        for content in _listed(message.content):
            if content.thinking:
                self._open(ThinkingDelta)
                events.append(ThinkingDelta(content.thinking, self._block))
            if content.text:
                self._open(TextDelta)
                events.append(TextDelta(content.text, self._block))
        for call in _listed(message.tool_calls):
            self._tool_call(call, events)
        if isinstance(message.tool_calls, list) and self._call is not None:
            events += self._call.close()
        citations = message.citations
        for source in citations if isinstance(citations, list) else [citations]:
            if isinstance(source, dict):
                if self._text_block is None:
                    self._open(TextDelta)
                events.append(CitationDelta(_citation(source), self._text_block or 0))

    def _tool_call(self, piece: _ToolCall, events: list[Event]) -> None:
        """A call begins with its id; a piece without goes on with the open one."""
        function = piece.function or _Function()
        if piece.id is not None:
            if self._call is not None:
                events += self._call.close()
            self._call = OpenCall(piece.id, function.name or "", self._new_block())
            events.append(self._call.start())
        if self._call is not None and function.arguments:
            events.append(self._call.add(function.arguments))

    def _open(self, kind: type[Event]) -> None:
        if self._kind is not kind:
            self._new_block()
            self._kind = kind
            if kind is TextDelta:
                self._text_block = self._block

    def _new_block(self) -> int:
        self._kind = None
        self._block = self._blocks
        self._blocks += 1
        return self._block

    def _end(self, reason: str | None, usage: Any, events: list[Event]) -> None:
        self.complete = self._ended = True
        counts = _usage(usage)
        if counts is not None:
            events.append(UsageUpdate(counts))
        finish = FINISH_REASONS.get(reason or "", FinishReason.UNKNOWN)
        events.append(Done(finish, counts, reason))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _usage(usage: Any) -> Usage | None:
    """``tokens`` are the model's counts; ``billed_units`` leave out what Cohere adds itself."""
    tokens = usage.get("tokens") if isinstance(usage, dict) else None
    if not isinstance(tokens, dict):
        return None
    asked, answered = _count(tokens, "input_tokens"), _count(tokens, "output_tokens")
    return Usage(
        input_tokens=asked,
        output_tokens=answered,
        total_tokens=None if asked is None or answered is None else asked + answered,
        cached_tokens=_count(usage, "cached_tokens"),
        reasoning_tokens=_count(tokens, "reasoning_tokens"),
    )


def _count(counts: dict[str, Any], name: str) -> int | None:
    number = counts.get(name)
    return int(number) if isinstance(number, int | float) else None


def _citation(source: dict[str, Any]) -> Citation:
    text = source.get("text")
    return Citation(quote=text if isinstance(text, str) else None, data=source)


def _no_answer() -> ProtocolError:
    return ProtocolError(
        "this is no chat answer of Cohere's; check that the base URL and the dialect belong "
        "together"
    )
