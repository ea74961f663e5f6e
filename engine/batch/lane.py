"""A lane: the rows that are asked of one base URL, key and model, in the order they should go.

What one provider refuses holds up, or stops, the rows of its lane and no others.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import Any, Final

import msgspec

from engine.asking.rendered import Rendered
from engine.batch.outcome import Outcome
from engine.batch.pacing.cost import Demand, Spent
from engine.batch.pacing.pace import Pace
from engine.batch.reading.rows import Row
from engine.errors import EngineError
from engine.transport.lane import Lane as SharedLane

__all__ = ["Doubt", "Item", "Lane"]

# Rows refused alike, none answered, after which the others would be refused as well.
_DOUBTS: Final = 5


class Item:
    """A row on its way.

    Attributes:
        attempts: requests made.
        failures: of them, those that count: all but refusals for reasons of rate.
        refusals: 429s that tell of this row: see `verdict`.
        misfits: answers that did not fit the schema.
        refusal: why it is asked without a field or a stream: the server does not know it; or None.
        answered: rows that had been answered when it was refused first; None: it was not.
        sent_at: when the last one went.
        spent: so far.
        rendered: the request; None until it is its turn.
        demand: what it may take.
    """

    __slots__ = (
        "answered",
        "attempts",
        "demand",
        "failures",
        "misfits",
        "refusal",
        "refusals",
        "rendered",
        "row",
        "sent_at",
        "spent",
    )

    def __init__(self, row: Row) -> None:
        self.row: Row = row
        self.attempts: int = 0
        self.failures: int = 0
        self.refusals: int = 0
        self.misfits: int = 0
        self.refusal: EngineError | None = None
        self.answered: int | None = None
        self.sent_at: float = 0.0
        self.spent: Spent = Spent()
        self.rendered: Rendered | None = None
        self.demand: Demand | None = None


class Doubt(msgspec.Struct, frozen=True):
    """A row that failed in a way in which perhaps all do."""

    item: Item
    outcome: Outcome
    error: EngineError


class Lane:
    """The rows of one base URL, key and model.

    Args:
        name: for people.
        pace: when requests go.
        road: the same server, key and model as others of the `Multi` ask it.

    Attributes:
        in_flight: requests under way.
        closed: why no more are begun, or None.
        error: the same, as an error.
        quiet_since: since when nothing was answered while something was asked, or None.
        told_until: the end of the wait the user was told of.
        unreached: attempts that reached no server.
        waiting_bytes: of the requests that were not sent yet.
        refusal: why rows were refused that were answered without what the server does not know:
            the others go without it at once; or None.
    """

    def __init__(self, name: str, pace: Pace, road: SharedLane[Any]) -> None:
        self.name = name
        self.pace = pace
        self.road = road
        self.in_flight: int = 0
        self.closed: str | None = None
        self.error: EngineError | None = None
        self.quiet_since: float | None = None
        self.told_until: float = 0.0
        self.unreached = 0
        self.waiting_bytes: int = 0
        self.refusal: EngineError | None = None
        self._fresh: deque[Item] = deque()
        self._again: list[tuple[float, int, Item]] = []
        self._order = count()
        self._doubts: list[Doubt] = []

    # -- rows that wait ----------------------------------------------------------------------

    def add(self, item: Item) -> None:
        """A fresh row, which goes after those before it."""
        self._fresh.append(item)
        self.waiting_bytes += item.demand.size if item.demand is not None else 0

    def put_back(self, item: Item, when: float) -> None:
        """Ask `item` again, not before `when`."""
        heapq.heappush(self._again, (when, next(self._order), item))

    def peek(self, now: float) -> Item | None:
        """The next row, which stays where it is: one to be asked again comes first, but not while
        nothing is answered, which would use up the attempts of a few."""
        fresh_first = self._fresh and self.pace.gate.probing
        if self._again and self._again[0][0] <= now and not fresh_first:
            return self._again[0][2]
        return self._fresh[0] if self._fresh else None

    def take(self, item: Item) -> None:
        """Remove what `peek` gave."""
        if self._fresh and self._fresh[0] is item:
            self._fresh.popleft()
            self.waiting_bytes -= item.demand.size if item.demand is not None else 0
        else:
            heapq.heappop(self._again)

    def when(self) -> float | None:
        """When the first row may be asked again; None where none waits."""
        return self._again[0][0] if self._again else None

    def sent(self, now: float, tokens: float) -> None:
        """A request of about `tokens` went."""
        self.pace.sent(now, tokens)
        self.in_flight += 1
        self.road.in_flight += 1

    def ended(self) -> None:
        """It is over, and the pace knows how."""
        self.in_flight -= 1
        self.road.left()

    @property
    def fresh(self) -> int:
        """Rows that were not asked yet."""
        return len(self._fresh)

    @property
    def again(self) -> int:
        """Rows to be asked again."""
        return len(self._again)

    @property
    def idle(self) -> bool:
        """Whether no row waits and none is under way."""
        return not (self._fresh or self._again or self.in_flight)

    # -- its end -----------------------------------------------------------------------------

    def close(self, reason: str, error: EngineError) -> None:
        """Begin no more; what waits is left to a later run."""
        if self.closed is None:
            self.closed, self.error = reason, error
        self._fresh.clear()
        self.waiting_bytes = 0
        self._again.clear()

    def doubt(self, doubt: Doubt) -> bool:
        """A row failed as perhaps all do; True: they do, and none of them has an outcome."""
        self._doubts.append(doubt)
        if len(self._doubts) >= _DOUBTS:
            self._doubts.clear()
            return True
        return False

    def cleared(self) -> list[Doubt]:
        """The rows in doubt, which are on their own now: others were answered, or none is left."""
        doubts, self._doubts = self._doubts, []
        return doubts
