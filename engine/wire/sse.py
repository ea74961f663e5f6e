"""Server-sent events: bytes in, records out, by the WHATWG rules.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import codecs
import re

import msgspec

from engine.errors import ProtocolError
from engine.wire.partial_line import PartialLine

__all__ = ["MAX_EVENT_BYTES", "SSEDecoder", "SSERecord"]

# Images and audio come base64-coded in one event and reach several MiB; aiohttp's 128 KiB line
# limit broke such streams (aiohttp#4453), no limit at all lets one line eat the machine.
MAX_EVENT_BYTES = 16 * 1024 * 1024

# As numbers: to look for one in bytes takes a fifth of the time it takes for b"\n".
_LF = 10
_CR = 13

# Whatever says nothing is skipped in bulk: line by line, a server that keeps a connection alive by
# 30 MB of it takes a minute of CPU.
_BLANK_LINES = re.compile(rb"\n{3,}")
_COMMENTS = re.compile(rb"(?m)^:[^\n]*\n")
_COMMENT_LINES = re.compile(rb"(?::[^\n]*\n)+")
# Comments, and lines of a field there is not: neither of the standard, nor what servers write who
# do not keep to it (see `engine.wire.event_stream`).
_SILENT = rb"(?::|(?!(?:data|event|id|retry|error)[:\n]|[\s{\[]))[^\n]*\n"
_SILENCE = re.compile(rb"(?m)^" + _SILENT)
# What is none of them, and may go on over lines that look like one.
_SPOKEN = re.compile(rb"(?m)^(?:error:|[^\S\n]*[{\[])")
_SILENT_LINES = re.compile(rb"(?:" + _SILENT + rb")+")


class SSERecord(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event.

    Attributes:
        data: the data lines joined by LF; always valid UTF-8.
        event: the event type, ``"message"`` where the stream gave none.
        id: the last event ID at the time of dispatch.
        retry: reconnection time in milliseconds where this block set one, else None.
        inherited: the id is that of an earlier event: this one has none of its own.
    """

    data: bytes
    event: str = "message"
    id: str = ""
    retry: int | None = None
    inherited: bool = False


