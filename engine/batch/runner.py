"""The batch: rows in, answers out, in whatever loop drives the `Multi`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from time import monotonic
from typing import Any, Final

import msgspec

from engine.batch.answer import Answer, answer_of
from engine.batch.flow import Ending, Flow, SendBy
from engine.batch.keeping.order import put_in_order
from engine.batch.keeping.plan import Past, Plan
from engine.batch.keeping.records import Record, read_entry
from engine.batch.keeping.store import Store
from engine.batch.options import Options
from engine.batch.pacing.cost import Spent
from engine.batch.pacing.meter import Meter
from engine.batch.reading.kinds import Format
from engine.batch.reading.rows import BadRow, Row
from engine.batch.reading.source import Source
from engine.batch.showing.summary import Progress, Summary
from engine.errors import CallbackError, ConfigError, EngineError, ResourceError
from engine.transport.multi import Multi, driver_of
from engine.transport.timers import Timer

__all__ = ["Batch"]

OnAnswer = Callable[[Answer], object]
OnDone = Callable[[Summary], object]
OnNotice = Callable[[str], object]

# Seconds of reading files at a stretch, between two turns of the host's loop.
_SLICE: Final = 0.005


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
        input: a path, ``"-"`` for stdin, or an iterable of rows; see `engine.batch.reading.rows`.
        output: path of the output, or ``"-"`` for stdout.
        options: see `Options`; None: `Options()`.
        format: see `engine.batch.reading.kinds`; None: found out.
        on_answer: called with each `Answer` of this run, in `perform`, once it is written; None:
            nobody is.
        on_done: called with the summary, in `info_read`; None: nobody is.
        send_by: begins attempts elsewhere; see `engine.batch.ray`. None: here.
        on_notice: called with a sentence the user may want to know; in `perform`, signals held.
            None: nobody is.

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
        on_answer: OnAnswer | None = None,
        on_done: OnDone | None = None,
        on_notice: OnNotice | None = None,
        send_by: SendBy | None = None,
    ) -> None:
        self._multi = multi
        self._options = options = options or Options()
        self._on_done = on_done
        self._notice = on_notice or (lambda sentence: None)
        _check_paths(input, output, options.errors)
        manifest = options.manifest()
        self._source = Source(input, format, manifest.reading())
        try:
            self._store = Store(output, options.errors, manifest, force=options.force)
        except BaseException:
            self._source.close()
            raise
        try:
            self._flow = Flow(multi, options, self._store, self._wake_at, self._notice, send_by)
            if on_answer is not None:
                self._flow.book.on_record = lambda record: _tell(on_answer, record)
        except BaseException:
            self._close_files()
            raise
        self._past = Past()
        self._plan = Plan()
        self._steps: Iterator[None] = iter(())
        self._phase = _Phase.NEW
        self._timer: Timer | None = None
        self._cancel_at = math.inf
        self._ending: Ending | None = None
        self.summary: Summary | None = None

    def __repr__(self) -> str:
        return f"<Batch {self._phase.value} {len(self._flow.flying)} in flight>"

    # -- for users ---------------------------------------------------------------------------

    def start(self) -> Batch:
        """Begin, having done no I/O on the network; returns itself. Once."""
        if self._phase is _Phase.NEW:
            driver_of(self._multi).hold(self)  # the Multi is open until this is over
            self._phase = _Phase.READING
            self._steps = self._read()
            for warning in self._store.warnings:
                self._notice(warning)
            self._wake_at(monotonic())
        return self

    def drain(self, seconds: float) -> None:
        """Begin no more rows, give those under way so many seconds, then stop."""
        why = "interrupted; run the same command again to go on"
        self._stop(Ending("interrupted", why, seconds))

    def cancel(self) -> None:
        """Stop now. Rows under way are asked again in the next run."""
        why = "stopped; run the same command again to go on"
        self._stop(Ending("interrupted", why, 0.0))

    def earlier(self, wait: Callable[[], object]) -> Iterator[Answer]:
        """What earlier runs left of the rows of this one, failures that are asked again left out.

        Args:
            wait: drives the `Multi` for a moment; called until the files are read.
        """
        while self._phase in (_Phase.NEW, _Phase.READING):
            wait()
        for line in self._store.earlier():
            entry = read_entry(line)
            if entry is None or not self._past.seen(entry.key):
                continue
            if not (entry.failed and (self._options.retry_errors or self._past.done(entry.key))):
                yield answer_of(line)

    @property
    def meter(self) -> Meter:
        """What was measured, for a report."""
        return self._flow.book.meter

    def progress(self) -> Progress:
        """Where it is; cheap, at any time."""
        return Progress(**self._facts())

    # -- the life of it: `_turn` is the one timer --------------------------------------------

    def _turn(self) -> None:
        self._timer = None
        try:
            self._advance()
        except (EngineError, OSError) as error:
            self._fail(error)

    def _advance(self) -> None:
        if self._phase is _Phase.READING:
            if self._work():
                self._begin()
        elif self._phase is _Phase.RUNNING:
            self._flow.turn()
            self._follow()
        elif self._phase is _Phase.DRAINING:
            self._drain()
        elif self._phase is _Phase.ENDING:
            self._end()

    def _follow(self) -> None:
        """Do what the flow has come to."""
        ending = self._flow.ending
        if ending is not None and self._phase is _Phase.RUNNING:
            self._stop(ending)
        elif self._flow.landed:
            self._landed()

    def _drain(self) -> None:
        self._flow.turn()
        self._follow()
        if self._phase is _Phase.DRAINING and monotonic() >= self._cancel_at:
            self._cancel_at = math.inf
            self._flow.cancel()
        elif self._phase is _Phase.DRAINING and self._cancel_at < math.inf:
            self._wake_at(self._cancel_at)

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
        yield from self._store.tidy(self._past)
        yield from self._plan.take(
            self._source,
            self._past,
            options.takes,
            self._flow.check,
            options.retry_errors,
            options.limit,
        )

    def _begin(self) -> None:
        for sentence in self._plan.report(self._past, self._source.name):
            self._notice(sentence)
        past, book = self._past, self._flow.book
        self._store.begin(past if self._options.retry_errors else None)
        book.budget.resume(past.spent, past.counted, past.largest)
        book.told = msgspec.structs.replace(past.spent)
        self._phase = _Phase.RUNNING
        self._flow.open(self._rows())
        self._follow()

    def _rows(self) -> Iterator[Row | BadRow]:
        """The rows that are left, read a second time."""
        options = self._options
        for row in self._plan.again(self._source, options.limit):
            if options.takes(row) and self._past.wanted(row, options.retry_errors):
                yield row

    # -- the end -----------------------------------------------------------------------------

    def _fail(self, error: EngineError | OSError) -> None:
        """It cannot go on: stop, and keep what is there."""
        if isinstance(error, OSError) and not isinstance(error, EngineError):
            cause, error = error, ResourceError(f"the batch cannot go on: {error}", retryable=False)
            error.__cause__ = cause
        self._stop(Ending("error", error.message, 0.0, error))

    def _stop(self, ending: Ending) -> None:
        """Begin no more rows; end when those under way have ended, or after so many seconds."""
        if self._phase is _Phase.OVER:
            return
        if self._phase is _Phase.ENDING and ending.stopped == "interrupted":
            return  # every row has its outcome, or it stops already
        if self._ending is None:
            self._ending = ending
        before, self._phase = self._phase, _Phase.DRAINING
        if before is _Phase.NEW:
            self._phase = _Phase.OVER
            self._close()
            return
        self._flow.close()
        if self._flow.flying:
            self._cancel_at = min(self._cancel_at, monotonic() + ending.seconds)
            self._wake_at(self._cancel_at)
        else:
            self._landed()

    def _landed(self) -> None:
        """No row is under way any more: wait for the disk, then end. Idempotent."""
        if self._phase in (_Phase.ENDING, _Phase.OVER):
            return
        self._phase = _Phase.ENDING
        self._store.finish()
        left = self.progress().left
        if left and self._ending is None:
            reason = (
                f"{left} rows of {self._source.name} were not there when it was read again; leave "
                "it alone while the batch runs, and run the same command again"
            )
            self._ending = Ending("error", reason, 0.0)
        self._steps = self._finish()
        self._wake_at(monotonic())

    def _finish(self) -> Iterator[None]:
        """What is left to do with the files, once everything is on the disk."""
        book, store = self._flow.book, self._store
        spent, told = book.budget.spent, book.told
        store.carry(Spent(cost=spent.cost - told.cost, tokens=spent.tokens - told.tokens))
        yield from store.tidy(self._past)
        if self._options.ordered and self._ending is None and store.output != "-":
            yield from put_in_order(store.output, self._source)

    def _end(self) -> None:
        failure = self._store.failure
        if failure is not None:
            self._ending = Ending("error", failure.message, 0.0, failure)
        elif not self._store.whole:
            self._wake_at(monotonic() + 0.002)
            return
        elif not self._work():
            return
        self._phase = _Phase.OVER
        self._close()
        driver_of(self._multi).finished(self)

    def _close(self) -> None:
        self._steps = iter(())
        self._flow.lanes.open(iter(()))
        self._close_files()

    def _close_files(self) -> None:
        self._store.close()
        self._source.close()

    # -- Work of the Multi: see engine.transport.work -----------------------------------------

    def deliver(self, until: float) -> bool:
        """Nothing waits, whatever `until`: rows are told as they end."""
        return False

    def recall(self) -> None:
        """It has no text."""

    @property
    def stalled(self) -> bool:
        """Whether it goes on only when somebody reads: never."""
        return False

    def conclude(self) -> Summary:
        """The summary, for `info_read`."""
        if self.summary is None:
            ending = self._ending
            self.summary = Summary(
                **self._facts(),
                stopped=ending.stopped if ending is not None else None,
                reason=ending.reason if ending is not None else None,
                error=ending.error if ending is not None else None,
            )
        return self.summary

    def announce(self) -> bool:
        """Call the completion handler; False where it was called."""
        on_done, self._on_done = self._on_done, None
        if on_done is not None and self.summary is not None:
            on_done(self.summary)
            return True
        return False

    # ----------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        reading = self._phase in (_Phase.NEW, _Phase.READING)
        plan = Plan() if reading else self._plan
        facts = self._flow.facts(monotonic())
        return {
            **facts,
            "rows": plan.rows,
            "done": max(plan.done + facts["done"] - self._store.lost, 0),
            "failed": plan.failed + facts["failed"],
            "begun": plan.done + plan.failed,
        }

    def _wake_at(self, when: float) -> None:
        """Have `_turn` called at `when`, unless it is called earlier."""
        if self._timer is not None and self._timer.call is not None and self._timer.when <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = driver_of(self._multi).call_at(when, self._turn)


def _tell(on_answer: OnAnswer, record: Record) -> None:
    try:
        on_answer(answer_of(record.line_bytes()))
    except Exception as error:
        raise CallbackError(
            f"on_answer raised {type(error).__name__}: {error}; the answer is written, and the "
            "batch stopped"
        ) from error


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
