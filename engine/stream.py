"""A stream: one request to a model, and all that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from engine.answering.listeners import Listener, Listeners, fitted
from engine.answering.receiver import Receiver
from engine.asking.rendered import Rendered
from engine.completion import Completion
from engine.errors import CallbackError, CancelledError, MisuseError
from engine.events import Event, StreamError, TextDelta, ThinkingDelta, ToolCallDone
from engine.messages import Message
from engine.wire.partial_json import decode_partial

if TYPE_CHECKING:
    from engine.transport.multi import Multi

__all__ = ["STOP", "OnDone", "OnEvent", "OnText", "Stream"]


class _Stop(Enum):
    STOP = "STOP"


STOP: Final = _Stop.STOP
"""What a stream callback returns to end its stream."""

OnEvent = Callable[[Event, "Stream"], object]
OnText = Callable[[str, "Stream"], object]
OnDone = Callable[[Completion, "Stream"], object]

# Events left for an iterator when a peer that was held back is let go on.
_LOW_WATER = 500


class Stream(Receiver):
    """One request on a `Multi`: made by `Client.stream` and `Client.request`.

    Use it in one of three ways, or mix them: with callbacks, driven by any loop; as an iterator,
    which drives the `Multi` itself; or by `result`, which does so to the end. All methods belong
    to the thread of the `Multi`; those that drive must not be called from a callback.

    Attributes:
        completion: how it ended; None until `info_read` handed it over.
        user_data: yours.
    """

    __slots__ = (
        "_announced",
        "_calls",
        "_connects",
        "_handed_in",
        "_listeners",
        "_listening",
        "_more_callbacks",
        "_on_done",
        "_on_event",
        "_on_text",
        "user_data",
    )

    def __init__(
        self,
        multi: Multi,
        rendered: Rendered,
        *,
        on_event: OnEvent | None = None,
        on_text: OnText | None = None,
        on_done: OnDone | None = None,
        user_data: Any = None,
    ) -> None:
        super().__init__(multi, rendered)
        self._on_event = fitted(on_event, 2) if on_event is not None else None
        self._on_text = fitted(on_text, 2) if on_text is not None else None
        self._on_done = fitted(on_done, 2) if on_done is not None else None
        self.user_data = user_data
        self._listeners = Listeners()
        self._listening = False
        self._more_callbacks = on_text is not None
        self._connects = 0  # connections made that `connect` was not told of
        self._handed_in = False
        self._calls: list[Callable[[], object]] | None = None
        self._announced = 0

    def __repr__(self) -> str:
        state = self._status or self._transfer.state.value
        return f"<Stream {state} {self._rendered.provider} {self._folded + self._cursor} events>"

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

    def partial_arguments(self, index: int) -> Any:
        """A look at the arguments of the tool call in block `index` while they arrive, decoded as
        far as they came; None where nothing is there yet. Never carry out a call by it: a call is
        whole with its `ToolCallDone`."""
        self._fold_now()
        return decode_partial(self._accumulator.arguments(index))

    @property
    def stalled(self) -> bool:
        """Whether it goes on only when the loop that iterates over it takes more events."""
        over = self._status is not None or self._held_back
        return over and self._pulling and self._cursor < len(self._queue)

    # -- driving -----------------------------------------------------------------------------

    def cancel(self) -> None:
        """End it now, from anywhere; what was delivered is kept. Its one completion has the status
        ``cancelled``. Idempotent; nothing where it is over."""
        self._multi.check_thread("cancel")
        if self._done is not None and self._cursor >= len(self._queue):
            self._lingered()  # `Done` was handed over: there is nothing left to cancel
            return
        if self._status is None or self._cursor < len(self._queue):
            self._stop(
                "cancelled",
                CancelledError("the stream was cancelled", provider=self._rendered.provider),
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
            if type(event) is TextDelta and not event.choice:
                yield event.text
            elif type(event) is StreamError:
                raise event.error

    def result(self) -> Completion:
        """Drive the `Multi` until the stream is over. Never raises for how it ended: see
        ``status``, or call `Completion.raise_for_status`.

        Raises:
            MisuseError: called from a callback.
        """
        if self._pulling and self._multi.running is None:  # in a loop over this very stream
            self._pulling = False
            self._let_go()
            self._multi.wants_delivery(self)
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
                if self._cursor >= _LOW_WATER:
                    self._fold_now()  # while it is held back, nothing else does
                if self._held_back and len(self._queue) - self._cursor < _LOW_WATER:
                    self._let_go()
                yield event
        finally:
            self._pulling = False
            self._let_go()
            self._multi.wants_delivery(self)
        self.result()

    # -- Owner: what waits goes to the user -----------------------------------------------------

    def connected(self) -> None:
        super().connected()
        if self._listeners.has("connect"):
            self._connects += 1
            self._multi.wants_delivery(self)

    def deliver(self) -> None:
        while self._connects:
            self._connects -= 1
            try:
                self._listened("connect", self)
            except Exception as error:
                self._callback_raised(error)
        if self._pulling and self._cursor < len(self._queue):
            return  # the iterator takes them
        queue, on_event = self._queue, self._on_event  # `_fold` and `_stop` change it in place
        position = self._cursor
        try:
            while position < len(queue):
                event = queue[position]
                # Before the call: what interrupts it must not make the event come twice.
                self._cursor = position + 1
                if on_event is not None and on_event(event, self) is STOP:
                    self.cancel()
                if self._more_callbacks:
                    self._call_others(event)
                position = self._cursor
        except Exception as error:
            self._callback_raised(error)
        if self._status is not None and not self._handed_in:
            self._multi.finished(self)
            self._handed_in = True

    def announce(self) -> None:
        if self._calls is None:
            self._calls = self._announcements()
        while self._announced < len(self._calls):
            call = self._calls[self._announced]
            self._announced += 1
            call()

    # -- callbacks ---------------------------------------------------------------------------

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
        kind: type[Event] | None = type(event)
        if (
            kind is TextDelta
            and self._on_text is not None
            and not event.choice  # type: ignore[union-attr]  # as `text`: the first choice's
            and self._on_text(event.text, self) is STOP  # type: ignore[union-attr]
        ):
            self.cancel()
        if not self._listening:
            return
        self._listened("event", event, self)
        if getattr(event, "choice", 0):
            kind = None  # the other choices are told by `event` only, as `text` has none of them
        if kind is TextDelta and self._listeners.has("text"):
            self._listened("text", event.text, self.text, self)  # type: ignore[union-attr]
        elif kind is ThinkingDelta and self._listeners.has("thinking"):
            self._listened("thinking", event.text, self.thinking, self)  # type: ignore[union-attr]
        elif kind is ToolCallDone:
            self._listened("tool_call", event.call, self)  # type: ignore[union-attr]

    def _callback_raised(self, error: Exception) -> None:
        if self.completion is None:
            failure = CallbackError(
                f"a callback of the stream raised {type(error).__name__}: {error}; the stream was "
                "ended, the others go on",
                provider=self._rendered.provider,
            )
            failure.__cause__ = error
            self._stop("error", failure)

    def _listened(self, name: str, *arguments: Any) -> None:
        for entry in self._listeners.take(name):
            if entry.call(arguments) is STOP:
                self.cancel()

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
