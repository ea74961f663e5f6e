"""A set of numbers is a set of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.batch.reading.numbers import Numbers


@given(st.sets(st.integers(0, 20_000)), st.lists(st.integers(0, 30_000)))
def test_what_was_put_in_is_in_and_nothing_else(put: set[int], asked: list[int]) -> None:
    numbers = Numbers()
    for number in put:
        numbers.add(number)
    assert all(number in numbers for number in put)
    assert all((number in numbers) == (number in put) for number in asked)
