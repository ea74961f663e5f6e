"""A relay: browsers read what the engine streams from a provider, and whoever leaves, in whatever
way, ends what is streamed for them at once; the others get all of theirs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from engine.loops.asyncio import AsyncClient
from engine.transport.multi import Multi
from tests.faults.server import KEEP, FaultServer, Step, play
from tests.server import DONE, OK_SSE, Request, chat_chunk
from tests.steady import comes_about

LIMIT = 0.3
WORDS = [f"w{n} " for n in range(25)]


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def provider(request: Request, pause: float) -> Iterable[Step]:
    """For browsers of an odd number an answer that ends, for the others one that never does."""
    yield OK_SSE
    words = iter(WORDS) if _number(request.path) % 2 else iter(lambda: "more ", None)
    for word in words:
        yield chunked(chat_chunk(word))
        yield pause
    yield chunked(chat_chunk(finish="stop") + DONE) + b"0\r\n\r\n"
    yield KEEP


def _number(path: str) -> int:
    return int(path.split("/")[1])


class Relay:
    """``/number?way=…`` streams the answer; the way says what goes wrong in the handler."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.multi = Multi()
        self.streams: dict[int, Any] = {}
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.left_at: dict[int, float] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        number, way = int(request.match_info["number"]), request.query.get("way")
        task = asyncio.current_task()
        assert task is not None
        self.tasks[number] = task
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        client = AsyncClient(self.multi, base_url=f"{self.url}/{number}")
        stream = self.streams[number] = client.stream("m", "hi")
        try:
            async with asyncio.timeout(None) as limit:
                await self._relay(stream, response, way, limit)
        except BaseException:
            self.left_at[number] = time.monotonic()
            raise
        return response

    async def _relay(
        self, stream: Any, response: web.StreamResponse, way: str | None, limit: asyncio.Timeout
    ) -> None:
        relayed = 0
        async for delta in stream.text_deltas():
            await response.write(delta.encode())
            relayed += 1
            if way == "timeout" and relayed == 1:
                limit.reschedule(asyncio.get_running_loop().time() + 0.2)
            if way == "exception" and relayed == 3:
                raise RuntimeError("a mistake in the relay")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/{number}", self.handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


WAYS = ("closed tab", "cancelled task", "timeout", "exception", "stop", "server shutdown")


def way_of(number: int) -> str | None:
    """How a browser leaves; None: it stays."""
    return None if number % 2 else WAYS[number // 2 % len(WAYS)]


async def browser(session: ClientSession, url: str, relay: Relay, number: int) -> str | float:
    """What a browser got that stayed; or when the other one left."""
    way = way_of(number)
    if way is None:
        async with session.get(f"{url}/{number}") as response:
            return (await response.read()).decode()
    try:
        async with session.get(f"{url}/{number}", params={"way": way}) as response:
            await response.content.readexactly(9)
            if way == "closed tab":
                response.close()
            elif way == "cancelled task":
                relay.tasks[number].cancel()
            elif way == "stop":
                relay.streams[number].cancel()
            else:
                await response.read()
    except Exception:
        pass  # the relay broke off, as it should
    return relay.left_at.get(number, time.monotonic())


TIMEOUT = ClientTimeout(total=60)


async def lag(passes: list[tuple[float, float]]) -> None:
    """Note when the loop took longer than it should for a pass, and how much: it has browsers,
    relay and engine in it, and a loaded machine."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.01)
        passes.append((before, time.monotonic() - before - 0.01))


async def relayed(
    provider: FaultServer, browsers: int, passes: list[tuple[float, float]]
) -> list[str | float]:
    relay = Relay(provider.url)
    lagging = asyncio.create_task(lag(passes))
    every = TCPConnector(limit=0)  # aiohttp's own limit is 100
    async with ClientSession(timeout=TIMEOUT, connector=every) as session:
        async with relay.serving() as url:
            work = [
                asyncio.create_task(browser(session, url, relay, number))
                for number in range(browsers)
            ]
            stays = [w for n, w in enumerate(work) if way_of(n) != "server shutdown"]
            await asyncio.gather(*stays)
        results = await asyncio.gather(*work)
    await asyncio.sleep(LIMIT)
    for _ in range(1000):
        if len(relay.multi):
            await asyncio.sleep(0.01)
    assert len(relay.multi) == 0
    lagging.cancel()
    relay.multi.close()
    return results


def latest(browsers: int, pause: float) -> dict[str, float]:
    """Seconds beyond what is allowed from leaving to the end of the upstream, of those that were
    late, the latest of each way; whoever stays has all of his answer."""
    passes: list[tuple[float, float]] = []
    with play(lambda request: provider(request, pause)) as server:
        results = asyncio.run(relayed(server, browsers, passes))
        assert comes_about(lambda: len(server.left) >= browsers // 2)
        left = {_number(path): when for path, when in server.left}
    leavers = [number for number in range(browsers) if number % 2 == 0]
    assert sorted(left) == leavers
    assert [results[n] for n in range(1, browsers, 2)] == ["".join(WORDS)] * (browsers // 2)
    late: dict[str, float] = {}
    for number in leavers:
        since, until = float(results[number]), left[number]
        # A closed tab ends its upstream in three passes of the loop: aiohttp notices it, the
        # handler leaves, the engine closes.
        longest = max((long for at, long in passes if since - 1 < at < until), default=0.0)
        way, beyond = way_of(number) or "", until - since - LIMIT - 3 * longest
        if beyond > 0:
            late[way] = max(late.get(way, 0.0), beyond)
    return late


@pytest.mark.parametrize(
    # Words are seldom enough that a slow machine has time to spare: the limit is in seconds.
    ("browsers", "pause"),
    [(24, 0.1), pytest.param(500, 0.4, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(200)
def test_whoever_leaves_ends_the_upstream_and_the_others_get_all(
    browsers: int, pause: float
) -> None:
    late = [latest(browsers, pause)]
    # What else the machine does takes time, too: not of the same way again and again.
    while set.intersection(*map(set, late)) and len(late) < 4:
        late.append(latest(browsers, pause))
    assert not set.intersection(*map(set, late)), late
