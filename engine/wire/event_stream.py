"""Event streams as model servers write them: WHATWG's rules, and three of their habits besides.

A failure in a field ``error:`` (llama.cpp through 2025), JSON on a line without ``data:`` before
it, and a last event that lacks its blank line. The standard ignores all three; here the first two
are records, and so is the third where its data is whole.
"""

from __future__ import annotations

from engine.errors import ProtocolError
from engine.wire.json import decode_json
from engine.wire.sse import MAX_EVENT_BYTES, SSEDecoder, SSERecord

__all__ = ["EventStreamDecoder"]

_MAX_STRANGE = 200  # bytes of a line that is nothing, kept to be shown


class EventStreamDecoder(SSEDecoder):
    """An `SSEDecoder` for the streams of model servers.

    Attributes:
        strange: the first line that is nothing an event stream can have, or None.
    """

    __slots__ = ("_bare", "strange")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._bare: list[tuple[str, bytes]] = []
        self.strange: bytes | None = None

    def finish(self) -> list[SSERecord]:
        """The stream ended: the last event, where it lacks only its blank line.

        Raises:
            ProtocolError: the limit was passed in the last chunk.
        """
        super().finish()
        return [record for record in self.feed(b"\n\n") if _is_whole(record.data)]

    def _other_line(self, line: bytes) -> None:
        if line.startswith(b"error:"):
            self._bare.append(("error", line[6:].strip()))
        elif self._bare or line.lstrip()[:1] in (b"{", b"["):
            self._bare.append(("message", line))
        elif self.strange is None:
            self.strange = line[:_MAX_STRANGE]
        self._data_bytes += len(line)

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


def _is_whole(data: bytes) -> bool:
    """Whether nothing of `data` can be missing: it is JSON, or a marker, or lines of such."""
    if data.strip() == b"[DONE]":
        return True
    try:
        decode_json(data)
    except ProtocolError:
        return b"\n" in data and all(_is_whole(line) for line in data.split(b"\n") if line.strip())
    return True
