"""The batch: rows in, answers out, in whatever loop drives the `Multi`."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from time import monotonic
from typing import Any, Final

from engine.batch.address import Address
from engine.batch.attempt import Outcome, send
from engine.batch.budget import Budget
from engine.batch.limit import AutoLimit, FixedLimit
from engine.batch.meter import Meter
from engine.batch.options import Options
from engine.batch.order import put_in_order
from engine.batch.pace import Pace
from engine.batch.plan import Past, Plan
from engine.batch.queue import Item, Queue
from engine.batch.records import failure_record, invalid_record, success_record
from engine.batch.rows import BadRow, Row
from engine.batch.schema import schema_check
from engine.batch.source import Format, Source
from engine.batch.store import Store
from engine.batch.summary import Progress, Stopped, Summary
from engine.batch.verdict import Verdict, verdict
from engine.errors import Category, ConfigError, EngineError, ResourceError
from engine.transport.multi import Multi
from engine.transport.timers import Timer

__all__ = ["Batch"]

OnDone = Callable[[Summary], object]
OnNotice = Callable[[str], object]

# Seconds of reading files at a stretch, between two turns of the host's loop.
_SLICE: Final = 0.005
# Lines that wait for the disk before no more rows are begun: a slow disk must not fill the memory.
_MOST_UNWRITTEN: Final = 4096
# Seconds a row waits after a failure of the server: at most the first, doubled each time up to the
# second, all of it left to chance (full jitter).
_BASE_DELAY: Final = 0.5
_MAX_DELAY: Final = 30.0
# Seconds that what is under way gets when every further row would fail.
_HALT_DRAIN: Final = 5.0


class _Phase(Enum):
    NEW = "new"
    READING = "reading"
    RUNNING = "running"
    DRAINING = "draining"
    ENDING = "ending"
    OVER = "over"


class Batch:
    """Asks every row of an input once and writes every answer once.

    It is driven as a stream is: by `perform` and `info_read` of the `Multi`, which counts it as one
    open request and whose `info_read` returns its `Summary`. Run again with the same arguments it
    goes on where it was, however it ended. All methods may be called from any callback.

    Args:
        multi: the engine that drives it.
        input: a path, ``"-"`` for stdin, or an iterable of rows; see `engine.batch.rows`.
        output: path of the output, or ``"-"`` for stdout.
        options: see `Options`.
        format: ``jsonl``, ``text`` or ``csv``; None: found out.
        on_done: called with the summary, in `info_read`.
        on_notice: called with a sentence the user may want to know; in `perform`, signals held.

    Attributes:
        summary: None until it is over.

    Raises:
        ConfigError: an argument is wrong, or the output belongs to another run.
        ResourceError: another process writes the output, or the disk refuses.
    """

    def __init__(
        self,
        multi: Multi,
        input: str | os.PathLike[str] | Iterable[Any],
        output: str | os.PathLike[str],
        options: Options | None = None,
        *,
        format: Format | None = None,
        on_done: OnDone | None = None,
        on_notice: OnNotice | None = None,
    ) -> None:
        self._multi = multi
        self._options = options = options or Options()
        self._on_done = on_done
        self._notice = on_notice or (lambda sentence: None)
        self._misfit = schema_check(options.schema)
        _check_paths(input, output, options.errors)
        self._source = Source(input, format)
        try:
            self._store = Store(
                os.fspath(output),
                os.fspath(options.errors) if options.errors is not None else None,
                options.manifest(),
                force=options.force,
            )
        except BaseException:
            self._source.close()
            raise
        self._address = Address(self._store.manifest, options.api_key)
        self._limit = (
            AutoLimit(options.max_concurrency)
            if options.concurrency == "auto"
            else FixedLimit(options.concurrency)
        )
        self._pace = Pace(self._limit, options.rpm, options.tpm, monotonic())
        self._budget = Budget(options.max_cost, options.max_tokens_total, options.prices)
        self._past = Past()
        self._plan = Plan()
        self._queue = Queue(iter(()))
        self._flying: dict[int, tuple[Item, Any]] = {}
        self.meter = Meter(monotonic())
        self._steps: Iterator[None] = iter(())
        self._phase = _Phase.NEW
        self._timer: Timer | None = None
        self._stopped: Stopped | None = None
        self._reason: str | None = None
        self._error: EngineError | None = None
        self.summary: Summary | None = None

    def __repr__(self) -> str:
        return f"<Batch {self._phase.value} {len(self._flying)} in flight>"

    # -- for users ---------------------------------------------------------------------------

    def start(self) -> Batch:
        """Begin, having done no I/O on the network; returns itself. Once."""
        if self._phase is _Phase.NEW:
            owner: Any = self
            self._multi._owners[id(self)] = owner  # the Multi is open until this is over
            self._phase = _Phase.READING
            self._steps = self._read()
            for warning in self._store.warnings:
                self._notice(warning)
            self._wake_at(monotonic())
        return self

    def drain(self, seconds: float) -> None:
        """Begin no more rows, give those under way so many seconds, then stop."""
        self._stop("interrupted", "interrupted; run the same command again to go on", seconds)

    def cancel(self) -> None:
        """Stop now. Rows under way are asked again in the next run."""
        self._stop("interrupted", "stopped; run the same command again to go on", 0.0)

    def progress(self) -> Progress:
        """Where it is; cheap, at any time."""
        return Progress(**self._facts())

    # -- the life of it: `_turn` is the one timer --------------------------------------------

    def _turn(self) -> None:
        self._timer = None
        try:
            self._advance()
        except EngineError as error:
            self._fail(error)
        except OSError as error:
            failure = ResourceError(f"the batch cannot go on: {error}", retryable=False)
            failure.__cause__ = error
            self._fail(failure)

    def _advance(self) -> None:
        if self._phase is _Phase.READING:
            if self._work():
                self._begin()
        elif self._phase is _Phase.RUNNING:
            self._fill()
        elif self._phase is _Phase.DRAINING:
            for _, handle in list(self._flying.values()):
                handle.cancel()
        elif self._phase is _Phase.ENDING:
            self._end()

    def _work(self) -> bool:
        """Go on with reading files for a moment; True: they are read."""
        until = monotonic() + _SLICE
        for _ in self._steps:
            if monotonic() > until:
                self._wake_at(until)
                return False
        return True

    def _read(self) -> Iterator[None]:
        options = self._options
        yield from self._store.read(self._past)
        yield from self._plan.read(
            self._source,
            self._past,
            self._belongs,
            self._address.check,
            options.retry_errors,
            options.limit,
        )

    def _begin(self) -> None:
        for sentence in self._plan.report(self._past, self._source.name):
            self._notice(sentence)
        past = self._past
        self._store.begin(self._options.retry_errors)
        self._budget.cost, self._budget.tokens = past.cost, past.tokens
        self._queue = Queue(self._rows())
        self._phase = _Phase.RUNNING
        self._fill()

    def _rows(self) -> Iterator[Row | BadRow]:
        """The rows that are left, read a second time."""
        options = self._options
        for number, row in enumerate(self._source.rows()):
            if options.limit is not None and number >= options.limit:
                return
            if self._belongs(row) and not self._past.settled(row, options.retry_errors):
                yield row

    def _belongs(self, row: Row | BadRow) -> bool:
        shard = self._options.shard
        return shard is None or int.from_bytes(row.key[:8], "big") % shard[1] == shard[0] - 1

    # -- rows --------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Send whatever may go now, and know when to look again."""
        while self._phase is _Phase.RUNNING:
            if self._store.failure is not None:
                self._fail(self._store.failure)
                return
            if self._store.pending > _MOST_UNWRITTEN:
                self._wake_at(monotonic() + 0.01)
                return
            now = monotonic()
            item = self._queue.peek(now, 100 + 2 * self._limit.value)
            if item is None:
                self._nothing_to_send()
                return
            if isinstance(item, BadRow):
                self._queue.take(item)
                self._invalid(item, item.message)
            elif self._ready(item) and not self._send(item, now):
                return

    def _nothing_to_send(self) -> None:
        when = self._queue.when()
        if when is not None:
            self._wake_at(when)
        elif self._queue.empty and not self._flying:
            self._settle()

    def _ready(self, item: Item) -> bool:
        """Write the row as a request; False: it cannot be, and is out of the way."""
        if item.call is not None:
            return True
        try:
            why = self._address.check(item.row)
            if why is None:
                key = f"{self._store.manifest.batch}-{item.row.key.hex()}"
                item.call = self._address.call(item.row, key)
                return True
        except ConfigError as error:
            why = error.message
        self._queue.take(item)
        self._invalid(item.row, f"line {item.row.number}: {why}")
        return False

    def _send(self, item: Item, now: float) -> bool:
        """Send `item` if it may go; False: not now."""
        call = item.call
        assert call is not None
        wait = self._pace.wait(now, len(self._flying), call.tokens)
        if wait != 0.0:
            if wait is not None:
                self._wake_at(now + wait)
            return False
        reason = self._budget.room(len(self._flying), call.model, call.tokens)
        if reason is not None:
            if not self._flying:
                self._stop("budget", f"{reason}; raise it and run the same command again", 0.0)
            return False
        self._queue.take(item)
        self._pace.sent(now, call.tokens)
        item.sent_at = now
        item.attempts += 1
        handle = send(
            self._multi, call, self._options.timeouts, lambda outcome: self._ended(item, outcome)
        )
        self._flying[id(item)] = (item, handle)
        return True

    def _ended(self, item: Item, outcome: Outcome) -> None:
        """An attempt is over; called in `info_read`."""
        now = monotonic()
        in_flight = len(self._flying)
        del self._flying[id(item)]
        if not outcome.cancelled:
            self._account(item, outcome, now, in_flight)
            error = outcome.error or self._misfit(outcome.text)
            if error is None:
                self._answered(item, outcome, now)
            else:
                self._failed(item, outcome, error, now)
        if self._phase is _Phase.RUNNING:
            try:
                self._fill()
            except (EngineError, OSError):
                self._wake_at(now)  # raised again, and dealt with, where files are read
        elif self._phase is _Phase.DRAINING and not self._flying:
            self._settle()

    def _account(self, item: Item, outcome: Outcome, now: float, in_flight: int) -> None:
        call = item.call
        assert call is not None
        usage = outcome.usage
        self._pace.heard(now, outcome.rate_limit)
        self._pace.ended(now, item.sent_at, in_flight, outcome.error)
        if usage is not None:
            tokens = usage.total_tokens or (usage.input_tokens or 0) + (usage.output_tokens or 0)
            self._pace.used(now, call.tokens, tokens)
        elif outcome.error is not None:
            self._pace.used(now, call.tokens, 0)
        cost = self._budget.spent(call.model, usage)
        if cost is not None:
            item.cost = (item.cost or 0.0) + cost
        self.meter.ended(now, outcome, self._limit.value)

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
        self._store.write(record)
        self.meter.done += 1

    def _failed(self, item: Item, outcome: Outcome, error: EngineError, now: float) -> None:
        limited = error.category is Category.RATE_LIMIT
        item.failures += not limited
        if not limited:
            item.refusals = 0
        elif self._pace.answered > item.answered:
            item.refusals += 1
        item.answered = self._pace.answered
        what = verdict(
            error, item.failures, self._options.max_attempts, item.refusals, self._pace.answered
        )
        if what is Verdict.HALT:
            self._stop("error", error.message, _HALT_DRAIN, error)
        elif what is Verdict.FAILED:
            self._store.write(
                failure_record(item.row, error, outcome.body, **_beside(item, outcome))
            )
            self.meter.fail(error.category)
        elif limited:
            self._queue.put_back(item, now)  # the gate does the waiting
        else:
            self._queue.put_back(item, now + _delay(item.failures, error))

    def _invalid(self, row: Row | BadRow, message: str) -> None:
        self._store.write(invalid_record(row, message))
        self.meter.fail(Category.INVALID_ARG)

    # -- the end -----------------------------------------------------------------------------

    def _fail(self, error: EngineError) -> None:
        self._stop("error", error.message, 0.0, error)

    def _stop(
        self, stopped: Stopped, reason: str, seconds: float, error: EngineError | None = None
    ) -> None:
        """Begin no more rows; end when those under way have ended, or after so many seconds."""
        if self._phase in (_Phase.ENDING, _Phase.OVER):
            return
        if self._stopped is None:
            self._stopped, self._reason, self._error = stopped, reason, error
        if self._phase is _Phase.NEW:
            self._phase = _Phase.OVER
            self._close()
            return
        self._phase = _Phase.DRAINING
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flying:
            self._wake_at(monotonic() + seconds)
        else:
            self._settle()

    def _settle(self) -> None:
        """No row is under way any more: wait for the disk, then end."""
        self._phase = _Phase.ENDING
        self._steps = iter(())
        if self._options.ordered and self._stopped is None and self._store.output != "-":
            self._steps = put_in_order(self._store.output, self._source)
        self._wake_at(monotonic())

    def _end(self) -> None:
        failure = self._store.failure
        if failure is not None:
            self._stopped, self._reason, self._error = "error", failure.message, failure
        elif self._store.pending:
            self._wake_at(monotonic() + 0.002)
            return
        elif not self._work():
            return
        self._phase = _Phase.OVER
        self._close()
        owner: Any = self
        self._multi.finished(owner)

    def _close(self) -> None:
        self._store.close()
        self._source.close()

    # -- Owner, of the Multi: see engine.transport.transfer -----------------------------------

    def conclude(self) -> Summary:
        """The summary, for `info_read`."""
        if self.summary is None:
            self.summary = Summary(
                **self._facts(), stopped=self._stopped, reason=self._reason, error=self._error
            )
        return self.summary

    def announce(self) -> None:
        """Call the completion handler."""
        on_done, self._on_done = self._on_done, None
        if on_done is not None and self.summary is not None:
            on_done(self.summary)

    # ----------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        plan, meter, now = self._plan, self.meter, monotonic()
        return {
            "rows": plan.rows,
            "done": plan.done + meter.done,
            "failed": plan.failed + meter.failed,
            "begun": plan.done + plan.failed,
            "in_flight": len(self._flying),
            "limit": self._limit.value,
            "waiting": len(self._queue),
            "requests": meter.requests,
            "refused": self._pace.refused,
            "input_tokens": meter.input_tokens,
            "output_tokens": meter.output_tokens,
            "cost": self._budget.cost,
            "held": max(self._pace.gate.until - now, 0.0),
            "ttft": meter.ttft.median(),
            "seconds": meter.seconds(now),
            "errors": dict(meter.errors),
        }

    def _wake_at(self, when: float) -> None:
        """Have `_turn` called at `when`, unless it is called earlier."""
        if self._timer is not None and self._timer.call is not None and self._timer.when <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._multi.call_at(when, self._turn)


def _beside(item: Item, outcome: Outcome) -> dict[str, Any]:
    """The facts beside the response."""
    return {
        "provider": item.call.provider if item.call is not None else None,
        "usage": outcome.usage,
        "timing": outcome.timing or None,
        "attempts": item.attempts,
        "cost": round(item.cost, 9) if item.cost is not None else None,
    }


def _delay(failures: int, error: EngineError) -> float:
    bound = min(_MAX_DELAY, _BASE_DELAY * 2.0 ** min(failures - 1, 16))
    return max(error.retry_after or 0.0, bound * random.random())


def _check_paths(input: object, output: object, errors: object) -> None:
    """ConfigError where one file would be two."""
    paths = {"input": input, "output": output, "errors": errors}
    seen: dict[str, str] = {}
    for name, path in paths.items():
        if isinstance(path, str | os.PathLike) and path != "-":
            real = os.path.realpath(path)
            if real in seen:
                raise ConfigError(f"{seen[real]} and {name} are the same file: {real}")
            seen[real] = name
