"""What becomes of a row whose attempt failed. Pure."""

from __future__ import annotations

from enum import Enum

from engine.errors import Category, EngineError

__all__ = ["Verdict", "verdict"]

# Refusals of one row, over minutes, while others are answered: more than chance, it is the row (too
# many tokens for a minute's rate, as a rule).
_MAX_REFUSALS = 20


class Verdict(Enum):
    """AGAIN: ask it later; FAILED: for good; HALT: every row would fail like it."""

    AGAIN = "again"
    FAILED = "failed"
    HALT = "halt"


def verdict(
    error: EngineError, failures: int, max_attempts: int, refusals: int, answered: int
) -> Verdict:
    """Decide.

    Args:
        error: why the last attempt failed.
        failures: attempts of this row that failed, the last one included, refusals left out.
        max_attempts: how many it may have.
        refusals: 429s of this row since others were answered while it was not.
        answered: rows answered in this run.
    """
    category = error.category
    if category in (Category.QUOTA, Category.CONFIG):
        return Verdict.HALT
    if category is Category.AUTH and (error.http_status != 403 or not answered):
        # After answers, a 403 is about the row: its model, its region, its content.
        return Verdict.HALT
    if category is Category.RATE_LIMIT:
        return Verdict.AGAIN if refusals < _MAX_REFUSALS else Verdict.FAILED
    if not error.retryable or failures >= max_attempts:
        return Verdict.FAILED
    return Verdict.AGAIN
