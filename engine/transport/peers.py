"""What is known of hosts whose connections die under the requests they are given, and of those that
do not want what they offer."""

from __future__ import annotations

from typing import Final

__all__ = ["Peers"]

# Deaths in a row, no request answered on a pooled connection in between, after which none is
# pooled. Once is what a server's restart does.
_PATIENCE: Final = 2
# Seconds at rest before which no server closes for want of use.
_AT_ONCE: Final = 1.0
# Seconds until it is tried again.
_A_WHILE: Final = 60.0
# The same for HTTP/2, where each request of the burst that tries it costs a round trip.
_OF_HTTP1: Final = 600.0
# Hosts remembered.
_MOST: Final = 1000


class Peers:
    """Hosts that close connections just as they are used again. Nothing tells such a close from
    the death of a request that was read, so these hosts are given a fresh connection each time, for
    a while. Pure: time is an argument.

    Attributes:
        deaths: of pooled connections in a row, by host.
        fresh_until: until when each host that wants it is given fresh connections.
        keepers: hosts, and whether the answers said how long they were, after which they kept the
            connection.
    """

    __slots__ = ("_http1_until", "deaths", "fresh_until", "keepers")

    def __init__(self) -> None:
        self.deaths: dict[str, int] = {}
        self.fresh_until: dict[str, float] = {}
        self._http1_until: dict[str, float] = {}
        self.keepers: dict[tuple[str, bool], None] = {}

    def kept(self, host: str, framed: bool) -> None:
        """`host` kept its connection after an answer that was `framed` so."""
        self.keepers[host, framed] = None
        if len(self.keepers) > _MOST:
            del self.keepers[next(iter(self.keepers))]

    def left(self, host: str, rested: float, now: float) -> None:
        """A pooled connection to `host` was found dead after so many seconds at rest: a server that
        closes after each answer is soon met in the act."""
        if rested < _AT_ONCE:
            self._forget(host)
            self.fresh_until[host] = now + _A_WHILE
            self._bound()

    def died(self, host: str, now: float) -> None:
        """A pooled connection to `host` looked alive and died under a request."""
        self._forget(host)
        deaths = self.deaths.pop(host, 0) + 1
        if deaths < _PATIENCE:
            self.deaths[host] = deaths
            if len(self.deaths) > _MOST:
                del self.deaths[next(iter(self.deaths))]
            return
        self.fresh_until[host] = now + _A_WHILE
        self._bound()

    def downgraded(self, host: str, now: float) -> None:
        """`host` wants HTTP/1.1 of who spoke HTTP/2 to it."""
        self._http1_until[host] = now + _OF_HTTP1
        if len(self._http1_until) > _MOST:
            del self._http1_until[next(iter(self._http1_until))]

    def wants_http1(self, host: str, now: float) -> bool:
        """Whether `host` is to be asked by HTTP/1.1 only."""
        return bool(self._http1_until) and _until(self._http1_until, host, now)

    def _forget(self, host: str) -> None:
        for framed in (False, True):
            self.keepers.pop((host, framed), None)

    def _bound(self) -> None:
        if len(self.fresh_until) > _MOST:
            del self.fresh_until[next(iter(self.fresh_until))]

    def lived(self, host: str) -> None:
        """A request was answered on a pooled connection to `host`."""
        if self.deaths:
            self.deaths.pop(host, None)

    def wants_fresh(self, host: str, now: float) -> bool:
        """Whether `host` is to be given a connection of its own for each request now."""
        return bool(self.fresh_until) and _until(self.fresh_until, host, now)


def _until(until: dict[str, float], host: str, now: float) -> bool:
    end = until.get(host)
    if end is None:
        return False
    if now < end:
        return True
    del until[host]
    return False
