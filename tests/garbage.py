"""What waits for the garbage collector, since it is in a cycle."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def left_in_cycles(ours: Callable[[object], bool]) -> Iterator[Counter[str]]:
    """Counts, by type, what of `ours` the block leaves in cycles; filled at its end."""
    left = Counter[str]()
    gc.collect()
    gc.disable()
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left.update(type(thing).__qualname__ for thing in gc.garbage if ours(thing))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
