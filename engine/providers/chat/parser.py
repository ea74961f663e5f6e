"""The chunks of one Chat Completions stream become events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from engine.events import (
    Done,
    Event,
    Ping,
    TextDelta,
    Unknown,
)
from engine.providers.blocks import merge
from engine.providers.chat.ahead import AheadParser
from engine.providers.chat.chunk import (
    UNSAID,
    Chunk,
    chunk_decoder,
    decode_plain,
    first_decoder,
)
from engine.providers.chat.facts import facts_of, finishes
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, json_or_text

__all__ = ["ChatParser"]

_LF: Final = 10
_CR: Final = 13
_DONE: Final = b"[DONE]"
_UNSAID_BESIDE: Final = (None,) * 6


class ChatParser(AheadParser):
    """Turns the chunks of one stream into events."""

    __slots__ = ("_sources",)

    _before_text = re.compile(rb'"content": ?"')

    def __init__(self) -> None:
        super().__init__()
        self._sources: list[Any] | None = None

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        if self._ended:
            return events
        plain, block, findings = self._plain, self._first.block, self._findings
        for record in records:
            data = record if type(record) is bytes else record.data  # type: ignore[union-attr]
            if plain:
                try:
                    choice = decode_plain(data).choices[0]
                    results = choice.content_filter_results
                    if choice.content_filter_offsets is not UNSAID or (
                        results is not UNSAID and results != findings
                    ):
                        findings = self._found(choice)
                except UNREADABLE:
                    self._misses += 1  # counted, since some servers never send a plain one
                else:
                    text = choice.delta.content
                    if text:
                        events.append(TextDelta(text, block))
                    continue
            if data == _DONE:  # as nearly all write it; to find it no JSON takes 2 µs more
                self._done(events)
            elif not self._next(self, data, events):
                self._record(SSERecord(data) if data is record else record, events)  # type: ignore[arg-type]
            self._findings = findings = UNSAID  # this one may have said others
            if self._ended:
                self._plain = False
                break
            plain, block = self._plain, self._first.block
        return events

    @property
    def may_end(self) -> bool:
        return self._over()

    def read(self, chunk: bytes) -> list[Event]:
        # What `AnswerParser.read` and `feed` do with a plain event, without the two calls.
        if self._plain and self._room and chunk[:6] == b"data: " and chunk[-2:] == b"\n\n":
            data = chunk[6:-2]
            if _LF not in data and _CR not in data and len(data) <= self._room:
                try:
                    choice = decode_plain(data).choices[0]
                    results = choice.content_filter_results
                    if choice.content_filter_offsets is not UNSAID or (
                        results is not UNSAID and results != self._findings
                    ):
                        self._found(choice)
                except UNREADABLE:
                    pass
                else:
                    text = choice.delta.content
                    return [TextDelta(text, self._first.block)] if text else []
        return super().read(chunk)

    def finish(self) -> list[Event]:
        events: list[Event] = []
        # Some never send [DONE] (transformers serve, Perplexity): then every choice must have said
        # why it finished.
        if not self._ended and (self.failing or self._over()):
            self._end(events)
        return events or ([] if self._ended else self._halves.give_up())

    def read_whole(self, body: bytes) -> list[Event]:
        events = self.feed([SSERecord(body)])
        if self._lines:
            return events + self.finish()  # it was a stream after all, an object a line
        if not self._ended:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _grows(self) -> int | None:
        return self._first.block if self._plain else None

    def _text_of(self, data: bytes) -> str | None:
        choice = decode_plain(data).choices[0]
        found = choice.content_filter_results, choice.content_filter_offsets
        return choice.delta.content if found == (UNSAID, UNSAID) else None

    def _done(self, events: list[Event]) -> None:
        """The end marker came."""
        since = len(events)
        self._end(events)
        if len(events) > since + 1:  # more than that it is done
            self._mend(events, since)

    def _record(self, record: SSERecord, events: list[Event]) -> None:
        """One event, whatever is in it."""
        since = len(events)
        try:
            chunk = self._decode(record.data)
        except UNREADABLE as error:
            again = self._other(record, error, events)
            if again is not None:
                self._chunk(record, again, events)
                self._mend(events, since)
        else:
            self._chunk(record, chunk, events)
            if self._halves.open:
                self._mend(events, since)
        self._look_ahead()

    def _chunk(self, record: SSERecord, chunk: Chunk, events: list[Event]) -> None:
        choices = chunk.choices
        if not choices or not self._started or finishes(choices):
            self._aside(record, chunk, events)
        elif (
            *(chunk.usage, chunk.x_groq, chunk.error),
            *(chunk.citations, chunk.search_results, chunk.base_resp),
        ) != _UNSAID_BESIDE:
            self._last = record.data
            self._envelope(chunk, events)
        if self._ended or self.failing:
            return
        if chunk.web_search or chunk.search_info:
            self._absorb(record.data, events)
        if chunk.prompt_progress is not None:
            events.append(Unknown("prompt_progress", chunk.prompt_progress))
        for choice in choices or ():
            self._choice(choice, events)

    def _other(self, record: SSERecord, error: Exception, events: list[Event]) -> Chunk | None:
        """What can be made of a record that is no chunk; None: it is dealt with."""
        data = record.data.strip()
        if data == b"[DONE]":
            self._end(events)
            return None
        if self._started:
            return self._unreadable(chunk_decoder, record.event, record.data, error, events)
        return self._unreadable(first_decoder, record.event, record.data, error, events)

    def _misfit(self, place: str) -> None:
        if "tool_call" in place or "function_call" in place:
            self._first.calls.astray = True
            for state in self._choices.values():
                state.calls.astray = True

    def _aside(self, record: SSERecord, chunk: Chunk, events: list[Event]) -> None:
        """All of a chunk but its choices' words."""
        self._last = None  # this one is merged now, and is newer
        self._heard = self._heard or chunk.choices is not None
        if self._heard and (chunk.choices is not None or chunk.usage is not None):
            self._absorb(record.data, events)
        if chunk.choices and not self._started:
            self._begin(events)
            self._decode = chunk_decoder.decode
        self._envelope(chunk, events)
        if chunk.choices is None and not (self._ended or self.failing):
            self._no_chunk(record, chunk, events)

    def _no_chunk(self, record: SSERecord, chunk: Chunk, events: list[Event]) -> None:
        """A record without choices: an error that has no ``error`` around it, as vLLM
        (``{"object": "error", …}``) and FastAPI (``{"detail": …}``) send; or nothing of ours."""
        data = json_or_text(record.data)
        if record.event == "error" or is_error(data):
            self._fail(stream_error(data), events)
        elif is_ping(record.event, data):
            events.append(Ping())
        elif chunk.usage is None:
            self._foreign(record.event, record.data, events)
        elif not self.understood:
            self.strange: bytes | None = self.strange or record.data  # a count is no answer

    def _absorb(self, data: bytes, events: list[Event]) -> None:
        """What a chunk says that has no name of ours, and who answers."""
        self._facts = ()  # it may say otherwise
        value = json_or_text(data)
        if isinstance(value, dict):
            self._answers(value.get("id"), value.get("model"), events)
            for facts in facts_of(value):
                merge(self.metadata, facts)

    def _envelope(self, chunk: Chunk, events: list[Event]) -> None:
        """Usage wherever it comes, and errors of a stream that began well."""
        usage = chunk.usage
        error = chunk.error
        if chunk.x_groq is not None:
            usage = usage or chunk.x_groq.usage
            error = error or chunk.x_groq.error
        if usage is not None:
            self._count(usage, events)
        self._sources = chunk.search_results or chunk.citations or self._sources
        if error:
            self._error({"error": error}, chunk.choices is not None, events)
        elif chunk.base_resp and chunk.base_resp.get("status_code"):
            self._error({"base_resp": chunk.base_resp}, False, events)

    def _end(self, events: list[Event]) -> None:
        if self._failure is not None:
            for state in self._choices.values():
                self._close_reasoning(state, [])
            self._fail(self._failure, events)
            return
        if not self._started:
            if not self._heard:
                self._fail(self._no_answer("a chat answer"), events)
                return
            self._begin(events)
        self.complete = self._ended = True
        events += self._halves.give_up()
        if self._last is not None:
            self._absorb(self._last, events)
        for source in self._sources or ():
            self._cite(source, self._first, 0, events)
        for number, state in self._choices.items():
            self._close(state, number, events)
        if len(self._choices) > 1:
            words = {str(n): state.finish.word for n, state in self._choices.items()}
            self.metadata["finish_reasons"] = words
        first = self._first
        events.append(Done(first.reason(), self._usage, first.finish.word))
