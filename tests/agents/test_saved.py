"""A run saved as JSON goes on elsewhere, also in the middle of an approval."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import engine
import engine.emulator
from engine.agents import ConversationalAgent, FunctionAgent, Pending, ReActAgent, tool
from engine.agents.saved import repeats, restored
from engine.errors import ConfigError
from engine.messages import ToolCall
from tests.agents.support import add, call, collect, script, shout

QUESTION = script(
    {
        "tools": [
            {"name": "shout", "arguments": {"text": "hey"}},
            {"name": "add", "arguments": {"a": 1, "b": 2}},
        ]
    },
    "It is 3, HEY.",
)


def asking(client: engine.Client, allowed: bool | None, ran: list[str]) -> FunctionAgent:
    def approve(call: ToolCall, run: Any) -> bool | None:
        return True if call.name == "shout" else allowed

    @tool(name="shout")
    def loud(text: str) -> str:
        ran.append(text)
        return text.upper()

    return FunctionAgent(client, "demo", [add, loud], approve=approve)


def until_it_waits(client: engine.Client, ran: list[str]) -> Any:
    run = asking(client, None, ran).run_stream(QUESTION)
    seen: list[str] = []
    run.on("approval", lambda event: seen.append(event.content))
    while not seen:
        client.multi.poll()
    exported = json.loads(json.dumps(run.export()))
    run.cancel()
    client.multi.run()
    return exported


def test_a_run_goes_on_in_the_middle_of_an_approval(client: engine.Client) -> None:
    ran: list[str] = []
    exported = until_it_waits(client, ran)
    run = asking(client, True, ran).resume(exported)
    events = collect(run)
    assert run.completion.answer == "It is 3, HEY."
    assert ran == ["hey"]  # what was carried out is not carried out again
    assert [e.content for e in events if e.type == "tool_start"] == ["add"]
    results = [part.content for part in run.messages[2].parts]
    assert results == ["HEY", "3"]
    assert run.completion.usage.total_tokens > sum(
        step.usage.total_tokens for step in run.completion.trace[1:]
    )


def test_it_goes_on_in_another_process(
    client: engine.Client, emulator: engine.emulator.Emulator
) -> None:
    exported = until_it_waits(client, [])
    code = (
        "import sys, json, engine\n"
        "from engine.agents import FunctionAgent\n"
        "from tests.agents.support import add, shout\n"
        "with engine.Client(base_url=sys.argv[1]) as client:\n"
        "    agent = FunctionAgent(client, 'demo', [add, shout])\n"
        "    print(agent.resume(json.load(sys.stdin)).result().answer)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, emulator.base_url],
        input=json.dumps(exported),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "It is 3, HEY.\n", done.stderr


def test_a_call_that_was_being_carried_out_is_not_carried_out_twice(client: engine.Client) -> None:
    ran: list[int] = []

    @tool(timeout=None)
    def pay(amount: int) -> Pending:
        ran.append(amount)
        return Pending()

    agent = FunctionAgent(client, "demo", [pay])
    run = agent.run_stream(script(call("pay", amount=5), "I do not know."))
    while not ran:
        client.multi.poll()
    exported = json.loads(json.dumps(run.export()))
    run.cancel()
    client.multi.run()
    result = agent.resume(exported).result()
    assert result.answer == "I do not know." and ran == [5]
    assert "not known" in result.messages[2].parts[0].content


@pytest.mark.parametrize("kind", [FunctionAgent, ReActAgent, ConversationalAgent])
def test_a_run_goes_on_after_any_event(client: engine.Client, kind: Any) -> None:
    react = kind is ReActAgent
    turns: list[Any] = (
        [{"action": "add", "input": '{"a": 1, "b": 2}'}, {"final": "Three."}]
        if react
        else [call("add", a=1, b=2), "Three."]
    )
    whole = kind(client, "demo", [add]).run(script(*turns))
    assert whole.answer == "Three."
    events = len(list(kind(client, "demo", [add]).run_stream(script(*turns))))
    for number in range(events - 2):
        run = kind(client, "demo", [add]).run_stream(script(*turns))
        reader = iter(run)
        for _ in range(number + 1):
            next(reader)
        exported = json.loads(json.dumps(run.export()))
        run.cancel()
        again = kind(client, "demo", [add]).resume(exported).result()
        assert again.answer == "Three.", (number, exported)
        assert [m.role for m in again.messages] == [m.role for m in whole.messages]
    assert shout("x") == "X"


@pytest.mark.parametrize("wrong", [{}, {"messages": []}, {"messages": 3, "spent": {}}, 3])
def test_what_is_no_export_is_refused(client: engine.Client, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="no export of a run"):
        FunctionAgent(client, "demo").resume(wrong)
    with pytest.raises(ConfigError):
        restored(wrong)


def test_calls_are_the_same_whatever_the_order_of_their_arguments() -> None:
    counts: dict[str, int] = {}
    first = ToolCall("1", "add", '{"a": 1, "b": 2}')
    assert repeats(counts, [first]) == 1
    assert repeats(counts, [ToolCall("2", "add", '{"b":2,"a":1}'), first]) == 3
    assert repeats(counts, [ToolCall("3", "add", '{"a": 2, "b": 2}')]) == 1
    assert repeats(counts, [ToolCall("4", "sub", '{"a": 1, "b": 2}')]) == 1
