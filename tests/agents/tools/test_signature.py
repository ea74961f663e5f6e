"""Functions as people write them, and calls of them."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import pytest

from engine.agents import tool
from engine.agents.tools.signature import Signature
from engine.agents.tools.tool import ToolContext
from engine.errors import ConfigError, ProtocolError
from tests.cases import each_case


def sign(function: Any, strict: bool = False) -> Signature:
    return Signature(function, ToolContext, "it", strict)


def called(function: Any, arguments: str, strict: bool = False) -> Any:
    """What `function` gives when a model calls it."""
    signature = sign(function, strict)
    positional, keywords = signature.bind(signature.decode(arguments))
    return function(*positional, **keywords)


def test_what_stands_behind_a_slash_or_a_star_is_called_as_it_must_be() -> None:
    def places(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
        return (a, b, c, d)

    assert called(places, '{"a": 1}') == (1, 2, 3, 4)
    assert called(places, '{"a": 1, "d": 9}') == (1, 2, 3, 9)

    def many(a: int, b: int = 2, *rest: int, c: int = 3) -> Any:
        return (a, b, rest, c)

    assert sign(many).schema["properties"]["rest"] == {
        "type": "array",
        "items": {"type": "integer"},
    }
    assert called(many, '{"a": 1}') == (1, 2, (), 3)
    assert called(many, '{"a": 1, "rest": [7, 8], "c": 9}') == (1, 2, (7, 8), 9)


def test_any_names_are_taken_where_a_function_takes_them() -> None:
    def label(name: str, **labels: int) -> Any:
        return name, labels

    assert sign(label).schema["additionalProperties"] == {"type": "integer"}
    assert called(label, '{"name": "x", "a": 1, "b": 2}') == ("x", {"a": 1, "b": 2})
    with pytest.raises(ProtocolError, match="do not fit"):
        called(label, '{"name": "x", "a": "1"}')
    with pytest.raises(ConfigError, match=r"\*\*labels takes any names"):
        sign(label, strict=True)


def test_in_strict_mode_all_is_required_and_null_stands_for_a_default() -> None:
    def search(query: str, limit: Annotated[int, "how many"] = 10, since: str | None = "") -> Any:
        return query, limit, since

    schema = sign(search, strict=True).schema
    assert schema["required"] == ["query", "limit", "since"]
    assert schema["properties"]["limit"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "how many",
    }
    assert called(search, '{"query": "x", "limit": null, "since": null}', True) == ("x", 10, None)
    assert called(search, '{"query": "x", "limit": 3, "since": "a"}', True) == ("x", 3, "a")
    with pytest.raises(ProtocolError, match="missing required field"):
        called(search, '{"query": "x"}', True)


def test_a_partial_is_called_by_what_it_leaves_open() -> None:
    def send(to: str, text: str, *, key: str) -> Any:
        """Send it.

        Args:
            text: the words
        """
        return to, text, key

    made = tool(functools.partial(send, "me", key="secret"))
    assert made.definition.name == "send" and made.definition.description == "Send it."
    assert made.definition.parameters["properties"] == {
        "text": {"type": "string", "description": "the words"}
    }
    assert called(made.function, '{"text": "hi"}') == ("me", "hi", "secret")


def test_methods_and_objects_that_can_be_called_are_tools() -> None:
    class Finder:
        """Finds things."""

        def __call__(self, query: str) -> str:
            return query

        def find(self, query: str, n: int = 1) -> str:
            "Find it."
            return query * n

    made = tool(Finder())
    assert (made.definition.name, made.definition.description) == ("Finder", "Finds things.")
    assert called(Finder(), '{"query": "x"}') == "x"
    assert tool(Finder().find).definition.name == "find"
    assert called(Finder().find, '{"query": "x", "n": 2.0}') == "xx"


@each_case("arguments", ["null", "", "{}", " null "])
def test_a_tool_without_parameters_takes_null_for_none(arguments: str) -> None:
    def now() -> str:
        return "now"

    assert called(now, arguments) == "now"


@each_case("arguments", ["null", "", "[]", "3"])
def test_a_tool_that_has_defaults_is_not_called_by_null(arguments: str) -> None:
    def clean(path: str = "/") -> str:
        return path

    with pytest.raises(ProtocolError):
        called(clean, arguments)


def test_a_default_that_is_a_field_of_pydantic_is_what_it_says() -> None:
    pydantic = pytest.importorskip("pydantic")

    def rows(limit: int = pydantic.Field(5, ge=1, description="rows"), *,
             must: str = pydantic.Field(min_length=2)) -> Any:  # fmt: skip
        return limit, must

    schema = sign(rows).schema
    assert schema["required"] == ["must"]
    assert schema["properties"]["limit"] == {
        "type": "integer", "minimum": 1, "default": 5, "description": "rows",
    }  # fmt: skip
    with pytest.raises(ProtocolError, match="length >= 2"):
        called(rows, '{"must": "x"}')


def test_names_that_are_seen_only_where_the_function_was_made_are_found() -> None:
    class Local:
        pass

    Number = int

    def count(n: Number) -> Number:
        _ = Number
        return n

    assert sign(count).schema["properties"]["n"] == {"type": "integer"}
    assert Local


def test_a_decorated_function_is_what_it_wraps() -> None:
    def inner(a: int, b: str = "x") -> Any:
        """Does it.

        Args:
            a: first
        """
        return a, b

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    made = tool(outer)
    assert made.definition.parameters["properties"]["a"]["description"] == "first"
    assert called(outer, '{"a": 1}') == (1, "x")
