"""What the emulated model answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.emulator.compose import compose
from engine.emulator.contract import Answer, Finish, Kind, Question, ToolOffer, Turn
from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import WEATHER

ADD = ToolOffer("add", {"properties": {"a": {"type": "number"}, "b": {"type": "number"}}})
WEATHER_TOOL = ToolOffer("get_weather", WEATHER)
USER = Turn("user", "Use get_weather")


def answer(
    prompt: str | list[Turn], *, name: str = "demo", settings: Settings | None = None, **more: Any
) -> Answer:
    turns = [Turn("user", prompt)] if isinstance(prompt, str) else prompt
    question = Question(model=name, turns=turns, **more)
    return compose(question, name, settings or Settings())


def text(of: Answer) -> str:
    return "".join(block.text for block in of.of_kind(Kind.TEXT))


def called(of: Answer) -> list[str]:
    return [block.name for block in of.of_kind(Kind.CALL)]


def test_the_same_conversation_has_the_same_answer() -> None:
    assert answer("Why?") == answer("Why?")
    assert text(answer("Why?")) != text(answer("Why not?"))
    assert text(answer("Why?")) != text(answer("Why?", name="other"))
    assert answer("Why?").id != answer("Why not?").id


@each_case(
    ("prompt", "names"),
    [
        ("What is the weather?", []),
        ("use get_weather", ["get_weather"]),
        ("USE GET_WEATHER!", ["get_weather"]),
        ("add 1 and 2, then get_weather", ["add", "get_weather"]),
        ("get_weather, add", ["get_weather", "add"]),
        ("address the get_weather_now problem", []),
    ],
)
def test_tools_named_are_called_in_the_order_named(prompt: str, names: list[str]) -> None:
    said = answer(prompt, tools=[ADD, WEATHER_TOOL])
    assert called(said) == names
    assert said.finish is (Finish.TOOL_USE if names else Finish.STOP)


@each_case(
    ("choice", "prompt", "names"),
    [
        ("none", "use add", []),
        ("required", "hello", ["add"]),
        ("required", "use get_weather", ["get_weather"]),
        ("get_weather", "use add", ["get_weather"]),
    ],
)
def test_the_choice_of_tools_is_kept(choice: str, prompt: str, names: list[str]) -> None:
    assert called(answer(prompt, tools=[ADD, WEATHER_TOOL], tool_choice=choice)) == names


def test_arguments_may_be_given_in_the_prompt() -> None:
    said = answer('add {"a": 7, "b": [1]}', tools=[ADD])
    assert json.loads(said.of_kind(Kind.CALL)[0].text) == {"a": 7, "b": [1]}


def test_calls_of_two_turns_have_different_ids() -> None:
    first = answer("use add", tools=[ADD])
    later = answer(
        [Turn("user", "use add"), Turn("assistant", ""), Turn("user", "use add")], tools=[ADD]
    )
    assert first.of_kind(Kind.CALL)[0].id != later.of_kind(Kind.CALL)[0].id


def test_after_results_comes_text_that_quotes_them() -> None:
    turns = [USER, Turn("assistant", "", ("1",)), Turn("tool", "sunny", result_of="1")]
    assert text(answer(turns, tools=[WEATHER_TOOL])) == "The tool answered: sunny"
    two = [*turns, Turn("tool", "noon", result_of="2")]
    assert text(answer(two)) == "Tool 1 answered: sunny\nTool 2 answered: noon"


def test_json_is_answered_where_it_is_asked_for() -> None:
    assert json.loads(text(answer('for "Oslo" 3 days', schema=WEATHER))) == {
        "city": "Oslo",
        "days": 3,
    }
    assert set(json.loads(text(answer("Hi", schema={})))) == {"answer"}


def test_reasoning_comes_first_and_counts() -> None:
    said = answer("Why?", thinking=True, settings=Settings(thinking=4, tokens=6))
    assert [block.kind for block in said.blocks] == [Kind.THINKING, Kind.TEXT]
    assert (said.thinking_tokens, said.output_tokens) == (4, 10)
    assert answer("Why?", thinking=True, settings=Settings(thinking=0)).thinking_tokens == 0


@each_case(
    ("limit", "kinds", "finish"),
    [
        (3, [Kind.THINKING], Finish.LENGTH),
        (5, [Kind.THINKING, Kind.TEXT], Finish.LENGTH),
        (10, [Kind.THINKING, Kind.TEXT], Finish.STOP),
    ],
)
def test_a_limit_cuts_whatever_it_is(limit: int, kinds: list[Kind], finish: Finish) -> None:
    settings = Settings(thinking=4, tokens=6)
    said = answer("Why?", thinking=True, max_tokens=limit, settings=settings)
    assert said.output_tokens == limit
    assert [block.kind for block in said.blocks] == kinds
    assert said.finish is finish


def test_a_limit_may_cut_a_call_in_the_midst_of_its_arguments() -> None:
    said = answer("get_weather", tools=[WEATHER_TOOL], max_tokens=3)
    assert said.finish is Finish.LENGTH
    with pytest.raises(ValueError):
        json.loads(said.of_kind(Kind.CALL)[0].text)


def test_the_first_stop_string_ends_the_text() -> None:
    whole = text(answer("Why?"))
    said = answer("Why?", stop=["never-said", " the ", "."])
    stop = min((whole.find(s), s) for s in (" the ", "."))[1]
    assert said.stop == stop
    assert text(said) == whole[: whole.find(stop)]
    assert said.finish is Finish.STOP


def test_refusal_is_a_model_that_refuses() -> None:
    said = answer("Hi", name="refusal")
    assert [block.kind for block in said.blocks] == [Kind.REFUSAL]
    assert said.finish is Finish.REFUSAL


def test_loop_is_a_model_that_never_stops_calling() -> None:
    turns = [Turn("user", "Hi")]
    for number in range(3):
        said = answer(turns, name="loop", tools=[ADD, WEATHER_TOOL])
        assert called(said) == ["add"]
        result = Turn("tool", "3", result_of=str(number))
        turns = [*turns, Turn("assistant", "", (str(number),)), result]
    settings = Settings(tool="get_weather")
    assert called(answer("Hi", name="loop", tools=[ADD, WEATHER_TOOL], settings=settings)) == [
        "get_weather"
    ]


def test_react_is_a_model_that_acts_in_text() -> None:
    settings = Settings(tool="calculator")
    prompt = Turn("user", 'Answer with Action and Observation: lines.\nQuestion: what is "2+2"?')
    first = text(answer([prompt], name="react", settings=settings))
    assert first == ("Thought: I should use calculator.\nAction: calculator\nAction Input: 2+2")
    turns = [prompt, Turn("assistant", first), Turn("user", "Observation: 4")]
    assert text(answer(turns, name="react", settings=settings)).endswith("Final Answer: 4")
    assert "Final Answer" in text(answer([prompt], name="react"))
