"""Schemas by the rules of strict mode."""

from __future__ import annotations

from typing import Any

import pytest

from engine.agents.tools.strict import strict_schema
from engine.errors import ConfigError
from tests.cases import each_case


def test_every_object_is_closed_and_every_member_required() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "integer", "default": 3}}}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/In"}, "b": {"type": "array", "items": inner}},
        "required": ["a"],
        "$defs": {"In": inner},
    }
    closed = {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
        "required": ["x"],
        "additionalProperties": False,
    }
    assert strict_schema(schema, "it") == {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/In"}, "b": {"type": "array", "items": closed}},
        "required": ["a", "b"],
        "additionalProperties": False,
        "$defs": {"In": closed},
    }


def test_a_reference_has_nothing_beside_it() -> None:
    # "$ref cannot have keywords beside it": words go to a union of one.
    made = strict_schema({"$ref": "#/$defs/In", "description": "d"}, "it")
    assert made == {"anyOf": [{"$ref": "#/$defs/In"}], "description": "d"}


def test_formats_that_the_mode_does_not_know_are_left_out() -> None:
    assert strict_schema({"type": "string", "format": "path"}, "it") == {"type": "string"}
    date = {"type": "string", "format": "date"}
    assert strict_schema(date, "it") == date


@each_case(
    ("schema", "place"),
    [
        ({"type": "object"}, "it"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "it"),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, "it.a"),
        ({"type": "object", "properties": {"a": {}}}, "it.a"),
        ({"type": "array", "items": {"type": "object"}}, r"it\[\]"),
    ],
)
def test_what_may_hold_anything_is_refused_by_its_place(schema: Any, place: str) -> None:
    with pytest.raises(ConfigError, match=f"^{place} takes"):
        strict_schema(schema, "it")


def test_an_object_without_members_is_closed() -> None:
    made = strict_schema({"type": "object", "properties": {}}, "it")
    assert made["additionalProperties"] is False and made["required"] == []
