"""Rows on their way: which goes when, and what becomes of it."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import Any, Final, Protocol

from engine.batch.attempt import Outcome, ReadOutcome, send
from engine.batch.keeping.records import (
    Record,
    failure_record,
    invalid_record,
    success_record,
    usage_fields,
)
from engine.batch.options import Options
from engine.batch.pacing.cost import Budget
from engine.batch.pacing.limit import AutoLimit, FixedLimit
from engine.batch.pacing.meter import Meter
from engine.batch.pacing.pace import Pace
from engine.batch.queue import Item, Queue
from engine.batch.reading.manifest import Manifest
from engine.batch.reading.rendering import Address, about_tokens, model_of
from engine.batch.reading.rows import BadRow, Row
from engine.batch.reading.schema import schema_check
from engine.batch.showing.summary import Stopped
from engine.batch.verdict import Verdict, verdict
from engine.errors import Category, ConfigError, EngineError, ResourceError
from engine.transport.multi import Multi

__all__ = ["Flow", "Keeper", "Ledger"]

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


class Keeper(Protocol):
    """What a flow asks of the batch it belongs to."""

    def wake_at(self, when: float) -> None:
        """Call `Flow.turn` at `when`, or earlier."""

    def stop(
        self, stopped: Stopped, reason: str, seconds: float, error: EngineError | None = None
    ) -> None:
        """No more rows; `Flow.cancel` after so many seconds."""

    def fail(self, error: EngineError | OSError) -> None:
        """It cannot go on."""

    def landed(self) -> None:
        """Nothing is under way any more, and nothing more will be."""


class Ledger(Protocol):
    """What a flow asks of where outcomes are written: a `Store`, or a list on another machine."""

    @property
    def manifest(self) -> Manifest:
        """What is asked."""

    @property
    def pending(self) -> int:
        """Lines that are not safe yet."""

    @property
    def failure(self) -> ResourceError | None:
        """Why nothing more can be written, or None."""

    def write(self, record: Record) -> None:
        """Write a line."""


class Flow:
    """Sends rows as the pace and the budget allow, asks again, and has outcomes written.

    Attributes:
        pace, budget, meter: see there.
        flying: the rows under way, and the handles of their attempts.
    """

    def __init__(self, multi: Multi, options: Options, ledger: Ledger, keeper: Keeper) -> None:
        now = monotonic()
        self._multi = multi
        self._options = options
        self._ledger = ledger
        self._keeper = keeper
        self._address = Address(ledger.manifest, options.api_key)
        self._misfit = schema_check(options.schema)
        self.limit = (
            AutoLimit(options.max_concurrency)
            if options.concurrency == "auto"
            else FixedLimit(options.concurrency)
        )
        self.pace = Pace(self.limit, options.rpm, options.tpm, now)
        self.budget = Budget(options.max_cost, options.max_tokens_total, options.prices)
        self.meter = Meter(now)
        self.queue = Queue(iter(()))
        self.flying: dict[int, tuple[Item, Any]] = {}
        self._ended: deque[tuple[Item, ReadOutcome]] = deque()
        self._open = False

    def check(self, row: Row) -> str | None:
        """None where `row` can be sent, else why not.

        Raises:
            ConfigError: as `Address.check`; or the row has no price, and there is a most to spend.
        """
        why = self._address.check(row)
        if why is None and self._options.max_cost is not None:
            model = model_of(row, self._ledger.manifest)
            if self.budget.price(model) is None:
                raise ConfigError(f"max_cost: the prices tell none for the model {model!r}; add it")
        return why

    def open(self, rows: Iterator[Row | BadRow]) -> None:
        """Begin with `rows`, read as they are needed."""
        self.queue = Queue(rows)
        self._open = True
        self.turn()

    def close(self) -> None:
        """Begin no more rows."""
        self._open = False

    def cancel(self) -> None:
        """Cancel what is under way; it ends in `info_read`."""
        for _, handle in list(self.flying.values()):
            handle.cancel()

    def turn(self) -> None:
        """Write what ended and send whatever may go now, for a moment; know when to go on."""
        until = monotonic() + _SLICE
        while True:
            if self._ended:
                self._settle(*self._ended.popleft())
            # After each answer: that the limit is used is what lets it grow.
            if self._open:
                self._fill(until)
            elif not self.flying:
                self._keeper.landed()
            if not self._ended:
                return
            if monotonic() > until:
                self._keeper.wake_at(until)
                return

    def _fill(self, until: float) -> None:
        while self._open:
            if self._ledger.failure is not None:
                self._keeper.fail(self._ledger.failure)
                return
            if self._ledger.pending > _MOST_UNWRITTEN:
                self._keeper.wake_at(monotonic() + 0.01)
                return
            now = monotonic()
            item = self.queue.peek(now, 100 + 2 * self.limit.value)
            if item is None:
                self._nothing_to_send()
                return
            if isinstance(item, BadRow):
                self.queue.take(item)
                self._invalid(item, item.message)
            elif self._ready(item) and not self._send(item, now):
                return
            if now > until:
                self._keeper.wake_at(now)
                return

    def _nothing_to_send(self) -> None:
        when = self.queue.when()
        if when is not None:
            self._keeper.wake_at(when)
        elif self.queue.empty and not self.flying:
            self._keeper.landed()

    def _ready(self, item: Item) -> bool:
        """Write the row as a request; False: it cannot be, and is out of the way."""
        if item.rendered is not None:
            return True
        try:
            why = self._address.check(item.row)
            if why is None:
                key = f"{self._ledger.manifest.batch}-{item.row.key.hex()}"
                item.rendered = self._address.render(item.row, key)
                item.tokens = about_tokens(item.rendered)
                return True
        except ConfigError as error:
            why = error.message
        self.queue.take(item)
        self._invalid(item.row, f"line {item.row.number}: {why}")
        return False

    def _send(self, item: Item, now: float) -> bool:
        """Send `item` if it may go; False: not now."""
        rendered = item.rendered
        assert rendered is not None
        wait = self.pace.wait(now, len(self.flying), item.tokens)
        if wait != 0.0:
            if wait is not None:
                self._keeper.wake_at(now + wait)
            return False
        reason = self.budget.room(len(self.flying), rendered.model, item.tokens)
        if reason is not None:
            if not self.flying:
                self._keeper.stop(
                    "budget", f"{reason}; raise it and run the same command again", 0.0
                )
            return False
        self.queue.take(item)
        self.pace.sent(now, item.tokens)
        item.sent_at = now
        item.attempts += 1
        handle = send(
            self._multi, rendered, self._options.timeouts, lambda read: self._note(item, read)
        )
        self.flying[id(item)] = (item, handle)
        return True

    def _note(self, item: Item, read: ReadOutcome) -> None:
        """An attempt is over; called in `info_read`, by a thousand of them at once if need be."""
        self._ended.append((item, read))
        self._keeper.wake_at(monotonic())

    def _settle(self, item: Item, read: ReadOutcome) -> None:
        """Write how an attempt ended, or have the row wait for another."""
        outcome = read()
        now = monotonic()
        in_flight = len(self.flying)
        del self.flying[id(item)]
        if not outcome.cancelled:
            self._account(item, outcome, now, in_flight)
            error = outcome.error or self._misfit(outcome.text)
            if error is None:
                self._answered(item, outcome, now)
            else:
                self._failed(item, outcome, error, now)

    def _account(self, item: Item, outcome: Outcome, now: float, in_flight: int) -> None:
        rendered = item.rendered
        assert rendered is not None
        usage = outcome.usage
        self.pace.heard(now, outcome.rate_limit)
        limit = self.limit.value
        self.pace.ended(now, item.sent_at, in_flight, outcome.error)
        if self.limit.value != limit:
            _log.info("concurrency %d, was %d", self.limit.value, limit)
        if usage is not None:
            tokens = usage.total_tokens or (usage.input_tokens or 0) + (usage.output_tokens or 0)
            self.pace.used(now, item.tokens, tokens)
        elif outcome.error is not None:
            self.pace.used(now, item.tokens, 0)
        if usage is not None:
            cost = self.budget.spent(rendered.model, usage)
            if cost is not None:
                item.cost = (item.cost or 0.0) + cost
        elif outcome.error is None:
            self.budget.guessed(rendered.model, item.tokens)
        self.meter.ended(now, outcome, self.limit.value)

    def _answered(self, item: Item, outcome: Outcome, now: float) -> None:
        assert outcome.body is not None
        record = success_record(
            item.row,
            outcome.status or 200,
            outcome.request_id,
            outcome.body,
            finish_reason=outcome.finish_reason,
            **_beside(item, outcome),
        )
        self._ledger.write(record)
        self.meter.done += 1

    def _failed(self, item: Item, outcome: Outcome, error: EngineError, now: float) -> None:
        limited = error.category is Category.RATE_LIMIT
        item.failures += not limited
        if limited and item.answered is None:
            item.answered = self.pace.answered
        elif limited and self.pace.answered > (item.answered or 0):
            item.refusals += 1
        what = verdict(
            error, item.failures, self._options.max_attempts, item.refusals, self.pace.answered
        )
        if what is Verdict.HALT:
            self._keeper.stop("error", error.message, _HALT_DRAIN, error)
        elif what is Verdict.FAILED:
            self._ledger.write(
                failure_record(item.row, error, outcome.body, **_beside(item, outcome))
            )
            self.meter.fail(error.category)
        elif limited:
            # After the gate opens others go first: one that is refused again and again must not be
            # the one that shows whether the provider is at work.
            opens = max(self.pace.gate.until, now)
            self.queue.put_back(item, opens + _delay(item.attempts - item.failures))
        else:
            wait = max(error.retry_after or 0.0, _delay(item.failures))
            self.queue.put_back(item, now + wait)

    def _invalid(self, row: Row | BadRow, message: str) -> None:
        self._ledger.write(invalid_record(row, message))
        self.meter.fail(Category.INVALID_ARG)


def _beside(item: Item, outcome: Outcome) -> dict[str, Any]:
    """The facts beside the response."""
    return {
        "provider": item.rendered.provider if item.rendered is not None else None,
        "usage": usage_fields(outcome.usage),
        "timing": outcome.timing or None,
        "attempts": item.attempts,
        "cost": round(item.cost, 9) if item.cost is not None else None,
    }


def _delay(failures: int) -> float:
    bound = min(_MAX_DELAY, _BASE_DELAY * 2.0 ** min(failures - 1, 16))
    return bound * random.random()
