"""When the next request may go: limit, gate and rates in one place. Pure: time is an argument."""

from __future__ import annotations

import math
from typing import Final, Protocol

from engine.batch.pacing.limit import Limit
from engine.errors import Category, EngineError
from engine.response import RateLimit
from engine.transport.bucket import Bucket
from engine.transport.gate import Gate

__all__ = ["Pace", "Road"]

# Failures in a row, nothing answered in between, after which the server is taken to be down: the
# requests wait at the gate then, instead of spending their attempts on it.
_OUTAGE: Final = 10
_DOWN: Final = frozenset({Category.SERVER, Category.NETWORK, Category.TIMEOUT})
# A reset further away than this (a day's quota) is left to the 429 that names the wait.
_LONGEST_HOLD: Final = 120.0


class Road(Protocol):
    """The gate of a base URL, key and model, which others ask too: `engine.transport.lane.Lane`."""

    @property
    def gate(self) -> Gate:
        """For what the caller knows better."""

    def wait(self, now: float) -> float | None:
        """Seconds until one more request may go; 0.0: now; None: when one in flight is answered."""

    def ended(
        self, now: float, sent_at: float, error: EngineError | None, spare: float = 0.0
    ) -> bool:
        """A request was answered (None), refused, or failed; whether refusals began with it.
        `spare`: as `Gate.close` takes it."""


class Pace:
    """Decides when requests go.

    Args:
        limit: requests in flight.
        road: the gate.
        requests, tokens: the rates a minute; None: no bound but what the provider's headers say.
            Several paces may share them.

    Attributes:
        answered, refused, failed: outcomes so far: good, 429, and everything else.
    """

    def __init__(
        self,
        limit: Limit,
        road: Road,
        requests: Bucket | None = None,
        tokens: Bucket | None = None,
    ) -> None:
        self.limit = limit
        self.gate: Gate = road.gate
        self._road = road
        self.answered: int = 0
        self.refused: int = 0
        self.failed: int = 0
        self._requests = requests
        self._tokens = tokens
        self._failures = 0
        # What the provider said is left, of requests and of tokens, and until when that holds.
        self._left = [(-math.inf, 0), (-math.inf, 0)]
        self._told_until = -math.inf  # the later of both

    @property
    def allowed(self) -> int:
        """Requests that may be in flight as things are."""
        return max(int(min(self.limit.value, self.gate.ramp)), 1)

    def wait(self, now: float, in_flight: int, tokens: float) -> float | None:
        """Seconds until a request of about `tokens` may go; 0.0: now; None: not before one of
        those in flight ends."""
        if in_flight >= self.limit.value:
            return None
        if now < self._told_until and not self._fits(now, in_flight, tokens):
            return None
        wait = self._road.wait(now)
        if wait != 0.0 or (self._requests is None and self._tokens is None):
            return wait
        return max(
            self._requests.wait(now, 1) if self._requests is not None else 0.0,
            self._tokens.wait(now, tokens) if self._tokens is not None else 0.0,
        )

    def _fits(self, now: float, in_flight: int, tokens: float) -> bool:
        """Whether what is in flight and one more fit into what the provider said is left: it may
        have counted none of them."""
        return not in_flight or not any(
            now < until and (in_flight + 1) * each > left
            for (until, left), each in zip(self._left, (1, tokens), strict=True)
        )

    def sent(self, now: float, tokens: float) -> None:
        """A request of about `tokens` went."""
        if self._requests is not None:
            self._requests.take(now, 1)
        if self._tokens is not None:
            self._tokens.take(now, tokens)

    def used(self, now: float, estimate: float, tokens: float) -> None:
        """A request that was taken for `estimate` tokens really took `tokens`."""
        if self._tokens is not None:
            self._tokens.give_back(now, estimate - tokens)

    def ended(
        self,
        now: float,
        sent_at: float,
        in_flight: int,
        error: EngineError | None,
        spare: float = 0.0,
    ) -> None:
        """A request ended; `in_flight` counts it still.

        Args:
            error: why it was not answered; None: it was.
            spare: failures that the rows can afford while nothing is answered; refusals for
                reasons of rate cost them nothing.
        """
        if error is not None and error.category is Category.RESOURCE:
            self.failed += 1  # this machine's want says nothing about the provider
        elif error is None or error.category not in (Category.RATE_LIMIT, *_DOWN):
            # What a provider says about one request alone shows that it is at work.
            self._failures = 0
            self.answered += error is None
            self.failed += error is not None
            self._road.ended(now, sent_at, None)
            self.limit.answered(now, in_flight, self.gate.ramp)
        elif error.category is Category.RATE_LIMIT:
            self.refused += 1
            probing, ramp = self.gate.probing, self.gate.ramp
            news = self._road.ended(now, sent_at, error, math.inf)
            self.limit.refused(now, in_flight, ramp, news and not probing)
        else:
            self.failed += 1
            self._failures += 1
            self.limit.faltered(now)
            self._road.ended(now, sent_at, error, spare)
            if self._failures >= _OUTAGE and error.retry_after is None:
                self.gate.close(now, sent_at, in_flight, None, spare)

    def heard(self, now: float, rate_limit: RateLimit | None) -> None:
        """The headers of a response. What they say is left bounds what is in flight, and where it
        is nothing, nothing goes until there is again; what a minute may hold is not read from
        them: some mean a day (Groq)."""
        if rate_limit is None:
            return
        for place, left in enumerate((rate_limit.requests, rate_limit.tokens)):
            if left is None or left.remaining is None or left.reset is None:
                continue
            self._left[place] = (now + left.reset, left.remaining)
            self._told_until = max(self._told_until, now + left.reset)
            if left.remaining <= 0 and left.reset <= _LONGEST_HOLD:
                self.gate.until = max(self.gate.until, now + left.reset)
        left = rate_limit.tokens
        if self._tokens is not None and left is not None and left.remaining is not None:
            self._tokens.lower_to(now, left.remaining)
