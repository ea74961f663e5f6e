"""Items: what came, numbered, until it is folded into the history and whoever reads has it."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from engine.answering.contract import Callbacks, History, Reading, Step
from engine.answering.handover import Handover
from engine.transport.signals import SignalsHeld

__all__ = ["Items"]

E = TypeVar("E")

# Delivered events folded at a time, 72 bytes each until then.
_FOLD: Final = 8


class _OfEachEvent:
    """What each event touches, side by side: see `engine.transport.transfer`. The first half is
    the `Delivery`'s."""

    callbacks: Callbacks[Any, Any]

    __slots__ = (
        *("_due", "_quiet", "callbacks", "deliver_soon"),
        *("_fold_at", "_readers", "base", "counted", "queue"),
    )


class Items(_OfEachEvent, Generic[E]):
    """The items of a delivery, numbered from 0: events, and steps between them. Those before
    `cursor` are delivered. Delivered ones are folded into the history, so that a snapshot is what
    was seen; an item leaves the queue when it is folded and every reader has it.

    Args:
        history: where what was delivered goes.

    Attributes:
        base, queue: number of the first item in the queue, and the items from it on.
        counted: `cursor`, but for what was taken of a handover since it was counted last.
    """

    __slots__ = ("_folded", "_handover", "_history", "_joined", "_stepping")

    def __init__(self, history: History[E]) -> None:
        self._history = history
        self.queue: list[Any] = []
        self.base: int = 0
        self.counted: int = 0
        self._folded, self._fold_at = 0, _FOLD
        self._handover: Handover[E] | None = None
        self._stepping = False  # there was a step
        self._readers: list[Reading[E]] | None = None  # those that hold the source back
        self._joined: list[Reading[E]] | None = None  # those that were let go

    @property
    def cursor(self) -> int:
        """Number of the first item that is not delivered."""
        return max(self.counted, self._handover.position if self._handover is not None else 0)

    def drop(self) -> None:
        """Forget what is not delivered."""
        self.recall()
        del self.queue[self.counted - self.base :]

    def recall(self) -> None:
        """Have nothing more taken of a handover: what comes next is looked at anew."""
        self._quiet = False
        if self._handover is not None:
            self._handover.stop()
            self._count(self._handover)
            self._handover = None

    def changed(self) -> None:
        """There are other callbacks than before: what waits is theirs first, and no reader will
        ask for it."""
        self.recall()
        if self.counted - self.base < len(self.queue):
            self._wanted()

    def fold(self) -> None:
        """Put what was delivered into the history, each event once. Signals are held."""
        if self._handover is not None:
            self._count(self._handover)
        base, cursor = self.base, self.counted
        if self._folded < cursor:
            events = self._events(self._folded)
            self._history.extend(events)
            for reader in self._joined or ():
                assert reader.rest is not None
                reader.rest.extend(events)
            self._folded, self._fold_at = cursor, cursor + _FOLD
        if self._readers is not None:
            cursor = min(cursor, *(reader.position for reader in self._readers))
        if base < cursor:
            del self.queue[: cursor - base]
            self.base = cursor

    def fold_now(self) -> None:
        """`fold`, where signals are not held."""
        with SignalsHeld():
            self.fold()

    @property
    def _called(self) -> bool:  # callbacks take the events before readers do
        return self.callbacks.on_event is not None or self.callbacks.others is not None

    def _wanted(self) -> None:
        """Ask for what waits to be handed over."""
        raise NotImplementedError

    def _count(self, handover: Handover[E]) -> None:
        position = handover.position
        if position > self.counted:  # not where an interrupt left one that was counted
            if handover.reader is not None:
                handover.reader.position = position
            self.counted = position

    def _events(self, start: int) -> list[E]:
        """The delivered events from number `start` on."""
        items = self.queue[start - self.base : self.counted - self.base]
        return [item for item in items if type(item) is not Step] if self._stepping else items
