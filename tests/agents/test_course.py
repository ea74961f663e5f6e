"""The course of a run: what it does where the model or the server does not do as it should."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import engine
import engine.emulator
from engine.agents import (
    AgentRun,
    ConversationalAgent,
    FunctionAgent,
    Limits,
    ReActAgent,
    tool,
)
from engine.errors import Category
from engine.messages import Message, ToolCall, ToolResult
from tests.agents.support import LOOP, add, call, collect, kinds, script, watch_bodies
from tests.cases import each_case
from tests.server import DONE, OK_SSE, Peer, chat_chunk, serve


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "x", "choices": [choice]}).encode() + b"\n\n"


def calls(*given: tuple[str, str, str], finish: str = "tool_calls") -> list[bytes]:
    """A turn that makes the calls (id, name, arguments)."""
    pieces = [
        chunk({"tool_calls": [{"index": n, "id": i, "function": {"name": m, "arguments": a}}]})
        for n, (i, m, a) in enumerate(given)
    ]
    return [*pieces, chunk({}, finish), DONE]


@contextmanager
def model(*turns: Callable[[Peer], object] | list[bytes]) -> Iterator[tuple[engine.Client, Any]]:
    """A client of a server that gives `turns` one after the other, the last one for ever; and the
    bodies of its requests."""
    bodies: list[Any] = []

    def answer(peer: Peer) -> None:
        bodies.append(json.loads(peer.request.body))
        turn = turns[min(len(bodies), len(turns)) - 1]
        if callable(turn):
            turn(peer)
        else:
            peer.stream(turn)

    retry = engine.Retry(max_attempts=1)
    with serve(answer) as server, engine.Client(base_url=server.url, retry=retry) as client:
        yield client, bodies


def said(text: str, finish: str = "stop") -> list[bytes]:
    return [chat_chunk(text), chat_chunk(finish=finish), DONE]


def cut(peer: Peer) -> None:
    peer.send(OK_SSE)
    peer.chunk(chat_chunk("Half an ans"))


SUM = '{"a": 1, "b": 2}'


# -- ids ----


def test_two_calls_of_one_id_are_two_calls_also_while_both_wait_for_approval() -> None:
    waiting: list[ToolCall] = []
    with model(calls(("c", "add", SUM), ("c", "add", '{"a": 3, "b": 4}')), said("Done.")) as (
        client,
        bodies,
    ):
        agent = FunctionAgent(client, "m", [add], approve=lambda call, run: waiting.append(call))
        run = agent.run_stream("go")
        while len(waiting) < 2:
            client.multi.poll()
        assert len({call.id for call in waiting}) == 2
        for each in reversed(waiting):
            run.approve(each.id)
        result = run.result()
    assert result.answer == "Done."
    assert [step.content for step in result.trace[0].tools] == ["7", "3"]
    sent = bodies[1]["messages"]
    ids = [call["id"] for call in sent[1]["tool_calls"]]
    assert [message["tool_call_id"] for message in sent[2:]] == ids
    assert [message["content"] for message in sent[2:]] == ["3", "7"]


def test_servers_that_number_calls_anew_in_each_turn_do_not_mix_them_up() -> None:
    turn = calls(("call_0", "add", SUM))
    again = calls(("call_0", "add", '{"a": 3, "b": 4}'))
    with model(turn, again, said("Done.")) as (client, bodies):
        result = FunctionAgent(client, "m", [add]).run("go")
    assert result.answer == "Done."
    ids = [c["id"] for message in bodies[2]["messages"] for c in message.get("tool_calls") or ()]
    assert len(set(ids)) == 2


def test_calls_without_a_result_in_what_is_given_are_told_not_to_be_carried_out() -> None:
    given = [
        Message.user("go"),
        Message.assistant(ToolCall("a", "add", SUM), ToolCall("b", "add", SUM)),
        Message.tool(ToolResult("b", "3", "add")),
        Message.user("and?"),
    ]
    with model(said("So.")) as (client, bodies):
        FunctionAgent(client, "m", [add]).run(given)
    sent = bodies[0]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user"]
    told = {message["tool_call_id"]: message["content"] for message in sent[2:4]}
    assert told["b"] == "3" and "not carried out" in told["a"]


# -- what is not carried out ----


@each_case("finish", ["length", "content_filter", "error", "whatever_else"])
def test_a_turn_that_something_else_ended_has_nothing_carried_out(finish: str) -> None:
    ran: list[int] = []

    def add(a: int, b: int) -> int:
        ran.append(a)
        return a + b

    with model(calls(("c", "add", SUM), finish=finish), said("Then not.")) as (client, _):
        result = FunctionAgent(client, "m", [add]).run("go")
    assert ran == []
    if result.error is None:
        assert all(not message.tool_calls for message in result.messages)
        assert "Nothing was carried out" in result.messages[-2].text
    ids = [call.id for message in result.messages for call in message.tool_calls]
    told = [p for m in result.messages for p in m.parts if isinstance(p, ToolResult)]
    assert [part.id for part in told] == ids
    assert all("not carried out" in part.content for part in told)


def test_a_call_that_is_not_whole_voids_those_beside_it() -> None:
    ran: list[int] = []

    def add(a: int, b: int) -> int:
        ran.append(a)
        return a + b

    with model(calls(("c", "add", SUM), ("d", "add", '{"a": 1')), said("Oh.")) as (client, bodies):
        result = FunctionAgent(client, "m", [add]).run("go")
    assert ran == [] and result.answer == "Oh."
    assert [message["role"] for message in bodies[1]["messages"]] == ["user", "user"]


def test_a_call_without_a_name_is_told_and_not_lost() -> None:
    with model(calls(("c", "", SUM)), said("Oh.")) as (client, bodies):
        result = FunctionAgent(client, "m", [add]).run("go")
    assert result.answer == "Oh."
    assert bodies[1]["messages"][-1]["role"] in ("user", "tool")


# -- turns that are asked for again ----


def test_a_turn_that_was_cut_is_asked_for_once_more() -> None:
    seen: list[str] = []
    with model(cut, said("Whole.")) as (client, bodies):
        run = FunctionAgent(client, "m", [add]).run_stream("go")
        run.on("retry", lambda event: seen.append(event.error.category))
        result = run.result()
    assert result.answer == "Whole." and seen == [Category.TRUNCATED]
    assert len(bodies) == 2 and bodies[0] == bodies[1]
    assert [step.message.text for step in result.trace] == ["Half an ans", "Whole."]
    assert result.usage.partial  # the half was paid


def test_a_turn_that_is_cut_twice_is_an_error_and_what_came_is_kept() -> None:
    with model(cut) as (client, bodies):
        result = FunctionAgent(client, "m", [add]).run("go")
    assert len(bodies) == 2
    assert result.error is not None and result.error.category is Category.TRUNCATED
    assert [message.text for message in result.messages] == ["go", "Half an ans"]


def test_a_turn_that_is_cut_after_a_tool_ran_is_not_asked_for_again() -> None:
    with model(calls(("c", "add", SUM)), cut) as (client, bodies):
        result = FunctionAgent(client, "m", [add]).run("go")
    assert len(bodies) == 2
    assert result.error is not None and result.error.category is Category.TRUNCATED


@each_case("kind", [FunctionAgent, ReActAgent, ConversationalAgent])
@each_case("nothing", ["", " \n", None])
def test_an_empty_turn_is_no_answer(kind: Any, nothing: str | None) -> None:
    empty = [chunk({"reasoning_content": "Hm."}), chunk({}, "stop"), DONE]
    turn = empty if nothing is None else said(nothing)
    with model(turn, said("Final Answer: 4")) as (client, bodies):
        result = kind(client, "m", [add]).run("go")
    assert result.status == "complete" and result.answer.endswith("4")
    assert bodies[1]["messages"][-1]["content"].startswith("Your last answer was empty")
    with model(turn) as (client, bodies):
        result = kind(client, "m", [add]).run("go")
    assert result.error is not None and result.error.code == "empty_answer"
    assert len(bodies) == 2


def test_a_choice_that_forces_a_call_holds_until_there_was_one() -> None:
    with model(calls(("c", "add", SUM)), said("3")) as (client, bodies):
        result = FunctionAgent(client, "m", [add], tool_choice="required").run("go")
    assert result.answer == "3"
    assert [body.get("tool_choice") for body in bodies] == ["required", "auto"]


# -- limits ----


def test_the_tenth_identical_call_is_not_carried_out_and_the_run_says_why() -> None:
    ran: list[int] = []

    @tool
    def add(a: int, b: int) -> int:
        ran.append(a)
        return a + b

    turns = [calls(("c", "add", SUM)), calls(("c", "add", '{"b":2, "a":1}'))]
    with model(*turns) as (client, _):
        agent = FunctionAgent(client, "m", [add], limits=Limits(iterations=None))
        result = agent.run("go")
    assert len(ran) == 9
    assert result.error is not None and result.error.code == "identical_calls"
    assert "identical_calls=10" in result.error.message
    last = result.messages[-1].parts[0]
    assert isinstance(last, ToolResult) and "not carried out" in last.content


def test_a_limit_on_tokens_counts_what_tools_gave(client: engine.Client) -> None:
    @tool
    def read() -> str:
        return "x" * 40_000

    limits = Limits(total_tokens=5000)
    result = FunctionAgent(client, "demo", [read], limits=limits).run(script(call("read"), "Hm."))
    assert result.error is not None and result.error.code == "total_tokens"
    assert len(result.trace) == 1  # the result was not sent at all


# -- approval ----


def test_an_approval_may_change_the_arguments_and_the_model_is_told(client: engine.Client) -> None:
    bodies = watch_bodies(client)

    def approve(call: ToolCall, run: AgentRun) -> dict[str, int]:
        return {"a": 40, "b": 2}

    agent = FunctionAgent(client, "demo", [add], approve=approve)
    result = agent.run(script(call("add", a=1, b=2), "So."))
    [step] = result.trace[0].tools
    assert step.call.input == {"a": 40, "b": 2}
    assert step.content == '[carried out with the arguments {"a":40,"b":2}]\n42'
    sent = bodies[1]["messages"]
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"a": 1, "b": 2}
    assert sent[2]["content"] == step.content


def test_arguments_that_are_changed_must_fit_too(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add], approve=lambda call, run: {"a": "x"})
    result = agent.run(script(call("add", a=1, b=2), "So."))
    assert result.trace[0].tools[0].is_error


def test_what_approve_raises_ends_the_run_and_says_so(client: engine.Client) -> None:
    ran: list[int] = []

    @tool
    def add(a: int, b: int) -> int:
        ran.append(a)
        return a + b

    def broken(call: ToolCall) -> bool:
        raise ValueError("a mistake of mine")

    agent = FunctionAgent(client, "demo", [add], approve=lambda call, run: broken(call))
    result = agent.run(script(call("add", a=1, b=2), "So."))
    assert result.error is not None and result.error.category is Category.CALLBACK
    assert result.error.message.startswith("approve raised ValueError: a mistake of mine")
    assert isinstance(result.error.__cause__, ValueError)
    assert ran == [] and len(result.trace[0].tools) == 1
    last = result.messages[-1].parts[0]
    assert isinstance(last, ToolResult) and "not carried out" in last.content


# -- what was paid ----


def test_a_turn_that_is_cancelled_is_in_messages_trace_and_usage(client: engine.Client) -> None:
    def heard(event: Any, run: AgentRun) -> None:
        if event.type == "token":
            run.cancel()

    run = FunctionAgent(client, "demo").run_stream(script("A long answer."), on_event=heard)
    result = run.result()
    assert result.status == "cancelled"
    [step] = result.trace
    assert step.message.text and step.usage is not None and step.usage.partial
    assert result.messages[-1].text == step.message.text
    assert result.usage.total_tokens and result.usage.partial
    assert step.error == "the run was cancelled"


def test_a_request_that_was_refused_costs_nothing(client: engine.Client) -> None:
    result = FunctionAgent(client, "demo").run(script({"error": "error-400"}))
    assert result.usage.total_tokens is None and not result.usage.partial
    assert result.trace[0].usage is None


def test_a_run_left_alone_goes_on_by_itself_and_ends(client: engine.Client) -> None:
    limits = Limits(iterations=3)
    run = FunctionAgent(client, "demo", [add], limits=limits).run_stream(LOOP)
    assert kinds(collect(run))[-1] == "error"
    assert run.state.value == "done" and repr(run) == "<AgentRun done 3 turns 3 calls>"
