"""A `Multi` in gevent's hub, whether the standard library is patched or not.

    attach(client.multi)
    gevent.joinall([gevent.spawn(lambda: client.stream(model, question).result()) for …])

A greenlet makes the turns, so callbacks may use whatever greenlets may, and one that waits in
``result()``, or in a loop over a stream, lets the others run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import gevent.event

from engine.loops import host
from engine.loops.host import Attachment
from engine.transport.multi import Multi

__all__ = ["attach"]

_READ = 1  # libev's and libuv's, for `loop.io`


class _Sleeper:
    """A greenlet that calls something later."""

    def __init__(self, greenlet: gevent.Greenlet) -> None:
        self._greenlet = greenlet

    def cancel(self) -> None:
        if self._greenlet is not gevent.getcurrent():  # it is making the call already
            self._greenlet.kill(block=False)


class _GeventHost:
    event = staticmethod(gevent.event.Event)
    current = staticmethod(gevent.getcurrent)

    def __init__(self) -> None:
        self.loop = gevent.get_hub()
        self._watcher: Any = None

    @property
    def closed(self) -> bool:
        return self.loop.loop is None  # the hub was destroyed

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        watcher = self._watcher = self.loop.loop.io(fd, _READ)

        def work() -> None:
            try:
                while watcher is self._watcher:
                    self.loop.wait(watcher)
                    if watcher is self._watcher:
                        call()
            finally:
                watcher.close()

        self._worker = _Sleeper(gevent.spawn(work))

    def unwatch(self, fd: int) -> None:
        watcher, self._watcher = self._watcher, None
        self._worker.cancel()
        watcher.stop()  # now: the descriptor may be closed before the worker runs

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Sleeper:
        return _Sleeper(gevent.spawn_later(seconds, call))


def attach(multi: Multi) -> Attachment:
    """Have this thread's hub drive `multi`.

    Raises:
        MisuseError: see `engine.loops.host.attach`.
    """
    return host.attach(multi, _GeventHost())
