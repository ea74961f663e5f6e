"""ReActAgent: the model writes what it wants done."""

from __future__ import annotations

import json
import threading
from typing import Any

import msgspec
import pytest

import engine
from engine.agents import AgentEvent, All, Limits, Pending, ReActAgent, tool
from engine.errors import Category
from tests.agents.support import add, check_order, collect, kinds, script, shout, watch_bodies
from tests.server import DONE, OK_SSE, Peer, chat, chat_chunk, serve


def act(thought: str, action: str, **arguments: Any) -> dict[str, Any]:
    return {"thought": thought, "action": action, "input": json.dumps(arguments)}


THREE_STEPS = script(
    act("First the sum.", "add", a=1, b=2),
    act("Then loudly.", "shout", text="three"),
    {"thought": "I have both.", "final": "It is THREE."},
)


def test_three_steps_with_two_tools_in_every_dialect(any_client: engine.Client) -> None:
    run = ReActAgent(any_client, "demo", [add, shout]).run_stream(THREE_STEPS)
    events = collect(run)
    assert kinds(events) == [
        *("token", "thought", "tool_start", "tool_end"),
        *("token", "thought", "tool_start", "tool_end"),
        *("token", "thought", "token", "answer", "complete"),
    ]
    thoughts = [event.content for event in events if event.type == "thought"]
    assert thoughts == ["First the sum.", "Then loudly.", "I have both."]
    assert [event.content for event in events if event.type == "tool_end"] == ["3", "THREE"]
    assert run.completion.answer == "It is THREE."
    assert "".join(
        e.content for e in events if e.type == "token" and e.data == "thought"
    ) == "".join(thoughts)


def test_results_go_back_as_observations(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    ReActAgent(client, "demo", [add], system="Be brief.").run(
        script(act("Sum.", "add", a=1, b=2), {"final": "3"})
    )
    system, _, said, observed = bodies[-1]["messages"]
    assert system["content"].startswith("Be brief.\n\nAnswer the question")
    assert "- add: Add two numbers.\n  arguments: {" in system["content"]
    assert said["content"] == 'Thought: Sum.\nAction: add\nAction Input: {"a": 1, "b": 2}'
    assert observed == {"role": "user", "content": "Observation: 3"}
    assert "tools" not in bodies[-1]


def test_the_answer_is_said_token_by_token(client: engine.Client) -> None:
    run = ReActAgent(client, "demo").run_stream(
        script({"thought": "Long one.", "final": "one two three four five six"})
    )
    tokens = [e.content for e in collect(run) if e.type == "token" and e.data is None]
    assert len(tokens) > 3
    assert "".join(tokens) == "one two three four five six"


def test_the_stream_is_ended_when_the_model_makes_up_a_result() -> None:
    gone = threading.Event()

    def makes_up(peer: Peer) -> None:
        if len(json.loads(peer.request.body)["messages"]) > 2:
            peer.stream(chat("Final Answer: 3"))
            return
        peer.send(OK_SSE)
        for text in ("Action: add\nAction Input: ", '{"a": 1, "b": 2}', "\nObservation: 99"):
            peer.chunk(chat_chunk(text))
        peer.wait_closed()
        gone.set()

    with serve(makes_up) as server, engine.Client(base_url=server.url) as client:
        run = ReActAgent(client, "m", [add]).run_stream("1 + 2?")
        events = collect(run)
        assert gone.wait(10)
    assert [e.content for e in events if e.type == "tool_end"] == ["3"]
    assert run.completion.answer == "3"
    assert "99" not in run.messages[1].text
    assert run.completion.usage.total_tokens > 0  # estimated, where the provider had no time to say


def test_text_without_any_marker_is_the_answer(client: engine.Client) -> None:
    run = ReActAgent(client, "demo", [add]).run_stream(script("Just 42."))
    assert kinds(collect(run)) == ["token", "answer", "complete"]
    assert run.completion.answer == "Just 42."


def test_neither_action_nor_answer_is_asked_for_again(client: engine.Client) -> None:
    run = ReActAgent(client, "demo", [add]).run_stream(
        script({"thought": "I wonder."}, {"final": "42"})
    )
    events = collect(run)
    assert kinds(events) == ["token", "thought", "token", "answer", "complete"]
    assert "neither an Action nor a Final Answer" in run.messages[2].text


def test_an_action_that_the_token_limit_cut_is_not_carried_out() -> None:
    called: list[int] = []

    def add(a: int, b: int = 0) -> int:
        called.append(a)
        return a

    def cut(peer: Peer) -> None:
        if len(json.loads(peer.request.body)["messages"]) > 2:
            peer.stream(chat("Final Answer: no"))
        else:
            text = 'Action: add\nAction Input: {"a": 1'
            peer.stream([chat_chunk(text), chat_chunk(finish="length"), DONE])

    with serve(cut) as server, engine.Client(base_url=server.url) as client:
        result = ReActAgent(client, "m", [add]).run("go")
    assert result.answer == "no" and called == []
    assert "reached its limit of tokens" in result.messages[2].text


def test_a_truncated_stream_never_runs_a_tool() -> None:
    def cut(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        peer.send(chat_chunk('Action: add\nAction Input: {"a": 1, "b": 2}'))

    retry = engine.Retry(max_attempts=1)
    with serve(cut) as server, engine.Client(base_url=server.url, retry=retry) as client:
        events = collect(ReActAgent(client, "m", [add]).run_stream("go"))
    assert kinds(events) == ["error"]
    assert events[-1].error.category is Category.TRUNCATED


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"action": "fly", "input": "moon"}, "there is no tool 'fly'; the tools are: add"),
        ({"action": "add", "input": "one, two"}, "the arguments do not fit"),
        ({"action": "add", "input": '{"a": 1}'}, "missing required field `b`"),
    ],
)
def test_what_cannot_be_called_is_observed(client: engine.Client, step: Any, said: str) -> None:
    result = ReActAgent(client, "demo", [add]).run(script(step, {"final": "Sorry."}))
    assert said in result.trace[0].tools[0].content
    assert result.messages[2].text.startswith("Observation: Error: ")
    assert result.answer == "Sorry."


