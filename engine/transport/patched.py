"""The standard library as it was before gevent or eventlet put their own in its place.

``monkey.patch_all()`` takes `select.epoll` away and makes threads into greenlets. What talks to
libcurl needs the real ones; what waits has to wait with theirs, so that the other greenlets run.
"""

from __future__ import annotations

import select
import sys
import time
from importlib import import_module
from typing import Any, Final

__all__ = ["original", "wait_with_others", "waits_are_shared"]

# Seconds between two looks of those that wait for what another already waits for.
_TURNS: Final = 0.05


def original(module: str, name: str) -> Any:
    """`name` of `module`, unpatched, whenever it was patched and whoever did it."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched(module):
        return gevent.get_original(module, name)
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.already_patched:
        return getattr(eventlet.original(module), name)
    return getattr(import_module(module), name)


def waits_are_shared() -> bool:
    """Whether `select.select` is a green one: the thread goes on with other greenlets meanwhile."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("select"):
        return True
    eventlet = sys.modules.get("eventlet.patcher")
    return eventlet is not None and bool(eventlet.is_monkey_patched("select"))


def wait_with_others(descriptor: Any, timeout: float | None) -> None:
    """Wait until `descriptor` is readable, or so many seconds; the other greenlets run."""
    try:
        select.select([descriptor], [], [], timeout)
    except RuntimeError:
        # eventlet lets one greenlet wait for a descriptor; those that share a client take turns.
        time.sleep(_TURNS if timeout is None else min(_TURNS, timeout))
    except ValueError:
        # gevent asks the real select() first, which takes no number of 1,024 or more.
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(None if timeout is None else timeout * 1000)
