"""What becomes of a row whose attempt failed. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from engine.errors import Category, EngineError

__all__ = ["Verdict", "is_nobodys", "verdict"]

# Refusals of one row, while others are answered or no other is asked: more than chance, it is the
# row (too many tokens for a minute's rate, as a rule).
_MAX_REFUSALS: Final = 20

# Phases of an attempt before the request went out.
_UNSENT: Final = frozenset({"resolve", "connect", "tls"})


class Verdict(Enum):
    """AGAIN: ask it later; FAILED: for good; HALT: every row asked of the same would fail like it;
    DOUBT: it fails, and perhaps every row would."""

    AGAIN = "again"
    FAILED = "failed"
    HALT = "halt"
    DOUBT = "doubt"


def is_nobodys(error: EngineError) -> bool:
    """Whether `error` says nothing about the row: it never reached a server."""
    if error.category is Category.RESOURCE:
        return error.retryable
    return error.category in (Category.NETWORK, Category.TIMEOUT) and error.phase in _UNSENT


def verdict(
    error: EngineError, failures: int, max_attempts: int, refusals: int, answered: int
) -> Verdict:
    """Decide.

    Args:
        error: why the last attempt failed.
        failures: attempts of this row that failed, the last one included; refusals, and what never
            reached a server, left out.
        max_attempts: how many it may have.
        refusals: 429s of this row that tell of it: others were answered while it was not, or it
            was asked alone.
        answered: rows asked of the same that were answered in this run.
    """
    category = error.category
    if category in (Category.QUOTA, Category.CONFIG):
        return Verdict.HALT
    if category is Category.AUTH and (error.http_status != 403 or not answered):
        # After answers, a 403 is about the row: its model, its region, its content.
        return Verdict.HALT
    if category is Category.RATE_LIMIT:
        return Verdict.AGAIN if refusals < _MAX_REFUSALS else Verdict.FAILED
    if is_nobodys(error):
        return Verdict.AGAIN
    if error.retryable and failures < max_attempts:
        return Verdict.AGAIN
    if category is Category.NOT_FOUND or (category is Category.PROTOCOL and not answered):
        return Verdict.FAILED if answered else Verdict.DOUBT
    return Verdict.FAILED
