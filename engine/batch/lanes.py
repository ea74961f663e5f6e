"""All lanes of a run, and the rows that come into them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.batch.lane import Item, Lane
from engine.batch.options import Options
from engine.batch.pacing.ceiling import Ceiling
from engine.batch.pacing.descriptors import most_connections
from engine.batch.pacing.limit import AutoLimit, FixedLimit, Limit
from engine.batch.pacing.pace import Pace
from engine.batch.reading.rendering import Address
from engine.batch.reading.rows import BadRow, Row
from engine.errors import ConfigError
from engine.transport.bucket import Bucket
from engine.transport.multi import Multi, driver_of
from engine.transport.retry import Retry

__all__ = ["Lanes"]

# A row has attempts of its own, and time; a budget would only make it wait longer.
_NO_BUDGET: Final = Retry(budget=None)

# Rows, and bytes of their requests, that are read beyond one that must wait: another lane may have
# room.
_MOST_AHEAD: Final = 256
_MOST_BYTES_AHEAD: Final = 16 * 1024 * 1024


class Lanes:
    """Gives the next row that may go.

    Args:
        multi: whose gates are shared with all who ask the same.
        options: of the run.
        address: knows where rows go.
        batch: name of the run, for idempotency keys.
        now: the time.

    Attributes:
        all: the lanes, in the order they came up.
        skipped: rows whose lane was closed before they were asked.
        ceiling: requests in flight, of all lanes.
    """

    def __init__(
        self, multi: Multi, options: Options, address: Address, batch: str, now: float
    ) -> None:
        driver = driver_of(multi)
        self._shared, self._sockets = driver.lanes, driver.sockets
        self._options = options
        self._address = address
        self._batch = batch
        self._requests = Bucket(options.rpm, now) if options.rpm is not None else None
        self._tokens = Bucket(options.tpm, now) if options.tpm is not None else None
        self._rows: Iterator[Row | BadRow] = iter(())
        self._exhausted = True
        self._lanes: dict[tuple[int, str], Lane] = {}
        self.all: list[Lane] = []
        self.skipped: int = 0
        self.ceiling: Ceiling = Ceiling(
            options.max_concurrency if options.concurrency == "auto" else options.concurrency
        )
        self._turn = 0

    def open(self, rows: Iterator[Row | BadRow]) -> None:
        """Read from `rows`, as they are needed."""
        self._rows, self._exhausted = rows, False

    def choose(self, now: float) -> tuple[Lane | None, Item | BadRow | None, float | None]:
        """The next row that may go, which stays where it is, and its lane; or a row that cannot be
        asked, which is taken; or neither, and when to look again (None: when something ends)."""
        waits: list[float] = []
        for offset in range(len(self.all)):
            lane = self.all[(self._turn + offset) % len(self.all)]
            item = self._ready(lane, now, waits)
            if item is not None:
                self._turn += offset + 1
                return lane, item, None
        while self._room_ahead():
            row = next(self._rows, None)
            if row is None:
                self._exhausted = True
                break
            found = self._enter(row) if isinstance(row, Row) else row
            if isinstance(found, BadRow):
                return None, found, None
            # Behind others of its lane it waits, as they do.
            if found is not None and found.fresh == 1:
                item = self._ready(found, now, waits)
                if item is not None:
                    return found, item, None
        return None, None, min(waits, default=None)

    def _ready(self, lane: Lane, now: float, waits: list[float]) -> Item | None:
        """The next row of `lane` if it may go now; when it may, if known, is added to `waits`."""
        item = lane.peek(now)
        if item is None:
            when = lane.when()
            if when is not None:
                waits.append(when)
            return None
        assert item.demand is not None
        wait = lane.pace.wait(now, lane.in_flight, item.demand.estimate)
        if wait is not None and wait > 0:
            waits.append(now + wait)
        return item if wait == 0.0 else None

    @property
    def empty(self) -> bool:
        """Whether no row is left and none is under way; known once `choose` gave nothing."""
        return self._exhausted and all(lane.idle for lane in self.all)

    @property
    def again(self) -> int:
        """Rows to be asked again."""
        return sum(lane.again for lane in self.all)

    @property
    def limit(self) -> int:
        """Requests that may be in flight."""
        allowed = 0
        for lane in self.all:  # asked for twice a row
            allowed += lane.pace.allowed
        most = self.ceiling.value
        return min(most, allowed or most)

    def room(self) -> int | None:
        """Connections there are descriptors for, those of the `Multi` included; None: no limit."""
        return most_connections(len(self._sockets) + self._sockets.connections.resting)

    @property
    def closed(self) -> list[Lane]:
        """Lanes no more is asked of."""
        return [lane for lane in self.all if lane.closed is not None]

    # ----------------------------------------------------------------------------------------

    def _room_ahead(self) -> bool:
        if self._exhausted:
            return False
        fresh = again = size = 0
        for lane in self.all:
            fresh += lane.fresh
            again += lane.again
            size += lane.waiting_bytes
        if again > 100 and again > 100 + 2 * self.limit:
            return False
        return fresh < _MOST_AHEAD and (fresh < 2 or size < _MOST_BYTES_AHEAD)

    def _enter(self, row: Row) -> Lane | BadRow | None:
        """Write `row` as a request, in its lane; a row that cannot be is a bad one; None: its lane
        is closed."""
        item = Item(row)
        try:
            why = self._address.check(row)
            if why is None:
                lane = self._lane(row)
                if lane.closed is not None:
                    self.skipped += 1
                    return None
                key = f"{self._batch}-{row.key.hex()}"
                item.rendered, item.demand = self._address.render(row, key)
                lane.add(item)
                return lane
        except ConfigError as error:
            why = error.message
        message = f"line {row.number}: {why}"
        return BadRow(row.number, row.custom_id, row.key, row.content, message)

    def _lane(self, row: Row) -> Lane:
        number, path, name = self._address.lane(row)
        lane = self._lanes.get((number, path))
        if lane is None:
            options = self._options
            limit: Limit = (
                AutoLimit(options.max_concurrency)
                if options.concurrency == "auto"
                else FixedLimit(options.concurrency)
            )
            road = self._shared.lane(number, _NO_BUDGET)
            lane = Lane(name, Pace(limit, road, self._requests, self._tokens), road)
            self._lanes[number, path] = lane
            self.all.append(lane)
        return lane
