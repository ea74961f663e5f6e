"""FunctionAgent: tools by the provider's protocol, in every dialect."""

from __future__ import annotations

import json
import threading
from typing import Any

import msgspec
import pytest

import engine
import engine.emulator
from engine.agents import (
    AgentEvent,
    AgentRun,
    FunctionAgent,
    FunctionTool,
    Limits,
    Pending,
    ToolContext,
    tool,
)
from engine.errors import Category, ConfigError, MisuseError
from engine.messages import Message, Text, ToolCall, ToolResult
from engine.transport.multi import driver_of
from tests.agents.support import (
    LOOP,
    add,
    call,
    check_order,
    collect,
    kinds,
    script,
    shout,
    text_of,
    watch_bodies,
)
from tests.server import DONE, Peer, chat_chunk, serve

THREE_STEPS = script(
    {
        "thinking": "Both at once.",
        "tools": [
            {"name": "add", "arguments": {"a": 1, "b": 2}},
            {"name": "shout", "arguments": {"text": "hey"}},
        ],
    },
    call("add", a=3, b=4),
    "It is 7, HEY.",
)


def tool_result(run: AgentRun) -> str:
    """What the first call of the run gave."""
    assert run.completion is not None
    return run.completion.trace[0].tools[0].content


def ask_once(client: engine.Client, function: Any, *, arguments: Any = None, **options: Any) -> Any:
    """The run of an agent that calls `function` once and then says it is done."""
    name = function.definition.name if isinstance(function, FunctionTool) else function.__name__
    question = script({"tool": name, "arguments": arguments or {}}, "Done.")
    run = FunctionAgent(client, "demo", [function], **options).run_stream(question)
    collect(run)
    return run


# -- the task, in every dialect ----


def test_three_steps_with_two_tools_in_every_dialect(any_client: engine.Client) -> None:
    run = FunctionAgent(any_client, "demo", [add, shout]).run_stream(THREE_STEPS)
    events = collect(run)
    assert kinds(events) == [
        *("token", "thought", "tool_start", "tool_end"),
        *("tool_start", "tool_end"),
        *("token", "answer", "complete"),
    ]
    ends = [event.content for event in events if event.type == "tool_end"]
    assert ends == ["3", "HEY", "7"]
    assert text_of(events) == run.completion.answer == "It is 7, HEY."
    assert [event.content for event in events if event.type == "thought"] == ["Both at once."]
    assert run.completion.status == "complete"
    assert [len(step.tools) for step in run.completion.trace] == [2, 1, 0]


def test_every_result_goes_back_under_the_id_of_its_call(any_client: engine.Client) -> None:
    run = FunctionAgent(any_client, "demo", [add, shout]).run_stream(THREE_STEPS)
    collect(run)
    question, asked, told, asked_again, told_again, answer = run.completion.messages
    assert [m.role for m in (question, asked, told)] == ["user", "assistant", "tool"]
    for calls, results in ((asked, told), (asked_again, told_again)):
        assert [c.id for c in calls.tool_calls] == [r.id for r in results.parts]
        assert [c.name for c in calls.tool_calls] == [r.name for r in results.parts]
    assert answer.text == "It is 7, HEY."


# -- seals and ids on the wire, as the vendors' documents want them --------------------------------


@pytest.mark.parametrize("what", ["append", "edit", "exchange", "drop", "replace"])
def test_what_a_callback_does_to_the_messages_is_what_is_sent_next(
    any_client: engine.Client, what: str
) -> None:
    question = script(*[call("add", a=n, b=n) for n in range(3)], "Done.")
    bodies, changes, gone = watch_bodies(any_client), list[int](), list[str]()

    def heard(event: AgentEvent, run: AgentRun) -> None:
        if event.type != "tool_end" or event.iteration != 2:
            return
        changes.append(len(bodies))
        asked, first = run.messages[0], run.messages[2]
        if what == "append":
            asked.parts.append(Text("CHANGED"))
        elif what == "edit":
            asked.parts[0] = Text(f"CHANGED {asked.text}")
        elif what == "exchange":
            run.messages[0] = Message.user(Text(asked.text), Text("CHANGED"))
        elif what == "drop":
            gone.extend(call.id for call in run.messages[1].tool_calls)
            asked.parts.insert(0, Text("CHANGED"))
            del run.messages[1:3]
        else:
            result = first.parts[0]
            assert isinstance(result, ToolResult)
            first.parts[0] = ToolResult(result.id, "CHANGED", result.name)

    FunctionAgent(any_client, "demo", [add]).run_stream(question, on_event=heard)
    any_client.multi.run()
    assert changes == [2] and len(bodies) >= 3
    said = ["CHANGED" in json.dumps(body) for body in bodies]
    assert said == [False, False, *[True] * (len(bodies) - 2)]
    assert not any(id in json.dumps(bodies[2]) for id in gone)


