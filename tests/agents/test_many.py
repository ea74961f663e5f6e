"""Hundreds of agents at once on one thread."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from typing import Any, ClassVar

import pytest

import engine
import engine.emulator
from engine.agents import (
    AgentEvent,
    AgentRun,
    FunctionAgent,
    Limits,
    Pending,
    ReActAgent,
    tool,
)
from engine.transport.multi import driver_of
from tests.agents.support import add, call, check_order, kinds, script
from tests.answering.test_garbage import ours
from tests.garbage import left_in_cycles
from tests.volume import examples

COUNT = examples(500)
QUESTION = script(call("meet", step=1), call("meet", step=2), "Everybody was there.")


def test_many_agents_wait_for_tools_at_the_same_time(emulator: engine.emulator.Emulator) -> None:
    here: dict[int, list[Pending]] = {1: [], 2: []}
    events: dict[int, list[AgentEvent]] = {number: [] for number in range(COUNT)}

    @tool
    def meet(step: int) -> Pending:
        """Wait until all agents are here."""
        here[step].append(Pending())
        if len(here[step]) == COUNT:
            for number, pending in enumerate(here[step][:-1]):
                pending.resolve(number)
            here[step][-1].resolve("last")
        return here[step][-1]

    def heard(event: AgentEvent, run: AgentRun) -> None:
        events[run.user_data].append(event)

    with engine.Client(base_url=emulator.base_url) as client:
        agent = FunctionAgent(client, "demo", [meet])
        for number in events:
            agent.run_stream(QUESTION, on_event=heard, user_data=number)
        client.multi.run()
    # Nobody could go on before all had come: at both meetings all 500 waited at once.
    assert [len(waiting) for waiting in here.values()] == [COUNT, COUNT]
    for run_events in events.values():
        check_order(run_events)
        assert kinds(run_events) == [
            *("tool_start", "tool_end", "tool_start", "tool_end"),
            *("token", "answer", "complete"),
        ]
        assert [event.iteration for event in run_events][:4] == [1, 1, 2, 2]


def test_a_turn_of_the_model_is_handed_over_by_its_stream_and_once_by_its_run(
    emulator: engine.emulator.Emulator,
) -> None:
    class Counting(deque[Any]):
        asked: ClassVar[Counter[str]] = Counter()

        def append(self, work: Any) -> None:
            self.asked[type(work.callbacks.face).__name__] += 1
            super().append(work)

    question = script(*[call("add", a=n, b=n) for n in range(9)], "Done.")
    with engine.Client(base_url=emulator.base_url) as client:
        driver = driver_of(client.multi)
        driver.deliverable = counting = Counting()
        driver.deliver_soon = counting.append
        run = FunctionAgent(client, "demo", [add]).run_stream(question, on_event=lambda event: None)
        client.multi.run()
    assert run.completion is not None and run.completion.status == "complete"
    # What else is asked for: the beginning, and the words of the last turn, read in pieces.
    assert Counting.asked["AgentRun"] <= 10 + 1 + 4


def test_runs_of_every_ending_leave_nothing_in_a_cycle(emulator: engine.emulator.Emulator) -> None:
    def heard(event: AgentEvent, run: AgentRun) -> None:
        if run.user_data == "cancelled" and event.type == "tool_start":
            run.cancel()

    adding = call("add", a=1, b=2)
    questions = {
        "complete": script(adding, "Done."),
        "cancelled": script(adding, "Done."),
        "limit": script(adding, {"loop": True}),
        "error": script(adding, {"error": "error-400"}),
    }

    def ask() -> None:
        for ending, question in questions.items():
            agent.run_stream(question, on_event=heard, user_data=ending).on("end", ended.append)
        client.multi.run()

    ended: list[AgentRun] = []
    with engine.Client(base_url=emulator.base_url) as client:
        agent = FunctionAgent(client, "demo", [add], limits=Limits(iterations=3))
        ask()  # what is imported and cached at first is no garbage
        ended.clear()
        with left_in_cycles(ours) as left:
            ask()
            assert sorted(run.user_data for run in ended) == sorted(questions)
            ended.clear()
    assert not left


def test_many_threads_wait_at_the_same_time(emulator: engine.emulator.Emulator) -> None:
    all_here = threading.Barrier(COUNT, timeout=30)

    @tool(run_in="thread", timeout=30)
    def meet(step: int) -> str:
        """Wait until all agents are here."""
        all_here.wait()
        return "met"

    question = script(call("meet", step=1), "Everybody was there.")
    with engine.Client(base_url=emulator.base_url) as client:
        agent = FunctionAgent(client, "demo", [meet])
        runs = [agent.run_stream(question) for _ in range(COUNT)]
        client.multi.run()
    assert [run.completion.trace[0].tools[0].content for run in runs] == ["met"] * COUNT


TURNS: list[Any] = [
    "Said.",
    {"thinking": "Hm.", "text": "Said after thinking."},
    call("add", a=1, b=2),
    call("add", a="x"),
    call("unknown"),
    call("breaks"),
    call("waits"),
    {"tools": [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "waits"}], "text": "Both."},
    {"tool": "add", "arguments": "{not json"},
    {"thought": "Hm.", "action": "add", "input": '{"a": 1, "b": 2}'},
    {"thought": "Hm.", "action": "waits", "input": ""},
    {"thought": "Only this."},
    {"final": "Done."},
    {"refusal": "No."},
    *({"error": error} for error in ("error-400", "cut", "drop", "empty", "html", "malformed")),
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_each_run_ends_once_and_in_order(
    emulator: engine.emulator.Emulator, seed: int
) -> None:
    dice = random.Random(seed)
    waiting: list[Pending] = []
    ends: Counter[int] = Counter()
    events: dict[int, list[AgentEvent]] = {number: [] for number in range(150)}

    def breaks() -> None:
        raise ValueError("broken")

    @tool(timeout=0.05)
    def waits() -> Pending:
        waiting.append(Pending())
        if dice.random() < 0.5:
            waiting.pop(0).resolve("there")
        return waiting[-1] if waiting else Pending()

    def heard(event: AgentEvent, run: AgentRun) -> object:
        number, last = run.user_data
        events[number].append(event)
        if len(events[number]) == last:
            what = dice.choice(("cancel", "stop", "raise"))
            if what == "raise":
                raise ValueError("a mistake of mine")
            return engine.STOP if what == "stop" else run.cancel()
        return None

    retry = engine.Retry(max_attempts=1)
    with engine.Client(base_url=emulator.base_url, retry=retry) as client:
        kinds_of_agent = [
            kind(client, "demo", [add, breaks, waits], limits=Limits(iterations=6, tool_calls=8))
            for kind in (FunctionAgent, ReActAgent)
        ]
        for number in events:
            last = dice.choice((None, None, *range(1, 12)))
            dice.choice(kinds_of_agent).run_stream(
                script(*dice.choices(TURNS, k=5)),
                on_event=heard,
                on_done=lambda result, run: ends.update([run.user_data[0]]),
                user_data=(number, last),
            )
        client.multi.run()
        assert len(client.multi) == 0
    assert ends == Counter(dict.fromkeys(events, 1))
    raised = 0
    for run_events in events.values():
        if run_events[-1].type in ("complete", "error"):
            check_order(run_events)
        else:
            raised += 1  # whose callback raised is not called again
    assert raised < len(events) / 2
