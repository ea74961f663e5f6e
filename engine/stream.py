"""A stream: one request to a model, and all that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from engine.accumulate import Accumulator
from engine.answer import Answer
from engine.completion import Completion, Status
from engine.errors import (
    CallbackError,
    CancelledError,
    EngineError,
    MisuseError,
    ProtocolError,
    TruncatedError,
)
from engine.events import (
    Done,
    Event,
    Ping,
    RetryScheduled,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ToolCallDone,
    UsageUpdate,
)
from engine.listeners import Listener, Listeners, fitted
from engine.messages import Message, Usage
from engine.providers.contract import Dialect
from engine.request import HttpRequest
from engine.transport.deadlines import Deadlines, Phase, Timeouts
from engine.transport.retry import Retry, retry_delay
from engine.transport.signals import SignalsHeld
from engine.transport.transfer import State
from engine.wire.headers import parse_rate_limit

if TYPE_CHECKING:
    from engine.transport.multi import Multi

__all__ = ["STOP", "Job", "OnDone", "OnEvent", "OnText", "Stream"]


class _Stop(Enum):
    STOP = "STOP"


STOP: Final = _Stop.STOP
"""What a stream callback returns to end its stream."""

OnEvent = Callable[[Event, "Stream"], object]
OnText = Callable[[str, "Stream"], object]
OnDone = Callable[[Completion, "Stream"], object]

_FINAL_STATES: Final = {"complete": State.DONE, "cancelled": State.CANCELLED}
# Events an iterator has not taken yet; beyond the first, the peer is held back by flow control
# until the second. A model writes about 100 a second.
_HIGH_WATER = 2000
_LOW_WATER = 500
# Delivered events that are folded into the accumulator at a time.
_FOLD = 32
# Seconds a server may leave the connection open after the end marker before it is dropped.
_LINGER = 1.0


class Job(msgspec.Struct, frozen=True):
    """What a stream needs to know of its request."""

    http: HttpRequest
    dialect: Dialect
    provider: str
    key_variable: str | None
    streaming: bool
    timeouts: Timeouts
    retry: Retry


def _nothing(_: bytes) -> list[Any]:
    return []


class Stream:
    """One request on a `Multi`: made by `Client.stream` and `Client.request`.

    Use it in one of three ways, or mix them: with callbacks, driven by any loop; as an iterator,
    which drives the `Multi` itself; or by `result`, which does so to the end. All methods belong
    to the thread of the `Multi`; those that drive must not be called from a callback.

    Attributes:
        completion: how it ended; None until `info_read` handed it over.
        user_data: yours.
    """

    __slots__ = (
        "__weakref__",
        "_accumulator",
        "_announced",
        "_answer",
        "_calls",
        "_connects",
        "_cursor",
        "_deadlines",
        "_decode",
        "_done",
        "_error",
        "_first_event",
        "_folded",
        "_handed_in",
        "_held_back",
        "_job",
        "_last_event",
        "_listeners",
        "_listening",
        "_more_callbacks",
        "_multi",
        "_on_done",
        "_on_event",
        "_on_text",
        "_parse",
        "_preamble",
        "_pulling",
        "_queue",
        "_status",
        "_transfer",
        "completion",
        "user_data",
    )

    def __init__(
        self,
        multi: Multi,
        job: Job,
        *,
        on_event: OnEvent | None = None,
        on_text: OnText | None = None,
        on_done: OnDone | None = None,
        user_data: Any = None,
    ) -> None:
        self._multi = multi
        self._job = job
        self._on_event = fitted(on_event, 2) if on_event is not None else None
        self._on_text = fitted(on_text, 2) if on_text is not None else None
        self._on_done = fitted(on_done, 2) if on_done is not None else None
        self.user_data = user_data
        self.completion: Completion | None = None
        self._listeners = Listeners()
        self._listening = False
        self._more_callbacks = on_text is not None
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
        self._pulling = False
        self._held_back = False
        self._connects = 0  # connections made that `connect` was not told of
        self._handed_in = False
        self._calls: list[Callable[[], object]] | None = None
        self._announced = 0
        self._first_event: float | None = None
        self._last_event: float | None = None
        self._transfer = multi.open(job.http, self, job.timeouts.connect)
        self._deadlines = Deadlines(multi, job.timeouts, self._expired)

    def __repr__(self) -> str:
        state = self._status or self._transfer.state.value
        return f"<Stream {state} {self._job.provider} {self._folded + self._cursor} events>"

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
        return self._accumulator.message(self._job.provider)

    @property
    def usage(self) -> Usage | None:
        """The last count of tokens, or None."""
        self._fold_now()
        return self._accumulator.usage

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support desk; None until the response."""
        head = self._transfer.head
        if head is None:
            return None
        return head.headers.get("x-request-id") or head.headers.get("request-id")

    # -- what is listened to -----------------------------------------------------------------

    def on(self, name: str, listener: Listener) -> Stream:
        """Call `listener` at each `name`:

        ``connect`` (stream) · ``event`` (event, stream) · ``text`` and ``thinking`` (delta,
        snapshot, stream) · ``tool_call`` (call, stream), whole and valid · ``message`` and
        ``final_message`` (message, stream), once complete · ``error`` (error, stream), truncated
        too · ``abort`` (error, stream), cancelled · ``end`` (stream), always.

        A listener may take fewer arguments. The first five are called in `perform`, and end the
        stream where they return `STOP` or raise; the others are called in `info_read`.

        Returns:
            the stream itself.

        Raises:
            ConfigError: there is nothing of that name.
        """
        self._listeners.add(name, listener)
        self._listening = self._more_callbacks = True
        return self

    def once(self, name: str, listener: Listener) -> Stream:
        """`on`, for the next time only."""
        self._listeners.add(name, listener, once=True)
        self._listening = self._more_callbacks = True
        return self

    def off(self, name: str, listener: Listener) -> Stream:
        """Undo `on` or `once`; nothing where it was not on."""
        self._listeners.remove(name, listener)
        return self

    # -- driving -----------------------------------------------------------------------------

    def cancel(self) -> None:
        """End it now, from anywhere; what was delivered is kept. Its one completion has the status
        ``cancelled``. Idempotent; nothing where it is over."""
        self._multi.check_thread("cancel")
        if self._status is None or self._cursor < len(self._queue):
            self._stop(
                "cancelled",
                CancelledError("the stream was cancelled", provider=self._job.provider),
            )

    abort = cancel

    def __iter__(self) -> Iterator[Event]:
        """The events, driving the `Multi` meanwhile. A failure is a last `StreamError`; nothing is
        raised. To leave the loop does not cancel the stream.

        Raises:
            MisuseError: called from a callback, or while another loop iterates over it.
        """
        if self._pulling:
            raise MisuseError("another loop iterates over this stream; use that one's events")
        if self._multi.running is not None:
            raise MisuseError(
                f"a stream cannot be iterated in a callback of {self._multi.running}(); "
                "use its callbacks"
            )
        return self._pull()

    def text_deltas(self) -> Iterator[str]:
        """The pieces of the text, driving the `Multi` meanwhile.

        Raises:
            EngineError: the stream failed, after the last piece. Cancelled: it only ends.
        """
        for event in self:
            if type(event) is TextDelta:
                yield event.text
            elif type(event) is StreamError:
                raise event.error

    def result(self) -> Completion:
        """Drive the `Multi` until the stream is over. Never raises for how it ended: see
        ``status``, or call `Completion.raise_for_status`.

        Raises:
            MisuseError: called from a callback.
        """
        while self.completion is None:
            self._multi.poll()
        return self.completion

    def final_message(self) -> Message:
        """The complete message, driving the `Multi` until it is there.

        Raises:
            EngineError: the stream was cancelled, truncated, or failed.
        """
        return self.result().raise_for_status().message

    def _pull(self) -> Iterator[Event]:
        self._pulling = True
        try:
            while self._cursor < len(self._queue) or self._status is None:
                if self._cursor >= len(self._queue):
                    if self._held_back:
                        self._let_go()
                    self._multi.poll()
                    continue
                event = self._queue[self._cursor]
                self._cursor += 1
                self._call(event)
                if self._held_back and len(self._queue) - self._cursor < _LOW_WATER:
                    self._let_go()
                yield event
        finally:
            self._pulling = False
            self._let_go()
            self._multi.wants_delivery(self)
        self.result()

    # -- Owner: the transfer tells, signals held ------------------------------------------------

    def began(self) -> None:
        if self._transfer.attempt > 1:
            self._begin_answer()
        self._deadlines.connecting()

    def connected(self) -> None:
        self._deadlines.waiting()
        if self._listeners.has("connect"):
            self._connects += 1
            self._multi.wants_delivery(self)

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
        last = events[-1]
        kind = type(last)
        if kind is StreamError:
            events.pop()
        if self._preamble is not None:
            events = self._hold_preamble(events)
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
            self._multi.call_later(_LINGER, self._lingered)
        elif kind is StreamError:
            self._transfer.fail_attempt(self._answer.named(last.error))  # type: ignore[attr-defined]

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
        delivered = self._preamble is None
        delay = retry_delay(self._job.retry, self._transfer.attempt, failure, delivered)
        if delay is not None:
            self._push([RetryScheduled(self._transfer.attempt + 1, delay, failure)])
            self._decode = _nothing
            self._deadlines.rest()
            return delay
        self._push(events)
        self._fail(failure)
        return None

    def deliver(self) -> None:
        while self._connects:
            self._connects -= 1
            try:
                self._listened("connect", self)
            except Exception as error:
                self._callback_raised(error)
        if self._pulling:
            return
        queue, on_event = self._queue, self._on_event  # `_fold` and `_stop` change it in place
        try:
            while self._cursor < len(queue):
                event = queue[self._cursor]
                # Before the call: what interrupts it must not make the event come twice.
                self._cursor += 1
                if on_event is not None and on_event(event, self) is STOP:
                    self.cancel()
                if self._more_callbacks:
                    self._call_others(event)
        except Exception as error:
            self._callback_raised(error)
        if self._status is not None and not self._handed_in:
            self._handed_in = True
            self._multi.finished(self)

    def conclude(self) -> Completion:
        if self.completion is None:
            self.completion = self._conclude()
        return self.completion

    def announce(self) -> None:
        if self._calls is None:
            self._calls = self._announcements()
        while self._announced < len(self._calls):
            call = self._calls[self._announced]
            self._announced += 1
            call()

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

    def _call(self, event: Event) -> None:
        """All callbacks of one event."""
        try:
            if self._on_event is not None and self._on_event(event, self) is STOP:
                self.cancel()
            if self._more_callbacks:
                self._call_others(event)
        except Exception as error:
            self._callback_raised(error)

    def _call_others(self, event: Event) -> None:
        """The callbacks that are not `on_event`."""
        kind = type(event)
        if (
            kind is TextDelta
            and self._on_text is not None
            and self._on_text(event.text, self) is STOP  # type: ignore[attr-defined]
        ):
            self.cancel()
        if not self._listening:
            return
        self._listened("event", event, self)
        if kind is TextDelta and self._listeners.has("text"):
            self._listened("text", event.text, self.text, self)  # type: ignore[attr-defined]
        elif kind is ThinkingDelta and self._listeners.has("thinking"):
            self._listened("thinking", event.text, self.thinking, self)  # type: ignore[attr-defined]
        elif kind is ToolCallDone:
            self._listened("tool_call", event.call, self)  # type: ignore[attr-defined]

    def _callback_raised(self, error: Exception) -> None:
        if self.completion is None:
            failure = CallbackError(
                f"a callback of the stream raised {type(error).__name__}: {error}; the stream was "
                "ended, the others go on",
                provider=self._job.provider,
            )
            failure.__cause__ = error
            self._stop("error", failure)

    def _listened(self, name: str, *arguments: Any) -> None:
        for entry in self._listeners.take(name):
            if entry.call(arguments) is STOP:
                self.cancel()

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
        held = self._preamble or []
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

    def _lingered(self) -> None:
        """The answer is complete and the server has not closed: drop the connection."""
        if self._status is None:
            self._finish("complete", None)

    def _fail(self, error: EngineError) -> None:
        began = self._answer.began and isinstance(error, TruncatedError)
        self._push([StreamError(error)])
        self._finish("truncated" if began else "error", error)

    def _expired(self, phase: Phase, limit: float) -> None:
        if self._status is not None:
            return
        if self._answer.complete:
            self._lingered()
            return
        host = urlsplit(self._job.http.url).netloc
        error = self._deadlines.error(phase, limit, host, self._transfer.phase)
        error.provider = self._job.provider
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
        self._last_event = monotonic()
        self._multi.wants_delivery(self)

    def _conclude(self) -> Completion:
        self._fold()
        accumulator = self._accumulator
        transfer = self._transfer
        head = transfer.head
        headers = head.headers if head is not None else {}
        done = self._done if self._status == "complete" else None
        usage = (done.usage if done is not None else None) or accumulator.usage
        if usage is not None and self._status != "complete":
            usage = msgspec.structs.replace(usage, partial=True)
        provider = self._job.provider
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
            logprobs=accumulator.logprobs,
        )

    def _announcements(self) -> list[Callable[[], object]]:
        completion = self.completion
        assert completion is not None
        calls: list[Callable[[], object]] = []

        def listened(name: str, *arguments: Any) -> None:
            calls.extend(
                lambda entry=entry: entry.call(arguments)  # type: ignore[misc]
                for entry in self._listeners.take(name)
            )

        if self._listening:
            if completion.status == "complete":
                listened("message", completion.message, self)
                listened("final_message", completion.message, self)
            elif completion.status == "cancelled":
                listened("abort", completion.error, self)
            else:
                listened("error", completion.error, self)
        if self._on_done is not None:
            on_done = self._on_done
            calls.append(lambda: on_done(completion, self))
        if self._listening:
            listened("end", self)
        return calls

    def _let_go(self) -> None:
        if self._held_back:
            self._held_back = False
            self._transfer.resume()
            self._deadlines.flowing()

    def _begin_answer(self) -> None:
        """A new attempt, a new response."""
        job = self._job
        self._answer = Answer(job.dialect, job.provider, job.key_variable, job.streaming)
        self._preamble = []
        self._decode, self._parse = self._first_read, list
