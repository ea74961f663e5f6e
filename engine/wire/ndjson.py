"""Newline-delimited JSON: bytes in, one record a line out. https://github.com/ndjson/ndjson-spec"""

from __future__ import annotations

import codecs

from engine.errors import ProtocolError
from engine.wire.lines import PartialLine
from engine.wire.sse import MAX_EVENT_BYTES

__all__ = ["NDJSONDecoder"]


class NDJSONDecoder:
    """Cuts a byte stream into lines. Linear in time, bounded in memory.

    Lines end at LF or CRLF; blank lines are left out. The lines are not parsed: a record is bytes.

    Args:
        max_line_bytes: the most bytes a line may have.

    Attributes:
        head: what stands before the data of a line: nothing.
        tail: what stands after it.
    """

    head = b""
    tail = b"\n"

    __slots__ = ("_failure", "_first", "_partial", "limit")

    def __init__(self, max_line_bytes: int = MAX_EVENT_BYTES) -> None:
        self.limit: int = max_line_bytes
        self._partial = PartialLine()
        self._first = True
        self._failure: ProtocolError | None = None

    @property
    def room(self) -> int:
        """The bytes a line may have which the next read brings whole; 0: it cannot, since what
        came before is not over."""
        at_rest = not self._first and not self._partial.size and self._failure is None
        return self.limit if at_rest else 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take `chunk`, the next bytes of the stream; the lines they complete, in order.

        Raises:
            ProtocolError: a line is longer than ``max_line_bytes``. Lines that were complete
                before it are returned first; the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        records: list[bytes] = []
        head, newline, rest = chunk.partition(b"\n")
        if newline:
            self._add(self._partial.take(head), records)
            *lines, chunk = rest.split(b"\n")
            for line in lines:
                self._add(line, records)
        if self._failure is None and chunk:
            self._partial.append(chunk)
            if self._partial.size > self.limit:
                self._fail()
        if self._failure is not None and not records:
            raise self._failure
        return records

    def finish(self) -> list[bytes]:
        """The stream ended: the last line, where it had no newline.

        Raises:
            ProtocolError: the limit was passed in the last chunk.
        """
        if self._failure is not None:
            raise self._failure
        records: list[bytes] = []
        self._add(self._partial.take(), records)
        return records

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
