"""Values for JSON schemas."""

from __future__ import annotations

import time
from typing import Any

from engine.emulator.schema import Sampler, arguments_after
from tests.cases import each_case


def one(schema: dict[str, Any], prompt: str = "") -> Any:
    return Sampler(prompt).sample(schema)


@each_case(
    ("schema", "value"),
    [
        ({"type": "string"}, "value"),
        ({"type": "integer"}, 1),
        ({"type": "number", "minimum": 2.5}, 2.5),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "STRING"}, "value"),
        ({"const": "x"}, "x"),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "string", "format": "date"}, "2025-01-01"),
        ({"type": "string", "minLength": 8}, "valuexxx"),
        ({"type": "string", "maxLength": 2}, "va"),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3}, [True] * 3),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"type": "boolean"}]}, True),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {}),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": 1}),
        ({"type": "object", "required": ["b"]}, {"b": "b"}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}}, 1),
        ({"$ref": "#/$defs/missing"}, "value"),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"$ref": "#/$defs/B"},
                ],
                "$defs": {"B": {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}},
            },
            {"a": 1, "b": True},
        ),
    ],
)
def test_each_kind_of_schema_has_a_value(schema: dict[str, Any], value: Any) -> None:
    assert one(schema) == value


PAIR = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "integer"}, "c": {"type": "string"}},
    "required": ["a", "b", "c"],
}


def test_numbers_and_quotes_of_the_prompt_are_used_in_order() -> None:
    assert one(PAIR, 'add 2.5 and 40, call it "sum".') == {"a": 2.5, "b": 40, "c": "sum"}
    assert one(PAIR, "-3 `code`") == {"a": -3, "b": 1, "c": "code"}
    assert one(PAIR, "v2 and 1.2.3 are versions") == {"a": 1, "b": 1, "c": "c"}


def test_a_number_beyond_all_floats_is_not_used() -> None:
    assert one({"type": "integer"}, "9" * 400) == 1


def test_a_schema_within_itself_ends_soon() -> None:
    node: dict[str, Any] = {"$ref": "#/$defs/Node"}
    names = ["a", "b", "c", "d", "e"]
    definition = {"type": "object", "properties": dict.fromkeys(names, node), "required": names}
    started = time.process_time()
    value = one({**node, "$defs": {"Node": definition}})
    assert set(value) == set(names)
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(8):
        deep = {"type": "array", "minItems": 100, "items": deep}
    assert isinstance(one(deep), list)
    assert time.process_time() - started < 5  # unbounded, it would take days


@each_case(
    ("text", "value"),
    [
        (' {"a": 1} and more', {"a": 1}),
        ('({"a": 1})', {"a": 1}),
        (': {"a": {"b": []}}', {"a": {"b": []}}),
        (" [1]", None),
        (' {"a": ', None),
        (" then", None),
        ("", None),
    ],
)
def test_arguments_may_stand_after_a_name(text: str, value: Any) -> None:
    assert arguments_after("use add" + text, len("use add")) == value
