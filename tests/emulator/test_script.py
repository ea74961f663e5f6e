"""Scripts: the model does what the prompt says, turn by turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.emulator.contract import BadRequest, Question, Turn
from engine.emulator.script import Act, scripted, scripted_error
from tests.cases import each_case
from tests.emulator.asking import ask, json_of


def conversation(script: Any, turns: int = 0, *, role: Any = "user") -> Question:
    text = script if isinstance(script, str) else json.dumps(script)
    said = [Turn(role, f"Please [[script: {text}]] now.")]
    for _ in range(turns):
        said += [Turn("assistant", "…"), Turn("user", "go on")]
    return Question(model="demo", turns=said)


@each_case(
    ("item", "act"),
    [
        ("hello", Act("hello")),
        ({"text": "hello", "thinking": "hm"}, Act("hello", [], "hm")),
        ({"tool": "add", "arguments": {"a": 1}}, Act(calls=[("add", {"a": 1})])),
        ({"tool": "add", "arguments": "{not json"}, Act(calls=[("add", "{not json")])),
        (
            {"text": "both", "tools": [{"name": "a"}, {"name": "b", "arguments": {"x": 1}}]},
            Act("both", calls=[("a", {}), ("b", {"x": 1})]),
        ),
        (
            {"thought": "t", "action": "add", "input": "1"},
            Act("Thought: t\nAction: add\nAction Input: 1"),
        ),
        ({"thought": "t", "final": "42"}, Act("Thought: t\nFinal Answer: 42")),
        ({"refusal": "no"}, Act(refusal="no")),
        ({"error": "error-500"}, Act(error="error-500")),
    ],
)
def test_each_item_is_a_turn(item: Any, act: Act) -> None:
    assert scripted(conversation([item])) == act


def test_the_turn_is_the_number_of_answers_so_far() -> None:
    script = ["one", "two", "three"]
    texts = [scripted(conversation(script, turns)) for turns in range(5)]
    assert [act.text if act else None for act in texts] == ["one", "two", "three", None, None]


def test_a_loop_begins_again_for_ever() -> None:
    script = ["one", "two", {"loop": True}]
    acts = [scripted(conversation(script, turns)) for turns in (0, 1, 2, 3, 100)]
    assert [act.text for act in acts if act] == ["one", "two", "one", "two", "one"]
    assert scripted(conversation([{"loop": True}])) is None


def test_the_last_script_counts_and_the_models_own_words_do_not() -> None:
    question = conversation(["one", "two"], 1)
    again = Turn("user", '[[script: ["new"]]]')
    assert scripted(Question(model="m", turns=[*question.turns, again])) == Act("new")
    echo = Turn("assistant", '[[script: ["echo"]]]')
    assert scripted(Question(model="m", turns=[*question.turns, echo])) is None
    assert scripted(conversation(["from the system"], role="system")) == Act("from the system")


@each_case(
    "text",
    [
        "",
        "[",
        '["a"',
        '["a"], "b"',
        '{"text": "a"}',
        '[{"txt": "a"}]',
        "[5]",
        "[" * 100_000,
        '["\\ud800"]',
    ],
)
def test_a_script_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(BadRequest, match="script"):
        scripted(conversation(text))


def test_a_turn_can_fail() -> None:
    question = conversation(["fine", {"error": "error-503"}], 1)
    assert scripted_error(question) == "error-503"
    assert scripted_error(conversation(["fine"])) is None
    messages = [{"role": turn.role, "content": turn.text} for turn in question.turns]
    assert ask("/v1/chat/completions", {"model": "demo", "messages": messages}).status == 503


def test_no_script_costs_nothing_and_is_none() -> None:
    assert scripted(Question(model="m", turns=[Turn("user", "an [[ordinary]] question")])) is None


def test_a_script_runs_over_the_wire() -> None:
    prompt = '[[script: [{"thinking": "hm", "tool": "add", "arguments": {"a": 1}}]]]'
    body = {"model": "demo", "messages": [{"role": "user", "content": prompt}]}
    message = json_of(ask("/v1/chat/completions", body))["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    assert message["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
