"""How many HTTP/2 streams a connection carries, and the limit that refusals teach.

libcurl obeys a server's SETTINGS_MAX_CONCURRENT_STREAMS once it came, but gives a new connection as
many streams as it may before that, and shows nobody what the server said.
"""

from __future__ import annotations

from math import inf
from typing import Final

from engine.transport.connections import Name

__all__ = ["StreamLimits"]

# Connections remembered as answered on.
_MOST: Final = 1000
# Seconds for a place on a connection to come free, beyond which no more are given to a host that
# may have no other connection: one too many would wait inside libcurl, into the connect limit.
_SOON: Final = 1.0
# Generations between two raises at most.
_RAREST: Final = 32


class _Link:
    """A connection with streams on it.

    Attributes:
        alive: how many are on it now.
        peak: the most there were.
        refused: how many of them the server refused.
    """

    __slots__ = ("alive", "host", "peak", "refused")

    def __init__(self, host: str) -> None:
        self.host = host
        self.alive = self.peak = self.refused = 0


class _Limit:
    """What one host takes on a connection.

    Attributes:
        size: streams.
        step: what the next raise wins: one, and twice as many after each that went well.
        patience: generations until the next raise: one, and twice as many after each that was found
            to be too much.
        ended: streams that ended on full connections since it was changed.
        since: when that was.
    """

    __slots__ = ("ended", "patience", "since", "size", "step")

    def __init__(self) -> None:
        self.size = self.step = self.patience = 1
        self.ended = 0
        self.since = -inf


class StreamLimits:
    """What each host takes on one connection, as far as it was learned. Pure: time is an argument.

    Args:
        most: streams a connection that are asked for at all.
        bounded: the number of connections is.
    """

    __slots__ = ("_answered", "_bounded", "_limits", "_links", "_most")

    def __init__(self, most: int, bounded: bool = False) -> None:
        self._most = most
        self._bounded = bounded
        self._limits: dict[str, _Limit] = {}
        self._links: dict[Name, _Link] = {}
        # Where the server has said something, first of all how many streams it takes; and to whom.
        self._answered: dict[Name, str] = {}

    def began(self, name: Name, host: str) -> bool:
        """A stream is on the connection `name` to `host`; whether it is an early one, begun before
        the server can be known to have said how many it takes."""
        link = self._links.get(name)
        if link is None:
            link = self._links[name] = _Link(host)
        link.alive += 1
        link.peak = max(link.peak, link.alive)
        return name not in self._answered

    def answered(self, name: Name, host: str | None) -> None:
        """An answer came on the connection `name`, which is one of HTTP/2 to `host`; None: it is of
        HTTP/1.1, and may have the address of one that was not."""
        if host is None:
            self._answered.pop(name, None)
            return
        self._answered[name] = host
        if len(self._answered) > _MOST:
            del self._answered[next(iter(self._answered))]

    def shared(self, name: Name) -> bool:
        """Whether several streams were on the connection `name` at a time."""
        link = self._links.get(name)
        return link is not None and link.peak > 1

    def alone(self, name: Name, host: str) -> bool:
        """Whether no other connection to `host` than `name` has streams on it."""
        return not any(link.host == host for other, link in self._links.items() if other != name)

    def names(self, host: str) -> list[Name]:
        """The connections to `host` on which a stream was answered, those that are gone too."""
        return [name for name, whose in self._answered.items() if whose == host]

    def refused(self, name: Name, early: bool) -> bool:
        """The server refused a stream that is on `name`; whether a limit was learned by it: only
        where it began `early`. Later libcurl keeps to what the server said, and one that refuses
        all the same goes away (GOAWAY: nginx after keepalive_requests)."""
        link = self._links.get(name)
        if link is None or not early:
            return False
        link.refused += 1
        return self._lower(link.host, link.peak - link.refused)

    def told(self, host: str, limit: int) -> bool:
        """A server that is, or was, `host` takes `limit` streams on a connection, as libcurl found
        out; whether a limit was learned by it. Of a connection whose server has not said it yet
        libcurl tells the limit that is set for all, or was as it began."""
        return limit < self.least() and self._lower(host, limit)

    def ended(self, name: Name, now: float) -> bool:
        """A stream on `name` is over; whether a limit was raised: more are tried where as many have
        ended as a connection carries, it carried as many as it should, and none was refused."""
        link = self._links.get(name)
        if link is None:
            return False
        link.alive -= 1
        if not link.alive:
            del self._links[name]
        limit = self._limits.get(link.host)
        if limit is None or link.refused or link.peak < limit.size:
            return False
        if not limit.ended:
            limit.since = now
        limit.ended += 1
        if limit.ended < limit.size * limit.patience:
            return False
        if link.alive and self._bounded and now - limit.since > _SOON * limit.ended:
            return False
        link.peak = link.alive
        if limit.step > 1:
            limit.patience = max(limit.patience // 2, 1)
        limit.size, limit.step, limit.ended = limit.size + limit.step, 2 * limit.step, 0
        if limit.size >= self._most:
            del self._limits[link.host]
        return True

    def limit(self, host: str) -> int:
        """Streams that a connection to `host` may carry."""
        limit = self._limits.get(host)
        return self._most if limit is None else limit.size

    def least(self) -> int:
        """The least limit of all hosts: libcurl takes one for all."""
        return min((limit.size for limit in self._limits.values()), default=self._most)

    def _lower(self, host: str, size: int) -> bool:
        size = max(size, 1)
        if size >= self.limit(host):
            return False
        limit = self._limits.get(host)
        if limit is None:
            limit = self._limits[host] = _Limit()
        elif limit.step > 1:
            limit.patience = min(2 * limit.patience, _RAREST)
        limit.size, limit.step, limit.ended = size, 1, 0
        return True
