"""Caps cap: what is spent stays below them, but for one row that goes alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batch.pacing.cost import Budget, Demand, Spent
from engine.batch.pacing.prices import Price
from engine.messages import Usage
from tests.volume import examples

PRICES = {"m": Price(input=1, output=2)}


def demand(size: int = 40, most: int | None = None, **facts: bool) -> Demand:
    return Demand(model="m", size=size, most_output=most, **facts)


def usage(tokens: int) -> Usage:
    return Usage(input_tokens=10, output_tokens=tokens - 10, total_tokens=tokens)


def spend(
    budget: Budget, concurrency: int, rows: list[int], limit: int | None, dice: random.Random
) -> int:
    """Ask `rows`, each of which takes so many tokens; how many were answered."""
    flying: dict[int, int] = {}
    number = 0
    asked = demand(40, limit)
    while number < len(rows) or flying:
        while number < len(rows) and len(flying) < concurrency:
            if budget.reached(asked) is not None:
                return number
            if not budget.reserve(number, asked):
                break
            flying[number] = rows[number]
            number += 1
        ended = dice.choice(list(flying))
        budget.count(ended, asked, usage(flying.pop(ended)))
    return number


@settings(max_examples=examples(60), deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 50, 500]),
    st.booleans(),
    st.integers(500, 20_000),
)
def test_no_cap_is_passed_by_more_than_one_row(
    seed: int, concurrency: int, limited: bool, cap: int
) -> None:
    """Thrice: a run that goes on after a cap with the same cap asks one row more at most."""
    dice = random.Random(seed)
    largest = 200
    spent, rows, seen = Spent(), 0, Spent()
    for _ in range(3):
        budget = Budget(max_tokens=cap)
        budget.resume(spent, rows, seen)
        # Ever larger: the first rows tell little of what comes.
        tokens = sorted(dice.randint(11, largest) for _ in range(400))
        spend(budget, concurrency, tokens, largest - 10 if limited else None, dice)
        spent, seen, rows = budget.spent, budget.largest, rows + 400
        assert spent.tokens <= cap + largest
        assert spent.tokens >= cap - largest


def test_rows_with_a_limit_go_together_while_all_of_them_fit() -> None:
    budget = Budget(max_tokens=1000)
    assert [budget.reserve(n, demand(40, 60)) for n in range(11)] == [True] * 10 + [False]
    budget.count(0, demand(40, 60), usage(30))  # less than it might have been
    assert not budget.reserve(11, demand(40, 60))
    budget.release(1)
    assert budget.reserve(11, demand(40, 60))


def test_where_no_limit_is_known_one_row_goes_alone_and_then_as_many_as_were_seen() -> None:
    budget = Budget(max_tokens=100_000)
    assert budget.reserve(0, demand())
    assert not budget.reserve(1, demand())
    budget.count(0, demand(), usage(50))
    assert budget.reserve(1, demand()) and not budget.reserve(2, demand())
    budget.count(1, demand(), usage(50))
    assert budget.reserve(2, demand()) and budget.reserve(3, demand())
    assert not budget.reserve(4, demand())


def test_files_by_address_are_no_bound() -> None:
    budget = Budget(max_tokens=10_000)
    assert budget.reserve(0, demand(40, 60, bounded=False))
    assert not budget.reserve(1, demand(40, 60, bounded=False))


def test_the_limit_of_the_model_bounds_a_row_that_has_none() -> None:
    budget = Budget(max_cost=1.0, prices={"m": Price(input=0, output=1, max_output=400_000)})
    assert [budget.reserve(n, demand()) for n in range(3)] == [True, True, False]


def test_a_row_that_took_more_than_its_bound_raises_the_bound_of_others() -> None:
    budget = Budget(max_tokens=1000)
    budget.reserve(0, demand(40, 60))
    budget.count(0, demand(40, 60), usage(200))
    assert [budget.reserve(n, demand(40, 60)) for n in range(1, 6)] == [True] * 4 + [False]


def test_what_nobody_counted_is_guessed() -> None:
    budget = Budget(max_tokens=1000)
    assert budget.guess(0, demand(400), "x" * 40).tokens == 110
    budget.count(1, demand(400), usage(500))
    assert budget.guess(2, demand(400), "").tokens == 305  # the mean


def test_what_earlier_runs_spent_counts() -> None:
    budget = Budget(max_cost=1.0, prices=PRICES)
    budget.resume(Spent(cost=0.95, tokens=900_000), 9, Spent(cost=0.2))
    assert "max_cost of 1 USD is reached (0.9500 spent)" in str(budget.reached(demand()))
    budget.resume(Spent(cost=0.8, tokens=900_000), 9, Spent(cost=0.2))
    assert budget.reached(demand()) is None


@pytest.mark.parametrize(("cap", "name"), [(0.5, "max_cost"), (20, "max_tokens_total")])
def test_a_cap_says_which_it_is(cap: float, name: str) -> None:
    budget = Budget(
        max_cost=cap if name == "max_cost" else None,
        max_tokens=int(cap) if name != "max_cost" else None,
        prices=PRICES,
    )
    budget.resume(Spent(cost=1.0, tokens=100), 1, Spent(cost=1.0, tokens=100))
    assert name in str(budget.reached(demand()))
    budget.reserve(0, demand())
    assert budget.reached(demand()) is None  # not while others are in flight
