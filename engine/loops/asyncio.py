"""A `Multi` in an asyncio loop, and a client whose streams are awaited there.

    async with AsyncClient() as client:
        async for event in client.stream(model, "Why is the sky blue?"):
            …
        completion = await client.stream(model, "And the sea?")
        result = await client.run(agent, "What is 2 + 3?")

The loop watches the one descriptor of the `Multi` and keeps one timer; there is no task and no
queue on the way, and callbacks work as everywhere else. Loops that are asyncio's in another coat
(uvloop, qasync) do as well; where a loop watches no descriptor (Windows' Proactor), timers do.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from engine.answering.merged import Readable
from engine.answering.reader import AsyncReader
from engine.loops import host
from engine.loops.faces import AsyncClientBase, AsyncStream
from engine.loops.host import Attachment, Then
from engine.loops.waiting import Run, Waiting, ended
from engine.transport.multi import Multi

__all__ = ["AsyncClient", "AsyncStream", "AsyncioLoop", "attach"]

E = TypeVar("E")
R = TypeVar("R")


class _AsyncioHost:
    """The loop; it runs awaitables, too: see `Attachment.run`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    @property
    def closed(self) -> bool:
        return self.loop.is_closed()

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        if isinstance(getattr(self.loop, "_selector", None), selectors.SelectSelector):
            host.for_select(fd)
        self.loop.add_reader(fd, call)

    def unwatch(self, fd: int) -> None:
        self.loop.remove_reader(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, call)

    def run(self, awaitable: Awaitable[Any], then: Then) -> Callable[[], None]:
        task = self.loop.create_task(_awaited(awaitable))

        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                then(None, asyncio.CancelledError())
            else:
                error = task.exception()
                then(None if error is not None else task.result(), error)

        def cancel() -> None:
            task.cancel()

        task.add_done_callback(ended)
        return cancel

    def failed(self, error: Exception) -> None:
        message = "a completion handler of an engine.Multi raised"
        self.loop.call_exception_handler({"message": message, "exception": error})


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def attach(multi: Multi, loop: asyncio.AbstractEventLoop | None = None) -> Attachment:
    """Have an asyncio loop drive `multi`.

    Args:
        loop: None: the running one.

    Raises:
        RuntimeError: none is given, and none runs.
        MisuseError: see `engine.loops.host.attach`.
    """
    return host.attach(multi, _AsyncioHost(loop or asyncio.get_running_loop()))


def _ring(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)


def _when_cancelled(task: asyncio.Task[Any], call: Callable[[], None]) -> None:
    task.add_done_callback(lambda task: call() if task.cancelled() else None)


def _waiting(attachment: Attachment) -> Waiting:
    running = asyncio.get_running_loop
    bell = running().create_future
    return Waiting(attachment, running, bell, _ring, asyncio.current_task, _when_cancelled)


class AsyncClient(AsyncClientBase):
    """A client for asyncio: arguments are those of `engine.Client`. It belongs to the loop that
    runs when it is entered, or first used."""

    def _attach(self) -> Attachment:
        return attach(self.multi)

    def _wait_in(self, attachment: Attachment) -> Waiting:
        return _waiting(attachment)

    async def _pass(self) -> None:
        await asyncio.sleep(0)


class AsyncioLoop:
    """Drives `multi` in the running asyncio loop, until `close`, or to the end of ``async with``;
    for streams of a plain `Client` and runs of an agent.

    Raises:
        RuntimeError: no asyncio loop runs.
        MisuseError: see `engine.loops.host.attach`.
    """

    def __init__(self, multi: Multi) -> None:
        self._attachment = attach(multi)
        self._waiting = _waiting(self._attachment)

    async def __aenter__(self) -> AsyncioLoop:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drive no more. What is open stays open: go on in another loop, or close the `Multi`.
        Idempotent."""
        self._attachment.close()

    async def result(self, source: Run[R]) -> R:
        """How `source` ended, a `Stream` or an agent's run; never raises for it. To cancel the
        task that waits cancels `source`."""
        return await ended(source, self._waiting)

    def events(self, source: Readable[E]) -> AsyncReader[E]:
        """The events of `source`, a `Stream` or an agent's run, from the beginning: see
        `AsyncReader`. To leave the loop over them before the end cancels `source`."""
        return self._waiting.moved(source.events())
