"""Rows on their way: which goes when, and what becomes of it."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

import msgspec

from engine.asking.rendered import Rendered
from engine.batch.attempt import OnEnd, ReadOutcome, send
from engine.batch.book import Book, Ledger
from engine.batch.lane import Doubt, Item, Lane
from engine.batch.lanes import Lanes
from engine.batch.options import Options
from engine.batch.outcome import Outcome
from engine.batch.reading.rendering import Address, model_of
from engine.batch.reading.rows import BadRow, Row
from engine.batch.reading.schema import schema_check
from engine.batch.reask import mended, told_what_was_wrong
from engine.batch.showing.summary import Stopped
from engine.batch.telling import telling
from engine.batch.verdict import Verdict, is_nobodys, verdict
from engine.batch.waiting import long_wait
from engine.errors import Category, ConfigError, EngineError
from engine.transport.deadlines import Timeouts
from engine.transport.multi import Multi

__all__ = ["Ending", "Flow", "Handle", "SendBy"]


class Handle(Protocol):
    """An attempt under way."""

    def cancel(self) -> object:
        """End it."""


SendBy = Callable[[Rendered, Timeouts, str | None, OnEnd], Handle]

_log: Final = logging.getLogger("engine.batch")

# Seconds of work at a stretch: a thousand answers that come at once are written, and the requests
# after them begun, in several turns of the loop.
_SLICE: Final = 0.005
# Lines that wait for the disk before no more rows are begun: a slow disk must not fill the memory.
_MOST_UNWRITTEN: Final = 4096
# Seconds a row waits after a failure or a refusal: at most the first, doubled each time up to the
# second, all of it left to chance (full jitter).
_BASE_DELAY: Final = 0.5
_MAX_DELAY: Final = 30.0
# Seconds that what is under way gets when every further row would fail.
_HALT_DRAIN: Final = 5.0


class Ending(msgspec.Struct, frozen=True):
    """Why no more rows should be begun, and the seconds those under way get."""

    stopped: Stopped
    reason: str
    seconds: float
    error: EngineError | None = None


class Flow:
    """Sends rows as the pace and the budget allow, asks again, and has outcomes written.

    Whoever holds one calls `turn` when `wake_at` asked for it, and looks at `ending` and `landed`
    afterwards.

    Args:
        multi, options: of the run.
        ledger: where outcomes are written.
        wake_at: called with the time at which `turn` should be called next.
        notice: called with a sentence the user may want to know.
        send_by: begins an attempt, as `engine.batch.attempt.send` does; None: that, by `multi`.

    Attributes:
        book, lanes: see there.
        flying: the rows under way, and the handles of their attempts.
        ending: why it wants to end, or None.
        landed: nothing is under way, and nothing more will be.
    """

    def __init__(
        self,
        multi: Multi,
        options: Options,
        ledger: Ledger,
        wake_at: Callable[[float], object],
        notice: Callable[[str], object],
        send_by: SendBy | None = None,
    ) -> None:
        now = monotonic()
        self._send_by: SendBy = telling(send_by or partial(send, multi))
        self._options = options
        self._wake_at = wake_at
        self._notice = notice
        self._manifest = ledger.manifest
        self._address = Address(ledger.manifest, options.api_key, options.headers, options.base_url)
        self._misfit = schema_check(options.schema)
        self.book: Book = Book(options, ledger, now)
        self.lanes: Lanes = Lanes(multi, options, self._address, ledger.manifest.batch, now)
        self.flying: dict[int, tuple[Item, Lane, Handle]] = {}
        self.ending: Ending | None = None
        self.landed: bool = False
        self._ended: deque[tuple[Item, Lane, ReadOutcome]] = deque()
        self._open = False

    def check(self, row: Row) -> str | None:
        """None where `row` can be sent, else why not.

        Raises:
            ConfigError: as `Address.check`; or the row has no price, and there is a most to spend.
        """
        why = self._address.check(row)
        if why is None and self._options.max_cost is not None:
            model = model_of(row, self._manifest)
            if self.book.budget.price(model) is None:
                raise ConfigError(
                    f"max_cost: there is no price for the model {model!r}; give one by --prices"
                )
        return why

    def open(self, rows: Iterator[Row | BadRow]) -> None:
        """Begin with `rows`, read as they are needed."""
        self.lanes.open(rows)
        self._open, self.landed = True, False
        most, room = self.lanes.ceiling.full, self.lanes.room()
        self.lanes.ceiling.found(monotonic(), room)
        wanted = 100 if self._options.concurrency == "auto" else most
        if room is not None and room < min(most, wanted):
            self._notice(
                f"descriptors for {room} connections, not {most}: no more are in flight (ulimit -n)"
            )
        self.turn()

    def close(self) -> None:
        """Begin no more rows."""
        self._open = False

    def cancel(self) -> None:
        """Cancel what is under way; it ends in `info_read`."""
        for _, _, handle in list(self.flying.values()):
            handle.cancel()

    def turn(self) -> None:
        """Write what ended and send whatever may go now, for a moment; ask to be called again."""
        until = monotonic() + _SLICE
        while True:
            if self._ended:
                self._settle(*self._ended.popleft())
            # After each answer: that the limit is used is what lets it grow.
            if self._open:
                self._fill(until)
            elif not self.flying:
                self._land()
            if not self._ended:
                return
            if monotonic() > until:
                self._wake_at(until)
                return

    def facts(self, now: float) -> dict[str, Any]:
        """What `Progress` tells of this run."""
        meter, lanes = self.book.meter, self.lanes.all
        held = [lane.pace.gate.until - now for lane in lanes if lane.closed is None]
        return {
            "done": meter.done,
            "failed": meter.failed,
            "in_flight": len(self.flying),
            "limit": self.lanes.limit,
            "waiting": self.lanes.again,
            "requests": meter.requests,
            "unanswered": meter.unanswered,
            "refused": sum(lane.pace.refused for lane in lanes),
            "input_tokens": meter.input_tokens,
            "output_tokens": meter.output_tokens,
            "cost": self.book.budget.spent.cost,
            "held": max(min(held, default=0.0), 0.0),
            "ttft": meter.ttft.median(),
            "seconds": meter.seconds(now),
            "errors": dict(meter.errors),
            "reasons": dict(meter.reasons),
            "partial": dict(meter.partial),
        }

    def _land(self) -> None:
        # Interrupted, they stay in doubt, and are asked again.
        for lane in self.lanes.all if self._open else ():
            self._undoubt(lane)
        self.landed = True

    # -- sending -----------------------------------------------------------------------------

    def _fill(self, until: float) -> None:
        ledger = self.book.ledger
        while self._open:
            if ledger.failure is not None:
                error = ledger.failure
                self.ending = Ending("error", error.message, 0.0, error)
                return
            if ledger.pending > _MOST_UNWRITTEN:
                self._wake_at(monotonic() + 0.01)
                return
            if len(self.flying) >= self.lanes.ceiling.value:
                return
            now = monotonic()
            lane, item, when = self.lanes.choose(now)
            if isinstance(item, BadRow):
                self.book.invalid(item, item.message)
            elif lane is None or item is None:
                self._nothing_to_send(when)
                return
            elif not self._send(lane, item, now):
                return
            if now > until:
                self._wake_at(now)
                return

    def _nothing_to_send(self, when: float | None) -> None:
        if when is not None:
            self._wake_at(when)
        elif self.lanes.empty and not self.flying:
            closed = self.lanes.closed
            if closed:
                left = self.lanes.skipped
                more = f"; {left} rows more were asked of the same" if left else ""
                reason = "; ".join(lane.closed or "" for lane in closed) + more
                self.ending = Ending("error", reason, 0.0, closed[0].error)
            self._land()

    def _send(self, lane: Lane, item: Item, now: float) -> bool:
        """Send `item` if the budget lets it; False: not now."""
        rendered, demand = item.rendered, item.demand
        assert rendered is not None and demand is not None
        reason = self.book.budget.reached(demand)
        if reason is not None:
            reason = f"{reason}; raise it and run the same command again"
            self.ending = Ending("budget", reason, 0.0)
            self._open = False
            return False
        if not self.book.budget.reserve(id(item), demand):
            return False
        lane.take(item)
        if item.attempts == 0 and lane.refusal is not None:
            item.rendered = rendered = mended(rendered, lane.refusal) or rendered
        lane.sent(now, demand.estimate)
        item.sent_at = now
        item.attempts += 1
        timeouts, path = self._options.timeouts, item.row.path

        def note(read: ReadOutcome) -> None:
            # Called in `info_read`, by a thousand attempts at once if need be.
            self._ended.append((item, lane, read))
            self._wake_at(monotonic())

        handle = self._send_by(rendered, timeouts, path, note)
        self.flying[id(item)] = (item, lane, handle)
        return True

    # -- what came of it ---------------------------------------------------------------------

    def _settle(self, item: Item, lane: Lane, read: ReadOutcome) -> None:
        """Write how an attempt ended, or have the row wait for another."""
        outcome = read()
        now = monotonic()
        self._account(item, lane, outcome, now)
        del self.flying[id(item)]
        lane.ended()
        if outcome.cancelled:
            return
        if outcome.error is not None:
            self._failed(item, lane, outcome, outcome.error, now)
            return
        lane.quiet_since = None
        self.lanes.ceiling.answered(now, item.sent_at, self.lanes.room)
        self._undoubt(lane)
        if item.refusal is not None and lane.refusal is None:
            lane.refusal = item.refusal
            self._notice(f"{lane.name}: {item.refusal.message}; rows are asked without that")
        misfit = self._misfit(outcome.text)
        if misfit is None:
            self.book.answered(item, outcome)
        else:
            self._ask_again(item, lane, outcome, misfit, now)

    def _account(self, item: Item, lane: Lane, outcome: Outcome, now: float) -> None:
        demand, pace = item.demand, lane.pace
        assert demand is not None
        before = item.spent.tokens
        self.book.count(item, outcome)
        self.book.meter.unanswered += outcome.error is not None and outcome.billed
        if outcome.cancelled:
            return
        pace.heard(now, outcome.rate_limit)
        limit = pace.limit.value
        spare = 0.0
        if outcome.error is not None:
            # Half the attempts of all rows that wait: an outage must not use up those of any.
            spare = (
                (lane.in_flight + lane.fresh + lane.again) * (self._options.max_attempts - 1) / 2
            )
        pace.ended(now, item.sent_at, lane.in_flight, outcome.error, spare)
        if pace.limit.value != limit:
            _log.info("%s: concurrency %d, was %d", lane.name, pace.limit.value, limit)
        pace.used(now, demand.estimate, item.spent.tokens - before)
        self.book.meter.ended(now, outcome, self.lanes.limit)

    def _ask_again(
        self, item: Item, lane: Lane, outcome: Outcome, misfit: EngineError, now: float
    ) -> None:
        """The answer does not fit: ask for another, and say what was wrong."""
        item.failures += 1
        item.misfits += 1
        if item.failures >= self._options.max_attempts:
            self.book.failed(item, outcome, misfit)
            return
        key = f"{self._manifest.batch}-{item.row.key.hex()}-{item.misfits}"
        first, _ = self._address.render(item.row, key)
        first = mended(first, lane.refusal) or first
        item.rendered = told_what_was_wrong(first, outcome.text, misfit.message, key)
        lane.put_back(item, now)

    def _failed(
        self, item: Item, lane: Lane, outcome: Outcome, error: EngineError, now: float
    ) -> None:
        if item.refusal is None and item.rendered is not None:
            without = mended(item.rendered, error)
            if without is not None:
                item.rendered, item.refusal = without, error
                if lane.closed is None:
                    lane.put_back(item, now)
                return
        pace = lane.pace
        limited = error.category is Category.RATE_LIMIT
        item.failures += not limited and not is_nobodys(error)
        if limited:
            # Alone: nothing else is asked that could be answered meanwhile.
            alone = not lane.in_flight and not lane.fresh and not lane.again
            if alone or (item.answered is not None and pace.answered > item.answered):
                item.refusals += 1
            item.answered = pace.answered if item.answered is None else item.answered
        what = verdict(
            error, item.failures, self._options.max_attempts, item.refusals, pace.answered
        )
        if what is Verdict.HALT:
            self._close(lane, error.message, error)
        elif what is Verdict.DOUBT:
            if lane.closed is None and lane.doubt(Doubt(item, outcome, error)):
                self._close(lane, f"every row was refused alike: {error.message}", error)
        elif what is Verdict.FAILED:
            self.book.failed(item, outcome, error)
        else:
            self._again(item, lane, error, limited, now)

    def _again(self, item: Item, lane: Lane, error: EngineError, limited: bool, now: float) -> None:
        if error.category is Category.RESOURCE:
            ceiling = self.lanes.ceiling
            if ceiling.lacked(now, item.sent_at, len(self.flying) + 1):
                self._notice(f"{error.message}; no more than {ceiling.value} are in flight now")
        why = long_wait(lane, error, self._options.max_wait, now, self._notice)
        if why is not None:
            self._close(lane, why, error)
        elif lane.closed is not None:
            return
        elif limited:
            # After the gate opens others go first: one that is refused again and again must not be
            # the one that shows whether the provider is at work. What all were refused for they
            # wait out once, together: only refusals that tell of this row make it wait longer.
            opens = max(lane.pace.gate.until, now)
            lane.put_back(item, opens + _delay(item.refusals + 1))
        else:
            # Others first here too: each has so many attempts, and a storm takes them of all alike.
            wait = (error.retry_after or 0.0) + _delay(max(item.failures, 1))
            lane.put_back(item, now + wait)

    def _close(self, lane: Lane, reason: str, error: EngineError) -> None:
        """Ask no more rows of `lane`; where it is the only one there can be, end."""
        self.lanes.skipped += lane.fresh + lane.again
        lane.close(reason, error)
        if self._manifest.model is not None and all(each.closed for each in self.lanes.all):
            self.ending = Ending("error", reason, _HALT_DRAIN, error)
            self._open = False

    def _undoubt(self, lane: Lane) -> None:
        """Rows that failed as perhaps all do failed on their own."""
        for doubt in lane.cleared():
            self.book.failed(doubt.item, doubt.outcome, doubt.error)


def _delay(failures: int) -> float:
    bound = min(_MAX_DELAY, _BASE_DELAY * 2.0 ** min(failures - 1, 16))
    return bound * random.random()
