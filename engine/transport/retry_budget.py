"""The retry budget: how many retries a stream of requests may cost. Pure: time is an argument."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["RetryBudget"]

# Seconds that a request counts for.
_WINDOW: Final = 60.0


class RetryBudget:
    """A level that each request raises and each retry lowers.

    It begins at `least` and comes back to it within a minute; what requests add beyond that is
    forgotten with a time constant of a minute, so that a day of good answers does not save up for a
    storm.

    Args:
        ratio: retries for each request; None: there is always one left.
        least: retries a minute that there are in any case.
        now: the time, on the clock of all other calls.
    """

    __slots__ = ("_at", "_least", "_level", "_ratio")

    def __init__(self, ratio: float | None, least: float, now: float) -> None:
        self._ratio = ratio
        self._least = least
        self._level = least
        self._at = now

    def requested(self, now: float) -> None:
        """A request was made, for the first time."""
        if self._ratio is not None:
            self._pass(now)
            self._level += self._ratio

    def left(self, now: float) -> bool:
        """Whether one more retry is within the budget."""
        if self._ratio is None:
            return True
        self._pass(now)
        return self._level > 1 - 1e-6  # ten times a tenth is a little less than one

    def retried(self, now: float) -> None:
        """A retry was decided on."""
        self._pass(now)
        self._level -= 1

    def _pass(self, now: float) -> None:
        elapsed = max(now - self._at, 0.0)
        self._at = now
        excess = self._level - self._least
        if excess > 0:
            self._level = self._least + excess * math.exp(-elapsed / _WINDOW)
        else:
            self._level = min(self._least, self._level + self._least * elapsed / _WINDOW)
