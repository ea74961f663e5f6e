"""Ids of calls: made up where there is none, and fit for who receives them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.messages import Message, ToolCall, ToolResult
from engine.providers.call_ids import (
    FITS_ANTHROPIC,
    FITS_MISTRAL,
    FITS_OPENAI,
    FITS_RESPONSES,
    IdRule,
    fitting_ids,
    is_made_up,
    made_up_id,
)
from tests.cases import each_case


def sent(rule: IdRule | None, *turns: list[ToolCall | ToolResult]) -> list[list[str]]:
    messages = [Message("assistant", list(parts)) for parts in turns]
    id = fitting_ids(messages, rule)
    return [[id(part) for part in message.parts] for message in messages]


def call(id: str, name: str = "f") -> ToolCall:
    return ToolCall(id, name, "{}")


@each_case(
    ("rule", "fits", "odd"),
    [
        (FITS_MISTRAL, "aB3dE6gH9", "call_PTLP8xhu3uwZk4l3nlnrrJha"),
        (FITS_OPENAI, "functions.look:0", "x" * 41),
        (FITS_RESPONSES, "x" * 64, "x" * 65),
        (FITS_ANTHROPIC, "toolu_0-1", "functions.look:0"),
        (None, "anything at all", ""),
    ],
)
def test_an_id_that_does_not_fit_is_exchanged_at_both_places(
    rule: IdRule | None, fits: str, odd: str
) -> None:
    assert sent(rule, [call(fits)], [ToolResult(fits, "1")]) == [[fits], [fits]]
    (made,), (again,) = sent(rule, [call(odd)], [ToolResult(odd, "1")])
    assert made == again != odd
    if rule is not None:
        assert rule.fits(made)
    assert sent(rule, [call(odd)]) == [[made]]  # the same the next time


def test_results_without_an_id_find_their_calls_in_order() -> None:
    calls = [call("", "f"), call("", "g"), call("", "f")]
    results = [ToolResult("", "1", "g"), ToolResult("", "2", "f"), ToolResult("", "3", "f")]
    (f, g, second), (of_g, of_f, of_second) = sent(None, calls, results)
    assert len({f, g, second}) == 3
    assert (of_g, of_f, of_second) == (g, f, second)
    assert sent(None, [call("a")], [ToolResult("", "1")]) == [["a"], ["a"]]


def test_two_calls_of_one_id_in_a_turn_are_two() -> None:
    calls = [call("a"), call("a", "g")]
    (first, second), results = sent(None, calls, [ToolResult("a", "1"), ToolResult("a", "2")])
    assert first == "a" != second
    assert results == [first, second]


def test_an_id_may_come_again_in_a_later_turn_where_the_receiver_lets_it() -> None:
    turns = [[call("a")], [ToolResult("a", "1")], [call("a")], [ToolResult("a", "2")]]
    assert sent(FITS_OPENAI, *turns) == [["a"]] * 4  # type: ignore[arg-type]
    first, result, second, last = sent(FITS_ANTHROPIC, *turns)  # type: ignore[arg-type]
    assert first == result == ["a"]
    assert second == last != ["a"]


def test_a_result_of_no_call_keeps_an_id_that_fits() -> None:
    assert sent(FITS_ANTHROPIC, [ToolResult("gone", "1")]) == [["gone"]]


def test_made_up_ids_are_known_again() -> None:
    assert made_up_id("seed", 1) == made_up_id("seed", 1) != made_up_id("seed", 2)
    assert is_made_up(made_up_id("seed", 1))
    assert not is_made_up("call_1")


PARTS = st.builds(
    call, st.sampled_from(["", "a", "b", "x" * 70]), st.sampled_from("fg")
) | st.builds(
    ToolResult,
    st.sampled_from(["", "a", "b", "c"]),
    st.just("1"),
    st.sampled_from([None, "f", "g"]),
)


@given(
    st.lists(st.lists(PARTS, max_size=3), max_size=6),
    st.integers(0, 6),
    st.sampled_from([None, FITS_MISTRAL, FITS_ANTHROPIC]),
)
def test_a_conversation_that_goes_on_has_the_ids_of_the_whole(
    turns: list[list[ToolCall | ToolResult]], cut: int, rule: IdRule | None
) -> None:
    messages = [Message("assistant", list(parts)) for parts in turns]
    whole, ids = fitting_ids(messages, rule), fitting_ids(messages[:cut], rule)
    assert ids.goes_on(messages) and ids.goes_on(messages[:cut])
    ids.add_rest(messages)
    ids.add_rest(messages)  # there is no rest then
    assert ids.own == whole.own
    for message in messages:
        assert [*map(ids, message.parts)] == [*map(whole, message.parts)]
    if messages:
        assert not ids.goes_on(messages[:-1])
        assert not ids.goes_on([Message("assistant", [])] * len(messages)), "the very same"
