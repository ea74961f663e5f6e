"""How many requests at once a server has room for that refuses some: found by asking. Pure."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Room"]

# Requests won with each answer while nothing is known: three times as many each round trip.
_RUSH: Final = 2.0
# Where it is known how many were too many: a tenth of one more with each answer, and never more
# than one in a round trip, so that a server that is full refuses one in ten of what is asked, or
# fewer. Each time it is still full it is asked half as often, down to one in forty answers.
_USUAL: Final = 0.1
_RAREST: Final = 1 / 40
# Who refuses by chance refuses below what was too much before, and the more often the more is
# asked: each such refusal doubles what answers win, up to this.
_CHANCE: Final = 0.5
# Beyond what was too much before: twice as much each round trip, up to one more for each answer.
_BEYOND: Final = 1.0
# A round trip's refusals take no more than a tenth, and all of them together no more than half: a
# server that refuses one in ten by chance would be asked one by one in the end, and of one that is
# full the half soon sees more than a fifth refused.
_SLOWER: Final = 0.9
_HALF: Final = 0.5
# Seconds without a refusal, and with room to spare, after which nothing is known any more.
_FORGOTTEN: Final = 60.0


class Room:
    """Grows while it is short and what it let through is answered; shrinks with refusals.

    Attributes:
        size: requests that may be under way; infinite where nothing was refused.
    """

    __slots__ = (
        "_felt_at",
        "_floor",
        "_full",
        "_known",
        "_least",
        "_rush_to",
        "_short",
        "_step",
        "_tried_at",
        "size",
    )

    def __init__(self) -> None:
        self.size: float = math.inf
        self._rush_to = math.inf  # the size up to which nothing is known
        self._known = 0  # answered while it stood still: as many go when the first was answered
        self._full = math.inf  # what was under way when it was too much, the refused one included
        self._step = _USUAL  # what an answer wins
        self._tried_at = -math.inf
        self._floor = 0.0  # of all refusals since it last stopped; 0.0: there was none
        self._least = 0.0  # of those of this round trip
        self._short = True  # whether one was kept from going: what is not used tells nothing
        self._felt_at = -math.inf  # when it last mattered

    def fits(self, now: float, in_flight: int) -> bool:
        """Whether one more may go beside `in_flight`."""
        if self.size == math.inf:
            self._short, self._known = False, 0
            return True
        if in_flight + 1 > self.size:
            self._short, self._felt_at = True, now
            return False
        if in_flight + 2 <= self.size:
            self._short = False
            if now - self._felt_at > _FORGOTTEN:
                self.forget()
        return True

    def forget(self) -> None:
        """What was refused says nothing of now."""
        self.size = self._rush_to = self._full = math.inf
        self._step, self._floor, self._known = _USUAL, 0.0, 0

    def stopped(self, now: float, in_flight: int, first: int = 1) -> None:
        """Most of `in_flight` requests was refused: `first` go first when it goes on."""
        self._felt_at = now
        # One alone that is refused tells nothing of how many there is room for.
        if self.size < math.inf and in_flight > 1:
            self._rush_to = in_flight / 2
        self.size = float(first)
        self._full, self._step, self._floor, self._known = math.inf, _USUAL, 0.0, 0

    def served(self, many: int) -> None:
        """Of what was under way when it stopped so many were answered after all: for these there
        was room."""
        self._known = many

    def at_least(self, size: int) -> None:
        """There is room for so many."""
        if size >= self.size:
            self.size = self._rush_to = float(size)
            self._full = size + 1

    def refused(self, now: float, in_flight: int, news: bool) -> None:
        """A few of `in_flight` requests were refused, this one too; `news`: the first of a round
        trip."""
        self._felt_at, self._short = now, False
        room = min(self.size, in_flight)
        if news:
            self._floor = self._floor or _HALF * room
            self._least = max(1.0, self._floor, min(_SLOWER * room, room - 1))
            if in_flight < self._full < math.inf:
                self._step = min(2 * self._step, _CHANCE)
            elif in_flight == self._full:
                self._step = max(min(self._step, _CHANCE) / 2, _RAREST)
            self._full = in_flight
        # The others that are under way may be those there is room for.
        self.size = max(self._least, room - 1)
        if news:
            self._rush_to = self.size

    def answered(self, now: float, sent_at: float) -> None:
        """A request was answered that was sent at `sent_at`, since it last stopped or shrank."""
        if not self._short or self.size == math.inf:
            return
        if self._known:
            self.at_least(self._known)
            self._known = 0
        elif self.size < self._rush_to:
            self.size += _RUSH
        else:
            if self.size >= self._full and sent_at > self._tried_at:
                self._step, self._tried_at = min(2 * self._step, _BEYOND), now
            before = self.size
            self.size += self._step if self._step > _USUAL else min(self._step, 1 / self.size)
            if before < self._full <= self.size:
                self._tried_at = now
