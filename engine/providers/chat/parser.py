"""The chunks of one Chat Completions stream become events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.events import (
    Done,
    Event,
    Ping,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import Usage
from engine.providers.blocks import joined_usage, merge
from engine.providers.chat.chunk import (
    UNSAID,
    Chunk,
    ChunkUsage,
    Delta,
    StreamChoice,
    as_usage,
    chunk_decoder,
    decode_piece,
    decode_plain,
    decode_thought,
    first_decoder,
)
from engine.providers.chat.content import Alternative, ContentParser
from engine.providers.chat.facts import UsualChoice, as_counts, decode_usual, facts_of, finishes
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, json_or_text

__all__ = ["ChatParser"]

_LF: Final = 10
_CR: Final = 13

# So many chunks that follow text may be more than plain text; then each is taken for such.
_MISSES = 8


class ChatParser(ContentParser):
    """Turns the chunks of one stream into events."""

    __slots__ = (
        *("_choices", "_decode", "_first_choice", "_heard", "_last", "_misses"),
        *("_pieces", "_plain", "_sources", "_thinks", "_usage"),
    )

    def __init__(self) -> None:
        self._first_choice = Alternative()
        super().__init__(self._first_choice)
        self._decode: Callable[[bytes], Chunk] = first_decoder.decode
        self._choices: dict[int, Alternative] = {}
        self._heard = False  # a chunk came, perhaps without a choice
        self._plain = False  # the next chunk is likely a piece of text and nothing else
        self._pieces = False  # or of a call's arguments
        self._thinks = False  # or of the reasoning
        self._misses = 0  # chunks that were tried as plain ones and were not
        self._usage: Usage | None = None
        self._sources: list[Any] = []
        self._last: bytes | None = None  # the last chunk of which not all was looked at

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
            elif (self._pieces and self._piece(data, events)) or (
                self._thinks and self._thinks_on(data, events)
            ):
                continue
            self._record(SSERecord(data) if data is record else record, events)  # type: ignore[arg-type]
            self._findings = findings = UNSAID  # this one may have said others
            if self._ended:
                self._plain = False
                break
            self._look_ahead()
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

    def _piece(self, data: bytes, events: list[Event]) -> bool:
        """Take `data` as a further piece of a call's arguments; whether it is one."""
        try:
            piece = decode_piece(data).choices[0].delta.tool_calls[0]
        except UNREADABLE:
            self._misses += 1
            return False
        call = self._first_choice.by_index.get(piece.index)
        if call is None or not call.told:
            return False
        if piece.function.arguments:
            events.append(call.further(piece.function.arguments))
        return True

    def _thinks_on(self, data: bytes, events: list[Event]) -> bool:
        """Take `data` as a further piece of the reasoning; whether it is one."""
        try:
            delta = decode_thought(data).choices[0].delta
        except UNREADABLE:
            self._misses += 1
            return False
        words = delta.reasoning_content or delta.reasoning
        if words:
            events.append(ThinkingDelta(words, self._first.block))
        return bool(words)

    def _look_ahead(self) -> None:
        """Set what the next chunk likely is, and nothing else: a piece of text, of a call's
        arguments, or of the reasoning."""
        first, self._plain, self._pieces, self._thinks = self._first, False, False, False
        if first.finish.word is not None or self._misses >= _MISSES:
            return
        if self._halves.open or self._failure is not None:
            return
        opened = first.calls.opened
        self._pieces = bool(opened) and first.block == opened[-1].index
        self._plain = first.kind is TextDelta
        self._thinks = first.kind is ThinkingDelta and self._first_choice.reasoned

    def _over(self) -> bool:
        for state in self._choices.values():  # nearly always one
            if not state.finish.stands:
                return False
        return bool(self._choices)

    def _record(self, record: SSERecord, events: list[Event]) -> None:
        """One event, whatever is in it."""
        since = len(events)
        if record.data == b"[DONE]":  # as nearly all write it; to find it no JSON takes 2 µs more
            self._end(events)
            if len(events) > since + 1:  # more than that it is done
                self._halves.mend(events, since)
        elif not self._usually(record.data, events) and not self._opens(record.data, events):
            try:
                chunk = self._decode(record.data)
            except UNREADABLE as error:
                again = self._other(record, error, events)
                if again is not None:
                    self._chunk(record, again, events)
                    self._halves.mend(events, since)
                return
            self._chunk(record, chunk, events)
            if self._halves.open:
                self._halves.mend(events, since)

    def _opens(self, data: bytes, events: list[Event]) -> bool:
        """Take `data` as the first text of the answer, and nothing else; whether it is that."""
        first = self._first_choice
        if not self._started or self._blocks or self.failing or self._halves.open:
            return False
        if first.finish.word is not None:
            return False
        try:
            choice = decode_plain(data).choices[0]
            self._found(choice)
        except UNREADABLE:
            return False
        self._choices.setdefault(0, first)
        if choice.delta.content:
            events.append(TextDelta(choice.delta.content, self._block(first, TextDelta)))
        return True

    def _usually(self, data: bytes, events: list[Event]) -> bool:
        """Take `data`, where all of it is to be looked at, as what nearly all servers send then;
        whether it is that. The rest is for `_chunk`, which would say the same of it."""
        opens = not self._started
        closes = opens or self._plain or self._pieces or self._thinks or self._over()
        if not closes or self.failing or self._halves.open:
            return False
        try:
            chunk = decode_usual(data)
            counts = as_counts(chunk.usage) if chunk.usage is not None else None
        except UNREADABLE:
            return False
        if not opens and chunk.choices and not finishes(chunk.choices):
            return False
        self._last = None
        self._heard = True
        self._answers(chunk.id, chunk.model, events)
        chunk.tell(self.metadata)
        if chunk.choices and opens:
            self._begin(events)
            self._decode = chunk_decoder.decode
        if counts is not None:
            self._count(counts, events)
        for choice in chunk.choices:
            self._choice(choice, events)
        return True

    def _chunk(self, record: SSERecord, chunk: Chunk, events: list[Event]) -> None:
        choices = chunk.choices
        if not choices or not self._started or finishes(choices):
            self._aside(record, chunk, events)
        elif chunk.usage is not None or chunk.x_groq is not None or chunk.error is not None:
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
        self._last = None  # this one says it, and later
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

    def _error(self, data: Any, more: bool, events: list[Event]) -> None:
        """An error inside the stream; OpenRouter counts the tokens in the chunk after it."""
        error = stream_error(data)
        if more:
            self._failure = self._failure or error
        else:
            self._fail(error, events)

    def _count(self, usage: ChunkUsage, events: list[Event]) -> None:
        counts = as_usage(usage)
        if counts is not None:
            self._usage = joined_usage(self._usage, counts)
            events.append(UsageUpdate(self._usage))

    def _choice(self, choice: StreamChoice | UsualChoice, events: list[Event]) -> None:
        number = choice.index or 0
        state = self._choices.get(number)
        if state is None:
            first = self._first_choice
            state = self._choices[number] = first if number == 0 else Alternative(number)
        before = len(events)
        # A whole answer has `message`; Perplexity repeats it beside the delta.
        delta = choice.delta if choice.delta is not None else choice.message
        if delta is None and choice.text:
            delta = Delta(content=choice.text)  # as legacy completions have it
        if delta is not None:
            self._delta(delta, state, number, events)
        if choice.logprobs:
            self._logprobs(choice.logprobs, state, number, events)
        if choice.usage is not None:
            self._count(choice.usage, events)
        if choice.content_filter_results or choice.content_filter_offsets:
            self._filtered(choice)
        if choice.finish_reason:
            state.finish.say(choice.finish_reason)
        elif len(events) > before and state.finish.word is not None:
            state.finish.withdraw()
        if choice.error:
            self._error({"error": choice.error}, True, events)

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
        for source in self._sources:
            self._cite(source, self._first, 0, events)
        for number, state in self._choices.items():
            self._close(state, number, events)
        if len(self._choices) > 1:
            words = {str(n): state.finish.word for n, state in self._choices.items()}
            self.metadata["finish_reasons"] = words
        first = self._first
        reason = first.finish.told(called=first.calls.called, partial=first.calls.partial)
        events.append(Done(reason, self._usage, first.finish.word))
