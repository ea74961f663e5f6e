"""How much CPU the longest turn of a `Multi` takes, garbage collections apart."""

from __future__ import annotations

import gc
import select
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

import engine

__all__ = ["Meter", "metered"]


class Meter:
    """Drives a `Multi` as a host loop does, with nothing but its descriptor and its timeout.

    Attributes:
        perform, info_read: seconds of CPU of the longest call of each.
    """

    def __init__(self, multi: engine.Multi) -> None:
        self.multi = multi
        self.perform = self.info_read = 0.0
        self._collecting = self._collected = 0.0

    def turn(self, wait: float = 0.05) -> None:
        """Wait until something is ready, at most so many seconds, and do it."""
        seconds = self.multi.timeout()
        select.select(*self.multi.fdset(), wait if seconds is None else min(seconds, wait))
        self.perform = max(self.perform, self._measured(self.multi.perform))
        self.info_read = max(self.info_read, self._measured(self.multi.info_read))

    def _measured(self, call: object) -> float:
        before, self._collected = thread_time(), 0.0
        call()  # type: ignore[operator]
        return thread_time() - before - self._collected

    def collecting(self, phase: str, _: object) -> None:
        """A callback of `gc`."""
        if phase == "start":
            self._collecting = thread_time()
        else:
            self._collected += thread_time() - self._collecting


@contextmanager
def metered(multi: engine.Multi) -> Iterator[Meter]:
    """A `Meter` for `multi`."""
    meter = Meter(multi)
    gc.callbacks.append(meter.collecting)
    try:
        yield meter
    finally:
        gc.callbacks.remove(meter.collecting)
