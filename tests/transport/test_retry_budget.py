"""`RetryBudget`: a storm of failures costs a tenth more, whatever the policy of each request."""

from __future__ import annotations

import pytest

from engine.transport.retry_budget import RetryBudget


def retries(budget: RetryBudget, now: float, wanted: int) -> int:
    """How many of the retries `wanted` at once there are."""
    done = 0
    for _ in range(wanted):
        if budget.left(now):
            budget.retried(now)
            done += 1
    return done


def requests(budget: RetryBudget, now: float, many: int) -> None:
    for _ in range(many):
        budget.requested(now)


def test_a_storm_costs_a_tenth_and_the_minimum() -> None:
    budget = RetryBudget(0.1, 10, now=0.0)
    requests(budget, 0.0, 1000)
    assert retries(budget, 0.0, 2000) == 110


def test_the_minimum_is_there_without_requests_and_back_within_a_minute() -> None:
    budget = RetryBudget(0.1, 10, now=0.0)
    assert retries(budget, 0.0, 99) == 10
    assert retries(budget, 30.0, 99) == 5
    assert retries(budget, 3600.0, 99) == 10


def test_a_day_of_good_answers_saves_nothing_up() -> None:
    budget = RetryBudget(0.1, 10, now=0.0)
    for second in range(3600):
        requests(budget, float(second), 10)
    assert 10 + 55 <= retries(budget, 3600.0, 9999) <= 10 + 65  # a minute's, at 10 a second


def test_ten_requests_are_worth_a_retry_exactly() -> None:
    budget = RetryBudget(0.1, 0, now=0.0)
    requests(budget, 0.0, 9)
    assert not budget.left(0.0)
    requests(budget, 0.0, 1)
    assert retries(budget, 0.0, 5) == 1


def test_without_a_ratio_there_is_always_one() -> None:
    assert retries(RetryBudget(None, 0, now=0.0), 0.0, 500) == 500


def test_a_budget_of_nothing_has_nothing() -> None:
    budget = RetryBudget(0, 0, now=0.0)
    requests(budget, 0.0, 100)
    assert retries(budget, 60.0, 5) == 0


@pytest.mark.parametrize("step", [-5.0, 0.0])
def test_time_that_does_not_pass_changes_nothing(step: float) -> None:
    budget = RetryBudget(0.1, 10, now=100.0)
    assert retries(budget, 100.0 + step, 99) == 10
