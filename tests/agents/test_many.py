"""Hundreds of agents at once on one thread."""

from __future__ import annotations

import threading

import engine
import engine.emulator
from engine.agents import AgentEvent, AgentRun, FunctionAgent, Pending, tool
from tests.agents.support import call, check_order, kinds, script

COUNT = 500
QUESTION = script(call("meet", step=1), call("meet", step=2), "Everybody was there.")


def test_500_agents_wait_for_tools_at_the_same_time(emulator: engine.emulator.Emulator) -> None:
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


def test_500_threads_wait_at_the_same_time(emulator: engine.emulator.Emulator) -> None:
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
