"""How the tasks of a host loop wait for what a `Multi` brings; asyncio and trio share it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from engine.answering.delivery import Delivery
from engine.answering.reader import AsyncReader, Place
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
        pause: ``await pause(start)`` calls ``start(wake)`` and returns after ``wake()``, which is
            called on the loop's thread, maybe more than once.
        task: what stands for the task that runs.
        when_cancelled: ``when_cancelled(task, call)``: call it where the task ends cancelled; None:
            the host keeps no tracebacks, so that what a cancelled task held is dropped with it.
    """

    __slots__ = ("_attachment", "_pause", "_when_cancelled", "task")

    def __init__(
        self,
        attachment: Attachment,
        pause: Callable[[Callable[[Callable[[], None]], None]], Awaitable[None]],
        task: Callable[[], Any],
        when_cancelled: Callable[[Any, Callable[[], None]], None] | None = None,
    ) -> None:
        self._attachment = attachment
        self._pause = pause
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

    async def park(self, watch: Callable[[Callable[[], None]], None]) -> None:
        """Wait until what was given to `watch` is called.

        Raises:
            MisuseError: nobody drives the `Multi`, or nobody does any more.
        """
        take_back: list[Callable[[], None]] = []
        if self._attachment.closed:
            raise MisuseError(
                "nothing drives this stream: its client, or the attachment to this loop, is closed"
            )
        try:
            await self._pause(self._start(watch, take_back))
        finally:
            for call in take_back:
                call()
            del watch  # who keeps the traceback of a cancelled task keeps no reader by it

    def _start(
        self, watch: Callable[[Callable[[], None]], None], take_back: list[Callable[[], None]]
    ) -> Callable[[Callable[[], None]], None]:
        def start(wake: Callable[[], None]) -> None:
            watch(wake)
            take_back.append(self._attachment.on_close(wake))

        return start

    async def ending(self, delivery: Delivery[Any, R]) -> R:
        """How it ended; readers let go. To cancel the task that waits is to leave."""
        delivery.let_go()
        delivery.awaited += 1
        try:
            while delivery.completion is None:
                await self.park(delivery.watch)
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


async def ended(run: Run[R], waiting: Waiting) -> R:
    """How `run` ended. To cancel the task that waits cancels it."""
    told: list[Callable[[], None]] = []
    run.on("end", lambda: [wake() for wake in told])
    try:
        while run.completion is None:
            await waiting.park(told.append)
    except MisuseError:
        raise  # it is left alone, for another way to drive it
    except BaseException:
        run.cancel()
        raise
    return run.completion
