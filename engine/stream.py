"""A stream: one request to a model, and all that belongs to it."""

from __future__ import annotations

from typing import Any, Generic, Self

from engine.answering.accumulate import Accumulator
from engine.answering.attempts import Attempts
from engine.answering.callbacks import StreamCallbacks, tell_late
from engine.answering.delivery import Delivery
from engine.answering.listeners import STOP, Listener
from engine.answering.listening import Listenable, Told
from engine.answering.observed import observed
from engine.answering.reader import Place, Reader, Texts
from engine.asking.rendered import Rendered
from engine.completion import Completion, Parsed
from engine.errors import MisuseError
from engine.events import Event
from engine.messages import Message, Usage
from engine.transport.multi import Multi, driver_of
from engine.transport.signals import SignalsHeld
from engine.wire.partial_json import decode_partial

__all__ = ["STOP", "OnDone", "OnEvent", "OnText", "Stream"]

OnEvent = Told[Event, "Stream"]
OnText = Told[str, "Stream"]
OnDone = Told[Completion, "Stream"]


class Stream(Listenable["Stream[Any]"], Generic[Parsed]):
    """One request on a `Multi`: made by `Client.stream` and `Client.request`.

    Use it in one of three ways, or mix them: with callbacks, driven by any loop; as an iterator,
    which drives the `Multi` itself; or by `result`, which does so to the end. All methods belong
    to the thread of the `Multi`; those that drive must not be called from a callback.

    ``with stream:`` ends it at the end of the block, unless a callback takes its events.

    Its type tells what `Completion.parsed` is: ``Stream[Answer]`` for ``response_format=Answer``.

    Attributes:
        user_data: yours.
    """

    __slots__ = (
        "__weakref__",
        "_accumulator",
        "_attempts",
        "_callbacks",
        "_delivery",
        "_within",
        "user_data",
    )

    def __init__(
        self,
        multi: Multi,
        rendered: Rendered,
        on_event: OnEvent | None = None,
        on_text: OnText | None = None,
        on_done: OnDone | None = None,
        user_data: Any = None,
        max_unread_bytes: int = 1 << 20,
    ) -> None:
        self.user_data: Any = user_data
        self._within: list[Place[Event]] | None = None
        watch = observed(rendered)
        with SignalsHeld():  # it is there as a whole, or not at all
            self._accumulator = Accumulator()
            self._callbacks = StreamCallbacks(self, self._stop, on_event, on_text, on_done, watch)
            self._attempts = Attempts(
                driver_of(multi), rendered, self._callbacks, self._accumulator, watch
            )
            self._delivery: Delivery[Event, Completion[Parsed]] = Delivery(
                multi, self._attempts, self._callbacks, self._accumulator, max_unread_bytes
            )
            self._attempts.begin(self._delivery)

    def __repr__(self) -> str:
        return (
            f"<Stream {self._attempts.word} {self._attempts.provider} "
            f"{self._delivery.cursor} events>"
        )

    # -- what has come -----------------------------------------------------------------------

    @property
    def completion(self) -> Completion[Parsed] | None:
        """How it ended; None until `info_read` handed it over."""
        return self._delivery.completion

    @property
    def text(self) -> str:
        """The text delivered so far."""
        self._delivery.fold_now()
        return self._accumulator.text()

    @property
    def thinking(self) -> str:
        """The reasoning delivered so far."""
        self._delivery.fold_now()
        return self._accumulator.thinking()

    @property
    def message(self) -> Message:
        """The message as far as it was delivered; a call that is not whole is in its parts as
        `PartialToolCall`."""
        self._delivery.fold_now()
        return self._accumulator.message(self._attempts.provider)

    @property
    def usage(self) -> Usage | None:
        """The last count of tokens, or None."""
        self._delivery.fold_now()
        return self._accumulator.usage

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support desk; None until the response."""
        return self._attempts.request_id

    # -- what is listened to: see `Listenable` --------------------------------------------------

    def _listen(self, name: str, listener: Listener, *, once: bool) -> None:
        if self._callbacks.told and self.completion is not None:
            tell_late(name, listener, self.completion, self)
        else:
            self._callbacks.add(name, listener, once=once)

    def _unlisten(self, name: str, listener: Listener) -> None:
        self._callbacks.remove(name, listener)

    def partial_arguments(self, index: int) -> Any:
        """A look at the arguments of the tool call in block `index` while they arrive, decoded as
        far as they came; None where nothing is there yet. Never carry out a call by it: a call is
        whole with its `ToolCallDone`."""
        self._delivery.fold_now()
        return decode_partial(self._accumulator.arguments(index))

    # -- driving -----------------------------------------------------------------------------

    def cancel(self) -> None:
        """End it now, from anywhere; what was delivered is kept. Its one completion has the status
        ``cancelled``. Idempotent; nothing where it is over."""
        self._delivery.driver.check_thread("cancel")
        with SignalsHeld():
            self._attempts.cancel()

    abort = cancel

    def pause(self) -> None:
        """Take no more from the server until `resume`: flow control holds it back, no callback of
        an event is called, and of the limits only ``total`` counts. Idempotent."""
        self._delivery.driver.check_thread("pause")
        with SignalsHeld():
            self._delivery.pause()

    def resume(self) -> None:
        """The opposite of `pause`. Idempotent."""
        self._delivery.driver.check_thread("resume")
        with SignalsHeld():
            self._delivery.resume()

    def __iter__(self) -> Reader[Event]:
        """A reader of the events from the beginning, which drives the `Multi` while none waits.
        A failure is a last `StreamError`; nothing is raised for it. To leave the loop before the
        end cancels the stream, unless another reader or a callback takes its events.

        Raises:
            MisuseError: called from a callback.
        """
        return self.events()

    def events(self, *, cancel: bool = True) -> Reader[Event]:
        """As ``iter(stream)``.

        Args:
            cancel: False: to leave it cancels nothing.

        Raises:
            MisuseError: called from a callback.
        """
        delivery = self._delivery
        delivery.driver.check_thread("a reader")
        if delivery.driver.running is not None:
            raise MisuseError(
                f"a stream cannot be iterated in a callback of {delivery.driver.running}(); "
                "use its callbacks"
            )
        place = Place(delivery, cancel=cancel)
        if self._within is not None:
            self._within.append(place)
        return Reader(place)

    def text_deltas(self) -> Texts:
        """A reader of the pieces of the text, as `events`.

        Raises:
            EngineError: while reading: the stream failed, after the last piece. Cancelled: it
                only ends.
        """
        return Texts(self.events())

    def result(self) -> Completion[Parsed]:
        """Drive the `Multi` until the stream is over. Never raises for how it ended: see
        ``status``, or call `Completion.raise_for_status`. Readers do not hold it up: what one has
        not taken is joined for it.

        Raises:
            MisuseError: called from a callback.
        """
        return self._delivery.result()

    def final_message(self) -> Message:
        """The complete message, driving the `Multi` until it is there.

        Raises:
            EngineError: the stream was cancelled, truncated, or failed.
        """
        return self.result().raise_for_status().message

    def __enter__(self) -> Self:
        self._within = []
        return self

    def __exit__(self, *_: object) -> None:
        places, self._within = self._within or [], None
        for place in places:
            place.close()
        if not self._delivery.is_read:
            self._delivery.leave()

    def _stop(self) -> None:
        self._attempts.cancel()
