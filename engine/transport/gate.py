"""The gate of one API key: where one request is refused, all of them wait. Pure."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Gate"]

# Waits of our own choice, where the provider names none: short enough that a storm's end is
# noticed within seconds, long enough that it sees a request every few seconds and not a thousand.
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 4.0
# Where no more than this part of what was under way was refused, the server is at work, and a
# little less (the limit's business) is enough.
_GRAZED: Final = 0.2
# Requests let through for each answer after a wait: three times as many each round trip.
_GROWTH: Final = 2.0


class Gate:
    """Closed while the provider wants a rest. Opened again after most was refused, it lets one
    request through, and more with each answer: ten thousand that waited for the same second would
    be refused again.

    Attributes:
        until: when it opens, in seconds of the caller's clock.
        ramp: requests that may be in flight meanwhile; infinite in fair weather.
    """

    def __init__(self) -> None:
        self.until = -math.inf
        self.ramp = math.inf
        self._closed_at = -math.inf
        self._in_a_row = 0
        self._under_way = self._refused = 0

    def wait(self, now: float, in_flight: int) -> float | None:
        """Seconds until a request may go; 0.0: now; None: when one in flight is answered."""
        if now < self.until:
            return self.until - now
        if self._under_way:
            if self._in_a_row == 1 and self._refused <= _GRAZED * self._under_way:
                self.ramp = math.inf
            self._under_way = 0
        return 0.0 if in_flight < self.ramp else None

    def close(self, now: float, sent_at: float, in_flight: int, retry_after: float | None) -> bool:
        """One of `in_flight` requests, sent at `sent_at`, was refused; the provider asks for
        `retry_after` seconds.

        Returns:
            whether this is news: refusals of requests that were under way when the gate closed
            belong to the same episode.
        """
        if sent_at <= self._closed_at:
            self._refused += 1
            if retry_after is not None:
                self.until = max(self.until, now + retry_after)
            return False
        wait = min(_FIRST_WAIT * 2**self._in_a_row, _LONGEST_WAIT)
        if retry_after is not None:
            # "Retry-After: 0" is honoured once; said again and again it would be an endless loop.
            wait = max(retry_after, wait / 10 if self._in_a_row else 0.0)
        self._in_a_row = min(self._in_a_row + 1, 10)
        self._closed_at = now
        self._under_way, self._refused = in_flight, 1
        self.until = max(self.until, now + wait)
        self.ramp = 1.0
        return True

    def answered(self, sent_at: float, limit: float) -> None:
        """A request was answered; `limit` is where the ramp ends."""
        if sent_at <= self._closed_at:
            return
        self._in_a_row = 0
        if self.ramp < math.inf:
            self.ramp += _GROWTH
            if self.ramp >= limit:
                self.ramp = math.inf

    @property
    def probing(self) -> bool:
        """Whether nothing was answered since it was closed."""
        return self.ramp <= 1.0
