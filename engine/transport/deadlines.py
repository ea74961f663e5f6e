"""Deadlines of a request, phase by phase."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Final, Literal, Protocol

import msgspec

from engine.errors import ConfigError, DeadlineError
from engine.transport.timers import Timer

__all__ = ["Clock", "Deadlines", "Phase", "Timeouts"]

Phase = Literal["connect", "first_event", "idle", "content", "total"]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long each wait may take, in seconds; None is no limit.

    Attributes:
        connect: host name, TCP, TLS and proxy together, for each attempt.
        first_event: silence before the first content. Reasoning models think for minutes before
            they speak; what the server sends meanwhile, pings and comments too, prolongs it.
        idle: between two reads. Anything the server sends counts, pings and comments too: they
            say that it is still at work.
        content: from the connection to the first content, and between two pieces of it, whatever
            pings come in between.
        total: from `stream()` to the end, all attempts and waits together.
    """

    connect: float | None = 10
    first_event: float | None = 300
    idle: float | None = 120
    content: float | None = 600
    total: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ConfigError(f"timeouts: {name} must be more than 0 seconds, or None")


_SENTENCE: Final = {
    "connect": "no connection to {host} within {limit:g} s (while waiting for: {at}); check the "
    "host name, the network and the server",
    "first_event": "{host} sent no content within {limit:g} s; the model may need longer "
    "(timeouts.first_event)",
    "idle": "{host} sent nothing for {limit:g} s; send the request again, or allow longer "
    "silences (timeouts.idle)",
    "content": "{host} sent {what} for {limit:g} s; send the request again, or allow longer "
    "(timeouts.content)",
    "total": "the request to {host} took longer than {limit:g} s (timeouts.total)",
}


# Seconds a limit is exceeded at most while what came before it is still being read: a peer that
# sends without end is never read to the end.
_GRACE: Final = 0.02


@lru_cache(maxsize=64)
def _shortest(limits: Timeouts) -> float:
    """The shortest of `limits` but the total, which has a timer of its own."""
    waits = (limits.connect, limits.first_event, limits.idle, limits.content)
    return min((wait for wait in waits if wait is not None), default=inf)


class Clock(Protocol):
    """What deadlines need of the driver: see `Driver`."""

    now: float

    def call_at(self, when: float, call: Callable[[], None]) -> Timer: ...
    def call_later(self, delay: float, call: Callable[[], None]) -> Timer: ...


class _OfEachRead:
    """What each read notes, before all else: see `Transfer`."""

    __slots__ = ("content_at", "heard_at")


class Deadlines(_OfEachRead):
    """The clock of one request. `expired` is called, with signals held, when a limit passes, and
    what the peer had sent until then was taken: `catch_up` says whether it was.

    A read only notes the time; the timer looks at the note when its own time comes, so that a
    stream of a thousand reads costs a thousand assignments and a handful of timers.

    Attributes:
        heard_at: when bytes came last that are no content (seconds of time.monotonic); the owner
            sets it.
        content_at: when content came last; the owner sets it.
    """

    __slots__ = (
        "_catch_up",
        "_clock",
        "_expired",
        "_limits",
        "_patience",
        "_phase",
        "_shortest",
        "_stopped",
        "_timer",
        "_total",
    )

    def __init__(
        self,
        clock: Clock,
        limits: Timeouts,
        expired: Callable[[Phase, float], None],
        catch_up: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._catch_up = catch_up
        self._expired = expired
        self._phase: Phase | None = None
        self._patience: float | None = None
        self._shortest = 0.0  # no limit that may count is shorter (seconds)
        self._stopped = False
        self.heard_at: float = 0.0
        self.content_at: float = 0.0
        self._timer: Timer | None = None
        self._total: Timer | None = None
        if limits.total is not None:
            self._total = clock.call_later(limits.total, self._total_passed)

    def connecting(self) -> None:
        """An attempt began."""
        self._patience = None
        shortest = self._shortest = _shortest(self._limits)
        if self._timer is not None or self._limits.connect != shortest:
            self._enter("connect", self._clock.now)
            return
        # As nearly always: the first attempt, and no limit is shorter than that of the connection.
        self._phase = "connect"
        now = self.heard_at = self.content_at = self._clock.now
        self._timer = self._clock.call_at(now + shortest, self._look)

    def waiting(self) -> None:
        """Connected; the first content is awaited."""
        self._enter("first_event", self._clock.now)

    def flowing(self) -> None:
        """The first content came, or reading goes on after a `rest`; nothing after `stop`."""
        if not self._stopped:
            # Not the time of the turn: the consumer that reading waited for may have taken minutes.
            self._enter("idle", monotonic())

    def hurry(self, seconds: float) -> None:
        """Only the end of this attempt is awaited: no longer silence than `seconds`, and nothing
        where a limit is shorter."""
        if self._patience is None:
            self._patience = seconds
            self._shortest = min(self._shortest, seconds)
            self._arm()

    def rest(self) -> None:
        """No attempt runs; only the total counts."""
        self._phase = None
        self._cancel()

    def stop(self) -> None:
        """The request is over."""
        self._stopped, self._phase = True, None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._total is not None:
            self._total.cancel()
            self._total = None

    def error(self, phase: Phase, limit: float, host: str, at: str) -> DeadlineError:
        """The error for `phase`; `at` is what a connection attempt was waiting for."""
        alive = self.heard_at > self.content_at
        what = "only signs of life and no content" if alive else "nothing"
        sentence = _SENTENCE[phase].format(host=host, limit=limit, at=at, what=what)
        return DeadlineError(sentence, phase=phase)

    def _enter(self, phase: Phase, now: float) -> None:
        self._phase = phase
        self.heard_at = self.content_at = now
        timer = self._timer
        if timer is None or timer.when > now + self._shortest or timer.call is None:
            self._arm()
        # Else it comes before any limit passes, and looks for itself then.

    def _arm(self) -> None:
        due = self._next()
        if due is None:
            self._cancel()
        elif self._timer is None or self._timer.call is None or due[0] < self._timer.when:
            self._cancel()
            self._timer = self._clock.call_at(due[0], self._look)

    def _next(self) -> tuple[float, Phase, float] | None:
        limits, phase = self._limits, self._phase
        if phase is None:
            return None
        if phase == "connect":
            limit = limits.connect
            return None if limit is None else (self.heard_at + limit, phase, limit)
        # Signs of life prolong it, as far as `content` goes.
        limit = limits.first_event if phase == "first_event" else limits.idle
        if self._patience is not None:
            limit = self._patience if limit is None else min(limit, self._patience)
        heard_at = max(self.heard_at, self.content_at)
        silence = None if limit is None else (heard_at + limit, phase, limit)
        limit = limits.content
        if limit is None:
            return silence
        content: tuple[float, Phase, float] = (self.content_at + limit, "content", limit)
        return content if silence is None else min(content, silence)

    def _look(self) -> None:
        due = self._next()
        if due is None:
            return
        when, phase, limit = due
        now = self._clock.now
        if when > now:
            self._timer = self._clock.call_at(when, self._look)
        elif not self._catch_up() and now < when + _GRACE:
            self._timer = self._clock.call_at(now, self._look)
        elif self._next() == due:  # else something came meanwhile
            self._expired(phase, limit)
        else:
            self._look()

    def _total_passed(self) -> None:
        limit, timer = self._limits.total, self._total
        if limit is None or timer is None:
            return
        now = self._clock.now
        if not self._catch_up() and now < timer.when + _GRACE:
            if not self._stopped:
                self._total = self._clock.call_at(timer.when, self._total_passed)
        elif not self._stopped:
            self._expired("total", limit)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
