"""How many requests ask whether a provider that refused all is at work again. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["Probes"]

# One asks first. Where it is refused as well, so many times as many ask the next time: a provider
# that refuses by number (the first hundred, whatever the time) would take a wait for each refusal.
_GROWTH: Final = 8
# Refusals in a row that are spent so: so many times what was under way, where that is little, else
# that, half as many and so many more. Beyond that it is an outage: one asks now and then.
_TIMES: Final = 13
_MANY: Final = 250


class Probes:
    """Counts refusals, with no answer between them to what was asked later, and their waits.

    Attributes:
        waits: waits since the last answer.
    """

    __slots__ = ("_most", "_number", "_refusals", "_spare", "waits")

    def __init__(self) -> None:
        self.waits: int = 0
        self._number = 1
        self._refusals = 0
        # The most of each since the last answer: who was refused may wait elsewhere for a while.
        self._most = 0
        self._spare = 0.0

    def answered(self) -> None:
        """A request was answered that was sent since the last wait began: it is at work."""
        self.waits = self._refusals = self._most = 0
        self._spare = 0.0

    def refused(self) -> None:
        """One was refused."""
        self._refusals += 1

    def next(self, in_flight: int, spare: float, unheard: int = 0) -> int:
        """How many may go after the wait that begins now.

        Args:
            in_flight: requests under way, the refused one included.
            spare: refusals that may be spent since the last answer, before one goes at a time.
            unheard: of those under way, as many as will be refused like it: they are spent too.
        """
        self._most = max(self._most, in_flight)
        self._spare = max(self._spare, spare)
        spare = self._spare - unheard
        left = min(spare, _TIMES * self._most, 1.5 * self._most + _MANY) - self._refusals
        if self.waits and left > 1:
            self._number = int(min(_GROWTH * self._number, 2 * self._most, left))
        else:
            self._number = 1
        self.waits += 1
        return self._number
