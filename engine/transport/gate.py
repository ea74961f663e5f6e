"""The gate of one API key: where one request is refused, all of them wait. Pure."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Gate"]

# Waits of our own choice, where the provider names none: short enough that a storm's end is
# noticed within seconds, long enough that it sees a request every few seconds and not a thousand.
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 4.0
# Where less than this part was refused the server is at work: a little less is enough, and nobody
# need stop.
_GRAZED: Final = 0.2
# Requests under way, as a part of those at a refusal, after which it slows down; it is won back in
# a round trip without one. Never less than half of what
# there was: a server that refuses one in ten by chance would be asked one by one in the end, and
# of one that is full the half soon sees more than a fifth refused.
_SLOWER: Final = 0.9
# Requests let through for each answer after a wait: three times as many each round trip, up to
# half of what was too much the last time.
_GROWTH: Final = 2.0
# Who refuses by chance refuses the more often the more is asked: a tenth less each time would end
# at one refusal a round trip, whatever the server can do. So below this part refused, each answer
# wins back more than its share of what refusals take.
_CHANCE: Final = 0.1
_WIN_BACK: Final = 8 * (1 - _SLOWER)
# What was answered and refused is remembered over so many outcomes, and for so many seconds (half
# of it each time): what the server did a minute ago says nothing of now.
_MEMORY: Final = 64
_HALF_LIFE: Final = 10.0


class Gate:
    """Closed while the provider wants a rest. Opened again after most was refused, it lets one
    request through, and more with each answer: ten thousand that waited for the same second would
    be refused again. Where less than a fifth is refused it does not close: fewer are under way.

    Attributes:
        until: when it opens, in seconds of the caller's clock.
        ramp: requests that may be in flight meanwhile; infinite in fair weather.
    """

    def __init__(self) -> None:
        self.until: float = -math.inf
        self.ramp: float = math.inf
        self._closed_at = -math.inf
        self._stopped = False  # whether the last episode closed it
        self._closed_until = -math.inf  # by refusals; `until` may be later, by the caller's word
        self._steep = math.inf  # the ramp up to which it grows fast, as TCP's slow start
        self._floor = 0.0  # half of what was under way when it began to slow down, or 0.0
        self._round_trip = False  # whether what was sent since the last refusal was answered
        self._in_a_row = 0
        self._under_way = self._refused = 0
        self._answers = self._refusals = 0.0  # of late
        self._now = -math.inf

    def wait(self, now: float, in_flight: int) -> float | None:
        """Seconds until a request may go; 0.0: now; None: when one in flight is answered."""
        self._forget(now)
        if now < self.until and not self._opens_early():
            return self.until - now
        if self._under_way:
            if self._in_a_row == 1 and self._refused <= _GRAZED * self._under_way:
                self.ramp = self._steep = math.inf
            self._under_way = 0
            self._answers = self._refusals = 0.0  # that was the episode that is over
        return 0.0 if in_flight < self.ramp else None

    def close(self, now: float, sent_at: float, in_flight: int, retry_after: float | None) -> bool:
        """One of `in_flight` requests, sent at `sent_at`, was refused; the provider asks for
        `retry_after` seconds.

        Returns:
            whether this is news: refusals of requests that were under way when the gate closed
            belong to the same episode.
        """
        self._forget(now)
        self._weigh(0.0, 1.0)
        news = sent_at > self._closed_at
        if self._few_refused():
            # A refusal is quick: before what went since the last one was answered it is no news.
            news = news and (self._round_trip or self.ramp == math.inf)
            if news:
                self._round_trip = False
                self._closed_at, self._stopped = now, False
                room = min(self.ramp, in_flight)
                self._floor = self._floor or room / 2
                self.ramp = self._steep = max(1.0, self._floor, _SLOWER * room)
            return news
        if not news and self._stopped:
            self._refused += 1
            if retry_after is not None:
                self._close_until(now + retry_after)
            return False
        wait = min(_FIRST_WAIT * 2**self._in_a_row, _LONGEST_WAIT)
        if retry_after is not None:
            # "Retry-After: 0" is honoured once; said again and again it would be an endless loop.
            wait = max(retry_after, wait / 10 if self._in_a_row else 0.0)
        self._in_a_row = min(self._in_a_row + 1, 10)
        self._closed_at, self._stopped = now, True
        self._under_way, self._refused = in_flight, 1
        self._floor = 0.0
        if self.ramp < math.inf:
            self._steep = in_flight / 2
        self._close_until(now + wait)
        self.ramp = 1.0
        return True

    def answered(self, sent_at: float, limit: float) -> None:
        """A request was answered; `limit` is where the ramp ends."""
        self._weigh(1.0, 0.0)
        if sent_at <= self._closed_at:
            return
        self._in_a_row = 0
        self._round_trip = True
        if self.ramp < math.inf:
            share = self._refusals / (self._answers + self._refusals)
            by_chance = _WIN_BACK * (share * self.ramp - 0.5) if share < _CHANCE else 0.0
            steady = max(1 / self.ramp, 1 - _SLOWER, by_chance)
            self.ramp += _GROWTH if self.ramp < self._steep else steady
            if self.ramp >= limit:
                self.ramp = self._steep = math.inf
                self._floor = 0.0

    @property
    def probing(self) -> bool:
        """Whether nothing was answered since it was closed."""
        return self.ramp <= 1.0

    def _close_until(self, when: float) -> None:
        self.until = self._closed_until = max(self.until, when)

    def _opens_early(self) -> bool:
        """Whether most of what was under way when it closed was answered after all."""
        if self.until > self._closed_until or not self._few_refused():
            return False
        self.until = self._now
        self.ramp = max(self.ramp, _SLOWER * self._under_way)
        self._under_way = self._refused = 0
        return True

    def _few_refused(self) -> bool:
        return self._refusals < _GRAZED * (self._answers + self._refusals)

    def _weigh(self, answers: float, refusals: float) -> None:
        kept = 1 - 1 / _MEMORY
        self._answers = self._answers * kept + answers
        self._refusals = self._refusals * kept + refusals

    def _forget(self, now: float) -> None:
        if now > self._now > -math.inf:
            kept = 0.5 ** ((now - self._now) / _HALF_LIFE)
            self._answers *= kept
            self._refusals *= kept
        self._now = max(self._now, now)
