"""Readers: a place in a delivery, moved on at its own pace; to leave it ends what nobody reads."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from engine.answering.contract import History, Step
from engine.answering.delivery import Delivery
from engine.errors import MisuseError
from engine.events import Event, StreamError, TextDelta

if TYPE_CHECKING:
    from engine.transport.multi import Multi

__all__ = ["AsyncReader", "AsyncTexts", "Park", "Place", "Reader", "Texts"]

E = TypeVar("E")

_NOTHING: Final[Iterator[Any]] = iter(())

Park = Callable[[], tuple[Awaitable[None], Callable[[], None]]]
"""Gives what is awaited until the other is called, which may be more than once."""


class Place(Generic[E]):
    """Where a reader is, from `begin` on. The delivery knows the place only, so that a reader
    nobody holds any more is dropped.

    Args:
        delivery: what is read.
        cancel: whether to leave before the end ends it.

    Attributes:
        delivery: as given.
        position: number of the first item that was not taken, but for what was taken of `lent`.
        lent: what may be taken without asking: see `Delivery.lend`.
        rest: what was not taken, once it was let go; None before.
        closed: it was left, or came to its end.
    """

    __slots__ = ("_before", "_begun", "_owns", "closed", "delivery", "lent", "position", "rest")

    def __init__(self, delivery: Delivery[E, Any], *, cancel: bool = True) -> None:
        self.delivery: Delivery[E, Any] = delivery
        self.position: int = 0
        self.lent: Iterator[E] = _NOTHING
        self.rest: History[E] | None = None
        self.closed: bool = False
        self._begun = False
        self._owns = cancel
        self._before: deque[E] | None = None

    def begin(self) -> None:
        """Read from the beginning; nothing the second time. It is for the reader to call, once it
        would be dropped: an interrupt may come between any two lines, and what no reader holds
        would hold the source back for ever."""
        if not self._begun:
            self._begun = True
            self._before = deque(self.delivery.begin(self)) or None

    def take(self) -> E | None:
        """The next event; None where none waits."""
        for event in self.lent:
            return event
        if self.closed:
            return None
        if self._before is not None:
            return self._caught_up()
        if self.rest is not None:
            return self._joined()
        delivery = self.delivery
        while True:
            if self.position >= delivery.counted and not delivery.advance(self):
                return None
            position = self.position
            item = delivery.queue[position - delivery.base]
            self.position = position + 1
            if type(item) is not Step:
                break
        more = delivery.backlog.next - position - 1  # type: ignore[union-attr]  # made by `begin`
        if more <= 0:
            delivery.settle()
        elif more > 2 and type(self) is Place:  # another kind looks at each
            delivery.lend(self)
        return item  # type: ignore[no-any-return]  # of what is in a queue, steps are not events

    @property
    def ended(self) -> bool:
        """Where nothing can be taken: nothing will come either, and how it ended is known."""
        return self.closed or self.delivery.completion is not None

    @property
    def held_back(self) -> bool:
        """Whether the source waits for the slowest reader; where nothing can be taken here, that
        is another one, or this one has news."""
        backlog = self.delivery.backlog
        return backlog is not None and backlog.held_back

    def drive(self) -> None:
        """Wait for news, where nothing can be taken.

        Raises:
            MisuseError: none could come, or this is a callback.
        """
        # 0: the last turn ended in the middle of its work; there may be news of this reader in it.
        if self.held_back and self.delivery.multi.timeout() != 0:
            raise MisuseError(
                "this reader has read all there is, and another one is max_unread_bytes behind it; "
                "read that one too, close it, or call result()"
            )
        self.delivery.multi.poll()

    def close(self) -> None:
        """Read no more. Idempotent; at the end it is no leaving."""
        if not self.closed:
            self.closed = True
            self._before = self.rest = None
            if not self.delivery.end(self) and self._owns:
                self.delivery.leave()

    def drop(self) -> None:
        """`close`, for a reader that nobody holds any more. That may be anywhere: on another
        thread, or, where the garbage collector does it, in the middle of the engine's own code and
        even inside libcurl. So only what is dropped by the user's code, outside of a turn, is
        closed here and now; the rest is noted for the next turn."""
        driver = self.delivery.driver
        if self.closed or driver.forked:
            return
        if driver.at_rest and not _inside_engine():
            self.close()
        else:
            driver.call_soon(self.close)

    def _caught_up(self) -> E:
        assert self._before is not None
        event = self._before.popleft()
        if not self._before:
            self._before = None
        return event

    def _joined(self) -> E | None:
        """What came since the last look."""
        assert self.rest is not None
        self.delivery.fold_now()
        events = self.rest.events()
        if not events:
            return None
        self.rest = self.rest.fresh()
        self._before = deque(events)
        return self._caught_up()


def _inside_engine() -> bool:
    """Whether the code that dropped a reader is the engine's."""
    try:
        frame = sys._getframe(3)  # above this function, `drop` and `__del__`
    except ValueError:
        return True  # no code at all: the interpreter is going down
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "engine"


