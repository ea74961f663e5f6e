"""Backlog: how many bytes the slowest reader is behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from engine.answering.contract import Reading

__all__ = ["NOBODY", "Backlog", "slowest"]

NOBODY = 1 << 62
"""How far the slowest reader is where nobody reads."""


def slowest(readers: Sequence[Reading[Any]]) -> int:
    """How far the slowest of `readers` is."""
    if len(readers) == 1:  # as nearly always
        return readers[0].position
    return min((reader.position for reader in readers), default=NOBODY)


class Backlog:
    """Counts what was read from the wire and not yet from the queue.

    Args:
        limit: bytes beyond which the source is to be held back; it may go on at half of it.

    Attributes:
        size: bytes that are waiting.
        next: the reader that has so many items says so: see `taken`.
        held_back: whether the source is.
    """

    __slots__ = ("_limit", "_marks", "held_back", "next", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._marks: deque[tuple[int, int]] = deque()  # (item after those of a read, its bytes)
        self.size: int = 0
        self.next: int = NOBODY
        self.held_back: bool = False

    def add(self, end: int, size: int) -> bool:
        """`size` bytes became the items before number `end`. True: hold the source back now."""
        self._marks.append((end, size))
        self.next = self._marks[0][0]
        self.size += size
        if self.size <= self._limit or self.held_back:
            return False
        self.held_back = True
        return True

    def taken(self, slowest: int) -> bool:
        """Every reader has the items before number `slowest`. True: let the source go on now."""
        while self._marks and self._marks[0][0] <= slowest:
            self.size -= self._marks.popleft()[1]
        self.next = self._marks[0][0] if self._marks else NOBODY
        if not self.held_back or self.size > self._limit // 2:
            return False
        self.held_back = False
        return True
