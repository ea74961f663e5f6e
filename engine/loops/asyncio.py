"""A `Multi` in an asyncio loop.

    async with AsyncioLoop(client.multi) as loop:
        async for event in loop.events(client.stream(model, "Why is the sky blue?")):
            …
        result = await loop.result(agent.run_stream("What is 2 + 3?"))

The loop watches the one descriptor of the `Multi` and keeps one timer; there is no task and no
queue on the way, and callbacks work as everywhere else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from engine.errors import MisuseError
from engine.transport.multi import Multi

__all__ = ["AsyncioLoop", "Source"]


class Source(Protocol):
    """What can be waited for: a `Stream`, or an agent's run."""

    completion: Any

    def on(self, name: str, listener: Callable[..., object]) -> Any: ...

    def cancel(self) -> None: ...


class AsyncioLoop:
    """Drives `multi` in the running asyncio loop, until `close`, or to the end of ``async with``.

    Belongs to the thread of that loop, as `multi` does from then on.

    Raises:
        RuntimeError: no asyncio loop runs.
        MisuseError: `multi` is closed.
    """

    def __init__(self, multi: Multi) -> None:
        self._multi = multi
        self._loop = asyncio.get_running_loop()
        self._fd = multi.fileno()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop.add_reader(self._fd, self._turn)
        self._set_timer()

    async def __aenter__(self) -> AsyncioLoop:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drive no more. What is open stays open: go on in another loop, or close the `Multi`.
        Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            if self._timer is not None:
                self._timer.cancel()

    async def result(self, source: Source) -> Any:
        """How `source` ended: a `Completion`, or an `AgentResult`; never raises for it. To cancel
        the task that waits cancels `source`."""
        ended = asyncio.Event()
        if source.completion is None:
            source.on("end", lambda _: ended.set())
            await self._wait(ended, source)
        return source.completion

    async def events(self, source: Source) -> AsyncIterator[Any]:
        """The events of `source` from now on; those that are not taken yet wait in memory. To
        cancel the task that waits cancels `source`; to leave the loop does not."""
        waiting: deque[Any] = deque()
        more = asyncio.Event()
        left = False

        def happened(event: Any, _: object) -> None:
            if not left:
                waiting.append(event)
                more.set()

        if source.completion is None:
            source.on("event", happened)
            source.on("end", lambda _: more.set())
        try:
            while True:
                while waiting:
                    yield waiting.popleft()
                if source.completion is not None:
                    return
                more.clear()
                await self._wait(more, source)
        finally:
            left = True
            waiting.clear()

    # ----------------------------------------------------------------------------------------

    async def _wait(self, event: asyncio.Event, source: Source) -> None:
        if self._closed:
            raise MisuseError("this AsyncioLoop is closed; wait inside of `async with`")
        try:
            await event.wait()
        except asyncio.CancelledError:
            source.cancel()
            raise

    def _turn(self) -> None:
        try:
            self._multi.perform()
            self._multi.info_read()
        finally:
            if not self._closed:
                self._set_timer()

    def _set_timer(self) -> None:
        # A request that begins, or a timer that is set, makes the descriptor readable: so it is
        # enough to look at `timeout` after each turn.
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._multi.timeout()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self._turn)
