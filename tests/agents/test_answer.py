"""The type of a final answer: what the model is told, and what is found in what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import msgspec
import pytest

import engine
from engine.agents import FunctionAgent, ReActAgent
from engine.agents.answer import AnswerType
from engine.errors import ConfigError, ProtocolError
from tests.agents.support import add, script, watch_bodies
from tests.cases import each_case


class City(msgspec.Struct):
    name: str
    people: int = 0


@dataclass
class Point:
    x: float
    y: float


ROME = City("Rome", 3)


@each_case(
    ("kind", "text", "value"),
    [
        (int, '{"result": 42}', 42),
        (int, "42", 42),
        (int, "42.0", 42),
        (int, "The answer is 42.", 42),
        (int, "**42**", 42),
        (bool, "true", True),
        (bool, '{"result": false}', False),
        (float, "It is 1.5.", 1.5),
        (list[str], '["a", "b"]', ["a", "b"]),
        (list[str], '{"result": ["a"]}', ["a"]),
        (list[int], "So:\n```json\n[1, 2]\n```\nDone.", [1, 2]),
        (list[City], 'They are [{"name": "Rome", "people": 3}].', [ROME]),
        (dict[str, int], '{"result": {"a": 1}}', {"a": 1}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Optional[int], "null", None),  # noqa: UP045
        (Optional[int], '{"result": null}', None),  # noqa: UP045
        (int | None, "7", 7),
        (int | str, '{"result": "x"}', "x"),
        (City | Point, '{"result": {"x": 1, "y": 2}}', Point(1, 2)),
        (City | Point, '{"name": "Rome", "people": 3}', ROME),
        (str, "Just words.", "Just words."),
        (str, '{"result": "Words."}', "Words."),
        (City, '{"name": "Rome", "people": 3}', ROME),
        (City, '```json\n{"name": "Rome", "people": 3}\n```', ROME),
        (City, '```\n{"name": "Rome", "people": 3}\n``` as you asked', ROME),
        (City, 'Here: {"name": "Rome", "people": 3}. Good?', ROME),
        (City, 'First {"a": 1}, then {"name": "Rome", "people": 3}', ROME),
        (City, 'The set {1, 2} [sic] {"name": "Rome", "people": 3}', ROME),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    ],
)
def test_a_value_is_found(kind: Any, text: str, value: Any) -> None:
    found = AnswerType(kind).decode(text)
    assert found == value and type(found) is type(value)


@each_case(
    ("kind", "text"),
    [
        (int, "forty-two"),
        (int, "It is 4 or 5."),
        (int, "1.5"),
        (bool, "1"),
        (bool, "yes"),
        (list[int], '["a"]'),
        (list[int], "[1, 2"),
        (City, '{"name": 1}'),
        (City, '{"name": "Ro'),
        (City, ""),
        (City, "{" * 5000),
        (City | Point, '{"z": 1}'),
    ],
)
def test_what_does_not_fit_is_told(kind: Any, text: str) -> None:
    with pytest.raises(ProtocolError, match="does not fit"):
        AnswerType(kind).decode(text)


@each_case("kind", [3, "text", object(), complex])
def test_what_is_no_type_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match="result_type"):
        AnswerType(kind)


def test_what_is_no_object_is_asked_for_in_one() -> None:
    schema = AnswerType(list[int]).schema()
    assert schema["type"] == "object"
    assert schema["properties"] == {"result": {"type": "array", "items": {"type": "integer"}}}
    assert AnswerType(City).schema()["properties"].keys() == {"name", "people"}


def test_pydantic_models_are_found_and_their_validators_asked() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Even(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        number: int

        @pydantic.field_validator("number")  # type: ignore[untyped-decorator]
        def is_even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("it is odd")
            return value

    wanted = AnswerType(list[Even])
    assert wanted.decode('[{"number": 2}]') == [Even(number=2)]
    with pytest.raises(ProtocolError, match="it is odd"):
        wanted.decode('[{"number": 3}]')


def test_an_agent_gives_a_value_of_a_plain_type(client: engine.Client) -> None:
    bodies = watch_bodies(client)
    result = FunctionAgent(client, "demo", result_type=int).run(script('{"result": 42}'))
    assert result.value == 42
    assert bodies[0]["response_format"]["type"] == "json_schema"
    result = FunctionAgent(client, "demo", [add], result_type=list[int]).run(script("x", "[1]"))
    assert result.value == [1]
    told = ReActAgent(client, "demo", result_type=bool).run(script({"final": "true"}))
    assert told.value is True


def test_a_typed_answer_is_shown_while_it_is_written(client: engine.Client) -> None:
    seen: list[Any] = []
    text = '{"name": "Rome in Italy", "people": 3}'
    run = FunctionAgent(client, "demo", result_type=City).run_stream(script(text))
    run.on("partial", lambda event: seen.append((event.content, event.data)))
    assert run.result().value == City("Rome in Italy", 3)
    assert len(seen) > 1 and "".join(piece for piece, _ in seen) == text
    assert seen[-1][1] == {"name": "Rome in Italy", "people": 3}
