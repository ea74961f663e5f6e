"""Rows that wait to be asked: fresh ones from the input, and those to be asked again."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from engine.asking.rendered import Rendered
from engine.batch.reading.rows import BadRow, Row

__all__ = ["Item", "Queue"]


class Item:
    """A row on its way.

    Attributes:
        attempts: requests made.
        failures: of them, those that count: all but refusals for reasons of rate.
        refusals: 429s since other rows were answered while it was not.
        answered: rows that had been answered when it was refused first; None: it was not.
        sent_at: when the last one went.
        cost: USD so far, or None.
        rendered: the request; None until it is its turn.
        tokens: about how many it will take.
    """

    __slots__ = (
        "answered",
        "attempts",
        "cost",
        "failures",
        "refusals",
        "rendered",
        "row",
        "sent_at",
        "tokens",
    )

    def __init__(self, row: Row) -> None:
        self.row = row
        self.attempts = 0
        self.failures = 0
        self.refusals = 0
        self.answered: int | None = None
        self.sent_at = 0.0
        self.cost: float | None = None
        self.rendered: Rendered | None = None
        self.tokens = 0


class Queue:
    """Rows in the order they should be asked.

    Args:
        rows: the fresh ones; read one at a time, when it is wanted.
    """

    def __init__(self, rows: Iterator[Row | BadRow]) -> None:
        self._rows = rows
        self._next: Item | BadRow | None = None
        self._again: list[tuple[float, int, Item]] = []
        self._order = count()
        self._exhausted = False

    def put_back(self, item: Item, when: float) -> None:
        """Ask `item` again, not before `when`."""
        heapq.heappush(self._again, (when, next(self._order), item))

    def peek(self, now: float, most_waiting: int) -> Item | BadRow | None:
        """The next row, which stays where it is; None: none yet, see `when`, or none any more.

        Rows to be asked again come first. While more than `most_waiting` of them wait for their
        time, no fresh one is taken: memory is bounded by what is under way.
        """
        if self._again and self._again[0][0] <= now:
            return self._again[0][2]
        if len(self._again) > most_waiting:
            return None
        if self._next is None and not self._exhausted:
            row = next(self._rows, None)
            if row is None:
                self._exhausted = True
            else:
                self._next = Item(row) if isinstance(row, Row) else row
        return self._next

    def take(self, item: Item | BadRow) -> None:
        """Remove what `peek` gave."""
        if item is self._next:
            self._next = None
        else:
            heapq.heappop(self._again)

    def when(self) -> float | None:
        """When the first row may be asked again; None where none waits."""
        return self._again[0][0] if self._again else None

    def __len__(self) -> int:
        """Rows to be asked again."""
        return len(self._again)

    @property
    def empty(self) -> bool:
        """Whether no row is left; known once `peek` returned None."""
        return self._exhausted and self._next is None and not self._again
