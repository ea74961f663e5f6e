"""Who is told of a run: each listener, as often as it wants to be."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent
from engine.agents.event import DETAILS, EVENT_TYPES, AgentEvent
from tests.agents.support import add, call, script


def test_once_is_once_and_the_others_go_on(client: engine.Client) -> None:
    seen: list[str] = []
    question = script(call("add", a=1, b=2), call("add", a=3, b=4), "Done.")
    run = FunctionAgent(client, "demo", [add]).run_stream(question)
    run.once("tool_end", lambda: seen.append("once"))
    run.on("tool_end", lambda: seen.append("each"))
    run.once("event", lambda: seen.append("first"))
    run.result()
    assert seen == ["first", "once", "each", "each"]


def test_who_is_told_of_an_event_has_others_told_of_it_by_its_name(client: engine.Client) -> None:
    seen: list[str] = []

    def told(event: AgentEvent) -> None:
        if event.type == "tool_end":
            run.on("tool_end", lambda: seen.append("each"))
            run.once("tool_end", lambda: seen.append("once"))
            run.on("event", lambda event: seen.append(event.type))

    agent = FunctionAgent(client, "demo", [add])
    run = agent.run_stream(script(call("add", a=1, b=2), "Done."), on_event=told)
    run.result()
    assert seen[:2] == ["each", "once"]
    assert "tool_end" not in seen and seen[-1] == "complete"


def test_what_was_checked_of_the_messages_is_given_back_at_the_end(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo", [add]).run_stream(script(call("add", a=1, b=2), "Done."))
    known = run._course._asking._known
    run.result()
    assert known._checked and not run._course._asking._known._checked


@pytest.mark.parametrize("when", ["after", "in on_done"])
def test_who_asks_when_it_is_over_is_told_of_the_end_at_once(
    client: engine.Client, when: str
) -> None:
    heard: list[tuple[str, Any]] = []

    def late(*_: object) -> None:
        for name in ("end", "event", "detail", *EVENT_TYPES, *DETAILS):
            for how in (run.on, run.once):
                how(name, lambda *given, name=name: heard.append((name, given)))

    agent = FunctionAgent(client, "demo", [])
    run = agent.run_stream(script("Done."), on_done=late if when == "in on_done" else None)
    run.result()
    if when == "after":
        late()
    client.multi.run()
    assert heard == [("end", (run,))] * 2
    assert not run._callbacks._by_name, "nothing is kept that is never called"
    assert [event.type for event in run][-1] == "complete"


def test_details_are_told_to_who_asked_for_them_only(client: engine.Client) -> None:
    seen: list[str] = []
    agent = FunctionAgent(client, "demo", [add])
    question = script(call("add", a=1, b=2), "Done.")
    run = agent.run_stream(question, on_event=lambda event: seen.append(event.type))
    read = [event.type for event in run.events(details=True)]
    assert {"turn_start", "turn_end"} <= {*read}
    assert seen == [type for type in read if type in EVENT_TYPES]
    seen.clear()
    turns: list[str] = []
    run = agent.run_stream(question, on_event=lambda event: seen.append(event.type))
    run.on("turn_end", lambda event: turns.append(event.type))
    run.result()
    assert turns == ["turn_end", "turn_end"] and {*seen} <= {*EVENT_TYPES}


def test_who_listens_once_and_alone_is_called_once(client: engine.Client) -> None:
    seen: list[str] = []
    run = FunctionAgent(client, "demo", [add]).run_stream(script("Done."))
    run.once("event", lambda event: seen.append(event.type))
    run.result()
    assert seen == ["token"]
