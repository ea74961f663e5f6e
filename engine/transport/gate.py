"""The gate of one API key: where one request is refused, all of them wait. Pure."""

from __future__ import annotations

import math
from typing import Final

from engine.transport.gate_probes import Probes
from engine.transport.room import Room

__all__ = ["Gate"]

# Waits of our own choice, where the provider names none: short enough that a storm's end is
# noticed within seconds, long enough that it sees a request every few seconds and not a thousand.
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 4.0
# Where several were answered while it was closed: they were fewer than they looked, since one came
# after another, and too many were let through. That is no storm.
_SHORT_WAIT: Final = 0.1
# Where more may ask than the last time.
_NEXT_WAIT: Final = 0.5
# Where less than this part was refused the server is at work: a little less is enough, and nobody
# need stop.
_GRAZED: Final = 0.2
# Seconds from an answer's end to the next request, where one alone that followed an answer was
# refused: the server frees its place a moment after it has answered. Twice as long each time; a
# hundredth less with each answer, since the refusal may have had another reason.
_MOMENT: Final = 0.005
_LONGEST_MOMENT: Final = 0.1
_MOMENT_KEPT: Final = 0.99
# What is kept of what was answered and refused with each outcome, so that the last 64 count, and
# the seconds that halve it: what the server did a minute ago says nothing of now.
_KEPT: Final = 1 - 1 / 64
_HALF_LIFE: Final = 10.0


