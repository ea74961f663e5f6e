"""Event streams as model servers write them: WHATWG's rules, and three of their habits besides.

A failure in a field ``error:`` (llama.cpp through 2025), JSON on a line without ``data:`` before
it, and a last event that lacks its blank line. The standard ignores all three; here the first two
are records, and so is the third where its data is whole.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from itertools import islice
from operator import itemgetter
from typing import Any

from engine.errors import ProtocolError
from engine.wire.json import decode_json
from engine.wire.sse import MAX_EVENT_BYTES, SSEDecoder, SSERecord

__all__ = ["EventStreamDecoder"]

_MAX_STRANGE = 200  # bytes of a line that is nothing, kept to be shown
# Bytes of a cut event that are put before the next read: beyond, to copy them costs more than to
# go on line by line.
_MAX_TAIL = 4096
# Where one event in so many is none of the plain ones, to go on event by event costs less than to
# cut out the others.
_FEW = 4
_LF = 10
_CR = 13


class EventStreamDecoder(SSEDecoder):
    """An `SSEDecoder` for the streams of model servers.

    Most events of a stream are of one kind. Their records are the bytes of their data alone, which
    saves an object an event; whether these are valid UTF-8 is for the JSON decoder to say. All
    other events are `SSERecord`s.

    Args:
        max_event_bytes: as in `SSEDecoder`.
        plain: the name of the events whose records are bytes; empty: those without a name.

    Attributes:
        head: what stands before the data of a plain event.
        tail: what stood after it, in the last read that said so.
        strange: the first line that is nothing an event stream can have, or None.
    """

    __slots__ = (
        *("_bare", "_ended", "_plain", "_separator", "_tail_bytes"),
        *("head", "strange", "tail"),
    )

    head: bytes

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, plain: str = "") -> None:
        super().__init__(max_event_bytes)
        self._bare: list[tuple[str, bytes]] = []
        self._plain, self.head, self._separator = _frame_of(plain)
        self.tail: bytes = b"\n\n"
        self._tail_bytes = b""
        self.strange: bytes | None = None
        self._ended = False

    @property
    def room(self) -> int:
        """The bytes an event may have which the next read brings whole; 0: it cannot, since what
        came before is not over."""
        at_rest = self._between and not self._tail_bytes and self._failure is None
        return self.limit if at_rest else 0

    def feed(self, chunk: bytes) -> list[SSERecord | bytes]:  # type: ignore[override]
        """Parse the next bytes of the stream; the records they complete, in order.

        Raises:
            ProtocolError: an event is larger than ``limit``. Records that were complete before it
                are returned first; the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        head = self.head
        if self._start == b"" and chunk.startswith(head):
            self._start, self._between = None, True  # there is no byte order mark
        if self._tail_bytes:
            chunk, self._tail_bytes = self._tail_bytes + chunk, b""
        elif self._between and chunk[-2:] == b"\n\n" and chunk.startswith(head):
            # Plain events and nothing else: one, as it comes from servers that flush each, or all
            # of a short answer.
            parts: list[Any] = chunk[len(head) : -2].split(self._separator)
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            size = len(data) if len(parts) == 1 else max(len(chunk) - 2, _MAX_TAIL)
            if _LF not in data and _CR not in data and size <= self.limit:
                return parts
        if _CR not in chunk:
            return self._lines_of_lf(chunk)
        quick = self._crlf_payloads(chunk) if self._between else None
        if quick is not None:
            return quick
        return self._feed(self._without_tail(chunk))  # type: ignore[return-value]

    def alike(self, chunk: bytes, beginning: bytes, end: bytes) -> tuple[list[bytes], bytes]:
        """Take the events from `chunk` that it starts with, where they are plain and the data of
        all begins and ends so.

        Returns:
            What stands between the two in each, and the bytes behind them, which are still to be
            fed; no event and all bytes where they are not alike.
        """
        if not self._between or self._failure is not None:
            return [], chunk
        if self._tail_bytes:
            chunk, self._tail_bytes = self._tail_bytes + chunk, b""
        head, foot = self.head + beginning, end + b"\n\n"
        until = chunk.rfind(foot)
        last = chunk.rfind(b"\n\n", 0, max(until, 0)) + 2
        if last > 1 and not chunk.startswith(head, last):  # others follow
            last = chunk.rfind(b"\n\n" + head, 0, last) + 2
            until = chunk.find(foot, last)
        if until < 0 or len(chunk) > self.limit or not chunk.startswith(head) or _CR in chunk:
            return [], chunk
        # Cut at each line end and put together anew, since `bytes.split` looks at each byte, which
        # takes three times as long. If that gives the same, they are the events.
        lines, step = BytesIO(chunk[: until + len(foot)]), head.count(b"\n") + 2
        core = itemgetter(slice(len(head) - head.rfind(b"\n") - 1, -1 - len(end)))
        cores = [*map(core, islice(lines, step - 2, None, step))]
        joined = (foot + head).join(cores)
        if len(head) + len(joined) != until or not chunk.startswith(joined, len(head)):
            return [], chunk
        more = chunk[until + len(foot) :]
        if len(more) <= _MAX_TAIL and b"\n\n" not in more:
            self._tail_bytes, more = more, b""
        return cores, more

    def _lines_of_lf(self, chunk: bytes) -> list[SSERecord | bytes]:
        """What is cut waits for the rest of its event; plain events are cut out in one go."""
        head, end = self.head, chunk.rfind(b"\n\n")
        if self.limit < _MAX_TAIL or (end < 0 and not self._between):
            return self._feed(chunk)  # type: ignore[return-value]
        until = len(chunk)
        if until - end <= _MAX_TAIL:
            until = end + 2 if end >= 0 else 0
            self._tail_bytes = chunk[until:]
            if not until:
                return []
        plain = 0  # where the first plain event begins
        if not self._between or not chunk.startswith(head):
            plain = chunk.find(b"\n\n" + head, 0, max(end, 0)) + 2
        if plain == 1 or not 0 <= end <= self.limit:
            return self._feed(chunk[:until])  # type: ignore[return-value]
        # Up to `end` only what was open before can be too large, and that raises here.
        records: list[Any] = [*self._feed(chunk[:plain])] if plain else []
        records += self._runs(chunk, plain, end)
        return self._and_more(records, chunk[end + 2 :]) if end + 2 < until else records

    def _and_more(self, records: list[Any], chunk: bytes) -> list[Any]:
        """`records`, and those of `chunk`; where that fails, the next call raises."""
        try:
            return records + self._feed(chunk)
        except ProtocolError:
            if not records:
                raise
            return records

    def _runs(self, chunk: bytes, begin: int, end: int) -> list[Any]:
        """The events between `begin` and `end`, the first plain, and most of the others too."""
        if not self._between:
            return self._feed(chunk[begin : end + 2])
        separator = self._separator
        parts: list[Any] = chunk[begin + len(self.head) : end].split(separator)
        if _LF not in (parts[0] if len(parts) == 1 else b"".join(parts)):
            return parts
        # With line ends in it, a part is more than one line of data, or others follow its event.
        odd = [place for place, part in enumerate(parts) if _LF in part]
        if len(odd) * _FEW > len(parts):
            return self._feed(chunk[begin : end + 2])
        records: list[Any] = []
        done = 0
        for place in odd:
            records += parts[done:place]
            records += self._feed(self.head + parts[place] + b"\n\n")
            done = place + 1
            if not self._between and done < len(parts):  # an id was given, which stands for all
                left = self.head + separator.join(parts[done:]) + b"\n\n"
                return records + self._feed(left)
        return records + parts[done:]

    def _without_tail(self, chunk: bytes) -> bytes:
        """`chunk` up to the end of its last event, where its lines end in CR LF; the rest waits."""
        end = chunk.rfind(b"\r\n\r\n") + 4
        tail = chunk[end:]
        if end < 4 or len(tail) > _MAX_TAIL or self.limit < _MAX_TAIL:
            return chunk
        if not _can_wait(tail):
            return chunk
        self._tail_bytes = tail
        return chunk[:end]

    def _crlf_payloads(self, chunk: bytes) -> list[SSERecord | bytes] | None:
        """The same of lines that end in CR LF, as Google's do; None where they do not."""
        end = chunk.rfind(b"\r\n\r\n")
        if self._plain or not chunk.startswith(b"data: "):
            return None
        if len(chunk) - end > _MAX_TAIL or not 0 < end <= self.limit:
            return None
        parts: list[Any] = chunk[6:end].split(b"\r\n\r\ndata: ")
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        if _LF in joined or _CR in joined or self.limit < _MAX_TAIL:
            return None
        if not _can_wait(chunk[end + 4 :]):
            return None
        self._tail_bytes = chunk[end + 4 :]
        self.tail = b"\r\n\r\n"
        return parts

    def finish(self) -> list[SSERecord | bytes]:  # type: ignore[override]
        """The stream ended: the last event, where it lacks only its blank line.

        Raises:
            ProtocolError: the limit was passed in the last chunk.
        """
        super().finish()
        tail, self._tail_bytes = self._tail_bytes, b""
        records: list[Any] = [*self._feed(tail)] if tail else []
        self._ended = True
        last: list[Any] = [*self._feed(b"\n\n")]
        return records + [record for record in last if _may_be_told(record)]

    def _payloads(  # type: ignore[override]
        self, region: bytes, separator: bytes = b"\n\ndata: "
    ) -> list[SSERecord | bytes] | None:
        if self._plain:
            return super()._payloads(region, separator)  # type: ignore[return-value]
        if self._id:
            return None
        parts = region[6:].split(separator)
        joined = region if len(parts) == 1 else b"".join(parts)
        return None if _LF in joined or _CR in joined else parts  # type: ignore[return-value]

    def _named(self, region: bytes) -> list[SSERecord | bytes] | None:  # type: ignore[override]
        if not self._plain or self._id or not region.startswith(self.head):
            return super()._named(region)  # type: ignore[return-value]
        parts = region[len(self.head) :].split(self._separator)
        joined = b"".join(parts)
        return None if _LF in joined or _CR in joined else parts  # type: ignore[return-value]

    def _record(self, data: bytes, name: bytes) -> SSERecord | bytes:
        if self._plain and name == self._plain:
            return data
        return super()._record(data, name)

    def _other_line(self, line: bytes) -> None:
        if line.startswith(b"error:"):
            self._bare.append(("error", line[6:].strip()))
        elif self._bare or line.lstrip()[:1] in (b"{", b"["):
            self._bare.append(("message", line))
        else:
            self._noise = True
            if self.strange is None and not (self._ended and _begins_a_field(line)):
                self.strange = line[:_MAX_STRANGE]
            return
        self._data_bytes += len(line)

    def _skips_fields(self) -> bool:
        return self._noise and not self._bare

    def _dispatch(self, records: list[SSERecord]) -> None:
        super()._dispatch(records)
        self._data_bytes = 0
        if self._bare:
            lines, self._bare = self._bare, []
            if not all(name == "error" or _is_whole(line) for name, line in lines):
                # One value over several lines.
                lines = [(lines[0][0], b"\n".join(line for _, line in lines))]
            for name, line in lines:
                records.append(SSERecord(line.decode("utf-8", "replace").encode(), name))


