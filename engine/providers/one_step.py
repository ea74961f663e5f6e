"""From the bytes of a read to its events in one step."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

from engine.errors import ProtocolError
from engine.events import Event, TextDelta
from engine.providers.contract import Decoder
from engine.providers.template import Template, template_of

__all__ = ["OneStepParser"]

# As numbers: to look for one in bytes takes a fifth of the time it takes for b"\n".
_LF = 10
_CR = 13

# Bytes of a read from which on it takes less time to look at its pieces of text together; the same
# of a first read, which may be the whole answer, so that what they have in common serves once;
# those that are looked at before, to find that; and how often it is tried.
_MANY: Final = 5 * 1024
_MANY_AT_FIRST: Final = 12 * 1024
_FIRST: Final = 1024
_TRIES: Final = 8


class OneStepParser:
    """The part of a parser that makes events of a read in one step, where it has one event or many
    that are alike; all others go through the decoder, and then through `feed`.

    Attributes:
        _room: the most bytes of data that a read of one event may have.
        _started: the answer has begun.
        _template: what the pieces of text have in common, where that is known.
        _template_block: the block they belong to.
        _tries: how often that may still be looked for in vain.
    """

    __slots__ = (
        *("_decoder", "_ends", "_head", "_room", "_skip", "_started", "_tail"),
        *("_template", "_template_block", "_tries"),
    )

    _started: bool
    _room: int
    _template_block: int | None

    # What ends where the text of a piece begins; None: they are not looked at together.
    _before_text: ClassVar[re.Pattern[bytes] | None] = None

    def read_from(self, decoder: Decoder) -> Callable[[bytes], list[Event]]:
        """See `engine.providers.contract.Parser`."""
        if not hasattr(type(decoder), "room"):  # of the type, which need not work it out
            return lambda chunk: self.feed(decoder.feed(chunk))
        self._decoder: Any = decoder
        self._head: bytes = decoder.head  # type: ignore[attr-defined]  # with `room`
        self._skip = len(self._head)
        self._tail = b""  # until the first read, for which there is no room yet
        self._template: Template | None = None
        self._tries = _TRIES if self._before_text is not None else 0
        return self.read

    def read(self, chunk: bytes) -> list[Event]:
        """The events of the next bytes. Most reads are one event, as it comes from servers that
        flush each one; such a read changes nothing in the decoder, which needs not see it."""
        if self._room and chunk[: self._skip] == self._head and chunk[self._ends :] == self._tail:
            data = chunk[self._skip : self._ends]
            # With line ends in it, it is more than one line of data.
            if _LF not in data and _CR not in data and len(data) <= self._room:
                return self._one(data)
        self._room = 0
        if self._tries and len(chunk) >= _MANY:
            events = self._many(chunk)
        else:
            events = self.feed(self._decoder.feed(chunk))
        self._frame()
        return events

    def _many(self, chunk: bytes) -> list[Event]:
        """The events of many bytes: of the pieces of text that are alike, and of the others."""
        events, taken, block = list[Event](), False, self._grows()
        known = self._template is not None and self._template_block == block
        first = not self._started and len(chunk) >= _MANY_AT_FIRST
        if not known and (block is not None or first):
            records = self._decoder.feed(chunk[:_FIRST])
            events, taken, chunk = self.feed(records), bool(records), chunk[_FIRST:]
            if records and type(records[-1]) is bytes:
                self._expect(records[-1])
        template, block = self._template, self._grows()
        if template is not None and block is not None and block == self._template_block:
            cores, chunk = self._decoder.alike(chunk, template.beginning, template.end)
            taken = taken or bool(cores)
            if texts := template.texts(cores):
                events += [TextDelta(text, block) for text in texts if text]
                self._tries = _TRIES
            elif cores:
                events += self.feed([template.beginning + core + template.end for core in cores])
            else:
                self._template = None  # it may be another from now on
        try:
            return events + self.feed(self._decoder.feed(chunk)) if chunk else events
        except ProtocolError:
            if not taken:
                raise
            return events  # the next call raises

    def _expect(self, data: bytes) -> None:
        """Have the pieces of text follow the template of `data`, the last event."""
        self._template, self._template_block = None, self._grows()
        if self._template_block is not None and self._before_text is not None:
            self._tries -= 1
            self._template = template_of(data, self._before_text, self._text_of)

    def _frame(self) -> None:
        self._room = self._decoder.room
        tail = self._decoder.tail
        if tail is not self._tail:
            self._tail, self._ends = tail, -len(tail)

    def _grows(self) -> int | None:
        """The block whose text goes on with the next event, as far as can be told; or None."""
        return None

    def _text_of(self, data: bytes) -> str | None:
        """See `template_of`; of an event that belongs to that block."""
        return None

    def _one(self, data: bytes) -> list[Event]:
        """`feed` of one record, which came alone."""
        return self.feed([data])

    def feed(self, records: list[Any], /) -> list[Event]:
        """See `engine.providers.contract.Parser`."""
        raise NotImplementedError
