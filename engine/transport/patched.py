"""The standard library as it was before gevent or eventlet put their own in its place.

``monkey.patch_all()`` takes `select.epoll` away and makes threads into greenlets. What talks to
libcurl needs the real ones; what waits has to wait with theirs, so that the other greenlets run.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["original", "waits_are_shared"]


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