def last_body(emulator: engine.emulator.Emulator, dialect: str, suffix: str) -> Any:
    with engine.Client(base_url=emulator.url + suffix, dialect=dialect) as client:
        bodies = watch_bodies(client)
        result = FunctionAgent(client, "demo", [add, shout], thinking="low").run(THREE_STEPS)
        assert result.status == "complete"
        return bodies[-1]


def test_messages_gets_its_thinking_with_the_signature_first(
    emulator: engine.emulator.Emulator,
) -> None:
    # "you must pass thinking blocks back to the API for the last assistant message … complete and
    # unmodified": https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking
    _, asked, told, *_ = last_body(emulator, "messages", "")["messages"]
    thinking, *uses = asked["content"]
    assert thinking["type"] == "thinking" and thinking["signature"]
    assert [use["type"] for use in uses] == ["tool_use", "tool_use"]
    assert told["role"] == "user"
    assert [r["type"] for r in told["content"]] == ["tool_result", "tool_result"]
    assert [r["tool_use_id"] for r in told["content"]] == [use["id"] for use in uses]


def test_gemini_gets_the_signature_on_the_part_it_came_with(
    emulator: engine.emulator.Emulator,
) -> None:
    # "return this signature … exactly in the part where it was received":
    # https://ai.google.dev/gemini-api/docs/thought-signatures
    _, asked, told, *_ = last_body(emulator, "gemini", "/v1beta")["contents"]
    calls = [part for part in asked["parts"] if "functionCall" in part]
    assert calls[0]["thoughtSignature"]
    answers = [part["functionResponse"] for part in told["parts"]]
    assert [a["name"] for a in answers] == ["add", "shout"]
    assert [a["id"] for a in answers] == [part["functionCall"]["id"] for part in calls]


def test_responses_gets_its_reasoning_item_before_the_calls(
    emulator: engine.emulator.Emulator,
) -> None:
    # Without storage the encrypted reasoning goes back with the items:
    # https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items
    body = last_body(emulator, "responses", "/v1")
    kinds = [item.get("type", item.get("role")) for item in body["input"]]
    first = kinds.index("reasoning")
    assert kinds[first : first + 5] == [
        *("reasoning", "function_call", "function_call"),
        *("function_call_output", "function_call_output"),
    ]
    reasoning, *calls = body["input"][first : first + 3]
    assert reasoning["encrypted_content"]
    outputs = body["input"][first + 3 : first + 5]
    assert [o["call_id"] for o in outputs] == [c["call_id"] for c in calls]


@pytest.mark.parametrize(("dialect", "suffix"), [("chat", "/v1"), ("ollama", "")])
def test_chat_and_ollama_get_one_message_a_result(
    emulator: engine.emulator.Emulator, dialect: str, suffix: str
) -> None:
    _, asked, *told = last_body(emulator, dialect, suffix)["messages"]
    assert [message["role"] for message in told[:2]] == ["tool", "tool"]
    if dialect == "chat":
        ids = [each["id"] for each in asked["tool_calls"]]
        assert [message["tool_call_id"] for message in told[:2]] == ids
    else:
        assert [message["tool_name"] for message in told[:2]] == ["add", "shout"]


# -- results of tools ----


