"""One heap of timers for everything that waits."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import inf
from time import monotonic

import msgspec

__all__ = ["Timer", "TimerHeap"]

# The smallest heap that is searched for cancelled timers.
_SWEEP = 64


class Timer(msgspec.Struct, eq=False):
    """A call to be made at `when` (seconds of time.monotonic), unless cancelled before."""

    when: float
    call: Callable[[], None] | None

    def cancel(self) -> None:
        """Never make the call. May be called at any time, also after it was made."""
        self.call = None


class TimerHeap:
    """Timers in order of time. Cancelled ones are dropped when their turn comes, or when they
    have become as many as the others: most deadlines are cancelled minutes before their time."""

    __slots__ = ("_entries", "_order", "_sweep_at")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        """Timers held, cancelled ones among them."""
        return len(self._entries)

    def add(self, when: float, call: Callable[[], None]) -> Timer:
        """A new timer at `when`."""
        entries = self._entries
        if len(entries) >= self._sweep_at:
            entries[:] = [entry for entry in entries if entry[2].call is not None]
            heapq.heapify(entries)
            self._sweep_at = max(2 * len(entries), _SWEEP)
        timer = Timer(when, call)
        heapq.heappush(entries, (when, next(self._order), timer))
        return timer

    def next_time(self) -> float | None:
        """When the first timer is due, or None."""
        entries = self._entries
        while entries and entries[0][2].call is None:
            heapq.heappop(entries)
        return entries[0][0] if entries else None

    def run(self, now: float, until: float = inf) -> None:
        """Make the calls that are due at `now`, until the clock says `until`; one that a call adds
        waits for the next run."""
        entries = self._entries
        newest = next(self._order)
        added = []
        made = 0
        while entries and entries[0][0] <= now:
            entry = heapq.heappop(entries)
            if entry[1] > newest:
                added.append(entry)
                continue
            timer = entry[2]
            if timer.call is not None:
                call, timer.call = timer.call, None
                call()
                made += 1
                if not made & 7 and monotonic() >= until:
                    break
        for entry in added:
            heapq.heappush(entries, entry)
