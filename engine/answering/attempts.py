"""Attempts: one question, asked as often as it takes, until there is an answer or a reason."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from engine.answering.accumulate import Accumulator
from engine.answering.callbacks import StreamCallbacks
from engine.answering.conclusion import Ending, completion_of
from engine.answering.delivery import Delivery
from engine.answering.observed import Observed, tell_retry
from engine.answering.preamble import Preamble, is_content
from engine.answering.response_reader import ResponseReader
from engine.answering.state import LEGAL_MOVES, State
from engine.answering.succession import Succession
from engine.asking.rendered import Rendered
from engine.completion import Completion, Status
from engine.errors import (
    CallbackError,
    CancelledError,
    EngineError,
    ProtocolError,
    TruncatedError,
    describe,
)
from engine.events import Done, Event, RetryScheduled, StreamError, TextDelta
from engine.providers.origin import format_of
from engine.transport.deadlines import Deadlines, Phase
from engine.transport.transfer import State as TransferState
from engine.wire.headers import request_id

if TYPE_CHECKING:
    from engine.transport.driver import Driver
    from engine.transport.timers import Timer

__all__ = ["Attempts"]


# By a short way: an enum's member is looked up in its class each time.
_WAITING, _ASKING, _FLOWING = State.WAITING, State.ASKING, State.FLOWING
_LINGERING, _OVER = State.LINGERING, State.OVER
_STREAMING, _FAILED = TransferState.STREAMING, TransferState.FAILED
_FINAL_STATES: Final = {"complete": TransferState.DONE, "cancelled": TransferState.CANCELLED}
# Seconds a server may leave the connection open after the end marker, or after an error that it
# told, before it is dropped.
_LINGER = 1.0
# One for all: an empty set of its own weighs 216 bytes a stream.
_NOTHING: Final[frozenset[str]] = frozenset()


class Attempts:
    """Gets one answer, over as many attempts as it takes: at first, again without a field that the
    server does not know, again after a failure that may pass, at the models to fall back to.

    It owns the transfer, which tells it what comes with signals held; it calls no code of the
    user's. What it makes of it goes to the delivery.

    Args:
        driver: what drives it.
        rendered: the question.
        callbacks: who is told that there is a connection.
        accumulator: where the delivery puts what was handed over.
        observed: what notes the way of the question; None: nobody wants to know.

    Attributes:
        delivery: set by `begin`.
    """

    __slots__ = (
        *("_accumulator", "_answer", "_callbacks", "_deadlines", "_done", "_driver"),
        *("_error", "_first_event", "_holds", "_last_event", "_linger", "_observed"),
        *("_preamble", "_read", "_state", "_status", "_succession", "_transfer"),
        "delivery",
    )

    def __init__(
        self,
        driver: Driver,
        rendered: Rendered,
        callbacks: StreamCallbacks,
        accumulator: Accumulator,
        observed: Observed | None = None,
    ) -> None:
        self._driver = driver
        self._observed = observed
        self._succession = Succession(driver.lanes, rendered)
        self._callbacks = callbacks
        self._accumulator = accumulator
        self._state: State = _WAITING
        self._answer = self._new_answer()
        self._preamble = Preamble()
        self._done: Done | None = None
        self._error: EngineError | None = None
        self._status: Status | None = None
        self._linger: Timer | None = None
        self._holds = _NOTHING  # why the server is held back
        self._first_event: float | None = None
        self._last_event: float | None = None

    def begin(self, delivery: Delivery[Event, Completion]) -> None:
        """Queue the first attempt; what comes of it goes to `delivery`."""
        self.delivery: Delivery[Event, Completion] = delivery
        asked, driver, gate = self._succession.rendered, self._driver, self._succession.ticket.gate
        connect = asked.timeouts.connect
        self._transfer = driver.open(asked.http, self, connect, delivery, asked.retry, gate)
        if self._observed is not None:
            self._observed.begin(delivery.note, self._accumulator)
        self._deadlines = Deadlines(driver, asked.timeouts, self._expired, self._transfer.catch_up)

    @property
    def provider(self) -> str:
        """Who is asked."""
        return self._succession.rendered.provider

    @property
    def word(self) -> str:
        """Where it is, in a word."""
        return self._status or self._transfer.state.value

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request; None until the response."""
        return request_id(self._transfer.head.headers if self._transfer.head is not None else {})

    # -- Owner: the transfer tells, signals held ------------------------------------------------

    def began(self) -> None:
        self._move(_ASKING)
        if self._succession.resuming:
            self._answer.go_on()
        elif self._transfer.attempt > 1 or self._answer.failure is not None:
            self._answer, self._preamble = self._new_answer(), Preamble()
        if self._observed is not None:
            self._observed.began(self._transfer.attempt, self._transfer.request)
        self._deadlines.connecting()

    def connected(self) -> None:
        self._deadlines.waiting()
        if self._holds:
            self._pause()
        if self._callbacks.hears("connect"):
            self.delivery.note(self._callbacks.connected)

    def received(self, data: bytes) -> None:
        try:
            if self._state is _FLOWING:
                read = self._read
                events = read(data)
                if events and type(last := events[-1]) is TextDelta and last.text:  # nearly always
                    self._deadlines.content_at = self._last_event = self._driver.now
                    self.delivery.post(events, data)
                    return
            elif self._reads():
                events = self._answer.feed(data)
            else:
                return
        except ProtocolError as error:
            self._transfer.fail_attempt(error)
            return
        self._deadlines.heard_at = self._driver.now
        if self._answer.failing:
            self._deadlines.hurry(_LINGER)
        if events:
            self._received(events, data)

    def attempt_ended(self, error: EngineError | None) -> float | None:
        if self._state is _OVER:
            return None
        answer = self._answer
        if self._state is _LINGERING and answer.complete:  # all was told, however it closed
            self._finish("complete", None)
            return None
        head = self._transfer.head
        if head is not None:
            answer.head(head)
            if self._observed is not None:
                self._observed.answered(self._transfer.request, head)
        broke = answer.broke_off(error)
        delay = self._succession.rest(self._transfer, broke) if broke is not None else None
        if broke is not None and delay is not None:
            return self._again(delay, broke)
        resuming = self._succession.resuming
        events = answer.end_rest(broke or error) if resuming else answer.end(error)
        events = self._new(events) if events else events
        failure = answer.failure
        if failure is None:
            if events:
                self.delivery.post(events)
                self._done = events[-1]  # type: ignore[assignment]
            self._finish("complete", None)
            return None
        self._succession.rendered.explained(failure)
        self._succession.ticket.tell(self._transfer.began_at, failure)
        flowed = self._first_event is not None and self._succession.voids is None
        delay = self._succession.next(self._transfer, failure, delivered=flowed)
        if delay is None:
            self.delivery.post(events)
            self._fail(self._succession.told(failure))
            return None
        return self._again(delay, failure)

    # -- Source: the delivery asks --------------------------------------------------------------

    def cancel(self) -> None:
        """End it here: what is not delivered yet will not be. Nothing where all is."""
        delivered = self.delivery.cursor - self.delivery.base >= len(self.delivery.queue)
        if self._done is not None and delivered:
            self._lingered()  # `Done` was handed over: there is nothing left to cancel
        elif self._state is not _OVER or not delivered:
            error = CancelledError("the stream was cancelled", provider=self.provider)
            self._stop("cancelled", error)

    def failed(self, error: Exception) -> None:
        """A callback raised."""
        if self.delivery.completion is None:
            failure = CallbackError(
                f"a callback of the stream raised {describe(error)}; the stream was ended, the "
                "others go on",
                provider=self.provider,
            )
            failure.__cause__ = error
            self._stop("error", failure)

    def interrupted(self) -> None:
        """There are no steps between the events of a stream."""

    def hold_back(self, why: str) -> None:
        """Take no more from the server, until `go_on` for the same reason."""
        if not self._holds and self._state is not _OVER:
            self._pause()
        self._holds |= {why}

    def go_on(self, why: str) -> None:
        """The opposite of `hold_back`."""
        held, self._holds = self._holds, self._holds - {why}
        if not held or self._holds or self._state in (_WAITING, _OVER):
            return
        self._transfer.resume()
        if self._transfer.state is _STREAMING:
            if self._state is _ASKING:
                self._deadlines.waiting()
            else:
                self._deadlines.flowing()

    def conclude(self) -> Completion:
        """How it ended."""
        # Where no content came: perhaps who answers, and what it costs.
        if self._preamble.held and self._succession.voids is None:
            self._accumulator.extend(self._preamble.held)
        transfer, rendered = self._transfer, self._succession.rendered
        ending = Ending(  # in order of its fields: by name it takes twice as long
            self._status or "error",
            self._error,
            self._done,
            self._answer.untold_usage,
            self._answer.metadata,
            rendered.provider,
            transfer.head,
            transfer.attempt,
            transfer.timing,
            transfer.created,
            self._first_event,
            self._last_event,
            self.delivery.cursor,
            rendered.answer_type,
            transfer.possibly_billed,
        )
        completion = completion_of(ending, self._accumulator)
        transfer.forget_owner()
        del self._deadlines  # they hold each other too
        return completion

    # -- what has come -------------------------------------------------------------------------

    def _received(self, events: list[Event], data: bytes) -> None:
        last = events[-1]
        if type(last) is StreamError:
            events.pop()
        if self._state is _ASKING and self._observed is not None:
            self._observed.came(self._driver.now)
        self.delivery.post(self._new(events), data)
        if type(last) is Done:
            self._move(_LINGERING)
            self._done = last
            self._driver.lingering.append(self)
        elif type(last) is StreamError:
            self._transfer.fail_attempt(self._answer.named(last.error))

    def _reads(self) -> bool:
        """Whether what comes is part of the answer."""
        head = self._transfer.head
        if self._state is _ASKING and head is not None:
            self._answer.head(head)
            if self._observed is not None:
                self._observed.answered(self._transfer.request, head)
        return self._state is not _OVER and self._state is not _WAITING

    def _new(self, events: list[Event]) -> list[Event]:
        """What of `events` may be handed over: nothing that another attempt would repeat."""
        if self._state is not _ASKING:
            if any(map(is_content, events)):
                self._deadlines.content_at = self._last_event = self._driver.now
            return events
        events, content = self._preamble.sift(events)
        if content:
            self._move(_FLOWING)
            self._read = self._answer.read or self._answer.feed
            if self._observed is not None:
                self._read = self._observed.reading(self._read, self._driver)
            self._last_event = monotonic()
            self._first_event = self._first_event or self._last_event
            restarted = self._succession.flows(self._transfer.attempt)
            if restarted is not None:
                events = [restarted, *events]
            self._succession.ticket.tell(self._transfer.began_at, None)
            if not self._holds:
                self._deadlines.flowing()
        return events

    def _again(self, delay: float, failure: EngineError) -> float:
        """`delay`, until the next attempt."""
        number = self._transfer.attempt + 1
        if self._observed is not None:
            self._observed.failed(failure, self._transfer.head, delay)
        if not self._succession.mending:
            self.delivery.note(
                partial(tell_retry, self._succession.rendered, number, delay, failure)
            )
            self.delivery.post([RetryScheduled(number, delay, failure)])
        if self._state is not _WAITING:  # one that was turned away at the gate
            self._move(_WAITING)
        self._deadlines.rest()
        return delay

    # -- the end -----------------------------------------------------------------------------

    def linger(self) -> None:
        """The server has not closed in the turn that brought the end of the answer."""
        if self._state is _LINGERING:
            self._linger = self._driver.call_later(_LINGER, self._lingered)

    def _lingered(self) -> None:
        """The answer is complete and the server has not closed: drop the connection."""
        if self._state is not _OVER:
            self._finish("complete", None)

    def _fail(self, error: EngineError) -> None:
        began = (self._answer.began or self._succession.broke) and isinstance(error, TruncatedError)
        error.provider = error.provider or self.provider
        self.delivery.post([StreamError(error)])
        self._finish("truncated" if began else "error", error)

    def _expired(self, phase: Phase, limit: float) -> None:
        if self._state is _OVER:
            return
        if self._answer.complete:
            self._lingered()
            return
        host = self._succession.rendered.http.peer
        error = self._deadlines.error(phase, limit, host, self._transfer.phase)
        error.provider = self.provider
        if phase == "total":
            self._fail(self._succession.out_of_time(error))
        else:
            self._transfer.fail_attempt(error)

    def _stop(self, status: Status, error: EngineError) -> None:
        self.delivery.drop()
        self._finish(status, error)

    def _finish(self, status: Status, error: EngineError | None) -> None:
        self._status = status
        self._error = error
        if self._observed is not None:
            self._observed.over(status, error)
        if self._state is not _OVER:  # a complete answer can still be cancelled on its way
            self._move(_OVER)
            self._transfer.end(_FINAL_STATES.get(status, _FAILED))
            self._deadlines.stop()
            if self._linger is not None:
                self._linger.cancel()
        if status != "complete":
            self.delivery.paused = False  # there is nothing left to wait for
        self.delivery.finish()

    def _pause(self) -> None:
        self._transfer.pause()
        if self._transfer.state is _STREAMING:
            self._deadlines.rest()

    def _new_answer(self) -> ResponseReader:
        self._accumulator.format = format_of(self._succession.rendered.dialect.name)
        return self._succession.new_answer()

    def _move(self, to: State) -> None:
        if to not in LEGAL_MOVES[self._state]:
            raise AssertionError(f"a question cannot go from {self._state} to {to}")
        self._state = to