def test_a_tool_that_raises_is_told_to_the_model_and_the_run_goes_on(client: engine.Client) -> None:
    def breaks() -> str:
        raise KeyError("no such key")

    run = ask_once(client, breaks)
    assert tool_result(run) == "Error: KeyError: 'no such key'"
    [end] = [e for e in run.completion.trace[0].tools if e.is_error]
    assert end.call.name == "breaks"
    assert run.completion.answer == "Done."


def test_a_tool_that_hangs_is_given_up_and_the_run_goes_on(client: engine.Client) -> None:
    release = threading.Event()

    @tool(run_in="thread", timeout=0.05)
    def hangs() -> str:
        release.wait()
        return "too late"

    run = ask_once(client, hangs)
    release.set()
    assert tool_result(run) == "Error: the tool hangs took longer than 0.05 s"
    assert run.completion.answer == "Done."


def test_a_pending_that_times_out_is_cancelled(client: engine.Client) -> None:
    cancelled: list[str] = []

    @tool(timeout=0.05)
    def waits() -> Pending:
        return Pending(cancel=lambda: cancelled.append("now"))

    run = ask_once(client, waits)
    assert "took longer than 0.05 s" in tool_result(run)
    assert cancelled == ["now"]


def test_ten_megabytes_are_cut_to_what_the_tool_allows(client: engine.Client) -> None:
    @tool(max_result=1000)
    def much() -> str:
        return "x" * 10_000_000

    content = tool_result(ask_once(client, much))
    assert content == "x" * 1000 + "\n[cut: 1000 of 10000000 characters]"


def test_an_unknown_tool_is_told_with_the_names_there_are(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add, shout])
    result = agent.run(script(call("fly"), "Then not."))
    assert result.trace[0].tools[0].content == (
        "Error: there is no tool 'fly'; the tools are: add, shout"
    )
    assert result.answer == "Then not."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"a": "1", "b": 2}, "Expected `int`, got `str` - at `$.a`"),
        ({"a": 1}, "missing required field `b`"),
        ({"a": 1, "b": 2, "c": 3}, "contains unknown field `c`"),
        ({"a": 1.5, "b": 2}, "Expected `int`, got `float` - at `$.a`"),
    ],
)
def test_arguments_that_do_not_fit_are_told_and_nothing_is_called(
    client: engine.Client, arguments: Any, said: str
) -> None:
    called: list[int] = []

    def count(a: int, b: int) -> int:
        called.append(a)
        return a

    assert said in tool_result(ask_once(client, count, arguments=arguments))
    assert called == []


def test_a_tool_may_return_a_stream(client: engine.Client) -> None:
    def ask_another(context: ToolContext) -> engine.Stream:
        return context.client.stream("demo", script("I am the other."))

    run = ask_once(client, ask_another)
    assert tool_result(run) == "I am the other."


def test_a_tool_may_return_a_request(
    client: engine.Client, emulator: engine.emulator.Emulator
) -> None:
    def models() -> engine.HttpRequest:
        return engine.HttpRequest("GET", f"{emulator.base_url}/models")

    content = tool_result(ask_once(client, models))
    assert content.startswith("HTTP 200\n\n{")


def test_a_request_that_fails_is_an_error_for_the_model(client: engine.Client) -> None:
    def nobody() -> engine.HttpRequest:
        return engine.HttpRequest("GET", "http://127.0.0.1:9/")

    assert tool_result(ask_once(client, nobody)).startswith("Error: ")


def test_a_tool_may_be_another_agent(client: engine.Client) -> None:
    inner = FunctionAgent(client, "demo", [shout])
    task = script(call("shout", text="deep"), "DEEP it is.")
    outer = FunctionAgent(client, "demo", [inner.as_tool("expert", "Knows it.")])
    # The task is the last script in the inner conversation, and the outer one's is not in it.
    quoted = json.dumps([{"tool": "expert", "arguments": {"task": task}}, "So it is."])
    result = outer.run(f"[[script: {quoted}]]")
    assert result.trace[0].tools[0].content == "DEEP it is."
    assert result.answer == "So it is."
    outer_alone = sum(step.usage.total_tokens for step in result.trace)
    assert result.usage.total_tokens > outer_alone


