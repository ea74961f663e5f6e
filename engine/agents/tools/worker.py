"""One thread with one asyncio loop: where a client's ``async def`` tools run, and MCP does."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from engine.errors import CallbackError, describe

if TYPE_CHECKING:
    import asyncio

__all__ = ["Worker", "worker_of"]

Then = Callable[[Any, BaseException | None], None]


class Worker:
    """Runs awaitables in a loop of its own; the thread begins with the first, and is a daemon: a
    tool that hangs does not hold up the end of the program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, awaitable: Awaitable[Any], then: Then) -> Callable[[], None]:
        """Await `awaitable` there, and there call `then` with (result, exception). From any
        thread.

        Returns:
            what cancels it, from any thread.
        """
        import asyncio  # takes 40 ms, and most agents have no need of it

        loop = self._started()
        future = asyncio.run_coroutine_threadsafe(_awaited(awaitable), loop)

        def ended(future: Any) -> None:
            if future.cancelled():
                then(None, asyncio.CancelledError())
            else:
                error = future.exception()
                then(None if error is not None else future.result(), error)

        future.add_done_callback(ended)
        return lambda: void(future.cancel())

    def stop(self) -> None:
        """End the loop, and what runs in it. From any thread; idempotent."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)

    def _started(self) -> asyncio.AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_serve, args=(self._loop,), name="engine-async-tools", daemon=True
                ).start()
            return self._loop


def void(_: object) -> None:
    """Nothing."""


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        # asyncio lets these two leave the loop, which others wait on; a thread that exits exits
        # alone.
        raise CallbackError(describe(error)) from error


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=1))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


_workers: weakref.WeakKeyDictionary[Any, Worker] = weakref.WeakKeyDictionary()


def worker_of(owner: object) -> Worker:
    """The worker of `owner` (a client); made when it is asked for first, and ended when nobody
    has the owner any more."""
    worker = _workers.get(owner)
    if worker is None:
        worker = _workers[owner] = Worker()
        weakref.finalize(owner, worker.stop)
    return worker
