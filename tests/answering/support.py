"""A delivery without a socket: a `Multi` that only notes what it is asked, and what readers got."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from engine import events
from engine.answering.accumulate import Accumulator
from engine.answering.delivery import Delivery
from engine.answering.reader import Place


class FakeMulti:
    """What a delivery asks of a `Multi`."""

    running: str | None = None
    forked = False
    at_rest = True

    def __init__(self) -> None:
        self._driver = self  # of which a delivery asks the rest
        self.deliverable: deque[Any] = deque()
        self.deliver_soon = self.deliverable.append
        self.texts: dict[Any, list[str]] | None = None
        self.over: list[Any] = []
        self.soon: list[Callable[[], object]] = []

    def wake(self) -> None:
        pass

    def finished(self, work: Any) -> None:
        self.over.append(work)

    def call_soon(self, call: Callable[[], object]) -> None:
        self.soon.append(call)

    def turn(self) -> None:
        """As `perform` and `info_read` do."""
        while self.soon:
            self.soon.pop(0)()
        while self.deliverable:
            if (work := self.deliverable[0]).deliver():
                self.deliverable.append(work)
            self.deliverable.popleft()
        while self.over:
            work = self.over.pop(0)
            work.conclude()
            while work.announce():
                pass


class FakeSource:
    """Notes what a delivery asks of its source."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.delivery: Any = None

    def cancel(self) -> None:
        self.asked.append("cancel")
        self.delivery.drop()
        self.delivery.finish()

    def failed(self, error: Exception) -> None:
        self.asked.append(f"failed: {error}")

    def interrupted(self) -> None:
        self.asked.append("interrupted")

    def hold_back(self, why: str) -> None:
        self.asked.append(f"hold back: {why}")

    def go_on(self, why: str) -> None:
        self.asked.append(f"go on: {why}")

    def conclude(self) -> str:
        return "the end"


class FakeCallbacks:
    """None, unless they are set."""

    def __init__(self) -> None:
        self.face = "face"
        self.on_event: Callable[..., object] | None = None
        self.others: Callable[[Any], None] | None = None
        self.ends: list[Callable[[], object]] = []
        self.take_events = False

    def announce(self, completion: object) -> bool:
        if not self.ends:
            return False
        self.ends.pop(0)()
        return True


class Fixture:
    """A delivery and all that it stands between."""

    def __init__(self, max_unread_bytes: int = 1 << 20, history: Any = None) -> None:
        self.multi, self.source, self.callbacks = FakeMulti(), FakeSource(), FakeCallbacks()
        self.history = history or Accumulator()
        multi: Any = self.multi
        self.delivery: Delivery[Any, str] = Delivery(
            multi, self.source, self.callbacks, self.history, max_unread_bytes
        )
        self.source.delivery = self.delivery

    def place(self, **options: Any) -> Place[Any]:
        place = Place(self.delivery, **options)
        place.begin()
        return place


def drained(place: Place[Any]) -> list[Any]:
    """All that can be taken."""
    got = []
    while (event := place.take()) is not None:
        got.append(event)
    return got


_PIECE = {
    events.TextDelta: "text",
    events.ThinkingDelta: "text",
    events.RefusalDelta: "text",
    events.ToolCallDelta: "arguments",
    events.SignatureDelta: "signature",
}


def concatenated(told: Iterable[events.Event]) -> dict[Any, Any]:
    """What was told, by kind and block, joined; what a restart voided is not in it."""
    joined: dict[Any, Any] = {}
    started = False
    for event in told:
        kind = type(event)
        if kind is events.Ping:
            continue
        if kind is events.Start and started:
            joined = {key: value for key, value in joined.items() if key[1] is None}
        started = started or kind is events.Start
        if kind in (events.Start, events.UsageUpdate):
            joined[kind, None] = event
            continue
        scope = getattr(event, "choice", None)
        key = (kind, None if scope is None else (scope, event.index))
        if kind in _PIECE:
            joined[key] = joined.get(key, "") + getattr(event, _PIECE[kind])
        elif kind is events.AudioDelta:
            data, words = joined.get(key, ("", ""))
            joined[key] = (data + event.data, words + event.transcript)  # type: ignore[union-attr]
        else:
            joined[key] = [*joined.get(key, ()), event]
    return {key: value for key, value in joined.items() if value not in ("", ("", ""))}
