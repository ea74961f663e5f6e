"""What tests of agents share: scripts for the emulated model, tools, the order of events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import engine
from engine.agents import AgentEvent, AgentRun, tool
from engine.transport.multi import driver_of

# Dialect → what its base URL has after the host.
DIALECTS = {
    "chat": "/v1",
    "responses": "/v1",
    "messages": "",
    "gemini": "/v1beta",
    "ollama": "",
}


def script(*turns: Any) -> str:
    """A question to which the emulated model does `turns`, one after the other."""
    return f"Please. [[script: {json.dumps(turns)}]]"


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": name, "arguments": arguments}


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


LOOP = script(call("add", a=1, b=1), {"loop": True})


def kinds(events: Iterable[AgentEvent]) -> list[str]:
    """The types in order, tokens that follow each other as one."""
    return [name for name, _ in groupby(event.type for event in events)]


def text_of(events: Iterable[AgentEvent]) -> str:
    """What was said, without thoughts."""
    return "".join(e.content for e in events if e.type == "token" and e.data != "thought")


def check_order(events: list[AgentEvent]) -> None:
    """Fail unless `events` come as `engine.agents.event` says."""
    assert [e.type for e in events if e.type in ("complete", "error")] == [events[-1].type]
    if events[-1].type == "complete":
        assert events[-2].type == "answer"
    for _, turn in groupby(events[:-1], key=lambda event: event.iteration):
        order = [e.type for e in turn if e.type != "answer"]
        said = [name in ("token", "thought") for name in order]
        assert said == sorted(said, reverse=True), order
    started, ended = (
        [e.data.id for e in events if e.type == name] for name in ("tool_start", "tool_end")
    )
    assert len(set(started)) == len(started)
    assert set(ended) <= set(started) and len(set(ended)) == len(ended)
    if events[-1].type == "complete":
        assert set(ended) == set(started)
    iterations = [event.iteration for event in events]
    assert iterations == sorted(iterations)
    assert [e.timestamp for e in events] == sorted(e.timestamp for e in events)


def watch_bodies(client: engine.Client) -> list[Any]:
    """The JSON bodies of all requests to come."""
    bodies: list[Any] = []
    driver = driver_of(client.multi)
    original = driver.open

    def opened(request: Any, *arguments: Any) -> Any:
        bodies.append(json.loads(request.body))
        return original(request, *arguments)

    driver.open = opened  # type: ignore[method-assign]
    return bodies


def collect(run: AgentRun) -> list[AgentEvent]:
    """All events of `run`, in an order that was checked."""
    events = list(run)
    check_order(events)
    return events
