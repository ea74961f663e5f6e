"""How many requests may be in flight while there are not descriptors for all. Pure: time and what
there is are arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

__all__ = ["Ceiling"]

# Seconds between two looks at what the process has open, which costs a system call a descriptor.
_LOOK_EVERY: Final = 1.0


class Ceiling:
    """Falls where a descriptor is wanting, and rises as there are again: a lack is of the moment,
    mostly (a log that is turned, a subprocess, another client's burst).

    Args:
        full: requests in flight with descriptors for all.

    Attributes:
        full: see above.
        value: requests that may be in flight.
    """

    __slots__ = ("_fell_at", "_look_at", "_room", "full", "value")

    def __init__(self, full: int) -> None:
        self.full: int = full
        self.value: int = full
        self._room = full
        self._fell_at = self._look_at = -math.inf

    @property
    def lowered(self) -> bool:
        """Whether it is lower than it should be."""
        return self.value < self.full

    def found(self, now: float, room: int | None) -> None:
        """There are descriptors for `room` connections in all; None: for any number."""
        self._look_at = now + _LOOK_EVERY
        self._room = self.full if room is None else max(min(room, self.full), 1)
        self.value = min(self.value, self._room)

    def lacked(self, now: float, sent_at: float, in_flight: int) -> bool:
        """None was left for a request that was sent at `sent_at`, of `in_flight`: half as many.

        Returns:
            whether it has fallen from its full height. Those that were under way when it fell tell
            of the same lack.
        """
        if sent_at < self._fell_at:
            return False
        was_full = not self.lowered
        self._fell_at = now
        self.value = min(self.value, max(in_flight // 2, 1))
        self._room, self._look_at = self.full, now
        return was_full and self.lowered

    def answered(self, now: float, sent_at: float, look: Callable[[], int | None]) -> None:
        """A request that was sent at `sent_at` was answered: one more may be in flight, twice as
        many each round trip, where there is room.

        Args:
            look: tells what `found` takes; called about once a second.
        """
        if self.value >= self.full or sent_at < self._fell_at:
            return
        if now >= self._look_at:
            self.found(now, look())
        self.value = min(self.value + 1, self._room)
