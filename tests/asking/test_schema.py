"""Types as JSON schemas, and answers as values of the types."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal, TypedDict

import msgspec
import pytest

from engine.asking.schema import as_response_format, decode_answer, is_answer_type
from engine.errors import ConfigError, ProtocolError
from tests.cases import each_case


class City(msgspec.Struct):
    name: str
    inhabitants: int | None = None


class Trip(msgspec.Struct):
    """A trip."""

    cities: list[City]
    mood: Literal["calm", "wild"] = "calm"


@dataclasses.dataclass
class Node:
    value: int
    children: list[Node] = dataclasses.field(default_factory=list)


class Row(TypedDict):
    a: int


class Free(msgspec.Struct):
    counts: dict[str, int]


class Frees(msgspec.Struct):
    """A map of any keys, deep inside."""

    rows: list[dict[str, int]]
    either: dict[str, int] | int | None = None


class Model:
    """A pydantic model, as far as the engine looks at one."""

    def __init__(self, x: int) -> None:
        self.x = x

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"x": {"type": "integer", "default": 3}},
            "title": "Model",
        }

    @classmethod
    def model_validate_json(cls, text: str) -> Model:
        value = json.loads(text)
        x = value.get("x") if isinstance(value, dict) else None
        if not isinstance(x, int):
            raise ValueError("x is no integer")
        return cls(x)


def test_a_struct_becomes_a_strict_schema_with_the_object_at_its_root() -> None:
    assert as_response_format(Trip) == {
        "name": "Trip",
        "strict": True,
        "schema": {
            "title": "Trip",
            "description": "A trip.",
            "type": "object",
            "properties": {
                "cities": {"type": "array", "items": {"$ref": "#/$defs/City"}},
                "mood": {"enum": ["calm", "wild"]},
            },
            "required": ["cities", "mood"],
            "additionalProperties": False,
            "$defs": {
                "City": {
                    "title": "City",
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "inhabitants": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    },
                    "required": ["name", "inhabitants"],
                    "additionalProperties": False,
                }
            },
        },
    }


def test_dataclasses_typed_dicts_and_pydantic_models_do_too() -> None:
    node = as_response_format(Node)
    assert isinstance(node, dict)
    assert node["schema"]["type"] == "object"
    assert node["schema"]["$defs"]["Node"]["required"] == ["value", "children"]
    row = as_response_format(Row)
    assert isinstance(row, dict)
    assert row["schema"]["properties"] == {"a": {"type": "integer"}}
    assert "$defs" not in row["schema"]
    assert as_response_format(Model) == {
        "name": "Model",
        "strict": True,
        "schema": {
            "type": "object",
            "title": "Model",
            "properties": {"x": {"type": "integer"}},
            "required": ["x"],
            "additionalProperties": False,
        },
    }


def test_what_the_strict_mode_cannot_say_is_not_strict() -> None:
    free, frees = as_response_format(Free), as_response_format(Frees)
    assert isinstance(free, dict)
    assert isinstance(frees, dict)
    assert free["strict"] is frees["strict"] is False
    assert free["schema"]["properties"]["counts"]["additionalProperties"] == {"type": "integer"}


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "title": "An answer"}


@each_case(
    ("wanted", "result"),
    [
        (None, None),
        ("json", "json"),
        ({"type": "json_object"}, "json"),
        (SCHEMA, {"name": "An_answer", "schema": SCHEMA}),
        ({"name": "n", "schema": SCHEMA}, {"name": "n", "schema": SCHEMA}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            {"name": "n", "schema": SCHEMA, "strict": True},
        ),
        (
            {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": False},
            {"name": "n", "schema": SCHEMA, "strict": False},
        ),
    ],
)
def test_schemas_of_each_form_are_taken_as_they_are(wanted: Any, result: Any) -> None:
    assert as_response_format(wanted) == result


@each_case(
    ("wanted", "words"),
    [
        ("xml", "response_format must be"),
        (int, "response_format must be"),
        (Trip([]), "response_format must be"),
        (list[int], "response_format must be"),
        ({"type": "json_schema"}, "has no 'schema'"),
        ({"type": "json_schema", "json_schema": 3}, "has no 'schema'"),
        ({"type": "json_schema", "name": "n", "schema": 3}, "has no 'schema'"),
    ],
)
def test_what_is_no_format_is_refused(wanted: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        as_response_format(wanted)


def test_a_type_that_is_no_json_is_refused() -> None:
    class Odd(msgspec.Struct):
        handle: object
        call: Any = None
        stream: type = int

    with pytest.raises(ConfigError, match="Odd cannot be said as a JSON schema"):
        as_response_format(Odd)


def test_an_answer_becomes_a_value() -> None:
    text = '{"cities":[{"name":"Rome"}],"mood":"wild"}'
    assert decode_answer(text, Trip) == Trip([City("Rome")], "wild")
    assert decode_answer(f"```json\n{text}\n```\n", Trip) == Trip([City("Rome")], "wild")
    assert decode_answer('{"value":1,"children":[{"value":2}]}', Node) == Node(1, [Node(2)])
    assert decode_answer('{"a":1}', Row) == {"a": 1}
    assert decode_answer('{"x":1}', Model).x == 1


@each_case("kind", [Trip, Node, Row, Model])
@each_case("text", ["", "Sorry, I cannot.", '{"cities":', '{"x":"y"}', "[" * 100_000])
def test_an_answer_that_does_not_fit_is_told_with_its_text(kind: type, text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_answer(text, kind)
    assert kind.__name__ in str(caught.value)
    assert caught.value.detail == text[:4096]


def test_only_types_an_answer_can_have_are_answer_types() -> None:
    assert all(map(is_answer_type, (Trip, Node, Row, Model)))
    assert not any(map(is_answer_type, (int, list[int], None, "json", SCHEMA, Trip([]))))
