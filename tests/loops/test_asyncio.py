"""A Multi in an asyncio loop: streams and agents are awaited and iterated over."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import engine
import engine.emulator
from engine.agents import FunctionAgent, Pending, tool
from engine.errors import MisuseError
from engine.loops.asyncio import AsyncClient, AsyncioLoop
from tests.agents.support import add, call, check_order, kinds, script
from tests.server import Peer, chat, serve


@pytest.fixture(scope="module")
def emulator() -> Iterator[engine.emulator.Emulator]:
    with engine.emulator.start() as emulator:
        yield emulator


@pytest.fixture
def client(emulator: engine.emulator.Emulator) -> Iterator[engine.Client]:
    with engine.Client(base_url=emulator.base_url) as client:
        yield client


def run(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main, 20))


def test_events_of_a_stream_come_while_others_work(client: engine.Client) -> None:
    async def main() -> None:
        async with AsyncioLoop(client.multi) as loop:
            stream = client.stream("demo", script("one two three"))
            other = asyncio.create_task(loop.result(client.stream("demo", script("four"))))
            events = [event async for event in loop.events(stream)]
            assert isinstance(events[0], engine.events.Start)
            assert isinstance(events[-1], engine.events.Done)
            texts = [e.text for e in events if isinstance(e, engine.events.TextDelta)]
            assert "".join(texts) == "one two three"
            assert (await other).text == "four"

    run(main())


def test_an_agent_is_awaited_and_iterated(client: engine.Client) -> None:
    async def main() -> None:
        agent = FunctionAgent(client, "demo", [add])
        question = script(call("add", a=1, b=2), "Three.")
        async with AsyncioLoop(client.multi) as loop:
            events = [event async for event in loop.events(agent.run_stream(question))]
            check_order(events)
            assert kinds(events) == ["tool_start", "tool_end", "token", "answer", "complete"]
            results = await asyncio.gather(
                *(loop.result(agent.run_stream(question)) for _ in range(20))
            )
            assert [result.answer for result in results] == ["Three."] * 20

    run(main())


def test_a_worker_thread_wakes_the_loop(client: engine.Client) -> None:
    @tool(run_in="thread")
    def slow() -> str:
        time.sleep(0.02)
        return "there"

    async def main() -> str:
        async with AsyncioLoop(client.multi) as loop:
            agent = FunctionAgent(client, "demo", [slow])
            result = await loop.result(agent.run_stream(script(call("slow"), "Done.")))
            return result.trace[0].tools[0].content

    assert run(main()) == "there"


def test_deadlines_pass_although_nothing_is_readable() -> None:
    async def main(url: str) -> None:
        timeouts = engine.Timeouts(first_event=0.05)
        retry = engine.Retry(max_attempts=1)
        with engine.Client(base_url=url, timeouts=timeouts, retry=retry) as client:
            async with AsyncioLoop(client.multi) as loop:
                completion = await loop.result(client.stream("m", "hello"))
        assert completion.error.phase == "first_event"

    with serve(lambda peer: peer.wait_closed()) as server:
        run(main(server.url))


def test_to_cancel_the_task_cancels_what_it_waits_for(client: engine.Client) -> None:
    @tool(timeout=None)
    def waits() -> Pending:
        return Pending()

    async def main() -> None:
        agent = FunctionAgent(client, "demo", [waits])
        async with AsyncioLoop(client.multi) as loop:
            for wait in (loop.result, lambda run: anext(aiter(_drained(loop, run)))):
                run = agent.run_stream(script(call("waits")))
                task = asyncio.create_task(wait(run))
                while run.spent.tool_calls == 0:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert (await loop.result(run)).status == "cancelled"

    run(main())


async def _drained(loop: AsyncioLoop, run: Any) -> Any:
    async for _ in loop.events(run):
        pass
    yield None


def test_to_leave_the_loop_over_an_agents_events_cancels_it(client: engine.Client) -> None:
    async def main() -> None:
        async with AsyncioLoop(client.multi) as loop:
            stream = client.stream("demo", script("one two three"))
            async for _ in loop.events(stream):
                break
            assert (await loop.result(stream)).status == "cancelled"

    run(main())


def test_after_close_nothing_is_watched(client: engine.Client) -> None:
    async def main() -> engine.Stream:
        loop = AsyncioLoop(client.multi)
        stream = client.stream("demo", script("one"))
        loop.close()
        loop.close()
        with pytest.raises(MisuseError):
            await loop.result(stream)
        return stream

    # The stream is still there, for any other way to drive it.
    assert run(main()).result().text == "one"


def test_a_stream_that_another_loop_drives_is_not_awaited(client: engine.Client) -> None:
    async def main() -> tuple[AsyncioLoop, engine.Stream]:
        return AsyncioLoop(client.multi), client.stream("demo-ttft=0.3", script("one"))

    loop, stream = run(main())

    async def later() -> None:
        with pytest.raises(MisuseError, match="another loop"):
            await loop.result(stream)
        async with AsyncioLoop(client.multi) as mine:  # the first loop is over: this one drives
            assert (await mine.result(stream)).text == "one"

    run(later())


def test_waits_that_time_out_leave_nothing_behind() -> None:
    speaks = threading.Event()

    def silent_at_first(peer: Peer) -> None:
        speaks.wait(20)
        peer.stream(chat("one ", "two"))

    async def main(client: engine.Client) -> None:
        async with AsyncioLoop(client.multi) as loop:
            stream = client.stream("m", "hi")
            reader = loop.events(stream)
            for _ in range(50):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(reader), 0.001)
                assert len(stream._delivery._watchers or ()) <= 1
            speaks.set()
            told = [event async for event in reader]
            text = (e.text for e in told if isinstance(e, engine.events.TextDelta))
            assert "".join(text) == "one two"

    with serve(silent_at_first) as server, engine.Client(base_url=server.url) as client:
        run(main(client))


def test_what_a_callback_raises_reaches_asyncio_and_the_loop_goes_on(client: engine.Client) -> None:
    caught: list[Any] = []

    def broken(completion: object) -> None:
        raise ValueError("a mistake of mine")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: caught.append(context["exception"])
        )
        async with AsyncioLoop(client.multi) as loop:
            client.stream("demo", script("one"), on_done=broken)
            while not caught:
                await asyncio.sleep(0)
            assert (await loop.result(client.stream("demo", script("two")))).text == "two"

    run(main())
    assert isinstance(caught[0], ValueError)


@pytest.mark.parametrize("left", ["dropped", "closed", "not its own", "after its loop"])
def test_a_client_that_is_dropped_unclosed_says_so_while_its_loop_holds_what_it_has(
    client: engine.Client, left: str
) -> None:
    kept = []

    async def use() -> None:
        multi = client.multi if left == "not its own" else None
        mine = AsyncClient(multi, base_url="http://[::1]:1")
        mine._waiting()
        if left == "closed":
            await mine.aclose()
        if left == "after its loop":
            kept.append(mine)
        del mine
        gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(use())
        kept.clear()
        gc.collect()
    told = [str(each.message) for each in caught if "unclosed <AsyncClient" in str(each.message)]
    assert len(told) == (left == "dropped") and all("aclose()" in words for words in told)
