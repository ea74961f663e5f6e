"""The same task against a mock of providers that nobody here wrote: a second opinion on the order
of turns, ids and results that each protocol demands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import engine
from engine.agents import FunctionAgent, ReActAgent
from tests.agents.support import add, collect, kinds, shout
from tests.servers.aimock import answer, running
from tests.servers.providers import PROVIDERS, Provider

NATIVE = [
    answer(
        "natively",
        {
            "reasoning": "Both at once.",
            "toolCalls": [
                {"name": "add", "arguments": {"a": 1, "b": 2}},
                {"name": "shout", "arguments": {"text": "hey"}},
            ],
        },
        match={"hasToolResult": False},
    ),
    answer(
        "natively",
        {"toolCalls": [{"name": "add", "arguments": {"a": 3, "b": 4}}]},
        match={"toolResultContains": "HEY"},
    ),
    answer("natively", {"content": "It is 7, HEY."}, match={"toolResultContains": "7"}),
]
WRITTEN = [
    answer(
        "in writing",
        {"content": 'Thought: A sum.\nAction: add\nAction Input: {"a": 1, "b": 2}'},
        match={"turnIndex": 0},
    ),
    answer("Observation: 3", {"content": "Thought: So.\nFinal Answer: It is 3."}),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("aimock")
    with running([*NATIVE, *WRITTEN], home, "--chunk-size", "3") as url:
        yield url


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.dialect)
def test_three_steps_with_two_tools(url: str, multi: engine.Multi, provider: Provider) -> None:
    agent = FunctionAgent(provider.client(url, multi), "any-model", [add, shout])
    run = agent.run_stream("Do it natively.")
    events = collect(run)
    assert run.completion.error is None
    assert [e.content for e in events if e.type == "tool_end"] == ["3", "HEY", "7"]
    assert run.completion.answer == "It is 7, HEY."
    shown = [name for name in kinds(events) if name not in ("token", "thought")]
    assert shown == [
        *("tool_start", "tool_end", "tool_start", "tool_end"),
        *("answer", "complete"),
    ]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.dialect)
def test_react_text(url: str, multi: engine.Multi, provider: Provider) -> None:
    run = ReActAgent(provider.client(url, multi), "any-model", [add]).run_stream(
        "Do it in writing."
    )
    events = collect(run)
    assert kinds(events) == [
        *("token", "thought", "tool_start", "tool_end"),
        *("token", "thought", "token", "answer", "complete"),
    ]
    assert run.completion.answer == "It is 3."
