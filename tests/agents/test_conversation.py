"""What a run begins from and reports to: one question at a time, kept, restored."""

from __future__ import annotations

import json
from typing import Any

import pytest

import engine
from engine.agents import All, ConversationalAgent, FunctionAgent, Summarise, Window, tool
from engine.agents.conversation import Conversation
from engine.agents.event import DETAILS
from engine.agents.limits import Spent
from engine.agents.memory import own_words, rounds, split_steps
from engine.agents.saved import SavedRun
from engine.errors import ConfigError
from engine.messages import Message, ToolCall, ToolResult
from tests.agents.support import add, call, script, watch_bodies
from tests.agents.test_course import calls, model, said


def test_two_calls_at_once_of_a_conversation_that_is_a_tool_both_run(client: engine.Client) -> None:
    inner = ConversationalAgent(client, "demo")
    expert = inner.as_tool("expert", "Knows it.")
    tasks = [script(f"I say {name}.") for name in ("one", "two")]
    turn = {"tools": [{"name": "expert", "arguments": {"task": task}} for task in tasks]}
    quoted = json.dumps([turn, "Both said."])
    result = FunctionAgent(client, "demo", [expert]).run(f"[[script: {quoted}]]")
    assert result.answer == "Both said."
    contents = [step.content for step in result.trace[0].tools]
    assert len(contents) == 2 and contents[0] == "I say one."
    assert [m.text for m in inner.messages if m.role == "user"] == tasks


def test_a_task_that_waits_for_its_turn_can_be_cancelled(client: engine.Client) -> None:
    inner = ConversationalAgent(client, "demo")
    expert = inner.as_tool("expert", "Knows it.")
    first, second, third = (expert.function(script(f"{n}.")) for n in ("A", "B", "C"))
    second.cancel()
    client.multi.run()
    assert [run.completion.status for run in (first, second, third)] == [
        "complete",
        "cancelled",
        "complete",
    ]


def test_an_inner_agents_events_are_told_with_their_path(client: engine.Client) -> None:
    inner = FunctionAgent(client, "demo", [add])
    middle = FunctionAgent(client, "demo", [inner.as_tool("inner", "Adds.")])
    deep = script(call("add", a=1, b=2), "Three.")
    task = f"[[script: {json.dumps([call('inner', task=deep), 'So.'])}]]"
    outer = FunctionAgent(client, "demo", [middle.as_tool("middle", "Asks.")])
    seen: list[Any] = []
    run = outer.run_stream(f"[[script: {json.dumps([call('middle', task=task), 'Good.'])}]]")
    run.on("inner", lambda event: seen.append((event.path, event.data.type)))
    assert run.result().answer == "Good."
    assert (("middle",), "answer") in seen
    assert (("middle", "inner"), "tool_end") in seen
    assert {path for path, _ in seen} == {("middle",), ("middle", "inner")}


def test_details_come_only_to_who_asks_and_the_seven_stay_as_they_are(
    client: engine.Client,
) -> None:
    agent = FunctionAgent(client, "demo", [add])
    question = script(call("add", a=1, b=2), "Three.")
    plain = [event.type for event in agent.run_stream(question)]
    heard: list[str] = []
    detailed: list[str] = []
    run = agent.run_stream(
        question,
        on_event=lambda event: heard.append(event.type),
        on_detail=lambda event: detailed.append(event.type),
    )
    pieces: list[Any] = []
    run.on("arguments", lambda event: pieces.append((event.content, event.data)))
    turns: list[Any] = []
    run.once("turn_end", turns.append)
    unheard: list[Any] = []
    run.on("token", unheard.append).off("token", unheard.append)
    run.result()
    assert heard == plain and not set(plain) & set(DETAILS) and unheard == []
    assert detailed.count("turn_start") == detailed.count("turn_end") == 2
    assert "".join(text for text, _ in pieces) == pieces[-1][1].arguments
    assert pieces[-1][1].value == {"a": 1, "b": 2} and pieces[-1][1].name == "add"
    assert len(turns) == 1 and turns[0].data.usage.total_tokens


def test_what_cannot_be_remembered_is_not_restored(client: engine.Client) -> None:
    exported = ConversationalAgent(client, "demo").export()
    with pytest.raises(ConfigError, match="no memory"):
        FunctionAgent(client, "demo").restore(exported)
    FunctionAgent(client, "demo", memory=All()).restore(exported)


def test_calls_without_results_in_what_is_restored_are_closed(client: engine.Client) -> None:
    conversation = Conversation(All())
    conversation.messages = [Message.user("q"), Message.assistant(ToolCall("a", "add", "{}"))]
    shown = conversation.show(SavedRun(messages=[Message.user("next")], spent=Spent()))
    assert [message.role for message in shown] == ["user", "assistant", "tool", "user"]


def test_in_the_middle_of_a_run_a_window_counts_the_results_of_tools() -> None:
    @tool
    def read(page: int) -> str:
        return f"{page}" * 50_000

    turns = [calls((f"c{n}", "read", f'{{"page": {n}}}')) for n in range(7)]
    with model(*turns, said("Read.")) as (client, bodies):
        result = ConversationalAgent(client, "m", [read], memory=Window(4)).run("go")
    assert result.answer == "Read." and len(bodies) == 8
    assert max(len(json.dumps(body)) for body in bodies) < 120_000
    for body in bodies:
        roles = [message["role"] for message in body["messages"]]
        assert roles[0] == "user" and roles[1:] == ["assistant", "tool"] * (len(roles) // 2)
    assert "6" * 50_000 in json.dumps(bodies[-1])  # the last is always shown


def test_what_a_user_says_is_the_users_and_what_a_run_says_is_not() -> None:
    mine = Message.user("Your last answer was wrong.")
    assert rounds([Message.user("q"), Message.assistant("a"), mine]) == [
        [Message.user("q"), Message.assistant("a")],
        [mine],
    ]
    run = own_words("Your last answer was empty.")
    messages = [Message.user("q"), Message.assistant("a"), run]
    assert rounds(messages) == [messages]


def test_steps_keep_calls_and_their_results_together() -> None:
    asked = Message.assistant(ToolCall("a", "add", "{}"))
    told = Message.tool(ToolResult("a", "3"))
    question, steps = split_steps([Message.user("q"), asked, told, asked, told])
    assert question == [Message.user("q")] and steps == [[asked, told], [asked, told]]


def test_a_summary_keeps_calls_and_results_paired(client: engine.Client) -> None:
    agent = ConversationalAgent(client, "demo", [add], memory=Summarise(after=2, keep=1))
    bodies = watch_bodies(client)
    for question in (script(call("add", a=1, b=2), "Three."), script("Two."), script("Last.")):
        agent.run(question)
    for body in bodies:
        calls = [c["id"] for m in body["messages"] for c in m.get("tool_calls") or ()]
        results = [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
        assert calls == results
