"""What the next chunk of a Chat Completions stream likely is, read as that and nothing else.

Each of these says of a chunk what the whole look at it would say, or leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.events import Event, TextDelta, ThinkingDelta
from engine.providers.chat.chunk import (
    Chunk,
    chunk_decoder,
    decode_call,
    decode_piece,
    decode_plain,
    decode_thought,
    first_decoder,
)
from engine.providers.chat.content import SILENT, ContentParser
from engine.providers.chat.facts import as_counts, decode_usual, finishes
from engine.wire.json import UNREADABLE

__all__ = ["AheadParser"]

# So many chunks that follow text may be more than plain text; then each is taken for such.
_MISSES: Final = 8


class AheadParser(ContentParser):
    """The part of the chat parser that knows what to expect.

    Attributes:
        _decode: what reads all that a chunk may say.
        _heard: a chunk came, perhaps without a choice.
        _last: the last chunk amid the words with a count, a source or an error: what else it says
            is merged at the end.
        _plain: the next chunk is likely a piece of text and nothing else.
    """

    __slots__ = ("_decode", "_facts", "_heard", "_last", "_misses", "_next", "_plain")

    def __init__(self) -> None:
        super().__init__()
        self._decode: Callable[[bytes], Chunk] = first_decoder.decode
        self._heard = False
        self._last: bytes | None = None
        self._plain = False
        self._next: _Expectation = _USUAL  # what it likely is otherwise
        self._misses = 0  # chunks that were tried as what was expected and were not
        self._facts: tuple[str | int | None, ...] = ()  # said beside the words; in metadata

    def _look_ahead(self) -> None:
        """Set what the next chunk likely is."""
        first = self._first
        self._plain = False
        if self._failure is not None or self._halves.open:
            self._next = _ANYTHING
        elif not self._started:
            self._next = _USUAL
        elif first.finish.word is not None:
            self._next = _USUAL if self._over() else _ANYTHING
        elif not self._blocks:
            self._next = _WORDS
        elif self._misses < _MISSES and first.kind is TextDelta:
            self._next, self._plain = _USUAL, True
        elif self._misses < _MISSES and first.kind is ThinkingDelta and first.reasoned:
            self._next = _THOUGHT
        elif self._misses < _MISSES and (calls := first.opened) and first.block == calls[-1].index:
            self._next = _PIECE
        else:
            self._next = _USUAL if self._over() else _ANYTHING

    # -- what may be expected: each takes `data` as that, and tells whether it is ----------------

    def _anything(self, data: bytes, events: list[Event]) -> bool:
        """Nothing that can be told."""
        return False

    def _piece(self, data: bytes, events: list[Event]) -> bool:
        """A further piece of a call's arguments, or what ends it."""
        try:
            piece = decode_piece(data).choices[0].delta.tool_calls[0]
        except UNREADABLE:
            self._misses += 1
            return self._usually(data, events)
        calls = self._first.by_index
        call = calls.get(piece.index) if calls is not None else None
        if call is None:
            return False
        if not call.told:
            events += call.add(piece.function.arguments)
        elif piece.function.arguments:
            events.append(call.further(piece.function.arguments))
        return True

    def _thinks_on(self, data: bytes, events: list[Event]) -> bool:
        """A further piece of the reasoning, or what ends it."""
        try:
            delta = decode_thought(data).choices[0].delta
        except UNREADABLE:
            self._misses += 1
            return self._usually(data, events)
        words = delta.reasoning_content or delta.reasoning
        if words:
            events.append(ThinkingDelta(words, self._first.block))
        return bool(words)

    def _opens(self, data: bytes, events: list[Event]) -> bool:
        """The first text of the answer, or its first call, and nothing else."""
        first = self._first
        try:
            choice = decode_plain(data).choices[0]
            self._found(choice)
        except UNREADABLE:
            return self._calls(data, events) or (self._over() and self._usually(data, events))
        self._choices.setdefault(0, first)
        text = choice.delta.content
        if text:
            events.append(TextDelta(text, self._block(first, TextDelta)))
            self._look_ahead()
        return True

    def _calls(self, data: bytes, events: list[Event]) -> bool:
        """The beginning of a call, where none began before, and nothing else."""
        first = self._first
        try:
            piece = decode_call(data).choices[0].delta.tool_calls[0]
        except UNREADABLE:
            return False
        name = piece.function.name
        if not (piece.id and name):
            return False
        self._choices.setdefault(0, first)
        call = first.calls.open(piece.id, name, self._new_block(first), self._id or "")
        first.by_index = {piece.index: call}
        events += call.add(piece.function.arguments)
        self._look_ahead()
        return True

    def _usually(self, data: bytes, events: list[Event]) -> bool:
        """What nearly all servers send where all of a chunk is to be looked at: as the answer
        opens, and as it ends."""
        opens = not self._started
        try:
            chunk = decode_usual(data)
            counts = as_counts(chunk.usage) if chunk.usage is not None else None
        except UNREADABLE:
            return False
        choices = chunk.choices
        if choices and not opens and not finishes(choices):
            return False
        self._last = None
        self._heard = True
        if not (self._id and self._model):
            self._answers(chunk.id, chunk.model, events)
        self._facts = chunk.tell(self.metadata, self._facts)
        if choices and opens:
            self._begin(events)
            self._decode = chunk_decoder.decode
        if counts is not None:
            self._count(counts, events)
        for choice in choices:
            if choice.delta in SILENT and not choice.index and not choice.logprobs:
                first = self._choices.setdefault(0, self._first)
                if choice.finish_reason:
                    first.finish = first.finish.said(choice.finish_reason)
            else:
                self._choice(choice, events)
        self._look_ahead()
        return True


_Expectation = Callable[[AheadParser, bytes, list[Event]], bool]
_ANYTHING: Final[_Expectation] = AheadParser._anything
_USUAL: Final[_Expectation] = AheadParser._usually
_WORDS: Final[_Expectation] = AheadParser._opens
_PIECE: Final[_Expectation] = AheadParser._piece
_THOUGHT: Final[_Expectation] = AheadParser._thinks_on
