"""ConversationalAgent and its memories, with exact lists of messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import engine
from engine.agents import (
    AgentEvent,
    AgentRun,
    All,
    ConversationalAgent,
    Limits,
    Pending,
    ReActAgent,
    Selective,
    Summarise,
    Window,
    tool,
)
from engine.agents.memory import rounds
from engine.agents.state import RunState
from engine.errors import Category, ConfigError, MisuseError
from engine.messages import Message, ToolCall, ToolResult
from tests.agents.support import add, call, collect, script, watch_bodies
from tests.agents.test_course import calls
from tests.agents.test_course import said as answering
from tests.cases import each_case
from tests.server import OK_SSE, Peer, chat_chunk, serve


def said(number: int, *, tools: int = 0) -> list[Message]:
    """A round: a question, `tools` calls with their results, an answer."""
    messages = [Message.user(f"q{number}")]
    for each in range(tools):
        id = f"c{number}.{each}"
        messages.append(Message.assistant(ToolCall(id, "add", "{}")))
        messages.append(Message.tool(ToolResult(id, "0")))
    return [*messages, Message.assistant(f"a{number}")]


def short(messages: list[Message]) -> list[str]:
    return [message.text or message.role for message in messages]


HISTORY = [*said(1), *said(2, tools=1), *said(3), *said(4)]


# -- the strategies, pure --------------------------------------------------------------------


def test_a_round_is_a_question_and_all_that_followed() -> None:
    assert [short(round) for round in rounds(HISTORY)] == [
        ["q1", "a1"],
        ["q2", "assistant", "tool", "a2"],
        ["q3", "a3"],
        ["q4", "a4"],
    ]


def test_an_observation_begins_no_round() -> None:
    messages = [Message.user("q"), Message.assistant("Action: x"), Message.user("Observation: 1")]
    assert rounds(messages) == [messages]


def test_all_remembers_everything() -> None:
    assert All().recall(HISTORY) == HISTORY
    assert All().to_summarise(HISTORY) == []


@each_case(
    ("size", "recalled"),
    [
        (1, ["q4", "a4"]),  # the last round is never cut
        (2, ["q4", "a4"]),
        (4, ["q3", "a3", "q4", "a4"]),
        (7, ["q3", "a3", "q4", "a4"]),  # a call never loses its result
        (8, ["q2", "assistant", "tool", "a2", "q3", "a3", "q4", "a4"]),
        (100, short(HISTORY)),
    ],
)
def test_a_window_holds_whole_rounds(size: int, recalled: list[str]) -> None:
    assert short(Window(size).recall(HISTORY)) == recalled


@each_case(
    ("memory", "recalled"),
    [
        (Selective(last=0), ["q1", "a1", "q2", "assistant", "tool", "a2"]),
        (Selective(last=1), ["q1", "a1", "q2", "assistant", "tool", "a2", "q4", "a4"]),
        (Selective(lambda message: "3" in message.text, last=0), ["q3", "a3"]),
        (Selective(lambda message: False, last=2), ["q3", "a3", "q4", "a4"]),
        (Selective(last=10), short(HISTORY)),
    ],
)
def test_selective_keeps_what_matters_and_the_last(memory: Any, recalled: list[str]) -> None:
    assert short(memory.recall(HISTORY)) == recalled


def test_summarise_takes_all_but_the_last_rounds_once_there_are_too_many() -> None:
    assert Summarise(after=10, keep=1).to_summarise(HISTORY) == []
    assert short(Summarise(after=9, keep=2).to_summarise(HISTORY)) == [
        *("q1", "a1"),
        *("q2", "assistant", "tool", "a2"),
    ]
    assert Summarise(after=1, keep=9).to_summarise(HISTORY) == []


@each_case(
    "wrong",
    [lambda: Window(0), lambda: Selective(last=-1), lambda: Summarise(0), lambda: Summarise(1, -1)],
)
def test_sizes_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        wrong()


# -- in a conversation -----------------------------------------------------------------------


def asked(body: Any) -> list[str]:
    """What a request told the model, instructions included."""
    return [message["content"] or "call" for message in body["messages"]]


def test_the_model_is_shown_the_whole_conversation(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = ConversationalAgent(client, "demo", system="Be kind.")
    first = agent.run(script("One.", "Two."))
    second = agent.run("And then?")
    assert (first.answer, second.answer) == ("One.", "Two.")
    assert asked(bodies[1]) == ["Be kind.", script("One.", "Two."), "One.", "And then?"]
    assert agent.messages == [*first.messages, *second.messages]


def test_calls_and_results_stay_in_the_conversation(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = ConversationalAgent(client, "demo", [add])
    agent.run(script(call("add", a=1, b=2), "Three.", "Really."))
    agent.run("Really?")
    roles = [message["role"] for message in bodies[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert agent.messages[-1].text == "Really."


def test_a_window_shows_the_model_the_last_rounds_only(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = ConversationalAgent(client, "demo", memory=Window(2))
    for question in ("one", "two", "three"):
        agent.run(script(f"Heard {question}."))
    assert asked(bodies[-1]) == [script("Heard two."), "Heard two.", script("Heard three.")]
    assert len(agent.messages) == 6  # nothing is lost, it is only not shown


def test_a_summary_takes_the_place_of_what_is_old(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    memory = Summarise(after=2, keep=1, instructions=script("They greeted each other."))
    agent = ConversationalAgent(client, "demo", memory=memory, system="Be kind.")
    for question in ("one", "two"):
        agent.run(script(f"Heard {question}."))
    run = agent.run_stream(script("Heard three."))
    collect(run)
    assert run.completion.answer == "Heard three."
    assert agent.summary is not None
    summary_body, body = bodies[-2:]
    assert asked(summary_body)[0] == memory.instructions
    assert asked(summary_body)[1] == f"user: {script('Heard one.')}\nassistant: Heard one."
    assert asked(body) == [
        f"Be kind.\n\nSummary of what was said before: {agent.summary}",
        script("Heard two."),
        "Heard two.",
        script("Heard three."),
    ]
    assert run.completion.usage.total_tokens > run.completion.trace[0].usage.total_tokens


def paired(body: Any) -> bool:
    """Whether each call in `body` is followed by its result, and no result is without one."""
    ids: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in ids:
                return False
            ids.remove(message["tool_call_id"])
        elif ids:
            return False
        ids += [each["id"] for each in message.get("tool_calls") or ()]
    return not ids


ASK = "Sum up."


@contextmanager
def adding(
    steps: int, summary: Callable[[Peer], object] | list[bytes], *, react: bool = False
) -> Iterator[tuple[engine.Client, list[Any], list[Any]]]:
    """A client of a server that has 1 added to the number of the turn, so many times, and then says
    "Done."; and sums up as told. With the bodies of the turns, and of the summaries."""
    turns: list[Any] = []
    summaries: list[Any] = []

    def serve_turn(peer: Peer) -> None:
        body = json.loads(peer.request.body)
        if asked(body)[0] == ASK:
            summaries.append(body)
            summary(peer) if callable(summary) else peer.stream(summary)
            return
        turns.append(body)
        number = len(turns) - 1
        given = json.dumps({"a": number, "b": 1})
        if react:
            act = f"Thought: Hm.\nAction: add\nAction Input: {given}"
            peer.stream(answering(act if number < steps else "Final Answer: Done."))
        else:
            peer.stream(calls(("c", "add", given)) if number < steps else answering("Done."))

    retry = engine.Retry(max_attempts=1)
    with serve(serve_turn) as server, engine.Client(base_url=server.url, retry=retry) as client:
        yield client, turns, summaries


def test_in_the_middle_of_a_run_its_older_steps_are_summed_up() -> None:
    memory = Summarise(after=5, keep=2, instructions=ASK)
    with adding(8, answering("They added.")) as (client, turns, summaries):
        agent = ConversationalAgent(client, "m", [add], memory=memory, system="Be kind.")
        result = agent.run("Go.")
        assert result.answer == "Done." and len(result.trace) == 9
        # All is kept, though the model was not shown all.
        assert len(result.messages) == 18 and agent.messages == result.messages
        assert len(turns) == 9 and len(summaries) == 6
        for body in turns:
            assert paired(body) and len(body["messages"]) <= 7  # with the system's
            assert [message["role"] for message in body["messages"][:2]] == ["system", "user"]
        assert asked(turns[2])[0] == "Be kind."
        assert asked(turns[-1])[0] == "Be kind.\n\nSummary of what was said before: They added."
        # Each is made from the last and what followed.
        first, second = asked(summaries[0])[1], asked(summaries[1])[1]
        assert first.splitlines() == ['assistant calls add({"a": 0, "b": 1})', "result of add: 1"]
        assert second.splitlines() == [
            "Summary of what was said before: They added.",
            'assistant calls add({"a": 1, "b": 1})',
            "result of add: 2",
        ]
        counted = sum(step.usage.total_tokens or 0 for step in result.trace if step.usage)
        assert (result.usage.total_tokens or 0) > counted


def test_in_the_middle_of_a_run_the_older_conversation_is_summed_up_first() -> None:
    memory = Summarise(after=6, keep=1, instructions=ASK)
    with adding(2, answering("They spoke.")) as (client, turns, summaries):
        agent = ConversationalAgent(client, "m", [add], memory=memory)
        agent._conversation.messages = [*said(1), *said(2)]
        assert agent.run("Go.").answer == "Done."
        assert agent.summary == "They spoke." and len(agent.messages) == 10
        assert "a2" in str(turns[0]) and "a2" not in str(turns[-1])
        assert len(summaries) == 1 and all(map(paired, turns))


def test_react_is_summed_up_by_its_steps_too() -> None:
    memory = Summarise(after=3, keep=1, instructions=ASK)
    with adding(3, answering("They added."), react=True) as (client, turns, summaries):
        result = ReActAgent(client, "m", [add], memory=memory).run("Go.")
    assert result.answer == "Done."
    first = asked(summaries[0])[1]
    assert "Observation: 1" in first and "Action: add" in first
    assert max(len(body["messages"]) for body in turns) == 4


def refused(peer: Peer) -> None:
    peer.json(b'{"error": {"message": "bad", "type": "invalid_request_error"}}', "400 No")


def test_an_empty_summary_hides_nothing() -> None:
    memory = Summarise(after=3, keep=1, instructions=ASK)
    with adding(4, answering("")) as (client, turns, summaries):
        assert ConversationalAgent(client, "m", [add], memory=memory).run("Go.").answer == "Done."
    assert len(turns[-1]["messages"]) == 9 and len(summaries) == 1


def test_a_summary_that_fails_in_the_middle_keeps_what_was_done() -> None:
    memory = Summarise(after=3, keep=1, instructions=ASK)
    with adding(4, refused) as (client, turns, _):
        agent = ConversationalAgent(client, "m", [add], memory=memory)
        result = agent.run("Go.")
    assert result.error is not None and result.error.category is Category.INVALID_ARG
    assert len(turns) == 2 and len(result.messages) == 5 and agent.messages == result.messages


def test_a_summary_goes_with_a_run_that_is_saved() -> None:
    memory = Summarise(after=3, keep=1, instructions=ASK)
    saved: list[Any] = []

    def heard(event: AgentEvent, run: AgentRun) -> None:
        saved.append(json.loads(json.dumps(run.export())))

    with adding(4, answering("They added.")) as (client, turns, summaries):
        agent = ConversationalAgent(client, "m", [add], memory=memory)
        agent.run_stream("Go.", on_event=heard).result()
        kept = next(each for each in saved if each["summary"] is not None)
        again = ConversationalAgent(client, "m", [add], memory=memory)
        assert again.resume(kept).result().answer == "Done."
        assert paired(turns[-1]) and "They added." in asked(turns[-1])[0]
        assert "Summary of what was said before" in asked(summaries[-1])[1]


def test_a_limit_holds_for_summaries_too() -> None:
    limits = Limits(total_tokens=600)
    memory = Summarise(after=3, keep=1, instructions=ASK)
    with adding(4, answering("They added. " * 300)) as (client, _, summaries):
        agent = ConversationalAgent(client, "m", [add], memory=memory, limits=limits)
        result = agent.run("Go.")
    assert result.error is not None and result.error.code == "total_tokens"
    assert len(summaries) == 1


def test_a_run_that_is_cancelled_while_it_is_summed_up_ends_once_and_counts_it() -> None:
    memory = Summarise(after=3, keep=1, instructions=ASK)

    def half(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("They added. " * 100))
        peer.wait_closed()

    with adding(4, half) as (client, turns, summaries):
        agent = ConversationalAgent(client, "m", [add], memory=memory)
        run = agent.run_stream("Go.")
        while not summaries:
            client.multi.poll()
        assert run.state is RunState.SUMMARISING
        before = run.spent.total_tokens
        run.cancel()
        result = run.result()
        assert result.status == "cancelled" and result.usage.partial
        assert (result.usage.total_tokens or 0) > before
        assert len(turns) == 2 and len(result.messages) == 5 and agent.messages == result.messages


def test_a_second_summary_is_made_from_the_first_and_what_followed(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = ConversationalAgent(client, "demo", memory=Summarise(after=1, keep=0), max_tokens=20)
    for number in range(3):
        agent.run(f"question {number}")
    second = asked(bodies[-2])[1]
    assert second.startswith("Summary of what was said before: ")
    assert "question 1" in second and "question 0" not in second


def test_calls_and_results_are_in_what_is_summed_up(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    agent = ConversationalAgent(client, "demo", [add], memory=Summarise(after=1, keep=0))
    agent.run(script(call("add", a=1, b=2), "Three."))
    agent.run("And?")
    text = asked(bodies[-2])[1]
    assert text.splitlines()[1:] == [
        'assistant calls add({"a": 1, "b": 2})',
        "result of add: 3",
        "assistant: Three.",
    ]


def test_a_summary_that_fails_ends_the_run_and_keeps_the_conversation(
    client: engine.Client,
) -> None:
    memory = Summarise(after=1, keep=0, instructions=script({"error": "error-400"}))
    agent = ConversationalAgent(client, "demo", memory=memory)
    agent.run(script("One."))
    # The script that fails is in the instructions; the transcript's own would win over it.
    agent._conversation.messages = [Message.user("q"), Message.assistant("a")]
    result = agent.run("And?")
    assert result.status == "error" and result.trace == []
    assert short(agent.messages) == ["q", "a"]


def test_what_came_is_remembered_and_what_only_failed_is_not(client: engine.Client) -> None:
    agent = ConversationalAgent(client, "demo")
    first = agent.run(script("One."))
    failed = agent.run(script({"error": "error-400"}))
    assert failed.status == "error"
    assert agent.messages == first.messages
    cancelled = agent.run_stream("Never answered.")
    cancelled.cancel()
    cancelled.result()
    assert agent.messages == [*first.messages, Message.user("Never answered.")]


def test_a_conversation_remembers_that_a_tool_ran_when_the_turn_after_it_failed(
    client: engine.Client,
) -> None:
    agent = ConversationalAgent(client, "demo", [add])
    result = agent.run(script(call("add", a=1, b=2), {"error": "error-400"}))
    assert result.status == "error"
    assert [message.role for message in agent.messages] == ["user", "assistant", "tool"]
    bodies = watch_bodies(client)
    assert agent.run(script("Three.")).answer == "Three."
    assert [m["role"] for m in bodies[0]["messages"]] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize("kind", ["token", "thought", "tool_start", "tool_end", "answer"])
def test_cancelled_anywhere_the_conversation_keeps_what_came(
    client: engine.Client, kind: str
) -> None:
    agent = ConversationalAgent(client, "demo", [add])
    agent.run(script("One."))
    before = agent.messages
    question = script({"thinking": "Hm.", **call("add", a=1, b=2)}, "Three.")

    def heard(event: AgentEvent, run: AgentRun) -> None:
        if event.type == kind:
            run.cancel()

    result = agent.run_stream(question, on_event=heard).result()
    # At the answer there is nothing left to cancel.
    assert result.status == ("complete" if kind == "answer" else "cancelled")
    assert agent.messages == before + result.messages
    calls = [c.id for message in agent.messages for c in message.tool_calls]
    assert calls == [p.id for m in agent.messages if m.role == "tool" for p in m.parts]
    assert agent.run(script("Two.")).answer == "Two."


def test_one_question_at_a_time(client: engine.Client) -> None:
    @tool(timeout=None)
    def waits() -> Pending:
        return Pending()

    agent = ConversationalAgent(client, "demo", [waits])
    run = agent.run_stream(script(call("waits")))
    with pytest.raises(MisuseError, match="one conversation"):
        agent.run_stream("Are you there?")
    run.cancel()
    assert agent.run(script("Yes.")).answer == "Yes."


def test_reset_forgets_and_keeps_out_what_still_runs(client: engine.Client) -> None:
    agent = ConversationalAgent(client, "demo")
    agent.run(script("One."))
    run = agent.run_stream(script("Two."))
    agent.reset()
    assert run.result().answer == "Two."
    assert agent.messages == []


def test_an_exported_conversation_goes_on_elsewhere(client: engine.Client) -> None:
    first = ConversationalAgent(client, "demo", [add])
    first.run(script(call("add", a=1, b=2), "Three.", "As I said."))
    exported = json.loads(json.dumps(first.export()))
    second = ConversationalAgent(client, "demo", [add])
    second.restore(exported)
    assert second.messages == first.messages
    assert second.trace[0].tools[0].content == "3"
    assert second.run("Again?").answer == "As I said."
    with pytest.raises(ConfigError, match="no export"):
        second.restore({"messages": 3})


def test_a_memory_that_raises_ends_the_run(client: engine.Client) -> None:
    def broken(message: Message) -> bool:
        raise ValueError("broken")

    agent = ConversationalAgent(client, "demo", memory=Selective(broken, last=0))
    agent.run(script("One."))
    result = agent.run(script("Two."))
    assert result.error.category is Category.CALLBACK
    assert isinstance(result.error.__cause__, ValueError)
    agent.reset()
    assert agent.run(script("Three.")).answer == "Three."