def test_threads_run_beside_each_other_and_end_in_any_order(client: engine.Client) -> None:
    both = threading.Barrier(2, timeout=10)
    first_may_end = threading.Event()

    @tool(run_in="thread")
    def meet(name: str) -> str:
        both.wait()
        if name == "first":
            first_may_end.wait(10)
        return name

    calls = [{"name": "meet", "arguments": {"name": name}} for name in ("first", "second")]
    ends: list[str] = []

    def heard(event: AgentEvent) -> None:
        if event.type == "tool_end":
            ends.append(event.content)
            first_may_end.set()

    run = FunctionAgent(client, "demo", [meet]).run_stream(
        script({"tools": calls}, "Done."), on_event=heard
    )
    assert run.result().status == "complete"
    assert ends == ["second", "first"]
    # In the conversation they stand in the order of the calls.
    assert [part.content for part in run.messages[2].parts] == ["first", "second"]


# -- what was not whole is not run ----


def chat_call(arguments: str, finish: str | None = None) -> bytes:
    piece = {"index": 0, "id": "c", "function": {"name": "add", "arguments": arguments}}
    choice = {"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "x", "choices": [choice]}).encode() + b"\n\n"


def test_a_truncated_stream_never_runs_a_tool() -> None:
    called: list[int] = []

    def add(a: int, b: int) -> int:
        called.append(a)
        return a + b

    def cut(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        peer.send(chat_call('{"a": 1, "b": 2}'))

    retry = engine.Retry(max_attempts=1)
    with serve(cut) as server, engine.Client(base_url=server.url, retry=retry) as client:
        run = FunctionAgent(client, "m", [add]).run_stream("go")
        events = collect(run)
    assert events[-1].type == "error"
    assert events[-1].error.category is Category.TRUNCATED
    assert called == []


def test_arguments_cut_by_the_token_limit_are_asked_for_again() -> None:
    def answers(peer: Peer) -> None:
        if len(json.loads(peer.request.body)["messages"]) == 1:
            peer.stream([chat_call('{"a": 1, "b":'), chat_chunk(finish="length"), DONE])
        else:
            peer.stream([chat_chunk("Then not."), chat_chunk(finish="stop"), DONE])

    with serve(answers) as server, engine.Client(base_url=server.url) as client:
        run = FunctionAgent(client, "m", [add]).run_stream("go")
        events = collect(run)
    assert kinds(events) == ["token", "answer", "complete"]
    assert "did not arrive whole: the answer reached its limit" in run.messages[-2].text


# -- endings ----


def test_a_provider_error_on_the_second_step_ends_the_run_with_it(client: engine.Client) -> None:
    question = script(call("add", a=1, b=2), {"error": "error-400"})
    run = FunctionAgent(client, "demo", [add]).run_stream(question)
    events = collect(run)
    assert kinds(events) == ["tool_start", "tool_end", "error"]
    assert events[-1].error.http_status == 400
    assert run.completion.status == "error"
    assert len(run.completion.messages) == 3  # what was done is kept


def test_a_refusal_ends_the_run_as_an_error(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo", [add]).run_stream(script({"refusal": "I will not."}))
    events = collect(run)
    assert events[-1].error.category is Category.CONTENT_FILTER
    assert "I will not." in events[-1].content


def cancel_at(kind: str, question: str, client: engine.Client, tools: Any = (add,)) -> AgentRun:
    """A run that its own callback cancels at the first event of the type `kind`."""
    seen: list[AgentEvent] = []

    def heard(event: AgentEvent, run: AgentRun) -> None:
        seen.append(event)
        if event.type == kind:
            run.cancel()
            run.cancel()

    run = FunctionAgent(client, "demo", tools).run_stream(question, on_event=heard)
    assert run.result().status == "cancelled"
    check_order(seen)
    assert [event.type for event in seen].count(kind) == 1
    assert seen[-1].error.category is Category.CANCELLED
    client.multi.run()
    assert len(client.multi) == 0
    return run


def test_cancelled_in_the_middle_of_a_token(client: engine.Client) -> None:
    run = cancel_at("token", script("A long answer of many words."), client)
    assert run.completion.answer == ""


def test_cancelled_in_the_middle_of_a_thought(client: engine.Client) -> None:
    cancel_at("token", script({"thinking": "A long thought.", "text": "And so."}), client)
    cancel_at("thought", script({"thinking": "A long thought.", "text": "And so."}), client)


def test_cancelled_at_a_tool_it_is_not_called(client: engine.Client) -> None:
    called: list[int] = []

    def add(a: int, b: int) -> int:
        called.append(a)
        return a

    cancel_at("tool_start", script(call("add", a=1, b=2)), client, [add])
    assert called == []


def test_cancelled_while_a_tool_runs_the_tool_is_cancelled(client: engine.Client) -> None:
    cancelled: list[str] = []
    run: AgentRun

    @tool
    def waits() -> Pending:
        client.multi.call_soon(lambda: run.cancel())
        return Pending(cancel=lambda: cancelled.append("now"))

    run = FunctionAgent(client, "demo", [waits]).run_stream(script(call("waits")))
    assert run.result().status == "cancelled"
    assert cancelled == ["now"]


def test_stop_from_a_callback_cancels(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo").run_stream(
        script("A few words."), on_event=lambda event: engine.STOP
    )
    assert run.result().status == "cancelled"


def test_closing_the_multi_ends_every_run_once(emulator: engine.emulator.Emulator) -> None:
    ended: list[str] = []
    with engine.Client(base_url=emulator.base_url) as client:
        agent = FunctionAgent(client, "demo", [add])
        for _ in range(3):
            agent.run_stream(LOOP, on_done=lambda result: ended.append(result.status))
        client.multi.poll(0)
    assert ended == ["cancelled"] * 3
    with pytest.raises(MisuseError):
        agent.run_stream("again")


def test_a_callback_that_raises_ends_its_run_alone(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo")

    def heard(event: AgentEvent) -> None:
        raise ValueError("a mistake of mine")

    broken = agent.run_stream(script("One."), on_event=heard)
    healthy = agent.run_stream(script("Two."))
    client.multi.run()
    assert broken.completion.error.category is Category.CALLBACK
    assert isinstance(broken.completion.error.__cause__, ValueError)
    assert healthy.completion.answer == "Two."


def test_a_callback_that_raises_at_the_last_event_is_told_in_the_result(
    client: engine.Client,
) -> None:
    def heard(event: AgentEvent) -> None:
        if event.type == "complete":
            raise ValueError("a mistake of mine")

    result = FunctionAgent(client, "demo").run_stream(script("One."), on_event=heard).result()
    assert (result.status, result.answer) == ("error", "One.")
    assert isinstance(result.error.__cause__, ValueError)


def test_an_approval_that_raises_ends_its_run(client: engine.Client) -> None:
    def broken(call: ToolCall, run: AgentRun) -> bool:
        raise ValueError("a mistake of mine")

    agent = FunctionAgent(client, "demo", [add], approve=broken)
    result = agent.run(script(call("add", a=1, b=2)))
    assert result.error.category is Category.CALLBACK


def test_ctrl_c_in_a_tool_leaves_the_loop_and_ends_the_run(client: engine.Client) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    agent = FunctionAgent(client, "demo", [interrupted])
    run = agent.run_stream(script(call("interrupted")))
    other = agent.run_stream(script("Calm."))
    with pytest.raises(KeyboardInterrupt):
        client.multi.run()
    client.multi.run()
    assert run.completion.status == "cancelled"
    assert other.completion.answer == "Calm."


def test_what_cannot_be_asked_ends_the_run_and_not_the_loop(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo", max_tokens=0).run_stream("hello")
    assert run.result().error.category is Category.CONFIG


# -- limits ----


class PricePerToken(msgspec.Struct):
    def cost(self, usage: engine.Usage) -> float:
        return (usage.total_tokens or 0) * 0.5


@pytest.mark.parametrize(
    ("name", "value", "calls"),
    [("iterations", 3, 3), ("tool_calls", 2, 2), ("total_tokens", 1, 0), ("cost", 0.5, 0)],
)
def test_a_limit_ends_a_loop_and_says_which(
    client: engine.Client, name: str, value: float, calls: int
) -> None:
    limits = Limits(**{"iterations": None, name: value})
    run = FunctionAgent(client, "demo", [add], limits=limits, price=PricePerToken()).run_stream(
        LOOP
    )
    events = collect(run)
    assert events[-1].type == "error"
    assert events[-1].error.code == name
    assert f"{name}={value:g}" in events[-1].content
    assert [e.type for e in events].count("tool_end") == calls
    assert run.completion.cost > 0


def test_the_limit_on_seconds_ends_what_runs(client: engine.Client) -> None:
    @tool(timeout=None)
    def waits() -> Pending:
        return Pending()

    limits = Limits(seconds=0.05)
    run = FunctionAgent(client, "demo", [waits], limits=limits).run_stream(script(call("waits")))
    events = collect(run)
    assert events[-1].error.code == "seconds"
    assert not events[-1].error.retryable


def test_an_answer_at_the_limit_is_still_an_answer(client: engine.Client) -> None:
    limits = Limits(iterations=1, total_tokens=1)
    assert FunctionAgent(client, "demo", limits=limits).run(script("Yes.")).answer == "Yes."


# -- approval ----


def test_nothing_is_called_that_was_not_approved(client: engine.Client) -> None:
    asked: list[ToolCall] = []
    harmless = tool(approve=False)(shout.function)

    def approve(call: ToolCall) -> str | bool:
        asked.append(call)
        return "too many numbers"

    agent = FunctionAgent(client, "demo", [add, harmless], approve=lambda call, run: approve(call))
    both = [
        {"name": "add", "arguments": {"a": 1, "b": 2}},
        {"name": "shout", "arguments": {"text": "a"}},
    ]
    result = agent.run(script({"tools": both}, "Well."))
    assert [each.name for each in asked] == ["add"]
    assert [step.content for step in result.trace[0].tools] == [
        "Error: the call was not allowed: too many numbers",
        "A",
    ]
    assert result.answer == "Well."


@pytest.mark.parametrize(("allowed", "content"), [(True, "3"), (False, "the user said no")])
def test_an_approval_may_come_later(client: engine.Client, allowed: bool, content: str) -> None:
    def later(call: ToolCall, run: AgentRun) -> None:
        client.multi.call_soon(lambda: run.approve(call.id, allowed))
        run.approve("another call", allowed)

    agent = FunctionAgent(client, "demo", [add], approve=later)
    run = agent.run_stream(script(call("add", a=1, b=2), "Done."))
    collect(run)
    assert content in tool_result(run)


# -- answers of a type ----


class Sum(msgspec.Struct):
    total: int


def test_an_answer_of_a_type_is_asked_for_again_until_it_fits(client: engine.Client) -> None:
    question = script("It is three.", '{"total": "3"}', '```json\n{"total": 3}\n```')
    run = FunctionAgent(client, "demo", result_type=Sum).run_stream(question)
    events = collect(run)
    assert run.completion.value == Sum(3)
    assert [e.data for e in events if e.type == "answer"] == [Sum(3)]
    assert [step.error is None for step in run.completion.trace] == [False, False, True]
    assert run.messages[2].text.startswith("Your last answer does not fit: JSON is malformed")
    assert "Expected `int`, got `str` - at `$.total`" in run.messages[4].text


def test_an_answer_that_never_fits_ends_the_run(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", result_type=Sum, result_retries=1)
    result = agent.run(script("no", {"loop": True}))
    assert result.error.category is Category.PROTOCOL
    assert len(result.trace) == 2


def test_with_tools_the_type_is_told_in_words(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = FunctionAgent(client, "demo", [add], result_type=Sum, system="Be brief.")
    result = agent.run(script(call("add", a=1, b=2), '{"total": 3}'))
    assert result.value == Sum(3)
    system = bodies[0]["messages"][0]["content"]
    assert system.startswith("Be brief.\n\n") and '"total"' in system
    assert "response_format" not in bodies[0]


# -- the run as an object ----


def test_callbacks_and_iteration_see_the_same_events(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add, shout])
    called: list[AgentEvent] = []
    types: list[str] = []
    run = agent.run_stream(THREE_STEPS, on_event=called.append)
    run.on("tool_end", lambda event: types.append(event.content))
    assert list(run) == called
    assert types == ["3", "HEY", "7"]


def test_on_done_and_end_are_called_once_from_info_read(client: engine.Client) -> None:
    ended: list[Any] = []
    run = FunctionAgent(client, "demo").run_stream(
        script("Hi."),
        on_done=lambda result, run: ended.append((result, driver_of(client.multi).running)),
    )
    run.on("end", lambda run: ended.append(run))
    client.multi.run()
    assert ended == [(run.completion, "info_read"), run]


def test_who_leaves_a_loop_over_a_run_before_its_end_cancels_it(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo", [add]).run_stream(script(call("add", a=1, b=2), "Three."))
    for _ in run:
        break
    client.multi.run()
    assert run.completion.status == "cancelled"


def test_who_only_looks_or_is_not_alone_cancels_nothing(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add])
    looked_at = agent.run_stream(script(call("add", a=1, b=2), "Three."))
    for _ in looked_at.events(cancel=False):
        break
    heard: list[str] = []
    listened_to = agent.run_stream(
        script("Three."), on_event=lambda event: heard.append(event.type)
    )
    for _ in listened_to:
        break
    client.multi.run()
    assert [looked_at.completion.answer, listened_to.completion.answer] == ["Three.", "Three."]
    assert heard[-1] == "complete"


def test_a_late_reader_gets_everything_with_the_tokens_joined(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo", [add]).run_stream(
        script({"thinking": "Hm, a sum.", **call("add", a=1, b=2)}, "It is three.")
    )
    early = list(run)
    late = list(run)
    assert kinds(late) == kinds(early) and len(late) < len(early)
    assert [e.type for e in late].count("token") == 2
    assert text_of(late) == text_of(early) == "It is three."


def test_a_run_cannot_be_driven_from_a_tool(client: engine.Client) -> None:
    inner = FunctionAgent(client, "demo")

    def blocks() -> str:
        return inner.run("hello").answer

    run = FunctionAgent(client, "demo", [blocks]).run_stream(script(call("blocks"), "Done."))
    run.result()
    assert "was called from a callback of perform()" in tool_result(run)


def test_export_is_json_and_reset_forgets(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add, shout])
    result = agent.run(THREE_STEPS)
    assert agent.messages == result.messages
    assert json.loads(msgspec.json.encode(agent.export()))["messages"][0]["role"] == "user"
    exported = json.loads(json.dumps(result.export()))
    assert exported["trace"][0]["tools"][0]["content"] == "3"
    assert (exported["status"], exported["finish_reason"]) == ("complete", "STOP")
    agent.reset()
    assert (agent.messages, agent.trace) == ([], [])


def test_values_of_any_type_are_exported(client: engine.Client) -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Total", total=(int, ...))
    for kind in (Sum, model):
        agent = FunctionAgent(client, "demo", result_type=kind)
        result = agent.run(script('{"total": 3}'))
        assert json.loads(json.dumps(result.export()))["value"] == {"total": 3}


def test_an_agent_and_a_run_say_what_they_are(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add])
    assert repr(agent) == "<FunctionAgent demo add>"
    assert repr(FunctionAgent(client, "demo")) == "<FunctionAgent demo no tools>"
    run = agent.run_stream(script("Hi."))
    assert repr(run) == "<AgentRun starting 0 turns 0 calls>"
    run.result()
    assert repr(run) == "<AgentRun done 1 turns 0 calls>"
    assert repr(add) == "<tool add(a, b)>"


def test_a_listener_may_stop_the_run_and_raise(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo").run_stream(script("A few words."))
    run.on("token", lambda: engine.STOP)
    assert run.result().status == "cancelled"


def test_an_agent_goes_on_in_several_dialects_of_input(client: engine.Client) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    result = FunctionAgent(client, "demo").run([*messages, engine.Message.user(script("Yes."))])
    assert result.answer == "Yes."
    assert [message.role for message in result.messages] == [
        *("user", "assistant", "user", "assistant"),
    ]


def test_two_readers_each_get_all_and_the_end_comes_in_the_middle_of_a_loop(
    client: engine.Client,
) -> None:
    run = FunctionAgent(client, "demo").run_stream(script("A few words."))
    first, second = iter(run), iter(run)
    seen = [next(first)]
    assert run.result().answer == "A few words."
    assert text_of([*seen, *first]) == text_of(second) == "A few words."


def test_a_run_cannot_be_iterated_in_a_callback(client: engine.Client) -> None:
    caught: list[Exception] = []

    def heard(event: AgentEvent, other: AgentRun) -> None:
        with pytest.raises(MisuseError, match="perform") as raised:
            iter(other)
        caught.append(raised.value)

    FunctionAgent(client, "demo").run_stream(script("A few."), on_event=heard).result()
    assert caught


@pytest.mark.parametrize("ended", [True, False])
def test_a_reader_that_does_not_read_holds_up_nobody_who_closes(
    emulator: engine.emulator.Emulator, ended: bool
) -> None:
    with engine.Client(base_url=emulator.base_url) as client:
        other = FunctionAgent(client, "demo").run_stream(script("Other."))
        run = FunctionAgent(client, "demo").run_stream(script("A few words."))
        reader = iter(run)
        assert next(reader).type == "token"
        if ended:
            other.result()
            client.multi.poll(0)
    assert run.completion.status == "cancelled"
    assert [event.type for event in reader][-1] == "error"


def test_a_pause_of_the_provider_is_gone_on_from() -> None:
    paused = {"type": "message_delta", "delta": {"stop_reason": "pause_turn"}, "usage": {}}
    start = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {}}}

    def event(data: dict[str, Any]) -> bytes:
        return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()

    def text(words: str) -> list[bytes]:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": words}
        return [
            event(start),
            event({"type": "content_block_start", "index": 0, "content_block": block}),
            event({"type": "content_block_delta", "index": 0, "delta": delta}),
            event({"type": "content_block_stop", "index": 0}),
        ]

    def answers(peer: Peer) -> None:
        first = len(json.loads(peer.request.body)["messages"]) == 1
        ended = {**paused, "delta": {"stop_reason": "end_turn"}}
        stop = event({"type": "message_stop"})
        peer.stream([*text("Wait." if first else "Done."), event(paused if first else ended), stop])

    with serve(answers) as server, engine.Client(base_url=server.url, dialect="messages") as client:
        result = FunctionAgent(client, "m", max_tokens=10).run("go")
    assert result.answer == "Done."
    assert [message.text for message in result.messages] == ["go", "Wait.", "Done."]


def test_a_filtered_answer_is_an_error() -> None:
    def filtered(peer: Peer) -> None:
        peer.stream([chat_chunk("Half"), chat_chunk(finish="content_filter"), DONE])

    with serve(filtered) as server, engine.Client(base_url=server.url) as client:
        result = FunctionAgent(client, "m").run("go")
    assert result.error.category is Category.CONTENT_FILTER
    assert result.error.code == "content_filter"
    with pytest.raises(engine.EngineError, match="filter"):
        result.raise_for_status()


def test_an_agent_refuses_what_it_sets_itself(client: engine.Client) -> None:
    with pytest.raises(ConfigError, match="on_text"):
        FunctionAgent(client, "demo", on_text=print)
    with pytest.raises(ConfigError, match="two tools are called 'add'"):
        FunctionAgent(client, "demo", [add, add])
    with pytest.raises(ConfigError, match="result_type"):
        FunctionAgent(client, "demo", result_type=threading.Lock())
    with pytest.raises(ConfigError, match="iterations"):
        Limits(iterations=0)
    with pytest.raises(ConfigError, match="listen"):
        FunctionAgent(client, "demo").run_stream("x").on("nothing", print)
