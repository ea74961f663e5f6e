"""How many HTTP/2 streams a connection carries, and the limit that refusals teach.

libcurl obeys a server's SETTINGS_MAX_CONCURRENT_STREAMS once it came, but gives a new connection as
many streams as it may before that, and shows nobody what the server said.
"""

from __future__ import annotations

from typing import Final

from engine.transport.connections import Name

__all__ = ["StreamLimits"]

# Connections remembered as answered on.
_MOST: Final = 1000


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


class StreamLimits:
    """What each host takes on one connection, as far as it was learned.

    Args:
        most: streams a connection that are asked for at all.
    """

    __slots__ = ("_answered", "_limits", "_links", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._limits: dict[str, int] = {}
        self._links: dict[Name, _Link] = {}
        # Where the server has said something, first of all how many streams it takes.
        self._answered: dict[Name, None] = {}

    def began(self, name: Name, host: str) -> bool:
        """A stream is on the connection `name` to `host`; whether it is an early one, begun before
        the server can be known to have said how many it takes."""
        link = self._links.get(name)
        if link is None:
            link = self._links[name] = _Link(host)
        link.alive += 1
        link.peak = max(link.peak, link.alive)
        return name not in self._answered

    def answered(self, name: Name) -> None:
        """A stream on `name` was answered."""
        self._answered[name] = None
        if len(self._answered) > _MOST:
            del self._answered[next(iter(self._answered))]

    def shared(self, name: Name) -> bool:
        """Whether several streams were on the connection `name` at a time."""
        link = self._links.get(name)
        return link is not None and link.peak > 1

    def refused(self, name: Name, early: bool) -> bool:
        """The server refused a stream that is on `name`; whether a limit was learned by it: only
        where it began `early`. Later libcurl keeps to what the server said, and one that refuses
        all the same goes away (GOAWAY: nginx after keepalive_requests)."""
        link = self._links.get(name)
        if link is None or not early:
            return False
        link.refused += 1
        limit = max(link.peak - link.refused, 1)
        if limit >= self.limit(link.host):
            return False
        self._limits[link.host] = limit
        return True

    def ended(self, name: Name) -> bool:
        """A stream on `name` is over; whether a limit was raised: one stream more is tried where a
        connection carried as many as it should and none was refused."""
        link = self._links.get(name)
        if link is None:
            return False
        link.alive -= 1
        if link.alive:
            return False
        del self._links[name]
        limit = self._limits.get(link.host)
        if limit is None or link.refused or link.peak < limit:
            return False
        if limit + 1 >= self._most:
            del self._limits[link.host]
        else:
            self._limits[link.host] = limit + 1
        return True

    def limit(self, host: str) -> int:
        """Streams that a connection to `host` may carry."""
        return self._limits.get(host, self._most)

    def least(self) -> int:
        """The least limit of all hosts: libcurl takes one for all."""
        return min(self._limits.values(), default=self._most)