def test_a_tool_that_raises_hangs_or_says_too_much_is_observed(client: engine.Client) -> None:
    def breaks() -> str:
        raise ValueError("broken")

    @tool(timeout=0.02)
    def hangs() -> Pending:
        return Pending()

    @tool(max_result=5)
    def much() -> str:
        return "x" * 10_000_000

    steps = [{"action": name, "input": ""} for name in ("breaks", "hangs", "much")]
    result = ReActAgent(client, "demo", [breaks, hangs, much]).run(
        script(*steps, {"final": "Enough."})
    )
    assert [step.tools[0].content for step in result.trace[:3]] == [
        "Error: ValueError: broken",
        "Error: the tool hangs took longer than 0.02 s",
        "xxxxx\n[cut: 5 of 10000000 characters]",
    ]


def test_a_provider_error_on_the_second_step_ends_the_run(client: engine.Client) -> None:
    run = ReActAgent(client, "demo", [add]).run_stream(
        script(act("Sum.", "add", a=1, b=2), {"error": "error-400"})
    )
    assert kinds(collect(run)) == ["token", "thought", "tool_start", "tool_end", "error"]
    assert run.completion.error.http_status == 400


def test_a_refusal_ends_the_run(client: engine.Client) -> None:
    result = ReActAgent(client, "demo", [add]).run(script({"refusal": "No."}))
    assert result.error.category is Category.CONTENT_FILTER


@pytest.mark.parametrize("kind", ["token", "thought", "tool_start", "tool_end"])
def test_cancelled_at_any_event_it_ends_there(client: engine.Client, kind: str) -> None:
    seen: list[AgentEvent] = []

    def heard(event: AgentEvent, run: Any) -> None:
        seen.append(event)
        if event.type == kind:
            run.cancel()

    run = ReActAgent(client, "demo", [add, shout]).run_stream(THREE_STEPS, on_event=heard)
    assert run.result().status == "cancelled"
    check_order(seen)
    assert [event.type for event in seen].count(kind) == 1
    assert seen[-2].type == kind


@pytest.mark.parametrize(
    ("name", "value"), [("iterations", 2), ("tool_calls", 2), ("seconds", 0.05)]
)
def test_a_loop_that_never_ends_is_ended_by_a_limit(
    client: engine.Client, name: str, value: float
) -> None:
    limits = Limits(**{"iterations": None, "identical_calls": None, name: value})
    question = script(act("Again.", "add", a=1, b=1), {"loop": True})
    events = collect(ReActAgent(client, "demo", [add], limits=limits).run_stream(question))
    assert events[-1].error.code == name


class Sum(msgspec.Struct):
    total: int


def test_a_final_answer_of_a_type(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    result = ReActAgent(client, "demo", [add], result_type=Sum).run(
        script({"final": "three"}, {"final": '{"total": 3}'})
    )
    assert result.value == Sum(3)
    assert '"total"' in bodies[0]["messages"][0]["content"]


def test_with_a_memory_it_is_a_conversation(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = ReActAgent(client, "demo", [add], memory=All())
    agent.run(script(act("Sum.", "add", a=1, b=2), {"final": "3"}, {"final": "Still 3."}))
    assert agent.run("Sure?").answer == "Still 3."
    assert [m["role"] for m in bodies[-1]["messages"]] == [
        *("system", "user", "assistant", "user", "assistant", "user"),
    ]


def test_approval_is_asked_for_written_calls_too(client: engine.Client) -> None:
    agent = ReActAgent(client, "demo", [add], approve=lambda call, run: False)
    result = agent.run(script(act("Sum.", "add", a=1, b=2), {"final": "Pity."}))
    assert "not allowed" in result.trace[0].tools[0].content


def test_the_emulated_react_model_uses_the_tool(client: engine.Client) -> None:
    run = ReActAgent(client, "react", [add]).run_stream("add 2 and 3")
    events = collect(run)
    assert events[-1].type == "complete"