class SSEDecoder:
    """An incremental event stream parser. Linear in time, bounded in memory.

    Args:
        max_event_bytes: the most bytes an event that is not yet complete may hold.

    Attributes:
        replaced: records in which invalid UTF-8 was replaced by U+FFFD.
        retry: the reconnection time in milliseconds the stream set last, or None.
    """

    __slots__ = (
        "_after_cr",
        "_between",
        "_block_retry",
        "_data",
        "_data_bytes",
        "_event",
        "_failure",
        "_id",
        "_inherited",
        "_noise",
        "_open",
        "_partial",
        "_start",
        "limit",
        "replaced",
        "retry",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.limit: int = max_event_bytes
        self._start: bytes | None = b""  # bytes held back while they may become a BOM
        self._after_cr = False
        self._between = False  # events are over, and nothing is left that the next must heed
        self._partial: PartialLine | None = None  # made for the first line that is cut
        self._open = False  # a line of the current block was seen, or a part of one
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = ""
        self._id = ""
        self._inherited = False
        self._block_retry: int | None = None
        self._noise = False  # lines of no field there is have come
        self._failure: ProtocolError | None = None
        self.replaced: int = 0
        self.retry: int | None = None

    def feed(self, chunk: bytes) -> list[SSERecord]:
        """Parse `chunk`, the next bytes of the stream; the records they complete, in order.

        Raises:
            ProtocolError: an event is larger than ``max_event_bytes``. Records that were complete
                before it are returned first; the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        if self._between and chunk[:6] == b"data: " and chunk[-2:] == b"\n\n":
            # One event and nothing else, as it comes from servers that flush each one.
            data = chunk[6:-2]
            if _LF not in data and _CR not in data and data.isascii():
                return [SSERecord(data)]
        return self._feed(chunk)

    def _feed(self, chunk: bytes, whole: bool = True) -> list[SSERecord]:
        if self._start is not None:
            chunk = self._strip_bom(chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == _LF:
                chunk = chunk[1:]
        if _CR in chunk:
            quick = self._crlf(chunk) if whole else None
            if quick is not None:
                return quick
            # CR, LF and CRLF end a line alike; a CRLF cut between chunks is seen above.
            self._after_cr = chunk[-1] == _CR
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        records: list[SSERecord] = []
        position = 0
        if self._open:
            position = self._close_block(chunk, records)
        if position >= 0:
            end = chunk.rfind(b"\n\n", position)
            if end >= 0 and self._blocks(chunk[position:end], records):
                position = end + 2
            if position < len(chunk) and self._failure is None:
                self._tail(chunk, position, records)
        if self._failure is not None and not records:
            raise self._failure
        self._between = (
            self._start is None and not self._open and not self._after_cr and not self._id
        )
        return records

    def _crlf(self, chunk: bytes) -> list[SSERecord] | None:
        """Events whose lines end in CR LF, as Google's do, without rewriting their bytes, which
        takes four times as long as cutting them; None where `chunk` holds nothing of the kind."""
        first = 0 if self._between else chunk.find(b"\r\n\r\n") + 4
        last = chunk.rfind(b"\r\n\r\n")
        if first == 3 or not first < last < first + self.limit:
            return None
        records = self._feed(chunk[:first], False) if first else []
        if self._failure is not None:
            return records
        middle: list[SSERecord] | None = None
        if self._between and chunk[first : first + 6] == b"data: ":
            middle = self._payloads(chunk[first:last], b"\r\n\r\ndata: ")
        records += middle or ()
        try:
            return records + self._feed(chunk[first if middle is None else last + 4 :], False)
        except ProtocolError:
            if not records:
                raise
            return records

    def finish(self) -> list[SSERecord]:
        """The stream ended. An event without its blank line is not dispatched (WHATWG): always [].

        Raises:
            ProtocolError: the limit was passed in the last chunk.
        """
        if self._failure is not None:
            raise self._failure
        return []

    def _strip_bom(self, chunk: bytes) -> bytes:
        head = (self._start or b"") + chunk
        if len(head) < 3 and codecs.BOM_UTF8.startswith(head):
            self._start = head
            return b""
        self._start = None
        return head[3:] if head.startswith(codecs.BOM_UTF8) else head

    def _blocks(self, region: bytes, records: list[SSERecord]) -> bool:
        """Whole blocks, separated by blank lines. False where the limit needs a closer look."""
        if len(region) > self.limit:
            return False
        payloads = self._payloads(region) if region[:6] == b"data: " else self._named(region)
        if payloads is not None:
            records += payloads
            return True
        told = self._told(region)
        if len(told) < len(region):
            return not told or self._blocks(told, records)
        clean = _is_utf8(region)
        for block in region.split(b"\n\n"):
            name, found, data = block.partition(b"\ndata: ")
            if (
                found
                and clean
                and not self._id
                and name.startswith(b"event: ")
                and _LF not in name
                and _LF not in data
            ):
                records.append(self._record(data, name))  # type: ignore[arg-type]
                continue
            for line in block.split(b"\n"):
                self._line(line, records)
            self._line(b"", records)
        return True

    def _told(self, region: bytes) -> bytes:
        """`region` without what says nothing; itself where nothing of the kind is in it."""
        if self._skips_fields() and _SPOKEN.search(region) is None:
            told = _SILENCE.sub(b"", region + b"\n")
        elif b"\n:" in region or b"\n\n\n" in region or region[:1] in (b":", b"\n"):
            told = _COMMENTS.sub(b"", region + b"\n")
        else:
            return region
        return _BLANK_LINES.sub(b"\n\n", told.strip(b"\n"))

    def _skips_fields(self) -> bool:
        """Whether lines of no field there is can be skipped, since such have come and none is of
        any use."""
        return self._noise

    def _record(self, data: bytes, name: bytes) -> SSERecord | bytes:
        """The record of an event with one line of data; `name` is its line ``event: …``."""
        return SSERecord(data, str(name[7:], "utf-8") or "message")

    def _payloads(self, region: bytes, separator: bytes = b"\n\ndata: ") -> list[SSERecord] | None:
        """The records of blocks with one data line each, which is what providers send; None where
        `region` holds anything else."""
        if self._id:
            return None
        # Splitting at the field name as well leaves the payloads, if no line break is in them.
        parts = region[6:].split(separator)
        joined = region if len(parts) == 1 else b"".join(parts)
        if _LF in joined or _CR in joined or not _is_utf8(joined):
            return None
        return [SSERecord(part) for part in parts]

    def _named(self, region: bytes) -> list[SSERecord] | None:
        """The same for blocks that all have the same event line before their data line."""
        head_end = region.find(b"\n") + 1
        head = region[:head_end] + b"data: "
        if self._id or region[:7] != b"event: " or not region.startswith(head):
            return None
        parts = region[len(head) :].split(b"\n\n" + head)
        joined = b"".join(parts)
        if _LF in joined or _CR in joined or not _is_utf8(joined):
            return None
        event = region[7 : head_end - 1].decode("utf-8", "replace") or "message"
        return [SSERecord(part, event) for part in parts]

    def _close_block(self, chunk: bytes, records: list[SSERecord]) -> int:
        """Go on line by line to the end of the open block; where it ends, or -1."""
        position = 0
        while self._open:
            end = chunk.find(b"\n", position)
            if end < 0:
                if position < len(chunk):
                    self._keep(chunk[position:])
                return -1
            line = chunk[position:end]
            if self._partial is not None:
                line = self._partial.take(line)
            position = end + 1
            self._line(line, records)
            if self._failure is not None:
                return -1
            position = self._skip(chunk, position)
        return position

    def _tail(self, chunk: bytes, position: int, records: list[SSERecord]) -> None:
        """Lines after the last blank line, and the line that the chunk cuts."""
        while (position := self._skip(chunk, position)) < len(chunk):
            end = chunk.find(b"\n", position)
            if end < 0:
                self._keep(chunk[position:])
                return
            self._line(chunk[position:end], records)
            if self._failure is not None:
                return
            position = end + 1

    def _skip(self, chunk: bytes, position: int) -> int:
        """Where the whole lines that say nothing and begin at `position` have ended."""
        lines = _SILENT_LINES if self._skips_fields() else _COMMENT_LINES
        silent = lines.match(chunk, position)
        return position if silent is None else silent.end()

    def _keep(self, piece: bytes) -> None:
        self._open = True
        if self._partial is None:
            self._partial = PartialLine()
        self._partial.append(piece)
        if self._partial.size + self._data_bytes > self.limit:
            self._fail()

    def _line(self, line: bytes, records: list[SSERecord]) -> None:
        if not line:
            self._dispatch(records)
            return
        self._open = True
        if line[0] == 58:  # ":", a comment
            return
        if len(line) + self._data_bytes > self.limit:
            self._fail()
            return
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")
        elif field == b"id":
            if b"\0" not in value:
                self._id, self._inherited = value.decode("utf-8", "replace"), False
        elif field == b"retry" and value.isdigit():
            # Above some thirty years they are all the same, and int() of a long line is slow.
            self.retry = self._block_retry = int(value) if len(value) < 13 else 10**12
        elif field != b"retry":
            self._other_line(line)

    def _other_line(self, line: bytes) -> None:
        """A line of no field there is: the standard ignores it."""
        self._noise = True

    def _dispatch(self, records: list[SSERecord]) -> None:
        if self._data:
            data = b"\n".join(self._data) if len(self._data) > 1 else self._data[0]
            if not _is_utf8(data):
                self.replaced += 1
                data = data.decode("utf-8", "replace").encode()
            event = self._event or "message"
            records.append(SSERecord(data, event, self._id, self._block_retry, self._inherited))
            self._inherited = bool(self._id)
            self._data = []
            self._data_bytes = 0
        self._event = ""
        self._block_retry = None
        self._open = False

    def _fail(self) -> None:
        self._failure = ProtocolError(
            f"an event of the stream is larger than max_event_bytes={self.limit}; "
            "raise that limit if the server is meant to send such events",
        )
        self._partial = None
        self._data = []


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
