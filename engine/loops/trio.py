"""A `Multi` in trio, and a client whose streams are awaited there: see `engine.loops.asyncio`.

    async with AsyncClient() as client:
        async for event in client.stream(model, "Why is the sky blue?"):
            …

A system task waits for the one descriptor of the `Multi`, another for its timer; cancel scopes,
nurseries and ``move_on_after`` work on what awaits as they do elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any

import trio

from engine.loops import host
from engine.loops.faces import AsyncClientBase, AsyncStream
from engine.loops.host import Attachment, Then
from engine.loops.waiting import Waiting
from engine.transport.multi import Multi

__all__ = ["AsyncClient", "AsyncStream", "attach"]


class _TrioHost:
    def __init__(self) -> None:
        self.loop = trio.lowlevel.current_trio_token()
        self.closed = False
        self._watch: trio.CancelScope | None = None

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        scope = self._watch = trio.CancelScope()

        async def watch() -> None:
            # Not after a cancel: to wait for a descriptor that is closed by now is an error.
            while not scope.cancel_called:
                await trio.lowlevel.wait_readable(fd)
                if not scope.cancel_called:
                    call()

        self._spawn(scope, watch)

    def unwatch(self, fd: int) -> None:
        if self._watch is not None:
            # After an internal error of trio's its epoll is closed, and no task was told. Where
            # another loop drives trio, this may be between two of its steps.
            with suppress(RuntimeError, ValueError):
                self._watch.cancel()
                # The descriptor may be closed, and its number be another's, before the task runs.
                trio.lowlevel.notify_closing(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def wait() -> None:
            await trio.sleep(seconds)
            if not scope.cancel_called:
                call()

        self._spawn(scope, wait)
        return scope

    def run(self, awaitable: Awaitable[Any], then: Then) -> Callable[[], None]:
        """See `Attachment.run`."""
        scope = trio.CancelScope()

        async def task() -> None:
            value: Any = None
            error: BaseException | None = None
            with scope:
                try:
                    value = await awaitable
                except trio.Cancelled as cancelled:
                    error = cancelled
                    raise
                except Exception as raised:
                    error = raised
                finally:
                    then(value, error)

        trio.lowlevel.spawn_system_task(task)
        return scope.cancel

    def _spawn(self, scope: trio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
        async def task() -> None:
            try:
                with scope:
                    await work()
            except trio.ClosedResourceError:
                pass
            except trio.Cancelled:
                self.closed = True  # trio.run is at its end
                raise

        trio.lowlevel.spawn_system_task(task)


def attach(multi: Multi) -> Attachment:
    """Have the running trio loop drive `multi`.

    Raises:
        RuntimeError: trio does not run.
        MisuseError: see `engine.loops.host.attach`.
    """
    return host.attach(multi, _TrioHost())


class _Bell:
    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        self._rung.set()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    # An interrupt between the lines of `Event.wait` (trio 0.35) leaves a task in the event that
    # goes on elsewhere; `ring` then runs it twice, and trio ends with TrioInternalError.
    @trio.lowlevel.enable_ki_protection
    async def _wait(self) -> None:
        await self._rung.wait()


class AsyncClient(AsyncClientBase):
    """A client for trio: arguments are those of `engine.Client`. It belongs to the loop that runs
    when it is entered, or first used."""

    def _attach(self) -> Attachment:
        return attach(self.multi)

    def _wait_in(self, attachment: Attachment) -> Waiting:
        return Waiting(attachment, trio.lowlevel.current_trio_token, _Bell, _Bell.ring, _task)

    async def _pass(self) -> None:
        await trio.sleep(0)


def _task() -> Any:
    return trio.lowlevel.current_task()