class Gate:
    """Closed while the provider wants a rest. Opened again after most was refused, it lets one
    request through, or as many as were answered all the same, and more with each answer: ten
    thousand that waited for the same second would be refused again. Where that one is refused as
    well, more ask after the next wait, see `Probes`. Where less than a fifth is refused it does not
    close: fewer are under way.

    Attributes:
        until: when it opens, in seconds of the caller's clock.
    """

    def __init__(self) -> None:
        self.until: float = -math.inf
        self._room = Room()
        self._closed_at = -math.inf
        self._stopped = False  # whether the last episode closed it
        self._closed_until = -math.inf  # by refusals; `until` may be later, by the caller's word
        self._round_trip = False  # whether what was sent since the last refusal was answered
        self._in_a_row = 0
        self._probes = Probes()
        # Of the episode that closed it: what was under way, and what became of it.
        self._under_way = self._refused = self._served = 0
        self._answers = self._refusals = 0.0  # of late, as it was when one came last
        self._weighed_at = -math.inf
        self._now = -math.inf
        self._answers_last = False  # whether the last outcome was an answer
        self._over_at = -math.inf  # when an answer ended
        self._moment = 0.0  # to wait after an answer before one is asked alone

    @property
    def ramp(self) -> float:
        """Requests that may be in flight while it is open; infinite in fair weather."""
        return self._room.size

    @property
    def probing(self) -> bool:
        """Whether a few are to show first if the provider is at work again."""
        return self._probes.waits > 0 or self._room.size <= 1.0

    def wait(self, now: float, in_flight: int) -> float | None:
        """Seconds until a request may go; 0.0: now; None: when one in flight is answered."""
        self._now = max(self._now, now)
        if now < self.until and not self._opens_early():
            return self.until - now
        if self._closed_at == -math.inf:
            return 0.0  # nothing was refused yet
        if self._under_way:
            if self._refused <= _GRAZED * self._under_way:
                self._room.forget()
                self._probes.answered()
            self._under_way = 0
            self._answers = self._refusals = 0.0  # that was the episode that is over
        if not self._room.fits(now, in_flight):
            return None
        return max(self._over_at + self._moment - now, 0.0) if in_flight == 0 else 0.0

    def close(
        self,
        now: float,
        sent_at: float,
        in_flight: int,
        retry_after: float | None,
        spare: float = 0.0,
    ) -> bool:
        """One of `in_flight` requests, sent at `sent_at`, was refused; the provider asks for
        `retry_after` seconds.

        Args:
            spare: refusals since the last answer that may be spent on asking soon by more than
                one; 0: one asks at a time, and costs one request an attempt each time.

        Returns:
            whether this is news: refusals of requests that were under way when the gate closed
            belong to the same episode.
        """
        self._now = max(self._now, now)
        self._weigh(0.0, 1.0)
        self._probes.refused()
        self._answers_last = False
        news = sent_at > self._closed_at
        if not news and self._stopped:
            self._refused += 1
            if retry_after is not None and not self._few_refused():
                self._close_until(now + retry_after)
            return False
        if self._few_refused():
            # A refusal is quick: before what went since the last one was answered it is no news.
            news = news and (self._round_trip or self.ramp == math.inf)
            if news:
                self._round_trip = False
                self._closed_at, self._stopped = now, False
            self._room.refused(now, in_flight, news)
            return news
        if in_flight == 1 and sent_at - self._over_at <= _LONGEST_MOMENT:
            self._moment = min(max(2 * self._moment, _MOMENT), _LONGEST_MOMENT)
        again = self._in_a_row > 0 or self._probes.waits > 0
        probes = self._probes.next(in_flight, spare, in_flight - 1)
        wait = _NEXT_WAIT if probes > 1 else self._own_wait()
        if retry_after is not None:
            # "Retry-After: 0" is honoured once; said again and again it would be an endless loop.
            least = wait if probes > 1 else wait / 10
            wait = max(retry_after, least if again else 0.0)
        if probes == 1:
            self._in_a_row = min(self._in_a_row + 1, 10)
        self._closed_at, self._stopped = now, True
        self._under_way, self._refused, self._served = in_flight, 1, 0
        # What asked whether it is at work tells nothing of how many it has room for.
        self._room.stopped(now, in_flight if self._probes.waits == 1 else 1, probes)
        self._close_until(now + wait)
        return True

    def withdrawn(self) -> None:
        """One of those that were under way when it closed was not sent after all."""
        self._under_way -= self._under_way > 1

    def over(self, now: float) -> None:
        """A request is over, whatever came of it; a stream has been answered long before."""
        if self._answers_last:
            self._over_at = now

    def answered(self, sent_at: float) -> None:
        """A request was answered that was sent at `sent_at`."""
        self._weigh(1.0, 0.0)
        self._answers_last = True
        if self._closed_at == -math.inf:  # nothing was refused yet, and nothing is to be taken back
            self._round_trip = True
            return
        self._moment *= _MOMENT_KEPT
        if sent_at > self._closed_at:
            self._in_a_row = 0
            self._probes.answered()
            self._round_trip = True
            self._room.answered(self._now, sent_at)
        elif self._stopped:
            self._in_a_row = 0  # it is at work
            self._served += 1
            self._room.served(self._served)

    def _own_wait(self) -> float:
        first = _FIRST_WAIT if self._served <= 1 else _SHORT_WAIT
        return min(first * 2.0**self._in_a_row, _LONGEST_WAIT)

    def _close_until(self, when: float) -> None:
        self.until = self._closed_until = max(self.until, when)

    def _opens_early(self) -> bool:
        """Whether most of what was under way when it closed was answered after all."""
        if self.until > self._closed_until or not self._few_refused():
            return False
        self.until = self._now
        self._room.at_least(self._under_way - self._refused)
        self._probes.answered()
        self._under_way = self._refused = 0
        return True

    def _few_refused(self) -> bool:
        return self._refusals < _GRAZED * (self._answers + self._refusals)

    def _weigh(self, answers: float, refusals: float) -> None:
        kept = _KEPT
        if self._now > self._weighed_at > -math.inf:  # both fade alike: only now that matters
            kept *= 0.5 ** ((self._now - self._weighed_at) / _HALF_LIFE)
        self._weighed_at = self._now
        self._answers = self._answers * kept + answers
        self._refusals = self._refusals * kept + refusals
