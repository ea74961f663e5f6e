"""A rate per minute, kept by a bucket that fills with time. Pure: the time is an argument."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Room for `per_minute` units a minute.

    It holds one second's worth, so that no minute ever sees more than the rate and that much: a
    bucket that starts with a minute's worth, as the cookbook's does, sends twice the rate in its
    first minute.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60
        self._capacity = max(self._rate, 1.0)
        self._level = self._capacity
        self._filled = now

    def wait(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken; 0.0: now. More than fits goes when it is full."""
        self._fill(now)
        missing = min(amount, self._capacity) - self._level
        return missing / self._rate if missing > 1e-9 else 0.0

    def take(self, now: float, amount: float) -> None:
        """Take `amount`; the bucket may owe some afterwards."""
        self._fill(now)
        self._level -= amount

    def give_back(self, now: float, amount: float) -> None:
        """Put back what was taken and not used; a negative `amount` takes what was used beyond."""
        self._fill(now)
        self._level = min(self._capacity, self._level + amount)

    def lower_to(self, now: float, level: float) -> None:
        """The provider says that only so much is left."""
        self._fill(now)
        self._level = min(self._level, level)

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._filled) * self._rate)
        self._filled = now
