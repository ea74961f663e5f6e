"""The three ways to read a stream, written once: a scenario is a coroutine, and each flavour has
its own client, its own loop over events and its own clock. The plain one never waits in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import trio

import engine
import engine.loops.asyncio
import engine.loops.trio
from engine.loops.faces import AsyncClientBase


class Plain:
    """A script that drives the `Multi` by reading."""

    name = "plain"

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            main().send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("a plain scenario waited")

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Any]:
        with engine.Client(**options) as client:
            self.multi = client.multi
            yield client

    async def each(self, source: Any) -> AsyncIterator[Any]:
        for event in source:
            yield event

    async def next(self, reader: Any) -> Any:
        return next(reader)

    def reader(self, stream: Any) -> Any:
        return iter(stream)

    async def result(self, stream: Any) -> Any:
        return stream.result()

    async def sleep(self, seconds: float) -> None:
        """As a script that looks after its `Multi` meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.multi.poll(left)
            time.sleep(0.001)

    async def together(self, *works: Callable[[], Awaitable[Any]]) -> None:
        raise AssertionError("not in one thread")


class Asyncio(Plain):
    """Tasks in asyncio."""

    name = "asyncio"
    client_class: type[AsyncClientBase] = engine.loops.asyncio.AsyncClient
    state = "no client"

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return self.limited(main)
        except (TimeoutError, trio.TooSlowError) as error:
            error.add_note(f"when it was left: {self.state}")
            raise

    def limited(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run(asyncio.wait_for(main(), 30))

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Any]:
        async with self.client_class(**options) as client:
            try:
                yield client
            finally:
                multi = client.multi
                self.state = f"{multi!r}, {multi.statistics()}, timeout {multi.timeout()}"

    async def each(self, source: Any) -> AsyncIterator[Any]:
        async for event in source:
            yield event

    async def next(self, reader: Any) -> Any:
        return await anext(reader)

    def reader(self, stream: Any) -> Any:
        return aiter(stream)

    async def result(self, stream: Any) -> Any:
        return await stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def together(self, *works: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.gather(*(work() for work in works))


class Trio(Asyncio):
    """Tasks in trio."""

    name = "trio"
    client_class = engine.loops.trio.AsyncClient

    def limited(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def limited() -> Any:
            with trio.fail_after(30):
                return await main()

        return trio.run(limited)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def together(self, *works: Callable[[], Awaitable[Any]]) -> None:
        async with trio.open_nursery() as nursery:
            for work in works:
                nursery.start_soon(work)


FLAVOURS = [Plain(), Asyncio(), Trio()]
