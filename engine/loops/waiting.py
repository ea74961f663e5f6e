"""How the tasks of a host loop wait for what a `Multi` brings; asyncio and trio share it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from engine.answering.delivery import Delivery
from engine.answering.reader import AsyncReader, Place, Reader
from engine.errors import MisuseError
from engine.loops.host import Attachment

__all__ = ["Run", "Waiting", "ended"]

E = TypeVar("E")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Run(Protocol[R_co]):
    """An agent's run."""

    @property
    def completion(self) -> R_co | None: ...

    def on(self, name: str, listener: Callable[..., object]) -> object: ...

    def cancel(self) -> None: ...


class Waiting:
    """How the tasks of a host loop wait for what a `Multi` brings.

    Args:
        attachment: what drives the `Multi`.
        running: the loop that runs; now it is the attachment's.
        bell: makes what a task awaits, once, until ``ring(bell)``.
        ring: called on the loop's thread; also where nobody waits any more.
        task: what stands for the task that runs.
        when_cancelled: ``when_cancelled(task, call)``: call it where the task ends cancelled; None:
            the host keeps no tracebacks, so that what a cancelled task held is dropped with it.
    """

    __slots__ = ("_attachment", "_bell", "_loop", "_ring", "_running", "_when_cancelled", "task")

    def __init__(
        self,
        attachment: Attachment,
        running: Callable[[], object],
        bell: Callable[[], Awaitable[None]],
        ring: Callable[[Any], object],
        task: Callable[[], Any],
        when_cancelled: Callable[[Any, Callable[[], None]], None] | None = None,
    ) -> None:
        self._attachment = attachment
        self._running = running
        self._loop = running()
        self._bell = bell
        self._ring = ring
        self.task: Callable[[], object] = task
        self._when_cancelled = when_cancelled

    def reader(self, place: Place[E]) -> AsyncReader[E]:
        """A reader at `place`, for the task that runs."""
        when_cancelled, maker = self._when_cancelled, self.task()
        if when_cancelled is None or maker is None:
            return AsyncReader(place, self.park)

        def interrupted() -> None:
            # A timeout around one wait cancels that wait only; a task that ends cancelled has left,
            # even where somebody keeps its traceback and with it the reader's name.
            if self.task() is maker:
                when_cancelled(maker, place.close)

        return AsyncReader(place, self.park, interrupted)

    def moved(self, reader: Reader[E]) -> AsyncReader[E]:
        """A reader in the place of `reader`, which is over."""
        mine = self.reader(reader.place)
        reader.move()  # after it: an interrupt between leaves two that are dropped, not none
        return mine

    def park(self) -> tuple[Awaitable[None], Callable[[], None]]:
        """What is awaited until the other is called, maybe more than once; which is to be called
        where the wait ends otherwise.

        Raises:
            MisuseError: nobody drives the `Multi` any more, or another loop than this.
        """
        if self._running() is not self._loop:
            raise MisuseError(
                f"{self._loop!r} drives this stream, or did; it cannot be awaited in another loop"
            )
        bell = self._bell()
        return bell, self._attachment.park(bell, self._ring)

    async def ending(self, delivery: Delivery[Any, R]) -> R:
        """How it ended; readers let go. To cancel the task that waits is to leave."""
        delivery.let_go()
        delivery.awaited += 1
        try:
            while delivery.completion is None:
                await self._news(delivery)
        except MisuseError:
            delivery.awaited -= 1  # it is left alone, for another way to drive it
            raise
        except GeneratorExit:  # dropped, wherever that is: see `Place.drop`
            delivery.driver.call_soon(delivery.left)
            raise
        except BaseException:
            delivery.left()
            raise
        delivery.awaited -= 1
        return delivery.completion

    async def _news(self, delivery: Delivery[Any, Any]) -> None:
        news, wake = self.park()
        delivery.watch(wake)
        try:
            await news
        finally:
            delivery.unwatch(wake)
            wake()


async def ended(run: Run[R], waiting: Waiting) -> R:
    """How `run` ended. To cancel the task that waits cancels it."""
    told: list[Callable[[], None]] = []
    run.on("end", lambda: [wake() for wake in told])
    try:
        while run.completion is None:
            end, wake = waiting.park()
            told.append(wake)
            await end
    except MisuseError:
        raise  # it is left alone, for another way to drive it
    except BaseException:
        run.cancel()
        raise
    return run.completion
