"""A `Multi` in Twisted's reactor.

attach(client.multi)
client.stream(model, question, on_done=lambda completion: deferred.callback(completion))
reactor.run()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from engine.loops import host
from engine.loops.host import Attachment
from engine.transport.multi import Multi

__all__ = ["attach"]

_log = Logger("engine")
reactor: Any = _reactor


@implementer(IReadDescriptor)
class _Descriptor:
    """The one of the `Multi`. It never raises into the reactor, which would drop it."""

    def __init__(self, fd: int, call: Callable[[], None]) -> None:
        self._fd = fd
        self._call = call

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "engine"

    def doRead(self) -> None:
        try:
            self._call()
        except SystemExit:
            reactor.stop()

    def connectionLost(self, reason: object) -> None:
        pass  # the reactor ends


class _Delayed:
    def __init__(self, call: Any) -> None:
        self._call = call

    def cancel(self) -> None:
        try:
            self._call.cancel()
        except (AlreadyCalled, AlreadyCancelled):
            pass


class _TwistedHost:
    def __init__(self) -> None:
        self.loop = reactor
        self.closed = False
        self._descriptor: _Descriptor | None = None
        reactor.addSystemEventTrigger("after", "shutdown", self._over)

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        # By its name: not every platform can import it.
        if type(reactor).__name__ == "SelectReactor":
            fd = host.for_select(fd)
        self._descriptor = _Descriptor(fd, call)
        reactor.addReader(self._descriptor)

    def unwatch(self, fd: int) -> None:
        reactor.removeReader(self._descriptor)

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Delayed:
        return _Delayed(reactor.callLater(seconds, call))

    def failed(self, error: Exception) -> None:
        _log.error("a completion handler of an engine.Multi raised: {error!r}", error=error)

    def _over(self) -> None:
        self.closed = True


def attach(multi: Multi) -> Attachment:
    """Have the reactor drive `multi`.

    Raises:
        MisuseError: see `engine.loops.host.attach`.
    """
    return host.attach(multi, _TwistedHost())
