"""One call of a tool, where the tests of agents do not reach."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import engine
import engine.emulator
from engine.agents import FunctionAgent, Pending, ToolContext, tool
from engine.agents.tools import execution
from engine.transport.multi import driver_of
from engine.transport.timers import Timer
from tests.agents.support import add, call, script


def first_result(client: engine.Client, made: Any) -> str:
    question = script(call(made.definition.name), "Done.")
    result = FunctionAgent(client, "demo", [made]).run(question)
    return result.trace[0].tools[0].content


def test_a_pending_may_give_what_is_waited_for_again(client: engine.Client) -> None:
    @tool
    def twice(context: ToolContext) -> Pending:
        pending = Pending()
        context.multi.call_soon(
            lambda: pending.resolve(context.client.stream("demo", script("At last.")))
        )
        return pending

    assert first_result(client, twice) == "At last."


def test_a_thread_may_give_a_request(client: engine.Client) -> None:
    @tool(run_in="thread")
    def request() -> engine.HttpRequest:
        return engine.HttpRequest("GET", "http://127.0.0.1:9/")

    assert first_result(client, request).startswith("Error: ")


def test_a_stream_or_run_that_is_over_already_is_taken_as_it_is(client: engine.Client) -> None:
    stream = client.stream("demo", script("Early."))
    stream.result()

    @tool
    def early() -> Any:
        return stream

    assert first_result(client, early) == "Early."


def test_an_exchange_is_waited_for_beside_its_own_on_done(
    client: engine.Client, emulator: engine.emulator.Emulator
) -> None:
    seen: list[Any] = []
    request = engine.HttpRequest("GET", f"{emulator.base_url}/models")

    @tool
    def models(context: ToolContext) -> Any:
        return context.multi.add(request, on_done=lambda response, _: seen.append(response))

    assert first_result(client, models).startswith("HTTP 200\n\n{")
    assert len(seen) == 1
    over = client.multi.add(request)
    client.multi.run()

    @tool
    def early() -> Any:
        return over

    assert first_result(client, early).startswith("HTTP 200\n\n{")


def test_a_stream_that_fails_is_an_error_for_the_model(client: engine.Client) -> None:
    @tool
    def failing(context: ToolContext) -> engine.Stream:
        return context.client.stream("demo", script({"error": "error-400"}))

    assert first_result(client, failing).startswith("Error: ")


def test_a_result_that_is_no_json_is_an_error_for_the_model(client: engine.Client) -> None:
    @tool
    def endless() -> Any:
        inner: list[Any] = []
        inner.append(inner)
        return inner

    assert first_result(client, endless).startswith("Error: RecursionError")


def test_a_run_that_is_over_is_kept_by_nobody(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add])
    run = agent.run_stream(script(call("add", a=1, b=2), "Three."))
    run.result()
    gone = weakref.ref(run)
    del run
    agent.reset()
    gc.collect()
    assert gone() is None
    cancelled = agent.run_stream(script(call("add", a=1, b=2), "Three."))
    cancelled.on("tool_start", cancelled.cancel)
    cancelled.result()
    gone = weakref.ref(cancelled)
    del cancelled
    client.multi.run()
    agent.reset()
    gc.collect()
    assert gone() is None


def test_what_a_tool_gives_that_ended_its_run_is_not_waited_for(client: engine.Client) -> None:
    given = Pending()

    @tool
    def leave(context: ToolContext) -> Pending:
        context.run.cancel()
        return given

    result = FunctionAgent(client, "demo", [leave]).run(script(call("leave"), "Done."))
    assert result.status == "cancelled"
    assert given._listener is None


def test_the_time_of_a_call_runs_while_its_function_does(
    client: engine.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, left = [0.0], list[float]()
    monkeypatch.setattr(execution, "monotonic", lambda: now[0])
    driver = driver_of(client.multi)
    call_later = driver.call_later

    def noted(delay: float, call: Callable[[], None]) -> Timer:
        if getattr(call, "__func__", None) is not execution.Execution._expired:
            return call_later(delay, call)
        left.append(delay)
        return call_later(0.0, call)

    monkeypatch.setattr(driver, "call_later", noted)

    @tool(timeout=60)
    def slow(seconds: float) -> Pending:
        now[0] += seconds
        return Pending()

    question = script(call("slow", seconds=45.0), call("slow", seconds=75.0), "Done.")
    result = FunctionAgent(client, "demo", [slow]).run(question)
    assert "took longer than 60 s" in result.trace[0].tools[0].content
    assert left == [15.0, 0.0]
