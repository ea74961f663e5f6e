"""Newline-delimited JSON: bytes in, one record a line out. https://github.com/ndjson/ndjson-spec"""

from __future__ import annotations

import codecs

from engine.errors import ProtocolError
from engine.wire.json import is_cut
from engine.wire.json_array import JSONArrayDecoder
from engine.wire.partial_line import PartialLine
from engine.wire.sse import MAX_EVENT_BYTES

__all__ = ["NDJSONDecoder"]


class NDJSONDecoder:
    """Cuts a byte stream into lines. Linear in time, bounded in memory.

    Lines end at LF or CRLF; blank lines are left out. The lines are not parsed: a record is bytes.
    Where the first is a lone ``{``, the objects are written over several lines each, as a server or
    proxy does that prints them for people to read: a record is such an object.

    Args:
        max_line_bytes: the most bytes a line may have.

    Attributes:
        head: what stands before the data of a line: nothing.
        tail: what stands after it.
    """

    head = b""
    tail = b"\n"

    __slots__ = ("_begun", "_failure", "_first", "_partial", "_printed", "limit")

    def __init__(self, max_line_bytes: int = MAX_EVENT_BYTES) -> None:
        self.limit: int = max_line_bytes
        self._partial = PartialLine()
        self._first = True
        self._failure: ProtocolError | None = None
        self._begun = False  # a line that is not blank came
        self._printed: JSONArrayDecoder | None = None

    @property
    def room(self) -> int:
        """The bytes a line may have which the next read brings whole; 0: it cannot, since what
        came before is not over."""
        at_rest = self._begun and not self._partial.size and self._failure is None
        return self.limit if at_rest and self._printed is None else 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take `chunk`, the next bytes of the stream; the lines they complete, in order.

        Raises:
            ProtocolError: a line is longer than ``max_line_bytes``. Lines that were complete
                before it are returned first; the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        if self._printed is not None:
            return self._printed.feed(chunk)
        records: list[bytes] = []
        head, newline, rest = chunk.partition(b"\n")
        if newline:
            self._add(self._partial.take(head), records)
            *lines, chunk = rest.split(b"\n")
            for number, line in enumerate(lines):
                if not self._begun and self._begins(records):
                    return self._over_lines([*lines[number:], chunk])
                self._add(line, records)
            if not self._begun and self._begins(records):
                return self._over_lines([chunk])
        if self._failure is None and chunk:
            self._partial.append(chunk)
            if self._partial.size > self.limit:
                self._fail()
        if self._failure is not None and not records:
            raise self._failure
        return records

    def finish(self) -> list[bytes]:
        """The stream ended: the last line, where it had no newline. The beginning of one is none:
        that the stream was cut says who ended it.

        Raises:
            ProtocolError: the limit was passed in the last chunk.
        """
        if self._failure is not None:
            raise self._failure
        if self._printed is not None:
            return self._printed.finish()
        records: list[bytes] = []
        self._add(self._partial.take(), records)
        return [record for record in records if not is_cut(record)]

    def _begins(self, records: list[bytes]) -> bool:
        """Whether the first line came just now, and is the first of a printed object."""
        self._begun = bool(records)
        return records == [b"{"]

    def _over_lines(self, lines: list[bytes]) -> list[bytes]:
        """Read `lines`, which follow on a lone ``{``, and all that comes as elements of an array:
        between those anything blank may stand."""
        self._printed = JSONArrayDecoder(self.limit)
        return self._printed.feed(b"\n".join([b"[{", *lines]))

    def _add(self, line: bytes, records: list[bytes]) -> None:
        if self._failure is not None:
            return
        if len(line) > self.limit:
            self._fail()
            return
        if self._first:
            self._first = False
            line = line.removeprefix(codecs.BOM_UTF8)
        line = line.strip(b" \t\r")
        if line:
            records.append(line)

    def _fail(self) -> None:
        self._failure = ProtocolError(
            f"a line of the stream is longer than max_line_bytes={self.limit}; "
            "raise that limit if the server is meant to send such lines",
        )
        self._partial = PartialLine()
