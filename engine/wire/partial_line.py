"""The unfinished line at the end of a chunk: linear in time, bounded in memory."""

from __future__ import annotations

__all__ = ["PartialLine"]

# Small pieces are gathered in blocks of this size (bytes): one object a piece would cost more than
# the bytes themselves when a peer sends a few at a time, and one bytearray for the whole line would
# copy it each time it grows.
_BLOCK_BYTES = 64 * 1024


class PartialLine:
    """Collects the pieces of one line until its end is seen."""

    __slots__ = ("_blocks", "_tail", "size")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._tail = bytearray()
        self.size: int = 0

    def append(self, piece: bytes) -> None:
        """Keep `piece`; `size` (bytes) grows by its length."""
        self.size += len(piece)
        self._tail += piece
        if len(self._tail) >= _BLOCK_BYTES:
            self._blocks.append(bytes(self._tail))
            self._tail = bytearray()

    def take(self, last: bytes = b"") -> bytes:
        """The whole line, with `last` at its end; the collection is empty afterwards."""
        if self._blocks:
            line = b"".join((*self._blocks, self._tail, last))
            self._blocks.clear()
        else:
            line = bytes(self._tail) + last
        self._tail = bytearray()
        self.size = 0
        return line
