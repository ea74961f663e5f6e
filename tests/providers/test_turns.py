"""Answers that belong to one turn are one message, so that results follow the calls of all."""

from __future__ import annotations

from engine.messages import Message, Text, ToolCall, ToolResult
from engine.providers.turns import with_calls_together

FIRST, SECOND = ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")


def answer(*parts: Text | ToolCall, **facts: object) -> Message:
    return Message("assistant", list(parts), **facts)  # type: ignore[arg-type]


def test_calls_that_are_items_of_their_own_are_put_together() -> None:
    results = Message.tool(ToolResult("a", "1"), ToolResult("b", "2"))
    turns = [Message.user("hi"), answer(FIRST), answer(SECOND), results, answer(Text("so"))]
    assert with_calls_together(turns) == [
        Message.user("hi"),
        answer(FIRST, SECOND),
        results,
        answer(Text("so")),
    ]


def test_what_is_no_part_of_the_turn_stays_apart() -> None:
    for turns in (
        [answer(Text("a")), answer(Text("b"))],  # no results to come
        [answer(FIRST, provider="x"), answer(SECOND, provider="y")],
        [answer(FIRST, extra={"a": 1}), answer(SECOND, extra={"a": 2})],
        [answer(FIRST), Message.tool(ToolResult("a", "1")), answer(SECOND)],
    ):
        assert with_calls_together(turns) == turns


def test_formats_are_those_of_both() -> None:
    both = with_calls_together(
        [answer(FIRST, formats=("chat", "responses")), answer(SECOND, formats=("responses",))]
    )
    assert both == [answer(FIRST, SECOND, formats=("responses",))]


def test_what_one_of_them_says_beside_belongs_to_both() -> None:
    for first, second in (({"a": 1}, {}), ({}, {"a": 1})):
        turns = [answer(FIRST, extra=first), answer(SECOND, extra=second)]
        assert with_calls_together(turns) == [answer(FIRST, SECOND, extra={"a": 1})]
