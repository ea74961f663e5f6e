"""Handover: events on their way to the one who takes them, counted only when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from operator import length_hint
from typing import Any, Generic, TypeVar

from engine.answering.contract import Reading

__all__ = ["Handover"]

E = TypeVar("E")


class Handover(Generic[E]):
    """A run of events that callbacks, or one reader, take from an iterator: an event then costs the
    step of a list's iterator, and how many were taken is what that has left. One that is taken is
    handed over, before whoever takes it does anything with it.

    Args:
        items: the events, in a list of their own; for callbacks, steps may be among them.
        start: number of the first of them.
        reader: who takes them; None: callbacks.

    Attributes:
        rest: gives those that were not taken yet; no more after `stop`.
        reader: as given.
    """

    __slots__ = ("_items", "_start", "reader", "rest")

    def __init__(self, items: list[Any], start: int, reader: Reading[E] | None = None) -> None:
        self._items, self._start = items, start
        self.rest: Iterator[Any] = iter(items)
        self.reader: Reading[E] | None = reader

    @property
    def position(self) -> int:
        """Number of the first event that was not taken."""
        return self._start + len(self._items) - length_hint(self.rest)

    def stop(self) -> None:
        """Have nothing more taken."""
        # In one step, before and after which `position` is the same, whatever comes between.
        del self._items[len(self._items) - length_hint(self.rest) :]
