"""What becomes of a row that failed, and what a run may cost: pure decisions."""

from __future__ import annotations

import pytest

from engine.batch.pacing.cost import Budget, Price
from engine.batch.queue import Item, Queue
from engine.batch.reading.rows import BadRow, Row, RowParser
from engine.batch.verdict import Verdict, verdict
from engine.errors import Category, EngineError, ProviderError
from engine.messages import Usage


def error(category: Category, status: int | None = None, **facts: bool) -> EngineError:
    return ProviderError("no", category=category, http_status=status, **facts)


@pytest.mark.parametrize(
    ("failed", "failures", "refusals", "answered", "expected"),
    [
        (error(Category.SERVER), 1, 0, 0, Verdict.AGAIN),
        (error(Category.SERVER), 3, 0, 0, Verdict.FAILED),
        (error(Category.TRUNCATED), 2, 0, 9, Verdict.AGAIN),
        (error(Category.INVALID_ARG), 1, 0, 0, Verdict.FAILED),
        (error(Category.NOT_FOUND), 1, 0, 9, Verdict.FAILED),
        (error(Category.SERVER, retryable=False), 1, 0, 0, Verdict.FAILED),
        (error(Category.UNKNOWN, retryable=True), 1, 0, 0, Verdict.AGAIN),
        (error(Category.RATE_LIMIT), 0, 19, 50, Verdict.AGAIN),
        (error(Category.RATE_LIMIT), 0, 20, 50, Verdict.FAILED),
        (error(Category.QUOTA), 1, 0, 50, Verdict.HALT),
        (error(Category.AUTH, 401), 1, 0, 50, Verdict.HALT),
        (error(Category.AUTH, 403), 1, 0, 0, Verdict.HALT),
        (error(Category.AUTH, 403), 1, 0, 1, Verdict.FAILED),
        (error(Category.CONFIG), 1, 0, 1, Verdict.HALT),
    ],
)
def test_verdicts(
    failed: EngineError, failures: int, refusals: int, answered: int, expected: Verdict
) -> None:
    assert verdict(failed, failures, 3, refusals, answered) is expected


def test_cached_tokens_have_their_own_price() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=600)
    assert Price(input=2, output=10).cost(usage) == pytest.approx(3000e-6)
    assert Price(input=2, output=10, cached=1).cost(usage) == pytest.approx(2400e-6)


def test_prices_are_found_with_and_without_the_provider() -> None:
    budget = Budget(prices={"gpt": Price(input=1, output=1), "a/b": Price(input=2, output=2)})
    assert budget.price("openai/gpt") == budget.price("gpt") == Price(input=1, output=1)
    assert budget.price("a/b") == Price(input=2, output=2)
    assert budget.price("b") is None


def test_a_row_in_flight_counts_as_the_rows_before_it_did() -> None:
    budget = Budget(max_tokens=100)
    assert budget.room(0, "m", 30) is None
    assert budget.room(3, "m", 30) is not None  # by estimate
    budget.spent("m", Usage(input_tokens=5, output_tokens=5))
    assert budget.room(8, "m", 30) is None  # 10 + 9 × 10
    assert "max_tokens_total of 100" in str(budget.room(9, "m", 30))


def test_what_earlier_runs_spent_counts() -> None:
    budget = Budget(max_cost=1.0, prices={"m": Price(input=1, output=1)})
    budget.resume(cost=0.9, tokens=900_000, rows=9)
    assert budget.room(0, "m", 1) is None
    assert "max_cost of 1 USD" in str(budget.room(1, "m", 1))


def rows(count: int) -> list[Row | BadRow]:
    parser = RowParser()
    return [parser.parse(b'"a"', n) for n in range(1, count + 1)]


def taken(queue: Queue, now: float) -> Item:
    item = queue.peek(now, most_waiting=2)
    assert isinstance(item, Item)
    queue.take(item)
    return item


def test_rows_to_be_asked_again_come_first_when_it_is_time() -> None:
    queue = Queue(iter(rows(3)))
    first = taken(queue, 0.0)
    queue.put_back(first, 5.0)
    assert queue.when() == 5.0
    second = taken(queue, 1.0)
    assert second.row.number == 2
    assert taken(queue, 5.0) is first
    assert taken(queue, 5.0).row.number == 3
    assert queue.peek(5.0, 2) is None
    assert queue.empty


def test_no_fresh_row_is_read_while_many_wait() -> None:
    source = iter(rows(10))
    queue = Queue(source)
    for _ in range(3):
        queue.put_back(taken(queue, 0.0), 9.0)
    assert queue.peek(0.0, most_waiting=2) is None
    assert not queue.empty
    assert len(list(source)) == 7
