"""The chunks of one Gemini answer become events.

There is no end marker: the answer is complete when the bytes ended and a candidate gave its
``finishReason``, or the prompt was blocked. Chunks after that still bring usage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.errors import EngineError, ProtocolError
from engine.events import (
    Done,
    Event,
    Ping,
    RefusalDelta,
    TextDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import FinishReason, Usage
from engine.providers.blocks import merge
from engine.providers.gemini.content import Alternative, ContentParser
from engine.providers.gemini.types import (
    ABSENT,
    Candidate,
    Chunk,
    PromptFeedback,
    block_word,
    decode_plain,
    finish_word,
    usage_of,
)
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json, json_or_text

__all__ = ["GeminiParser", "chunks_of"]

# Of a chunk: what has events, or a place of its own.
_TOLD: Final = frozenset({"candidates", "responseId", "modelVersion", "error"})
_TOLD_OF_CANDIDATE: Final = frozenset(
    {
        *("content", "index", "finishReason", "finishMessage", "citationMetadata"),
        *("groundingMetadata", "urlContextMetadata", "logprobsResult"),
    }
)

_NEEDED: Final = frozenset({"candidates", "content", "parts", "text", "index", "response"})

# The longest count that says nothing: {} and null.
_NOTHING: Final = len(b"null")

_decoder = TypedDecoder(Chunk, _NEEDED)
_list_decoder = TypedDecoder(list[msgspec.Raw])


class GeminiParser(ContentParser):
    """Turns the chunks of one stream into events.

    A signature on a part without text becomes a block of its own, that is a `Thinking` that has
    only a signature. Usage is cumulative in every chunk, so only the last is told.
    """

    __slots__ = ("_blocked", "_candidates", "_only", "_plain", "_raw_usage", "_usage")

    def __init__(self) -> None:
        self._only = Alternative()
        super().__init__(self._only)
        self._candidates: dict[int, Alternative] = {}
        self._plain = False  # the next chunk is likely a piece of text and nothing else
        self._blocked: str | None = None
        self._raw_usage = ABSENT
        self._usage: Usage | None = None

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        first, plainly = self._first, self._plain
        for record in records:
            if self._ended:
                break
            data = record if type(record) is bytes else record.data  # type: ignore[union-attr]
            if plainly:
                try:
                    plain = decode_plain(data)
                except UNREADABLE:
                    pass
                else:
                    if len(plain.usageMetadata) > _NOTHING:
                        self._raw_usage = plain.usageMetadata
                    events.append(TextDelta(plain.candidates[0].content.parts[0].text, first.block))
                    continue
            self._record(SSERecord(data) if data is record else record, events)  # type: ignore[arg-type]
            plainly = self._plain = self._goes_on_plainly()
        return events

    def untold_usage(self) -> Usage | None:
        """The last count, for a stream that ends before it was told."""
        return usage_of(self._raw_usage) if self._raw_usage else None

    @property
    def may_end(self) -> bool:
        return self._over()

    def finish(self) -> list[Event]:
        if self._ended:
            return []
        events: list[Event] = []
        if self._over():
            self._end(events)
        return events or self._halves.give_up()

    def read_whole(self, body: bytes) -> list[Event]:
        events = GeminiParser.feed(self, [SSERecord(chunk) for chunk in chunks_of(body)])
        # An answer without a candidate is as empty as a stream without one.
        empty = self._started and not self._candidates and self._blocked is None
        if not self._ended and not empty:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _goes_on_plainly(self) -> bool:
        """Whether the next chunk is likely a piece of text and nothing else."""
        first = self._first
        return first.kind is TextDelta and first.finish.word is None and not self._halves.open

    def _over(self) -> bool:
        states = self._candidates.values()
        return self._blocked is not None or (
            bool(states) and all(state.finish.stands for state in states)
        )

    def _record(self, record: SSERecord, events: list[Event]) -> None:
        """One chunk, whatever is in it."""
        since = len(events)
        try:
            chunk = _decoder.decode(record.data)
        except UNREADABLE as error:
            again = self._wrapped(record, error, events)
            if again is not None:
                self._chunk(record, again, events)
                self._mend(events, since)
            return
        self._chunk(record, chunk, events)
        if self._halves.open:
            self._mend(events, since)

    def _chunk(self, record: SSERecord, chunk: Chunk, events: list[Event]) -> None:
        if not self._started or chunk.candidates is None or chunk.error is not None:
            chunk = self._envelope(chunk, record, events)
        if len(chunk.usageMetadata) > _NOTHING:
            self._raw_usage = chunk.usageMetadata
        try:
            for candidate in chunk.candidates or ():
                self._candidate(candidate, chunk, record.data, events)
        except ProtocolError as error:  # in a field that the typed look passes over
            self._fail(error, events)

    def _wrapped(self, record: SSERecord, error: Exception, events: list[Event]) -> Chunk | None:
        """What can be mended, or an error that Google wraps in a list."""
        data = record.data
        if data.strip() == b"[DONE]":
            return None  # a gateway's
        if data.lstrip()[:1] == b"[":
            inner = chunks_of(data)
            if inner and inner != [data]:
                try:
                    return _decoder.decode(inner[0])
                except UNREADABLE as again:
                    data, error = inner[0], again
        return self._unreadable(_decoder, record.event, data, error, events)

    def _misfit(self, place: str) -> None:
        if "functionCall" in place:
            for state in (self._only, *self._candidates.values()):
                state.calls.astray = True

    def _envelope(self, chunk: Chunk, record: SSERecord, events: list[Event]) -> Chunk:
        """The start, prompts that are blocked, and errors of a stream that began well; the chunk
        to go on with."""
        chunk = chunk.response or chunk
        feedback = chunk.promptFeedback
        known = chunk.candidates is not None or feedback is not None or bool(chunk.usageMetadata)
        if chunk.error:
            self._fail(stream_error({"error": chunk.error}), events)
            return Chunk()
        if not known:
            plain = json_or_text(record.data)
            if record.event == "error" or is_error(plain):
                self._fail(stream_error(plain), events)
            elif is_ping(record.event, plain):
                events.append(Ping())
            else:
                self._foreign(record.event, record.data, events)
            return chunk
        self._absorb(record.data, events)
        if not self._started:
            self._seed = chunk.responseId
            self._begin(events)
        reason = block_word(feedback.blockReason) if feedback is not None else None
        if feedback is not None and reason is not None and self._blocked is None:
            self._block_prompt(reason, feedback, events)
        return chunk

    def _absorb(self, data: bytes, events: list[Event]) -> None:
        """What a chunk says that has no name of ours, and who answers."""
        told = json_or_text(chunks_of(data)[0])
        told = told.get("response", told) if isinstance(told, dict) else None
        if not isinstance(told, dict):
            return
        self._answers(told.get("responseId"), told.get("modelVersion"), events)
        merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})
        candidates = told.get("candidates")
        for number, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
            if isinstance(candidate, dict):
                rest = {k: v for k, v in candidate.items() if k not in _TOLD_OF_CANDIDATE}
                merge(self.metadata, {"candidates": {str(number): rest}} if number else rest)

    def _block_prompt(self, reason: str, feedback: PromptFeedback, events: list[Event]) -> None:
        # No candidate follows. The reason is all that is said, so it stands where a refusal does.
        self._blocked = reason
        events.append(RefusalDelta(reason, self._new_block(self._first)))
        if feedback.blockReasonMessage:
            events.append(Unknown("blockReasonMessage", feedback.blockReasonMessage))

    def _candidate(
        self, candidate: Candidate, chunk: Chunk, data: bytes, events: list[Event]
    ) -> None:
        choice = candidate.index or 0
        state = self._candidates.get(choice)
        if state is None:
            first = self._only
            state = self._candidates[choice] = first if choice == 0 else Alternative(choice)
        before = len(events)
        parts = candidate.content.parts if candidate.content is not None else None
        for place, part in enumerate(parts or ()):
            if part.functionCall is not None:
                self._function_call(part.functionCall, part, state, choice, events)
            elif part.text is not None:
                self._text(part, state, choice, events)
            else:
                number = next(i for i, c in enumerate(chunk.candidates or ()) if c is candidate)
                self._other_part(_plain_part(data, number, place), state, choice, events)
        reason = finish_word(candidate.finishReason)
        if reason is not None:
            state.finish = state.finish.said(reason)
            self._absorb(data, events)
        elif len(events) > before and state.finish.word is not None:
            state.finish = state.finish.withdrawn()
        self._about(candidate, state, choice, events)

    def _tell_usage(self, events: list[Event]) -> None:
        raw, self._raw_usage = self._raw_usage, ABSENT
        usage = usage_of(raw) if raw else None
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage))

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self._fail(self._no_answer("Gemini's format"), events)
            return
        self.complete = self._ended = True
        events += self._halves.give_up()
        for state in self._candidates.values():
            if state.call is not None:
                state.call.broken = True  # its end never came
            events += state.end_calls()
        words = {str(n): state.finish.word for n, state in self._candidates.items()}
        if len(words) > 1:
            self.metadata["finish_reasons"] = words
        reason, word = self._first.reason(), self._first.finish.word
        if self._blocked is not None:
            reason, word = FinishReason.CONTENT_FILTER, word or self._blocked
        self._tell_usage(events)
        events.append(Done(reason, self._usage, word))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._tell_usage(events)
        super()._fail(error, events)


def chunks_of(body: bytes) -> list[bytes]:
    """The chunks of a body that is one, or a list of them."""
    if body.lstrip()[:1] != b"[":
        return [body]
    try:
        return [bytes(chunk) for chunk in _list_decoder.decode(body)]
    except UNREADABLE:
        return [body]


def _plain_part(data: bytes, candidate: int, place: int) -> dict[str, Any]:
    """A part of a kind that is rare or new, with all its fields: the record is decoded again."""
    chunk = decode_json(chunks_of(data)[0])
    try:
        inner = chunk.get("response") or chunk
        return dict(inner["candidates"][candidate]["content"]["parts"][place])
    except (KeyError, IndexError, TypeError, ValueError):
        return {}  # nothing but a field that was left out
