"""Hosts on trial: whether a server keeps its connection after an answer, as it says it does.

One that closes right after an answer is met in the act by the next request, which is answered with
a reset, and a reset does not tell whether the request was read (llama.cpp's server announces
Keep-Alive and closes after each streamed answer). So the first connection of a host that comes to
rest is watched for a moment, and nothing is sent to the host meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from engine.transport.admission import Admission
from engine.transport.connections import Connections, Name
from engine.transport.peers import Peers
from engine.transport.timers import Timer

__all__ = ["Trials"]

# Seconds. A server closes some microseconds after its last byte; a busy one gets to it later.
_MOMENT: Final = 0.03


# Hosts on trial at a time; who never asks such a host again waits for no verdict.
_MOST: Final = 1000


class _Trial:
    __slots__ = ("framed", "host", "since", "timer")

    def __init__(self, host: str, framed: bool, since: float) -> None:
        self.host = host
        self.framed = framed
        self.since = since
        self.timer: Timer | None = None


class Trials:
    """Holds a host back until it is known whether it keeps its connections.

    Args:
        admission: where hosts are held.
        connections: what is known of each connection.
        peers: who is told the verdict.
        call_later: calls a function so many seconds from now.
    """

    __slots__ = ("_admission", "_call_later", "_connections", "_on_trial", "_peers")

    def __init__(
        self,
        admission: Admission,
        connections: Connections,
        peers: Peers,
        call_later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._admission = admission
        self._connections = connections
        self._peers = peers
        self._call_later = call_later
        self._on_trial: dict[Name, _Trial] = {}

    def answered(self, host: str, framed: bool, name: Name) -> None:
        """An answer of `host` came on the connection `name`, which may rest now.

        Args:
            framed: it said how long it was; a server may keep its connection after such an answer
                alone.
        """
        if self._admission.held(host):
            return
        alive = self._connections.alive(name)
        now = monotonic()
        if alive is False:
            self._peers.left(host, 0.0, now)
        elif alive:
            self._on_trial[name] = _Trial(host, framed, now)
            self._admission.hold(host, lambda: self._wanted(name))
            if len(self._on_trial) > _MOST:
                self.judge(next(iter(self._on_trial)))

    def judge(self, name: Name) -> None:
        """The moment is over for the connection `name`, or its server has closed it; nothing
        where it is not on trial."""
        trial = self._on_trial.pop(name, None)
        if trial is None:
            return
        if trial.timer is not None:
            trial.timer.cancel()
        alive, now = self._connections.alive(name), monotonic()
        if alive:
            self._peers.kept(trial.host, trial.framed)
        elif alive is False:
            self._peers.left(trial.host, now - trial.since, now)
        self._admission.let_go(trial.host)

    def _wanted(self, name: Name) -> None:
        trial = self._on_trial[name]
        left = trial.since + _MOMENT - monotonic()
        if left <= 0:
            self.judge(name)
        elif trial.timer is None:
            trial.timer = self._call_later(left, lambda: self.judge(name))
