"""The typed events of one Cohere stream become ours; they end with ``message-end``.

What the model plans before it calls tools (``tool_plan``) is thinking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.events import (
    CitationDelta,
    Done,
    Event,
    LogprobsDelta,
    Ping,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import Citation, Usage
from engine.providers.blocks import AnswerParser, merge
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.providers.tool_calls import OpenCall, text_of_arguments
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, json_or_text

__all__ = ["CohereParser"]


class _Content(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    """Of a whole answer the fields are lists, of an event one item."""

    content: _Content | list[_Content] | str | None = None
    tool_plan: str | None = None
    tool_calls: _ToolCall | list[_ToolCall] | None = None
    citations: Any = None
    role: str | None = None


class _Delta(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Any = None
    error: Any = None


class _Chunk(msgspec.Struct):
    type: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    id: str | None = None
    message: _Message | str | None = None
    finish_reason: str | None = None
    usage: Any = None
    logprobs: Any = None


# Where the answer's own words stand, and what holds them.
_NEEDED: Final = frozenset({"delta", "message", "content", "text"})

_decoder = TypedDecoder(_Chunk, _NEEDED)

# Of the end, or of a whole answer: what has events, or a place of its own.
_TOLD: Final = frozenset({"type", "id", "message", "finish_reason", "error", "delta"})


class CohereParser(AnswerParser):
    """Turns the events of one stream into ours."""

    __slots__ = ("_call", "_open_calls", "_text_block")

    def __init__(self) -> None:
        super().__init__()
        self._text_block: int | None = None
        self._call: OpenCall | None = None  # the last that began
        self._open_calls: dict[int, OpenCall] = {}  # by the provider's index

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        decode = _decoder.decode
        first = self._first
        for record in records:
            if self._ended:
                break
            data = record if type(record) is bytes else record.data  # type: ignore[union-attr]
            try:
                chunk = decode(data)
            except UNREADABLE as error:
                self._odd(_named(record), error, events)
                continue
            delta = chunk.delta
            message = delta.message if delta is not None else None
            if chunk.type == "content-delta" and message is not None:
                content = message.content
                if (
                    first.kind is TextDelta
                    and type(content) is _Content
                    and content.text
                    and chunk.logprobs is None
                    and not self._halves.open
                ):
                    events.append(TextDelta(content.text, first.block))
                    continue
            self._event(chunk, _named(record), events)
        return events

    def finish(self) -> list[Event]:
        return [] if self._ended else self._halves.give_up()

    def read_whole(self, body: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            chunk = _decoder.decode(body)
        except UNREADABLE as error:
            again = self._unreadable(_decoder, "message", body, error, events)
            chunk = again or _Chunk()
        told = json_or_text(body)
        if self._ended:
            return events
        if isinstance(chunk.message, _Message):
            self._id = chunk.id
            self._begin(events)
            self._message(chunk.message, events)
            if self._call is not None:
                events += self._first.calls.mark(self._call)
            self._end(chunk.finish_reason, chunk.usage, told, events)
            self._mend(events, 0)
        elif is_error(told) or isinstance(chunk.message, str):
            self._fail(stream_error(told), events)
        else:
            events.clear()
            self.strange: bytes | None = body
            self._fail(self._no_answer("Cohere's chat"), events)
        return events

    # ----------------------------------------------------------------------------------------

    def _odd(self, record: SSERecord, error: Exception, events: list[Event]) -> None:
        if record.data.strip() == b"[DONE]":
            return  # a gateway's; message-end is what counts
        chunk = self._unreadable(_decoder, record.event, record.data, error, events)
        if chunk is not None:
            self._event(chunk, record, events)

    def _misfit(self, place: str) -> None:
        if "tool_calls" in place:
            self._first.calls.astray = True

    def _event(self, chunk: _Chunk, record: SSERecord, events: list[Event]) -> None:
        since = len(events)
        delta = chunk.delta
        match chunk.type or record.event:  # some have it in the name of the event alone
            case "message-start":
                self._id = chunk.id
                self._begin(events)
                if delta is not None and delta.message is not None:
                    self._message(delta.message, events)
            case "message-end":
                self._message_end(chunk, delta or _Delta(), record, events)
            case "tool-call-end":
                call = self._open_calls.pop(chunk.index or 0, self._call)
                self._call = None if call is self._call else self._call
                events += self._first.calls.mark(call) if call is not None else ()
            case "content-end" | "citation-end":
                pass
            case kind if delta is not None and delta.message is not None:
                if kind == "content-start":
                    self._first.kind = None
                self._message(delta.message, events, chunk.index)
                if isinstance(chunk.logprobs, dict):
                    events.append(LogprobsDelta([chunk.logprobs], self._first.block))
            case kind if is_ping(kind, None):
                events.append(Ping())
            case kind:
                self._untyped(chunk, record, events)
        if self._halves.open:
            self._mend(events, since)

    def _untyped(self, chunk: _Chunk, record: SSERecord, events: list[Event]) -> None:
        """An error that has no event around it, or nothing of ours."""
        told = json_or_text(record.data)
        kind = chunk.type or record.event
        if is_error(told) or isinstance(chunk.message, str) or "error" in (kind, record.event):
            self._fail(stream_error(told), events)
        else:
            self._foreign(kind, record.data, events)

    def _message_end(
        self, chunk: _Chunk, delta: _Delta, record: SSERecord, events: list[Event]
    ) -> None:
        told = json_or_text(record.data)
        told = (told.get("delta") or told) if isinstance(told, dict) else None
        if delta.error and delta.finish_reason not in ("COMPLETE", "MAX_TOKENS"):
            self._fail(stream_error({"error": delta.error}), events)
        else:
            self._answers(chunk.id, None, events)
            reason = delta.finish_reason or chunk.finish_reason
            self._end(reason, delta.usage or chunk.usage, told, events)

    def _message(self, message: _Message, events: list[Event], index: int | None = None) -> None:
        """What a message, or the piece of one with an `index`, holds."""
        first = self._first
        if message.tool_plan:
            block = self._block(first, ThinkingDelta)
            events.append(ThinkingDelta(message.tool_plan, block))
        for content in _listed(message.content):
            if isinstance(content, str):
                content = _Content(text=content)
            if content.thinking:
                block = self._block(first, ThinkingDelta)
                events.append(ThinkingDelta(content.thinking, block))
            if content.text:
                events.append(TextDelta(content.text, self._open_text()))
        for call in _listed(message.tool_calls):
            self._tool_call(call, index, events)
        citations = message.citations
        for source in citations if isinstance(citations, list) else [citations]:
            if isinstance(source, dict):
                block = self._open_text() if self._text_block is None else self._text_block
                events.append(CitationDelta(_citation(source), block))
            elif source is not None:
                events.append(Unknown("citations", source))

    def _open_text(self) -> int:
        self._text_block = self._block(self._first, TextDelta)
        return self._text_block

    def _tool_call(self, piece: _ToolCall, index: int | None, events: list[Event]) -> None:
        """A call begins with its id; one without goes on with that of its index."""
        function = piece.function or _Function()
        calls, name = self._first.calls, function.name or ""
        call = self._open_calls.get(index, self._call) if index is not None else self._call
        if piece.id is not None or call is None:
            if index is None and call is not None:
                events += calls.mark(call)
            call = calls.open(piece.id, name, self._new_block(self._first), self._id or "")
            events += call.tell() if name else ()
            self._call = call
            if index is not None:
                self._open_calls[index] = call
        elif name:
            events += call.named(name)
        events += call.add(text_of_arguments(function.arguments))

    def _end(self, reason: str | None, usage: Any, told: Any, events: list[Event]) -> None:
        self.complete = self._ended = True
        events += self._halves.give_up()
        first = self._first
        if reason:
            first.finish = first.finish.said(reason)
        if isinstance(told, dict):
            merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})
        events += first.end_calls()
        counts = _usage(usage)
        if counts is not None:
            events.append(UsageUpdate(counts))
        events.append(Done(first.reason(), counts, first.finish.word))


def _named(record: SSERecord | bytes) -> SSERecord:
    return SSERecord(record, "content-delta") if isinstance(record, bytes) else record


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _usage(usage: Any) -> Usage | None:
    """``tokens`` are the model's counts; ``billed_units`` leave out what Cohere adds itself."""
    tokens = usage.get("tokens") or usage.get("billed_units") if isinstance(usage, dict) else None
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