class _Reader(Generic[E]):
    """What both kinds of readers are."""

    __slots__ = ("_moved", "_place", "take")

    def __init__(self, place: Place[E]) -> None:
        self._place = place
        self._moved = False
        self.take: Callable[[], E | None] = place.take
        """The next event; None where none waits."""

    @property
    def multi(self) -> Multi:
        """What drives it."""
        return self._place.delivery.multi

    @property
    def ended(self) -> bool:
        """Where nothing can be taken: nothing will come either."""
        return self._place.ended

    @property
    def held_back(self) -> bool:
        """See `Place.held_back`."""
        return self._place.held_back

    def watch(self, call: Callable[[], None]) -> None:
        """Call `call` once, when there is news."""
        self._place.delivery.watch(call)

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._place.close()

    @property
    def place(self) -> Place[E]:
        """Its place, for a reader of another kind; see `move`."""
        return self._place

    def move(self) -> None:
        """It is over, which is no leaving: another reader has its place by now."""
        self._moved = True

    def __del__(self) -> None:
        # An interrupt may come before the first line of a constructor.
        if not getattr(self, "_moved", True):
            self._place.drop()


class Reader(_Reader[E]):
    """An iterator over events that drives the `Multi` while none waits.

    It gives everything from the beginning, once, however late it begins: what came before is
    joined, then each event comes as it came. Any number of readers get all, each at its own pace;
    the slowest holds the server back once it is ``max_unread_bytes`` behind.

    To leave it before the end, by `close`, by an exception in here, or by dropping it (a ``break``
    does), cancels what it reads, unless another reader or a callback reads it too.
    """

    __slots__ = ()

    def __init__(self, place: Place[E]) -> None:
        super().__init__(place)
        place.begin()

    def __iter__(self) -> Reader[E]:
        return self

    def __next__(self) -> E:
        """The next event.

        Raises:
            MisuseError: none could ever come: called from a callback, or another reader of the
                same thread must read first.
        """
        for event in self._place.lent:
            return event
        try:
            while (taken := self.take()) is None:
                if self._place.ended:
                    break
                self._place.drive()
            else:
                return taken
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def drive(self) -> None:
        """Wait for news; MisuseError where none could come."""
        self._place.drive()


class AsyncReader(_Reader[E]):
    """An asynchronous iterator over events: as `Reader`, where a host loop drives the `Multi`.

    To cancel a task that waits in it, or to let a wait time out, is no leaving by itself: the
    reader can be asked again, until it is closed or dropped.
    """

    __slots__ = ("_interrupted", "park")

    def __init__(
        self, place: Place[E], park: Park, interrupted: Callable[[], None] | None = None
    ) -> None:
        super().__init__(place)
        self.park: Park = park
        """How the host's tasks wait."""
        self._interrupted = interrupted  # called where a wait is cancelled first
        place.begin()

    def __aiter__(self) -> AsyncReader[E]:
        return self

    async def __anext__(self) -> E:
        """The next event."""
        for event in self._place.lent:
            return event
        while (taken := self.take()) is None:
            place = self._place
            delivery = place.delivery
            if place.closed or delivery.completion is not None:
                self.close()
                raise StopAsyncIteration
            news, wake = self.park()
            delivery.watch(wake)
            try:
                await news
            except BaseException:
                delivery.unwatch(wake)
                wake()
                if self._interrupted is not None:
                    self._interrupted()
                    self._interrupted = None
                del self  # who keeps the traceback of a cancelled task keeps no reader by it
                raise
        return taken

    async def aclose(self) -> None:
        """Read no more. Idempotent."""
        self.close()


class Texts:
    """The pieces of the text that a reader reads; to leave it is to leave the reader."""

    __slots__ = ("_reader",)

    def __init__(self, reader: Reader[Event]) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next piece.

        Raises:
            EngineError: the stream failed, after the last piece. Cancelled: it only ends.
        """
        for event in self._reader:
            if (text := _text(event)) is not None:
                return text
        raise StopIteration

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._reader.close()


class AsyncTexts:
    """As `Texts`, asynchronously."""

    __slots__ = ("_reader",)

    def __init__(self, reader: AsyncReader[Event]) -> None:
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        """The next piece.

        Raises:
            EngineError: the stream failed, after the last piece. Cancelled: it only ends.
        """
        try:
            async for event in self._reader:
                if (text := _text(event)) is not None:
                    return text
        except BaseException:
            del self  # as `AsyncReader` does
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Read no more. Idempotent."""
        self._reader.close()


def _text(event: Event) -> str | None:
    """A piece of the first choice's text; None for what is none."""
    if type(event) is TextDelta and not event.choice:
        return event.text
    if type(event) is StreamError:
        raise event.error
    return None
