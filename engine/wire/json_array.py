"""One JSON array that arrives in pieces: bytes in, one record an element out.

This is how Gemini streams where ``alt=sse`` is not asked for. The elements are not parsed, only
told apart: a record is bytes.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum
from typing import Final

import msgspec

from engine.errors import ProtocolError
from engine.wire.json import UNREADABLE
from engine.wire.partial_line import PartialLine
from engine.wire.sse import MAX_EVENT_BYTES

__all__ = ["JSONArrayDecoder"]

# Possessive repeats never give back what they took, so each byte is looked at once a chunk.
_BETWEEN: Final = re.compile(rb"[\s,]*+")
_SCALAR: Final = re.compile(rb"[^\s,\]]*+")
_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # after the opening quote
_NESTED: Final = re.compile(
    rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.DOTALL
)


_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode


class _State(Enum):
    START = "nothing yet"
    BETWEEN = "between two elements"
    SCALAR = "in a number, true, false or null"
    STRING = "in an element that is a string"
    NESTED = "in an object or array, between its strings"
    QUOTED = "in a string of an object or array"
    CLOSED = "after the end of the array"


class JSONArrayDecoder:
    """Cuts one JSON array into its elements. Linear in time, bounded in memory.

    An object or array is handed over with its last bracket, before the comma that follows. A body
    that is one value and no array (an error object, say) gives that value.

    Args:
        max_element_bytes: the most bytes an element may have.

    Attributes:
        trailing: something other than white space came after the end of the array.
    """

    __slots__ = (
        "_depth",
        "_escaped",
        "_failure",
        "_lone",
        "_partial",
        "_state",
        "limit",
        "trailing",
    )

    def __init__(self, max_element_bytes: int = MAX_EVENT_BYTES) -> None:
        self.limit: int = max_element_bytes
        self._partial = PartialLine()
        self._state = _State.START
        self._depth = 0  # brackets open inside the element
        self._escaped = False  # the last chunk ended after a backslash of a string
        self._lone = False
        self._failure: ProtocolError | None = None
        self.trailing: bool = False

    @property
    def closed(self) -> bool:
        """Whether the end of the array came."""
        return self._state is _State.CLOSED

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the body; the elements they complete, in order.

        Raises:
            ProtocolError: an element is larger than ``max_element_bytes``. Elements that were
                complete before it are returned first; the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        records: list[bytes] = []
        if self._state is _State.START:
            chunk = self._begin(chunk)
        position = 0
        ended = self._state is _State.CLOSED
        last_line = chunk.rfind(b"\n}")
        while position < len(chunk) and self._state is not _State.CLOSED and not self._failure:
            if self._state is _State.BETWEEN:
                position = self._next_element(chunk, position)
                if position < last_line:
                    position = self._glance(chunk, position, records)
                continue
            end, whole = self._go_on(chunk, position)
            if whole:
                self._add(self._partial.take(chunk[position:end]), records)
            else:
                self._keep(chunk[position:end])
            position = end
        if self._state is _State.CLOSED:
            # The closing bracket itself was looked at and not taken.
            rest = chunk[position:] if ended or self._lone else chunk[position + 1 :]
            self.trailing = self.trailing or bool(rest.strip())
        if self._failure is not None and not records:
            raise self._failure
        return records

    def finish(self) -> list[bytes]:
        """The body ended. A lone value without a bracket to end it is handed over now; of an array
        that was cut nothing is.

        Raises:
            ProtocolError: the limit was passed in the last chunk.
        """
        if self._failure is not None:
            raise self._failure
        records: list[bytes] = []
        if self._lone and self._state is _State.SCALAR:
            self._add(self._partial.take(), records)
        return records

    # ----------------------------------------------------------------------------------------

    def _begin(self, chunk: bytes) -> bytes:
        """Take the opening bracket; what is left of `chunk`."""
        head = (self._partial.take() + chunk).lstrip()
        if len(head) < 3 and codecs.BOM_UTF8.startswith(head):
            self._partial.append(head)  # may become a BOM; a body as short as this is none
            return b""
        head = head.removeprefix(codecs.BOM_UTF8).lstrip()
        if head:
            self._state = _State.BETWEEN
            self._lone = head[0] != 0x5B
        return head if self._lone else head[1:]

    def _next_element(self, chunk: bytes, position: int) -> int:
        """Skip to where an element begins, or past the end of the array."""
        match = _BETWEEN.match(chunk, position)
        position = match.end() if match else position
        first = chunk[position : position + 1]
        if first == b"]":
            self._state = _State.CLOSED
        elif first in (b"{", b"["):
            self._depth = 0
            self._state = _State.NESTED
        elif first == b'"':
            self._keep(first)
            self._state = _State.STRING
            position += 1
        elif first:
            self._state = _State.SCALAR
        return position

    def _glance(self, chunk: bytes, position: int, records: list[bytes]) -> int:
        """Take the object that begins here whole, if it ends as Google writes it: at the first
        line that begins with a bracket. What is valid JSON up to there is the object, since no
        object goes on after its end. Where it ends; or `position`.

        Telling brackets apart costs 10 µs an event, this 2.
        """
        if self._state is not _State.NESTED:
            return position
        end = chunk.index(b"\n}", position) + 2
        element = chunk[position:end]
        try:
            _skip(element)
        except UNREADABLE:
            return position
        self._add(element, records)
        return end

    def _go_on(self, chunk: bytes, position: int) -> tuple[int, bool]:
        """Where the open element, or what of it can be told from `chunk`, ends; and whether it
        is whole."""
        if self._state is _State.SCALAR:
            match = _SCALAR.match(chunk, position)
            end = match.end() if match else position
            return end, end < len(chunk)
        if self._state is _State.NESTED:
            return self._nested(chunk, position)
        if self._escaped:  # the byte after a backslash, which came with the chunk before
            self._escaped = False
            return position + 1, False
        match = _STRING.match(chunk, position)
        end = match.end() if match else position
        if end == len(chunk):
            return end, False
        if chunk[end] != 0x22:  # a backslash, the last byte of the chunk
            self._escaped = True
            return end + 1, False
        whole = self._state is _State.STRING
        self._state = _State.NESTED
        return end + 1, whole

    def _nested(self, chunk: bytes, position: int) -> tuple[int, bool]:
        depth = self._depth
        while True:
            match = _NESTED.match(chunk, position)
            position = match.end() if match else position
            if position == len(chunk):
                self._depth = depth
                return position, False
            byte = chunk[position]
            position += 1
            if byte == 0x22:  # a string the chunk cuts
                self._depth = depth
                self._state = _State.QUOTED
                return position, False
            # "[" and "{" differ from "]" and "}" in this bit.
            depth += -1 if byte & 0x04 else 1
            if depth == 0:
                return position, True

    def _keep(self, piece: bytes) -> None:
        self._partial.append(piece)
        if self._partial.size > self.limit:
            self._fail()

    def _add(self, element: bytes, records: list[bytes]) -> None:
        if len(element) > self.limit:
            self._fail()
            return
        records.append(element)
        self._state = _State.CLOSED if self._lone else _State.BETWEEN

    def _fail(self) -> None:
        self._failure = ProtocolError(
            f"an element of the stream is larger than max_element_bytes={self.limit}; "
            "raise that limit if the server is meant to send such elements",
        )
        self._partial = PartialLine()
