"""`async def` tools where no loop of the user drives the run: one thread, one loop a client."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent, tool
from engine.agents.tools.worker import Worker, worker_of
from tests.agents.support import call, script


def test_async_tools_of_one_client_share_one_thread_and_one_loop(client: engine.Client) -> None:
    seen: list[Any] = []
    both = threading.Event()

    async def meet(who: str) -> str:
        seen.append((threading.current_thread().name, id(asyncio.get_running_loop())))
        while len(seen) < 2:
            await asyncio.sleep(0)
        both.set()
        return who

    question = script(
        {"tools": [{"name": "meet", "arguments": {"who": n}} for n in ("a", "b")]}, "Done."
    )
    agent = FunctionAgent(client, "demo", [meet])
    result = agent.run(question)
    assert sorted(step.content for step in result.trace[0].tools) == ["a", "b"]
    again = agent.run(script(call("meet", who="c"), "Done."))
    assert again.trace[0].tools[0].content == "c"
    assert both.is_set() and set(seen) == {seen[0]}
    assert seen[0][0] == "engine-async-tools"


def test_a_call_that_is_no_longer_wanted_is_cancelled_there(client: engine.Client) -> None:
    began, ended = threading.Event(), threading.Event()

    @tool(timeout=None)
    async def hangs() -> None:
        try:
            began.set()
            await asyncio.sleep(60)
        finally:
            ended.set()

    run = FunctionAgent(client, "demo", [hangs]).run_stream(script(call("hangs"), "Done."))
    while not began.is_set():
        client.multi.poll(0.01)
    run.cancel()
    assert run.result().status == "cancelled"
    assert ended.wait(5)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_would_leave_the_loop_ends_the_call_alone(
    client: engine.Client, error: BaseException
) -> None:
    async def leaves() -> None:
        raise error

    async def stays() -> str:
        await asyncio.sleep(0.01)
        return "there"

    agent = FunctionAgent(client, "demo", [leaves, stays])
    both = {"tools": [{"name": "leaves"}, {"name": "stays"}]}
    result = agent.run(script(both, call("stays"), "Done."))
    contents = sorted(each.content for step in result.trace for each in step.tools)
    assert contents[0].startswith(f"Error: {type(error).__name__}")
    assert contents[1:] == ["there", "there"]


def test_what_it_raises_is_told_to_the_model(client: engine.Client) -> None:
    async def breaks() -> None:
        raise ValueError("no")

    result = FunctionAgent(client, "demo", [breaks]).run(script(call("breaks"), "Done."))
    assert result.trace[0].tools[0].content == "Error: ValueError: no"


def test_the_thread_ends_with_its_owner() -> None:
    class Owner:
        pass

    owner = Owner()
    worker = worker_of(owner)
    assert worker_of(owner) is worker and worker_of(Owner()) is not worker
    names: list[threading.Thread] = []
    done = threading.Event()

    async def work() -> None:
        names.append(threading.current_thread())

    worker.run(work(), lambda value, error: done.set())
    assert done.wait(5)
    del owner, worker
    gc.collect()
    names[0].join(5)
    assert not names[0].is_alive()


def test_stop_cancels_what_runs_and_begins_anew_when_asked() -> None:
    worker = Worker()
    outcomes: list[Any] = []
    began, ended = threading.Event(), threading.Event()

    async def hangs() -> None:
        began.set()
        await asyncio.sleep(60)

    def then(value: Any, error: BaseException | None) -> None:
        outcomes.append(type(error).__name__)
        ended.set()

    worker.run(hangs(), then)
    assert began.wait(5)
    worker.stop()
    worker.stop()
    assert ended.wait(5) and outcomes == ["CancelledError"]

    async def quick() -> int:
        return 3

    again = threading.Event()
    worker.run(quick(), lambda value, error: again.set())
    assert again.wait(5)
    worker.stop()
