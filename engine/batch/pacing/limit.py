"""How many requests may be in flight: a number, or found out (AIMD). Pure.

The behaviour is that of inspect_ai's adaptive connections: doubling until the first refusals, then
5 % more for each clean round, a fifth less for each episode of overload; failures of the server
stop growth and never cut; nothing grows that was not used. A refusal among many answers is no
overload: some providers refuse one request in twenty whatever is sent.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import msgspec

__all__ = ["AutoLimit", "Change", "FixedLimit", "Limit"]

_START: Final = 10.0
_LEAST: Final = 1.0
_GROWTH: Final = 1.05
_CUT: Final = 0.8
# A limit that is not used to this part says nothing about whether more would do: a part of the
# requests there can be, since 1.6 of them are one.
_USED: Final = 0.8
# Seconds without growth after a failure of the server.
_PAUSE: Final = 5.0
# Of the last requests that the limit just let through, the part that may be refused in fair
# weather: who refuses by chance refuses whatever is in flight, who is full what is too much.
_NOISE: Final = 0.1
# Weight of one request in that part: about the last four hundred count.
_WEIGHT: Final = 0.005
# Of the requests in flight, the part whose refusal at once is no chance.
_SUDDEN: Final = 0.25


class Change(msgspec.Struct, frozen=True):
    """One step of the limit, at `when` (seconds of the caller's clock)."""

    when: float
    limit: int
    reason: str


class Limit(Protocol):
    """What a `Pace` asks of a limit."""

    @property
    def value(self) -> int:
        """Requests that may be in flight."""

    def answered(self, now: float, in_flight: int, ramp: float) -> None:
        """One of `in_flight` requests was answered; the gate lets through `ramp` at once."""

    def refused(self, now: float, in_flight: int, ramp: float, news: bool) -> None:
        """One of `in_flight` was refused (429); `news`: an episode of refusals began with it."""

    def faltered(self, now: float) -> None:
        """The server failed (5xx) or did not answer."""


class FixedLimit:
    """The number the user gave."""

    def __init__(self, value: int) -> None:
        self.value = value

    def answered(self, now: float, in_flight: int, ramp: float) -> None:
        pass

    def refused(self, now: float, in_flight: int, ramp: float, news: bool) -> None:
        pass

    def faltered(self, now: float) -> None:
        pass


class AutoLimit:
    """Finds the limit.

    Attributes:
        changes: every step, in order; the last thousand.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._limit = min(_START, self._most)
        self._slow_start = True
        self._clean = 0
        self._paused_until = 0.0
        self._refused = 0.0  # the part of the last requests
        self._may_cut = False  # an episode of refusals cuts once
        self._at_once = 0  # refusals of this episode
        self.changes: list[Change] = []

    @property
    def value(self) -> int:
        return int(self._limit)

    def answered(self, now: float, in_flight: int, ramp: float = math.inf) -> None:
        if not self._used(in_flight, ramp):
            return
        self._refused -= self._refused * _WEIGHT
        if not self._slow_start and not self._used(in_flight):
            return
        # A gate that slows down for a refusal by chance is no reason to stay small.
        if now < self._paused_until:
            return
        self._clean += 1
        if self._clean < self._limit:
            return
        self._clean = 0
        grown = self._limit * (2.0 if self._slow_start else _GROWTH)
        # Below 20, 5 % is less than one request.
        self._set(now, max(grown, self._limit + 1), "a clean round")

    def refused(
        self, now: float, in_flight: int, ramp: float = math.inf, news: bool = True
    ) -> None:
        if self._used(in_flight, ramp):
            self._refused += (1.0 - self._refused) * _WEIGHT
        if news:
            self._may_cut, self._at_once = True, 0
        self._at_once += 1
        sudden = self._at_once > 2 and self._at_once > _SUDDEN * self._limit
        if not self._may_cut or not (sudden or self._refused > _NOISE):
            return
        self._may_cut = self._slow_start = False
        self._clean = 0
        # While the gate lets requests through again one by one, fewer are under way than the
        # limit allows: it is their number that was too much.
        self._set(now, _CUT * min(self._limit, max(in_flight, _LEAST)), "refused")

    def faltered(self, now: float) -> None:
        self._clean = 0
        self._paused_until = now + _PAUSE

    def _used(self, in_flight: int, ramp: float = math.inf) -> bool:
        return in_flight >= _USED * int(min(self._limit, ramp))

    def _set(self, now: float, limit: float, reason: str) -> None:
        limit = min(max(limit, _LEAST), self._most)
        if int(limit) != int(self._limit):
            self.changes.append(Change(now, int(limit), reason))
            del self.changes[:-1000]
        self._limit = limit
