"""Which queued transfers start now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Final, Protocol

from engine.transport.streams import StreamLimits

__all__ = ["Admission", "Queued"]


# Begun at once on the first connection to a host behind TLS.
_FIRST_BURST: Final = 16
# Hosts that wait for their first connection: libcurl looks up ten names at a time.
_CROWD: Final = 6


class Queued(Protocol):
    """What admission needs to know of a transfer."""

    @property
    def host(self) -> str: ...
    @property
    def over(self) -> bool: ...


class _Host:
    __slots__ = ("active", "held", "known", "multiplexes", "name", "queue", "reached", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        # What is behind TLS may be HTTP/2, with a limit of streams that is not known yet.
        self.known = not name.startswith("https:")
        self.queue: deque[Queued] = deque()
        self.active = 0
        self.multiplexes = False
        self.reached = False
        self.held: Callable[[], None] | None = None
        self.waiting = False


class Admission:
    """The queue before libcurl, one a host, and the counts that limit it.

    Limits are connections; 0 is no limit. A host that was seen to speak HTTP/2 may have as many
    transfers a connection as `streams` says of it, another one. libcurl has limits of its own,
    but a transfer that waits inside it looks as if it were connecting, and would run into the
    connect deadline. Of a host behind TLS that is not `settle`d few begin: libcurl puts as many
    streams as it may on a new HTTP/2 connection before the server can say how many it takes.

    Attributes:
        streams: how many streams a connection to each host carries.
        active: transfers that were taken and not released.
        crowded: told of a host while many others wait for their first connection; whether it holds
            that host.
    """

    def __init__(
        self, max_connections: int, max_host_connections: int, streams_per_connection: int
    ) -> None:
        self._total_limit = max_connections
        self._host_limit = max_host_connections
        self.streams: StreamLimits = StreamLimits(streams_per_connection)
        self._hosts: dict[str, _Host] = {}
        self._waiting: deque[_Host] = deque()
        self.active: int = 0
        # Hosts with transfers that were taken, of which none got a connection yet.
        self._unreached = 0
        self.crowded: Callable[[str], bool] = lambda name: False

    def enqueue(self, transfer: Queued, *, ahead: bool = False) -> None:
        """Put `transfer` at the end of its host's queue; `ahead`: at its beginning."""
        host = self._hosts.get(transfer.host)
        if host is None:
            host = self._hosts[transfer.host] = _Host(transfer.host)
        if ahead:
            host.queue.appendleft(transfer)
        else:
            host.queue.append(transfer)
        if not host.waiting:
            self._wait(host)

    def release(self, transfer: Queued) -> None:
        """An attempt of `transfer` that was taken has ended."""
        self.active -= 1
        host = self._hosts[transfer.host]
        host.active -= 1
        if not host.active and not host.reached:
            self._unreached -= 1
        if host.queue:
            self._wait(host)
        else:
            self._forget(host)

    def reached(self, name: str) -> None:
        """A transfer to the host `name` has a connection."""
        host = self._hosts.get(name)
        if host is not None and not host.reached:
            host.reached = True
            if host.active:
                self._unreached -= 1

    def multiplexes(self, name: str) -> None:
        """The host `name` answered over HTTP/2."""
        host = self._hosts.get(name)
        if host is not None and not host.multiplexes:
            host.multiplexes = host.known = True
            if host.queue:
                self._wait(host)

    def speaks_http2(self, name: str) -> bool:
        """Whether the host `name` was seen to multiplex."""
        host = self._hosts.get(name)
        return host is not None and host.multiplexes

    def settled(self, name: str) -> bool:
        """Whether all of the host `name` may begin."""
        host = self._hosts.get(name)
        return host is None or host.known

    def settle(self, name: str) -> None:
        """A connection to `name` has stood for long enough to hear what its server allows."""
        host = self._hosts.get(name)
        if host is not None and not host.known:
            host.known = True
            if host.queue:
                self._wait(host)

    def hold(self, name: str, wanted: Callable[[], None]) -> None:
        """Let none of the host `name` begin, until `let_go`; `wanted` is called each time that one
        could."""
        host = self._hosts.get(name)
        if host is not None:
            host.held = wanted

    def held(self, name: str) -> bool:
        """Whether the host `name` is held."""
        host = self._hosts.get(name)
        return host is not None and host.held is not None

    def let_go(self, name: str) -> None:
        """Those of the host `name` may begin again."""
        host = self._hosts.get(name)
        if host is not None:
            host.held = None
            if host.queue:
                self._wait(host)
            else:
                self._forget(host)

    @property
    def waiting(self) -> bool:
        """Whether `take` may have something, as far as this queue's own limits go."""
        return bool(self._waiting) and not (self._total_limit and self._full())

    def take(self, most: int | None) -> Iterator[Queued]:
        """The transfers that start now, at most `most` (None: as many as the limits allow),
        hosts in turn. Each counts as active until its `release`."""
        left, waiting = inf if most is None else most, self._waiting
        while waiting and left > 0 and not (self._total_limit and self._full()):
            host = waiting.popleft()
            host.waiting = False
            usual = host.reached and host.known and host.held is None and not self._host_limit
            if not usual and self._kept_back(host):
                continue
            queue = host.queue
            while queue:
                transfer = queue.popleft()
                if not transfer.over:
                    if not (host.active or host.reached):
                        self._unreached += 1
                    host.active += 1
                    self.active += 1
                    left -= 1
                    if queue:
                        host.waiting = True
                        waiting.append(host)
                    yield transfer
                    break
            else:
                self._forget(host)

    def _kept_back(self, host: _Host) -> bool:
        """Whether none of `host` may begin now; it is back in the queue when one may."""
        if host.held is not None:
            host.held()
            return True  # until it is let go
        crowd = self._unreached >= _CROWD and not (host.active or host.reached)
        if crowd and self.crowded(host.name):
            return True  # the same
        if self._host_limit and self._connections(host) >= self._host_limit:
            return True  # until its next release
        # The same, or until it is settled.
        return not host.known and host.active >= _FIRST_BURST

    def _forget(self, host: _Host) -> None:
        """Drop a host of which nothing is known and nothing wanted."""
        if not host.active and not host.multiplexes and host.held is None:
            self._hosts.pop(host.name, None)

    def _wait(self, host: _Host) -> None:
        if not host.waiting:
            host.waiting = True
            self._waiting.append(host)

    def _connections(self, host: _Host) -> int:
        return host.active // self.streams.limit(host.name) if host.multiplexes else host.active

    def _full(self) -> bool:
        return sum(map(self._connections, self._hosts.values())) >= self._total_limit
