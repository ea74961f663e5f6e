"""An agent's run in asyncio and in trio: awaited, read, left; its async tools in the same loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio

import engine
import engine.emulator
import engine.loops.asyncio
import engine.loops.trio
from engine.agents import ConversationalAgent, FunctionAgent, tool
from engine.loops.asyncio import AsyncioLoop
from tests.agents.support import add, call, check_order, script

QUESTION = script(call("add", a=1, b=2), "It is three.")


class Flavour:
    """One host: how it runs a task, its client, how it sleeps."""

    def __init__(self, name: str, client: Any, run: Callable[..., Any], sleep: Any) -> None:
        self.name, self.client, self.run, self.sleep = name, client, run, sleep

    def __repr__(self) -> str:
        return self.name


FLAVOURS = [
    Flavour("asyncio", engine.loops.asyncio.AsyncClient, lambda f: asyncio.run(f()), asyncio.sleep),
    Flavour("trio", engine.loops.trio.AsyncClient, trio.run, trio.sleep),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with engine.emulator.start() as emulator:
        yield emulator.base_url


@pytest.fixture(params=FLAVOURS, ids=repr)
def flavour(request: pytest.FixtureRequest) -> Any:
    return request.param


def in_loop(flavour: Flavour, url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with flavour.client(base_url=url) as client:
            return await work(client)

    return flavour.run(main)


def test_a_run_is_awaited(flavour: Flavour, url: str) -> None:
    async def work(client: Any) -> Any:
        return await client.run(FunctionAgent(client.client, "demo", [add]), QUESTION)

    assert in_loop(flavour, url, work).answer == "It is three."


def test_its_events_are_read_and_then_it_is_awaited(flavour: Flavour, url: str) -> None:
    async def work(client: Any) -> Any:
        run = client.run_stream(FunctionAgent(client.client, "demo", [add]), QUESTION)
        events = [event async for event in run]
        late = [event async for event in run]
        return events, late, await run

    events, late, result = in_loop(flavour, url, work)
    check_order(events)
    assert result.answer == "It is three." and events[-1].data is result
    assert [event.type for event in late if event.type != "token"] == [
        event.type for event in events if event.type != "token"
    ]


def test_details_come_to_who_asks_for_them(flavour: Flavour, url: str) -> None:
    async def work(client: Any) -> Any:
        run = client.run_stream(FunctionAgent(client.client, "demo", [add]), QUESTION)
        return [event.type async for event in run.events(details=True)]

    types = in_loop(flavour, url, work)
    assert types.count("turn_start") == types.count("turn_end") == 2
    assert "arguments" in types


def test_who_leaves_before_the_end_cancels_it(flavour: Flavour, url: str) -> None:
    async def work(client: Any) -> Any:
        agent = FunctionAgent(client.client, "demo", [add])
        left = client.run_stream(agent, QUESTION)
        async with left:
            async for _ in left:
                break
        looked = client.run_stream(agent, QUESTION)
        async for _ in looked.events(cancel=False):
            break
        return await left, await looked

    left, looked = in_loop(flavour, url, work)
    assert left.status == "cancelled" and looked.answer == "It is three."


def test_async_tools_run_in_the_loop_that_drives_the_run(flavour: Flavour, url: str) -> None:
    seen: list[Any] = []

    async def wait(name: str) -> str:
        """Wait for it."""
        seen.append(threading.get_ident())
        await flavour.sleep(0.01)
        return name

    question = script(
        {"tools": [{"name": "wait", "arguments": {"name": n}} for n in ("a", "b")]}, "Done."
    )

    async def work(client: Any) -> Any:
        return await client.run(FunctionAgent(client.client, "demo", [wait]), question)

    result = in_loop(flavour, url, work)
    assert sorted(step.content for step in result.trace[0].tools) == ["a", "b"]
    assert seen == [threading.get_ident()] * 2


def test_an_async_tool_that_raises_or_is_too_slow_is_told(flavour: Flavour, url: str) -> None:
    ended: list[str] = []

    async def breaks() -> None:
        raise KeyError("no")

    @tool(timeout=0.05)
    async def hangs() -> None:
        try:
            await flavour.sleep(60)
        finally:
            ended.append("cancelled")

    question = script({"tools": [{"name": "breaks"}, {"name": "hangs"}]}, "Done.")

    async def work(client: Any) -> Any:
        return await client.run(FunctionAgent(client.client, "demo", [breaks, hangs]), question)

    result = in_loop(flavour, url, work)
    assert [step.content for step in result.trace[0].tools] == [
        "Error: KeyError: 'no'",
        "Error: the tool hangs took longer than 0.05 s",
    ]
    assert ended == ["cancelled"]


def test_a_run_of_a_plain_client_is_read_in_an_asyncio_loop(url: str) -> None:
    async def main() -> Any:
        with engine.Client(base_url=url) as client:
            agent = ConversationalAgent(client, "demo", [add])
            async with AsyncioLoop(client.multi) as loop:
                run = agent.run_stream(QUESTION)
                events = [event.type async for event in loop.events(run)]
                return events, await loop.result(run)

    events, result = asyncio.run(main())
    assert events[-1] == "complete" and result.answer == "It is three."
