"""A server with room for a few, and who asks it, on a virtual clock: what a rule of pace costs."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["WAYS", "Asker", "Narrow", "ask"]


@dataclass(frozen=True)
class Narrow:
    """Answers `room` requests at once, each in `work` seconds, and refuses the others.

    Attributes:
        freed: seconds after its answer has come that a place is free.
        looks: seconds between two looks of who asks: answers wait for the next; 0.0: none.
    """

    room: int
    freed: float = 0.0
    looks: float = 0.0
    work: float = 0.02

    def least(self, requests: int) -> float:
        """Seconds that `requests` take where the next is there when a place is free, a look later
        at most."""
        return requests * (self.work + self.freed + self.looks) / self.room


# A place that is freed when the answer is written; a moment after who asks has it; and a machine
# whose callbacks are late.
WAYS = {
    "at once": (0.0, 0.0),
    "3 ms later": (0.003, 0.0),
    "10 ms later": (0.01, 0.0),
    "looked at late": (0.0, 0.03),
    "both late": (0.01, 0.03),
}


class Asker(Protocol):
    """A rule of pace."""

    def wait(self, now: float, in_flight: int) -> float | None:
        """As `Gate.wait`."""

    def answered(self, now: float, sent_at: float, in_flight: int) -> None:
        """One of `in_flight` was answered."""

    def refused(self, now: float, sent_at: float, in_flight: int, waiting: int) -> float:
        """One of `in_flight` was refused; when it is asked again."""


class _World:
    """What happens when."""

    def __init__(self, server: Narrow, asker: Asker, requests: int, begun: int) -> None:
        self.server, self.asker, self.begun = server, asker, begun
        self.now = 0.0
        self.waiting, self.left = requests, requests
        self.sent = self.in_flight = self.active = 0
        self.dice = random.Random(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def run(self) -> None:
        self.fill()
        while self.left:
            assert self._events, "nothing in flight, and nothing may go"
            self.now, _, happens = heapq.heappop(self._events)
            happens()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._number += 1
        # Nothing takes as long twice.
        when = self.now + seconds * self.dice.uniform(0.8, 1.2)
        heapq.heappush(self._events, (when, self._number, call))

    def fill(self) -> None:
        while self.waiting and self.in_flight < self.begun:
            wait = self.asker.wait(self.now, self.in_flight)
            if wait is None:
                return
            if wait > 0:
                self._number += 1
                heapq.heappush(self._events, (self.now + wait, self._number, self.fill))
                return
            self.waiting -= 1
            self.sent += 1
            self.in_flight += 1
            sent_at = self.now
            self.after(0.0005, lambda at=sent_at: self.arrive(at))  # type: ignore[misc]

    def arrive(self, sent_at: float) -> None:
        self.active += 1
        refused = self.active > self.server.room
        self.after(0.001 if refused else self.server.work, lambda: self.write(sent_at, refused))

    def write(self, sent_at: float, refused: bool) -> None:
        if self.server.freed:
            self.after(0.0005 + self.server.freed, self.free)
        else:
            self.free()
        looks = self.server.looks
        late = (math.floor(self.now / looks) + 1) * looks - self.now if looks else 0.0
        self.after(0.0005 + late, lambda: self.hear(sent_at, refused))

    def free(self) -> None:
        self.active -= 1

    def hear(self, sent_at: float, refused: bool) -> None:
        if refused:
            again = self.asker.refused(self.now, sent_at, self.in_flight, self.waiting)
            self.after(again - self.now, self.back)
        else:
            self.asker.answered(self.now, sent_at, self.in_flight)
            self.left -= 1
        self.in_flight -= 1
        self.fill()

    def back(self) -> None:
        self.waiting += 1
        self.fill()


def ask(server: Narrow, asker: Asker, requests: int, begun: int) -> tuple[float, int]:
    """Ask `server` until `requests` are answered, at most `begun` at once; seconds, and how many
    were sent."""
    world = _World(server, asker, requests, begun)
    world.run()
    return world.now, world.sent
