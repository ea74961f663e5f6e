"""The lines of one Ollama stream, of either path, become events."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.events import (
    Done,
    Event,
    ImageDone,
    LogprobsDelta,
    Ping,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import Image, Usage
from engine.providers.blocks import AnswerParser, merge
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.providers.tool_calls import text_of_raw
from engine.wire.json import UNREADABLE, TypedDecoder, is_json, json_or_text

__all__ = ["OllamaParser"]


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()


class _ToolCall(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None
    images: list[str] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    model: str | None = None
    created_at: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: Any = None
    error: Any = None
    image: str | None = None  # made by /api/generate


# Where the answer's own words stand, and what holds them.
_NEEDED: Final = frozenset({"message", "content", "response", "done"})

_decoder = TypedDecoder(_Line, _NEEDED)

# Of a line: what has events, or a place of its own.
_TOLD: Final = frozenset(
    {"message", "response", "thinking", "model", "error", "logprobs", "image", "done"}
)


class OllamaParser(AnswerParser):
    """Turns the lines of one stream, of either path, into events."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        super().__init__()
        self._usage: Usage | None = None

    def feed(self, records: list[bytes]) -> list[Event]:
        events: list[Event] = []
        decode = _decoder.decode
        first = self._first
        texts = first.kind is TextDelta and not self._halves.open
        for record in records:
            if self._ended:
                break
            try:
                line = decode(record)
            except UNREADABLE as error:
                self._odd(record, error, events)
                texts = first.kind is TextDelta and not self._halves.open
                continue
            message = line.message
            text = line.response if message is None else message.content
            if (
                text
                and texts
                and not line.done
                and not line.done_reason
                and not first.finish.stands
                and line.logprobs is None
                and not line.thinking
                and not line.error
                and (message is None or not (message.thinking or message.tool_calls))
            ):
                events.append(TextDelta(text, first.block))
            else:
                self._line(line, record, events)
                texts = first.kind is TextDelta and not self._halves.open
        return events

    def _one(self, data: bytes) -> list[Event]:
        if data[:1] == b"{" and data[-1:] == b"}":
            return self.feed([data])
        return self.feed(self._decoder.feed(data + b"\n"))  # blank, or with blanks around it

    @property
    def may_end(self) -> bool:
        # MLX models' last line, as a server of August 2026 sends it, has a done_reason and no done.
        return self._over()

    def finish(self) -> list[Event]:
        events: list[Event] = []
        if not self._ended and self._over():
            self._end(events)
        return events or ([] if self._ended else self._halves.give_up())

    def read_whole(self, body: bytes) -> list[Event]:
        lines = [line for line in body.split(b"\n") if line.strip()]
        several = len(lines) > 1 and all(is_json(line.decode("utf-8", "replace")) for line in lines)
        events = self.feed(lines if several else [body])
        if not self._ended:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _as_records(self, lines: list[bytes]) -> list[Any]:
        return lines

    def _odd(self, record: bytes, error: Exception, events: list[Event]) -> None:
        if record.strip() == b"[DONE]":
            return  # a gateway's; "done" is what counts
        field, colon, value = record.partition(b":")
        told = json_or_text(value.strip())
        if colon and (field == b"error" or (field == b"data" and is_error(told))):
            self._fail(stream_error(told), events)  # a gateway's, as event streams have it
            return
        since = len(events)
        line = self._unreadable(_decoder, "line", record, error, events)
        if line is not None:
            self._line(line, record, events)
            self._mend(events, since)

    def _misfit(self, place: str) -> None:
        if "tool_calls" in place:
            self._first.calls.astray = True

    def _line(self, line: _Line, record: bytes, events: list[Event]) -> None:
        """One line, whatever is in it."""
        since = len(events)
        message = line.message
        text = line.response if message is None else message.content
        if not self._started or line.done or line.done_reason or text is None or line.error:
            self._envelope(line, record, events)
            if self._ended:
                return
        before, first = len(events), self._first
        self._content(line, message or _Message(text, line.thinking), events)
        if len(events) > before and not line.done_reason and first.finish.stands:
            first.finish = first.finish.withdrawn()  # it goes on
        if line.image:
            events.append(ImageDone(Image(data=line.image), self._new_block(self._first)))
        if self._halves.open:
            self._mend(events, since)
        if line.done:
            self._end(events)

    def _envelope(self, line: _Line, record: bytes, events: list[Event]) -> None:
        """The start, the counts, and errors of a stream that began well."""
        told = json_or_text(record)
        if line.error:
            self._fail(stream_error({"error": line.error}), events)
            return
        if line.message is None and line.response is None and not (line.done or line.done_reason):
            if is_error(told):
                self._fail(stream_error(told), events)
                return
            if is_ping("", told):
                events.append(Ping())
                return
            if not line.thinking:
                self._foreign("line", record, events)
                return
        if isinstance(told, dict):
            merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})
        self._answers(None, line.model, events)
        if not self._started:
            self._begin(events)
        if line.done_reason:
            self._first.finish = self._first.finish.said(line.done_reason)
        # prompt_eval_count is left out where the whole prompt was in the cache.
        counts = (line.prompt_eval_count, line.eval_count)
        if counts != (None, None):
            known = [number for number in counts if number is not None]
            total = sum(known) if len(known) == 2 else None
            self._usage = Usage(*counts, total)
            events.append(UsageUpdate(self._usage))

    def _content(self, line: _Line, message: _Message, events: list[Event]) -> None:
        first = self._first
        if message.thinking:
            block = self._block(first, ThinkingDelta)
            events.append(ThinkingDelta(message.thinking, block))
        if message.content:
            events.append(TextDelta(message.content, self._block(first, TextDelta)))
        if isinstance(line.logprobs, list):
            events.append(LogprobsDelta(line.logprobs, first.block))
        elif line.logprobs:
            events.append(Unknown("logprobs", line.logprobs, first.block))
        for piece in message.tool_calls or ():
            self._tool_call(piece, line.created_at or "", events)
        for data in message.images or ():
            events.append(ImageDone(Image(data=data), self._new_block(first)))

    def _tool_call(self, piece: _ToolCall, time: str, events: list[Event]) -> None:
        """A call, which comes whole and as a rule without an id."""
        function = piece.function or _Function()
        calls = self._first.calls
        index = self._new_block(self._first)
        call = calls.open(piece.id, function.name or "", index, time)
        events += call.tell() if call.name else ()
        events += calls.mark(call, text_of_raw(function.arguments))

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self._fail(self._no_answer("Ollama's format"), events)
            return
        self.complete = self._ended = True
        events += self._halves.give_up()
        first = self._first
        events += first.end_calls()
        events.append(Done(first.reason(), self._usage, first.finish.word))
