"""Agents driven by a real model, which is too small to do well: what must hold is how they end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from time import monotonic

import pytest

import engine
from engine import Category
from engine.agents import (
    Agent,
    AgentEvent,
    AgentResult,
    AgentRun,
    FunctionAgent,
    Limits,
    ReActAgent,
    Step,
    ToolContext,
    ToolStep,
    calculator,
    tool,
)
from engine.agents.tools.calculator import evaluate
from engine.asking.input import Input
from engine.messages import Message, Text, ToolCall, ToolResult
from tests.agents.support import check_order
from tests.servers import llama
from tests.servers.llama import Llama

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MAX_TOKENS = 48
LIMITS = Limits(iterations=3, tool_calls=1)

# The server holds the model to these: so small a one seldom writes an action by itself.
_ACTION = r"""
root ::= "Thought: " [a-z]{1,6} "\nAction: " action "\nObservation" rest
sum ::= "calculator\nAction Input: {\"expression\": \"" [0-9] " " [-+*/] " " [0-9] "\"}"
"""
_DIVISION = r'"calculator\nAction Input: {\"expression\": \"" [1-9] " / 0\"}"'
_TIMES = r'"letters\nAction Input: {\"word\": \"" [a-z]{1,6} "\", \"times\": " [1-9] "}"'
_WORDS = r'"letters\nAction Input: {\"word\": \"" [a-z]{1,6} "\", \"times\": \"" [a-z]{1,4} "\"}"'
STEERED = {
    "valid": f'{_ACTION}action ::= sum | {_TIMES}\nrest ::= ""',
    "wrong": f'{_ACTION}action ::= {_WORDS}\nrest ::= ""',
    "fails": f'{_ACTION}action ::= {_DIVISION}\nrest ::= ""',
    # It makes up the result, and would go on.
    "made up": f'{_ACTION}action ::= sum | {_TIMES}\nrest ::= ": " [a-z0-9 ]{{20,90}}',
}
FREE = "free"


class Watched:
    """Runs, all that they tell, and each call of `letters` that was carried out."""

    def __init__(self) -> None:
        self.runs: list[AgentRun] = []
        self.events: dict[int, list[AgentEvent]] = {}
        self.ends: Counter[int] = Counter()
        self.carried_out: list[tuple[int, str, str, object, object]] = []

        @tool
        def letters(word: str, times: int, context: ToolContext) -> int:
            """Count the letters of a word, so many times."""
            self.carried_out.append(
                (context.run.user_data, context.call.id, context.call.arguments, word, times)
            )
            return len(word) * times

        self.tools = [calculator, letters]

    def begin(self, agent: Agent, question: Input, *, leave: bool = False) -> None:
        """Start a run; `leave`: cancel it with the first that it says."""
        number = len(self.runs)
        told = self.events[number] = []

        def heard(event: AgentEvent, run: AgentRun) -> None:
            told.append(event)
            if leave and event.type == "token":
                run.cancel()

        self.runs.append(
            agent.run_stream(
                question,
                on_event=heard,
                on_done=lambda result, run: self.ends.update([run.user_data]),
                user_data=number,
            )
        )

    def results(self) -> Iterator[tuple[int, AgentResult]]:
        for number, run in enumerate(self.runs):
            assert run.completion is not None
            yield number, run.completion


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    with llama.running(tmp_path_factory.mktemp("llama"), threads=1, tools=True) as server:
        yield server


@pytest.fixture
def client(server: Llama, multi: engine.Multi) -> engine.Client:
    retry = engine.Retry(max_attempts=1)
    return engine.Client(
        multi, dialect="chat", base_url=server.url, api_key=server.key, retry=retry
    )


def test_20_react_agents_at_once_each_end_once_and_whole(
    server: Llama, client: engine.Client
) -> None:
    before, watched = server.generations, Watched()
    ways = [FREE, *STEERED]
    for number in range(18):
        way = ways[number % len(ways)]
        agent = react(client, watched, number, STEERED.get(way))
        watched.begin(agent, f"What is {number + 2} times {number + 3}?")
    watched.begin(react(client, watched, 18, None), "word " * (llama.CONTEXT_TOKENS + 200))
    watched.begin(react(client, watched, 19, None), "Tell a long story.", leave=True)
    client.multi.run()
    check_all(watched, server, client.multi, before)

    results = dict(watched.results())
    by_way = {way: [results[n] for n in range(18) if ways[n % len(ways)] == way] for way in ways}
    # Held to write one action, and never an answer, they call until they may not: the second.
    for way in STEERED:
        assert {code_of(result) for result in by_way[way]} == {"tool_calls"}, way
        for result in by_way[way]:
            first, second = tools_of(result)
            assert "not carried out" in second.content and second.is_error
            fails = way in ("wrong", "fails") or first.call.arguments.endswith('/ 0"}')
            assert first.is_error is fails, first
    for result in by_way["made up"]:
        assert not any("Observation" in m.text for m in result.messages if m.role == "assistant")
    refused, left = results[18], results[19]
    assert refused.error is not None and refused.error.category is Category.INVALID_ARG
    assert "context" in str(refused.error)
    assert left.status == "cancelled"


def react(client: engine.Client, watched: Watched, seed: int, grammar: str | None) -> ReActAgent:
    body = {} if grammar is None else {"grammar": grammar}
    return ReActAgent(
        client,
        "smollm2",
        watched.tools,
        limits=LIMITS,
        max_tokens=MAX_TOKENS,
        temperature=0.8,
        seed=seed,
        extra_body=body,
    )


def test_5_function_agents_at_once_each_end_once_and_whole(
    server: Llama, client: engine.Client
) -> None:
    before, watched = server.generations, Watched()
    words = ("cat", "mouse", "bird", "stone", "river")
    for number, word in enumerate(words):
        agent = FunctionAgent(
            client,
            "smollm2",
            watched.tools,
            limits=LIMITS,
            max_tokens=MAX_TOKENS,
            temperature=0.0,
            seed=number,
            tool_choice="required" if number < 3 else "auto",
        )
        # So small a model calls natively where it has seen how.
        watched.begin(agent, [*EXAMPLES, Message.user(f"letters: {word} {number + 1}")])
    client.multi.run()
    check_all(watched, server, client.multi, before)
    native = [each for _, result in watched.results() for each in tools_of(result)]
    assert native and watched.carried_out


def _example(number: int, word: str, times: int) -> list[Message]:
    id, given = f"example{number}", f'{{"word": "{word}", "times": {times}}}'
    content = str(len(word) * times)
    return [
        Message.user(f"letters: {word} {times}"),
        Message.assistant(ToolCall(id, "letters", given)),
        Message.tool(ToolResult(id, content, "letters")),
        Message.assistant(f"It is {content}."),
    ]


EXAMPLES = [*_example(1, "dog", 1), *_example(2, "house", 2), *_example(3, "tree", 3)]


def code_of(result: AgentResult) -> str | None:
    return None if result.error is None else result.error.code


def tools_of(result: AgentResult) -> list[ToolStep]:
    return [each for step in result.trace for each in step.tools]


def check_all(watched: Watched, server: Llama, multi: engine.Multi, before: int) -> None:
    """Fail unless each run ended as it may, and nothing is left of any."""
    assert len(multi) == 0
    assert watched.ends == Counter(range(len(watched.runs)))
    steps = []
    for number, result in watched.results():
        check_order(watched.events[number])
        assert watched.events[number][-1].data is result
        check_end(result)
        check_calls(watched, number, result)
        check_usage(result)
        steps += result.trace
    # What the server refused it may have begun, or not.
    begun = sum(step.usage is not None for step in steps)
    assert begun <= server.generations - before <= len(steps)
    since = monotonic()
    while server.busy(multi):
        assert monotonic() - since < 10
        multi.poll(0.05)


def check_end(result: AgentResult) -> None:
    assert 1 <= len(result.trace) <= (LIMITS.iterations or 0)
    assert [step.iteration for step in result.trace] == [*range(1, len(result.trace) + 1)]
    if result.status == "complete":
        assert result.error is None and result.answer.strip()
        return
    assert result.error is not None and result.answer == ""
    if result.status == "cancelled":
        assert result.error.category is Category.CANCELLED
        return
    assert result.status == "error"
    match result.error.category:
        case Category.RESOURCE:
            assert result.error.code in ("iterations", "tool_calls")
        case Category.INVALID_ARG:
            assert "context" in str(result.error)
        case _:
            assert result.error.code == "empty_answer", result.error


def check_calls(watched: Watched, number: int, result: AgentResult) -> None:
    """Each call has one result in the conversation, and was carried out only if it is valid."""
    calls = tools_of(result)
    ids = [each.call.id for each in calls]
    assert len(set(ids)) == len(ids)
    messages = [message for message in result.messages if message not in EXAMPLES]
    parts = [part for message in messages for part in message.parts]
    told = [part.id for part in parts if isinstance(part, ToolResult)]
    if told or any(message.tool_calls for message in messages):
        asked = [each.id for message in messages for each in message.tool_calls]
        assert asked == told and sorted(told) == sorted(ids)
    else:
        said = [
            m.text
            for m in result.messages
            if m.role == "user"
            for p in m.parts[:1]
            if isinstance(p, Text) and p.text.startswith("Observation: ")
        ]
        assert said == [f"Observation: {each.content}" for each in calls]
    done = {id: rest for run, id, *rest in watched.carried_out if run == number}
    assert len(done) == sum(run == number for run, *_ in watched.carried_out)
    started = {e.data.id for e in watched.events[number] if e.type == "tool_start"}
    for each in calls:
        given = json.loads(each.call.arguments)
        fits = is_valid(each.call.name, given) and each.call.id in started
        if each.call.name == "letters":
            assert (each.call.id in done) is fits, each
            if fits:
                assert done.pop(each.call.id) == [
                    each.call.arguments,
                    given["word"],
                    given["times"],
                ]
                assert each.content == str(len(given["word"]) * given["times"])
        if not fits:
            assert each.is_error, each
        elif each.call.name == "calculator" and not each.is_error:
            assert each.content == str(evaluate(given["expression"]))
    assert done == {}


def is_valid(name: str, given: object) -> bool:
    """Whether `given` is what the tool `name` takes, looked at without its schema."""
    wanted: Mapping[str, type] | None = {
        "calculator": {"expression": str},
        "letters": {"word": str, "times": int},
    }.get(name)
    return (
        wanted is not None
        and isinstance(given, dict)
        and {key: type(value) for key, value in given.items()} == wanted
    )


def check_usage(result: AgentResult) -> None:
    """A whole turn is counted as the server told it; all of them together are the run's."""
    counted = [step.usage for step in result.trace if step.usage is not None]
    for step in result.trace:
        check_turn(step)
    for name in ("input_tokens", "output_tokens"):
        assert (getattr(result.usage, name) or 0) == sum(getattr(u, name) for u in counted)
    assert result.usage.partial is any(usage.partial for usage in counted)


def check_turn(step: Step) -> None:
    if step.finish_reason is None:
        return  # the server refused it, or it was left: an estimate, or nothing
    usage = step.usage
    assert usage is not None and not usage.partial, step
    assert usage.input_tokens and usage.output_tokens
    assert usage.output_tokens <= MAX_TOKENS
