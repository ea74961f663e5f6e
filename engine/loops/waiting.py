"""How the tasks of a host loop wait for what a `Multi` brings; asyncio and trio share it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from engine.answering.delivery import Delivery
from engine.errors import MisuseError
from engine.loops.host import Attachment

__all__ = ["Run", "Waiting", "ended"]

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
    """

    __slots__ = ("_attachment", "_pause", "task")

    def __init__(
        self,
        attachment: Attachment,
        pause: Callable[[Callable[[Callable[[], None]], None]], Awaitable[None]],
        task: Callable[[], object],
    ) -> None:
        self._attachment = attachment
        self._pause = pause
        self.task = task

    async def park(self, watch: Callable[[Callable[[], None]], None]) -> None:
        """Wait until what was given to `watch` is called.

        Raises:
            MisuseError: nobody drives the `Multi`, or nobody does any more.
        """
        take_back: list[Callable[[], None]] = []

        def start(wake: Callable[[], None]) -> None:
            watch(wake)
            take_back.append(self._attachment.on_close(wake))

        if self._attachment.closed:
            raise MisuseError(
                "nothing drives this stream: its client, or the attachment to this loop, is closed"
            )
        try:
            await self._pause(start)
        finally:
            for call in take_back:
                call()

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