@cache
def _frame_of(plain: str) -> tuple[bytes, bytes, bytes]:
    """The line that names plain events; what stands before the data of each; and between two."""
    name = b"event: " + plain.encode() if plain else b""
    head = name + b"\ndata: " if plain else b"data: "
    return name, head, b"\n\n" + head


def _begins_a_field(line: bytes) -> bool:
    """Whether the last line may be one that was cut in the name of its field."""
    return any(name.startswith(line) for name in (b"data", b"event", b"id", b"retry", b"error"))


def _can_wait(tail: bytes) -> bool:
    """Whether no event ends in `tail`, by blank lines of another kind."""
    return b"\n\n" not in tail and b"\r\r" not in tail and b"\n\r" not in tail


def _may_be_told(record: SSERecord | bytes) -> bool:
    """Whether the last record is whole; of a failure that is told in words, each word counts."""
    if isinstance(record, bytes):
        return _is_whole(record)
    words = record.event == "error" and record.data.lstrip()[:1] not in (b"", b"{", b"[")
    return words or _is_whole(record.data)


def _is_whole(data: bytes) -> bool:
    """Whether nothing of `data` can be missing: it is JSON, or a marker, or lines of such."""
    if data.strip() == b"[DONE]":
        return True
    try:
        decode_json(data)
    except ProtocolError:
        return b"\n" in data and all(_is_whole(line) for line in data.split(b"\n") if line.strip())
    return True
