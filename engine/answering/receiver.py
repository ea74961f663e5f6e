"""The part of a stream the transport talks to: from bytes to events to how it ended."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from engine.answering.accumulate import Accumulator
from engine.answering.response_reader import Answer
from engine.asking.rendered import Rendered, mended_request
from engine.asking.schema import decode_answer
from engine.completion import Completion, Status
from engine.errors import EngineError, ProtocolError, TruncatedError
from engine.events import Done, Event, Ping, RetryScheduled, Start, StreamError, UsageUpdate
from engine.messages import Message, Usage
from engine.transport.deadlines import Deadlines, Phase
from engine.transport.retry import retry_delay
from engine.transport.signals import SignalsHeld
from engine.transport.transfer import State
from engine.wire.headers import parse_rate_limit

if TYPE_CHECKING:
    from engine.transport.multi import Multi
    from engine.transport.timers import Timer

__all__ = ["Receiver"]

_FINAL_STATES: Final = {"complete": State.DONE, "cancelled": State.CANCELLED}
# Events an iterator has not taken yet: beyond so many the peer is held back by flow control. A
# model writes about 100 a second.
_HIGH_WATER = 2000
# Delivered events that are folded into the accumulator at a time: each weighs 72 bytes until then.
_FOLD = 8
# Seconds a server may leave the connection open after the end marker before it is dropped.
_LINGER = 1.0


def _nothing(_: bytes) -> list[Any]:
    return []


class Receiver:
    """Receives one answer, over as many attempts as it takes.

    The transport calls it with signals held, and it calls no code of the user's: what came waits
    in a queue. What was delivered from the queue is folded into the accumulator, so that a
    snapshot is what the callbacks have seen, and nothing that interrupts one counts twice.

    Attributes:
        completion: how it ended; None until `info_read` handed it over.
    """

    __slots__ = (
        "__weakref__",
        "_accumulator",
        "_answer",
        "_cursor",
        "_deadlines",
        "_decode",
        "_done",
        "_earlier_attempts",
        "_error",
        "_first_event",
        "_folded",
        "_held_back",
        "_last_event",
        "_linger",
        "_mended",
        "_multi",
        "_parse",
        "_preamble",
        "_pulling",
        "_queue",
        "_rendered",
        "_status",
        "_transfer",
        "completion",
    )

    def __init__(self, multi: Multi, rendered: Rendered) -> None:
        self._multi = multi
        self._rendered = rendered
        self.completion: Completion | None = None
        self._accumulator = Accumulator()
        self._answer: Answer
        self._preamble: list[Event] | None
        self._decode: Callable[[bytes], list[Any]]
        self._parse: Callable[[list[Any]], list[Event]]
        self._begin_answer()
        self._queue: list[Event] = []  # decoded; those before the cursor are delivered
        self._cursor = 0
        self._folded = 0  # delivered, and in the accumulator
        self._done: Done | None = None
        self._error: EngineError | None = None
        self._status: Status | None = None
        self._pulling = False  # an iterator takes the events
        self._held_back = False
        self._linger: Timer | None = None
        self._mended = False
        self._earlier_attempts = 0  # at models before a fallback
        self._first_event: float | None = None
        self._last_event: float | None = None
        self._transfer = multi.open(rendered.http, self, rendered.timeouts.connect)
        self._deadlines = Deadlines(multi, rendered.timeouts, self._expired)

    # -- what has come -----------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text delivered so far."""
        self._fold_now()
        return self._accumulator.text()

    @property
    def thinking(self) -> str:
        """The reasoning delivered so far."""
        self._fold_now()
        return self._accumulator.thinking()

    @property
    def message(self) -> Message:
        """The message as far as it was delivered; a call that is not whole is in its parts as
        `PartialToolCall`."""
        self._fold_now()
        return self._accumulator.message(self._rendered.provider)

    @property
    def usage(self) -> Usage | None:
        """The last count of tokens, or None."""
        self._fold_now()
        return self._accumulator.usage

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support desk; None until the response."""
        headers = self._transfer.head.headers if self._transfer.head is not None else {}
        return headers.get("x-request-id") or headers.get("request-id")

    # -- Owner: the transfer tells, signals held ------------------------------------------------

    def began(self) -> None:
        if self._transfer.attempt > 1:
            self._begin_answer()
        self._deadlines.connecting()

    def connected(self) -> None:
        self._deadlines.waiting()

    def received(self, data: bytes) -> None:
        try:
            events = self._parse(self._decode(data))
        except ProtocolError as error:
            self._transfer.fail_attempt(error)
            return
        deadlines = self._deadlines
        deadlines.heard_at = now = self._multi.now
        if not events:
            return
        kind = type(last := events[-1])
        if kind is StreamError:
            events.pop()
        if self._preamble is not None:
            events = self._hold_preamble(events)
        elif kind is not Ping or any(type(event) is not Ping for event in events):
            deadlines.content_at = now
        if self._cursor > _FOLD:
            self._fold()
        self._queue += events
        if self._pulling:
            self._hold_back()
        else:
            self._multi.deliverable.append(self)
        if kind is Done:
            self._done = last  # type: ignore[assignment]
            self._linger = self._multi.call_later(_LINGER, self._lingered)
        elif kind is StreamError:
            self._transfer.fail_attempt(self._answer.named(last.error))  # type: ignore[union-attr]

    def _first_read(self, data: bytes) -> list[Event]:
        """Until it is known what the response is."""
        answer = self._answer
        if self._transfer.head is not None:
            answer.head(self._transfer.head)
        events = answer.feed(data)
        self._decode, self._parse = answer.stages or (self._first_read, list)
        return events

    def attempt_ended(self, error: EngineError | None) -> float | None:
        if self._status is not None:
            return None
        answer = self._answer
        head = self._transfer.head
        if head is not None:
            answer.head(head)
        events = answer.end(error)
        if self._preamble is not None and events:
            events = self._hold_preamble(events)
        failure = answer.failure
        if failure is None:
            self._push(events)
            if events:
                self._done = events[-1]  # type: ignore[assignment]
            self._finish("complete", None)
            return None
        self._rendered.without_secrets(failure)
        delivered = self._preamble is None
        if not delivered and self._mend(failure):
            self._decode = _nothing
            self._deadlines.rest()
            return 0.0
        attempt = self._transfer.attempt - self._earlier_attempts
        delay = retry_delay(self._rendered.retry, attempt, failure, delivered)
        if delay is None and not delivered and self._rendered.fallback is not None:
            delay = 0.0
            self._earlier_attempts = self._transfer.attempt
            self._rendered = self._rendered.fallback
            self._mended = False
            self._transfer.request = self._rendered.http
        if delay is not None:
            self._push([RetryScheduled(self._transfer.attempt + 1, delay, failure)])
            self._decode = _nothing
            self._deadlines.rest()
            return delay
        self._push(events)
        self._fail(failure)
        return None

    def deliver(self) -> None:
        raise NotImplementedError

    def conclude(self) -> Completion:
        if self.completion is None:
            self.completion = self._conclude()
        return self.completion

    def announce(self) -> None:
        raise NotImplementedError

    # -- events ------------------------------------------------------------------------------

    def _push(self, events: list[Event]) -> None:
        self._queue += events
        if events and not self._pulling:
            self._multi.deliverable.append(self)

    def _hold_back(self) -> None:
        """Let the peer wait while the iterator is behind."""
        if len(self._queue) - self._cursor > _HIGH_WATER and not self._held_back:
            self._held_back = True
            self._transfer.pause()
            self._deadlines.rest()

    def _fold(self) -> None:
        """Put what was delivered into the accumulator. Signals are held: whatever interrupts a
        callback, each event is in it once."""
        cursor = self._cursor
        if cursor:
            self._accumulator.extend(self._queue[:cursor])
            self._folded += cursor
            del self._queue[:cursor]
            self._cursor = 0

    def _fold_now(self) -> None:
        """`_fold` for callers that do not hold the signals."""
        with SignalsHeld():
            self._fold()

    def _hold_preamble(self, events: list[Event]) -> list[Event]:
        """Keep back what comes before the first content, so that a retry repeats nothing."""
        held = self._preamble if self._preamble is not None else []
        for position, event in enumerate(events):
            kind = type(event)
            if kind is Start or kind is UsageUpdate:
                held.append(event)
            elif kind is not Ping:
                self._preamble = None
                self._first_event = monotonic()
                self._deadlines.flowing()
                pings = [e for e in events[:position] if type(e) is Ping]
                return [*held, *pings, *events[position:]]
        return [event for event in events if type(event) is Ping]

    # -- the end -----------------------------------------------------------------------------

    def _mend(self, failure: EngineError) -> bool:
        """Once: whether the same question without a field the server does not know is worth
        asking; the transfer then has it."""
        mended = None if self._mended else mended_request(self._transfer.request, failure)
        if mended is None:
            return False
        self._mended = True
        self._transfer.request = mended
        return True

    def _lingered(self) -> None:
        """The answer is complete and the server has not closed: drop the connection."""
        if self._status is None:
            self._finish("complete", None)

    def _fail(self, error: EngineError) -> None:
        began = self._answer.began and isinstance(error, TruncatedError)
        error.provider = error.provider or self._rendered.provider
        self._push([StreamError(error)])
        self._finish("truncated" if began else "error", error)

    def _expired(self, phase: Phase, limit: float) -> None:
        if self._status is not None:
            return
        if self._answer.complete:
            self._lingered()
            return
        host = urlsplit(self._rendered.http.url).netloc
        error = self._deadlines.error(phase, limit, host, self._transfer.phase)
        error.provider = self._rendered.provider
        if phase == "total":
            self._fail(error)
        else:
            self._transfer.fail_attempt(error)

    def _stop(self, status: Status, error: EngineError) -> None:
        """End here: nothing that is not delivered yet will be."""
        del self._queue[self._cursor :]
        self._finish(status, error)

    def _finish(self, status: Status, error: EngineError | None) -> None:
        self._status = status
        self._error = error
        self._decode, self._parse = _nothing, list  # what libcurl stored already is dropped
        self._transfer.end(_FINAL_STATES.get(status, State.FAILED))
        self._deadlines.stop()
        if self._linger is not None:
            self._linger.cancel()
        self._last_event = monotonic()
        self._multi.wants_delivery(self)

    def _conclude(self) -> Completion:
        self._fold()
        if self._preamble:  # no content came, but perhaps who answers, and what it costs
            self._accumulator.extend(self._preamble)
        parsed = self._parsed()
        accumulator = self._accumulator
        transfer = self._transfer
        head = transfer.head
        headers = head.headers if head is not None else {}
        done = self._done if self._status == "complete" else None
        usage = done.usage if done is not None else self._answer.untold_usage
        usage = usage or accumulator.usage
        if usage is not None and self._status != "complete":
            usage = msgspec.structs.replace(usage, partial=True)
        provider = self._rendered.provider
        created = transfer.created
        messages = [accumulator.message(provider, n) for n in range(accumulator.choices())]
        return Completion(
            status=self._status or "error",
            message=messages[0],
            messages=messages,
            finish_reason=done.finish_reason if done is not None else None,
            finish_reason_raw=done.finish_reason_raw if done is not None else None,
            usage=usage,
            error=self._error,
            http_status=head.status if head is not None else None,
            headers=headers,
            request_id=self.request_id,
            rate_limit=parse_rate_limit(headers),
            attempts=transfer.attempt,
            timing=msgspec.structs.replace(
                transfer.timing,
                first_event=self._first_event and self._first_event - created,
                last_event=self._last_event and self._last_event - created,
                total=monotonic() - created,
            ),
            delivered=self._folded,
            parsed=parsed,
            logprobs=accumulator.logprobs,
        )

    def _parsed(self) -> Any:
        """The answer in the type that was asked for; one that does not fit it is an error."""
        kind = self._rendered.answer_type
        if kind is None or self._status != "complete":
            return None
        text = self._accumulator.text()
        if not text and self._accumulator.message(None).tool_calls:
            return None  # it calls a tool first
        try:
            return decode_answer(text, kind)
        except ProtocolError as error:
            self._status, self._error = "error", error
            return None

    def _begin_answer(self) -> None:
        """A new attempt, a new response."""
        asked = self._rendered
        self._answer = Answer(asked.dialect, asked.provider, asked.key_variable, asked.streaming)
        self._preamble = []
        self._decode, self._parse = self._first_read, list
