"""What becomes of a row that failed: a pure decision."""

from __future__ import annotations

from engine.batch.verdict import Verdict, verdict
from engine.errors import Category, EngineError, ProviderError
from tests.cases import each_case


def error(category: Category, status: int | None = None, **facts: bool) -> EngineError:
    return ProviderError("no", category=category, http_status=status, **facts)


@each_case(
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
        (error(Category.NOT_FOUND), 1, 0, 0, Verdict.DOUBT),
        (error(Category.PROTOCOL), 1, 0, 0, Verdict.DOUBT),
        (error(Category.PROTOCOL), 1, 0, 1, Verdict.FAILED),
    ],
)
def test_verdicts(
    failed: EngineError, failures: int, refusals: int, answered: int, expected: Verdict
) -> None:
    assert verdict(failed, failures, 3, refusals, answered) is expected
