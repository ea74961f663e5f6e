"""Unfinished: what was begun and not told to be over, which is told as abandoned: when nobody holds
it any more, or when the process ends.

A finalizer may run on any thread, in the middle of anything, an exporter's lock held among it. So
it tells nothing: it appends a note to a deque, which takes no lock, and the next hook tells it.
"""

from __future__ import annotations

import atexit
import os
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

__all__ = ["Unfinished", "tell_dropped", "told_at_exit"]


class _Note:
    """What is told of one that is abandoned; it holds nothing of its owner's."""

    __slots__ = ("process", "tell", "when")

    def __init__(self, tell: Callable[[float], None]) -> None:
        self.tell = tell
        self.process = os.getpid()
        self.when: float | None = None


_open: Final[dict[int, _Note]] = {}
_dropped: Final[deque[_Note]] = deque()


class Unfinished:
    """Held by what was begun, and by nothing that outlives it.

    Args:
        tell: called with when it was abandoned (seconds of time.monotonic); it raises nothing, and
            does not hold what holds this.
    """

    __slots__ = ("__weakref__", "_note")

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._note: _Note | None = _Note(tell)
        _open[id(self._note)] = self._note

    def over(self) -> bool:
        """It is over: True for the one who is to tell of it, once."""
        note, self._note = self._note, None
        return note is not None and _is_to_be_told(note)

    def __del__(self, now: Callable[[], float] = monotonic) -> None:
        note = getattr(self, "_note", None)  # an interrupt may come before it is there
        if note is not None:
            note.when = now()
            _dropped.append(note)


def tell_dropped() -> None:
    """Tell of what nobody held any more."""
    while _dropped:
        try:
            note = _dropped.popleft()
        except IndexError:  # another thread told it
            return
        if _is_to_be_told(note):
            note.tell(note.when or monotonic())


def told_at_exit() -> None:
    """Have what is open when the process ends told before all that was registered until now is
    called: exporters are shut down there."""
    atexit.unregister(_tell_all)
    atexit.register(_tell_all)


def _tell_all() -> None:
    tell_dropped()
    for note in list(_open.values()):
        if _is_to_be_told(note):
            note.tell(monotonic())


def _is_to_be_told(note: _Note) -> bool:
    """Whether it is, by this process, and by nobody before: its parent tells what was its own."""
    return _open.pop(id(note), None) is note and note.process == os.getpid()


told_at_exit()
