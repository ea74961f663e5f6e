"""Recap: what a reader who begins late is told of what came before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from engine.events import (
    AudioDelta,
    Done,
    Event,
    Ping,
    RefusalDelta,
    Restarted,
    RetryScheduled,
    SignatureDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Unknown,
    UsageUpdate,
)

__all__ = ["Recap", "way_of_keeping"]

PIECES: Final = (TextDelta, ThinkingDelta, RefusalDelta, ToolCallDelta, SignatureDelta, AudioDelta)
"""Events that are joined, by whoever accumulates them; a recap keeps the others."""

# Bytes of events of an unknown kind that are kept.
_MAX_UNKNOWN_BYTES = 1 << 20

Key = tuple[int, int]  # choice and index of a block


class Recap:
    """Keeps the events that are no pieces, and puts the joined pieces among them.

    Args:
        started: the answer had begun before: another `Start` voids what is kept.
    """

    __slots__ = ("_by_block", "_ending", "_others", "_room", "_start", "_started", "_unknown",
                 "_untold", "_usage")  # fmt: skip

    def __init__(self, started: bool = False) -> None:
        self._started = started
        self._start: Event | None = None
        self._usage: Event | None = None
        self._ending: Event | None = None
        # Made when there is something for them.
        self._by_block: dict[Key, list[Event]] | None = None
        self._others: list[Event] | None = None
        self._unknown: list[Event] | None = None
        self._room = _MAX_UNKNOWN_BYTES
        self._untold = 0

    def events(self, pieces: Mapping[Key, Iterable[Event]]) -> list[Event]:
        """Everything, in order of the blocks' first appearance; `pieces` are the joined ones."""
        told: list[Event] = [*(self._others or ())]
        if self._start is not None:
            told.append(self._start)
        by_block = self._by_block or {}
        for key in dict.fromkeys((*pieces, *by_block)):
            told += sorted((*pieces.get(key, ()), *by_block.get(key, ())), key=_rank)
        told += self._unknown or ()
        if self._untold:
            told.append(Unknown("left out", {"events": self._untold}))
        told += filter(None, (self._usage, self._ending))
        return told

    def _keep_start(self, event: Event) -> None:
        if self._started:
            self._by_block = None  # what came before is void
        self._started = True
        self._start = event

    def _keep_usage(self, event: Event) -> None:
        self._usage = event

    def _keep_ending(self, event: Event) -> None:
        self._ending = event

    def _keep_restart(self, event: Event) -> None:
        self._start = self._usage = self._by_block = self._unknown = None
        self._keep_other(event)

    def _keep_other(self, event: Event) -> None:
        self._others = [*(self._others or ()), event]

    def _keep_for_block(self, event: Any) -> None:
        if self._by_block is None:
            self._by_block = {}
        key = (getattr(event, "choice", 0), event.index)
        self._by_block.setdefault(key, []).append(event)

    def _keep_unknown(self, event: Unknown) -> None:
        self._room -= len(msgspec.json.encode(event.data))
        if self._room < 0:
            self._untold += 1
        else:
            self._unknown = [*(self._unknown or ()), event]


def _rank(event: Event) -> int:
    """Where in its block it stands: what opens it, its pieces, what is said of them, what ends
    it."""
    name = type(event).__name__
    if name.endswith("Start"):
        return 0
    if name.endswith("Done"):
        return 4
    if isinstance(event, SignatureDelta):
        return 3
    return 1 if isinstance(event, PIECES) else 2


def way_of_keeping(kind: type[Any]) -> Callable[[Recap, Any], None] | None:
    """How an event of that kind is kept; None: not at all."""
    return _KEPT.get(kind, Recap._keep_for_block)


# Those that belong to a block are the others.
_KEPT: Final[dict[type[Any], Callable[[Recap, Any], None] | None]] = {
    **dict.fromkeys(PIECES),
    Start: Recap._keep_start,
    UsageUpdate: Recap._keep_usage,
    Done: Recap._keep_ending,
    StreamError: Recap._keep_ending,
    Unknown: Recap._keep_unknown,
    Ping: None,
    Restarted: Recap._keep_restart,
    RetryScheduled: Recap._keep_other,
}
