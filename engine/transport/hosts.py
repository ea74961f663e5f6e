"""What is learned of hosts and the connections to them, and what follows from it for the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Final

import pycurl

from engine.transport.admission import Admission
from engine.transport.connections import Connections
from engine.transport.names import Names
from engine.transport.peers import Peers
from engine.transport.sending import HTTP2_STREAM, Sending
from engine.transport.sockets import Sockets
from engine.transport.timers import Timer
from engine.transport.trials import Trials
from engine.wire.headers import Head

__all__ = ["Hosts", "host_of"]

# Round trips from the connection until a server has said how many streams it takes, and what a
# busy one may take on top (seconds).
_ROUND_TRIPS: Final = 2
_BUSY: Final = 0.005
# Connections kept for reuse beyond those in use.
_SPARE_CONNECTIONS: Final = 32


class Hosts:
    """Learns from each attempt.

    Args:
        admission: where the limits of hosts are kept.
        sockets: libcurl's, and what is known of each.
        call_later: calls a function so many seconds from now.
        call_soon: calls a function in the next turn; may be called from any thread.
    """

    __slots__ = (
        "_admission",
        "_cache_size",
        "_curl",
        "_names",
        "_peers",
        "_settling",
        "_trials",
        "call_later",
        "connections",
    )

    def __init__(
        self,
        admission: Admission,
        sockets: Sockets,
        call_later: Callable[[float, Callable[[], None]], Timer],
        call_soon: Callable[[Callable[[], object]], None],
    ) -> None:
        self._admission = admission
        self._curl = sockets.curl
        self.call_later: Callable[[float, Callable[[], None]], Timer] = call_later
        self._peers = Peers()
        self._settling: set[str] = set()
        self._cache_size = 0
        self.connections: Connections = sockets.connections
        self._names = Names(admission, call_soon, call_later)
        admission.crowded = self._names.look_up
        self._trials = Trials(admission, self.connections, self._peers, call_later)
        sockets.left = self._trials.judge

    def send(self, host: str, easy: pycurl.Curl, fresh: bool) -> Sending:
        """An attempt on `easy` to `host` begins; `fresh`: not on a pooled connection."""
        if self._peers.fresh_until and self._peers.wants_fresh(host, monotonic()):
            fresh = True
            easy.setopt(pycurl.FORBID_REUSE, 1)
        sending = Sending(self.connections, self._admission.speaks_http2(host))
        if fresh:
            sending.apart = True
            easy.setopt(pycurl.FRESH_CONNECT, 1)
        if self._names.found and (line := self._names.line(host)) is not None:
            sending.apart = True
            easy.setopt(pycurl.RESOLVE, [line])
        if host.startswith("https:"):
            if self._peers.wants_http1(host, monotonic()):
                sending.apart = True
                easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
            # Until the head of the answer, or a connection of HTTP/1.1 that served before.
            easy.setopt(pycurl.DEBUGFUNCTION, sending.hear)
            easy.setopt(pycurl.VERBOSE, 1)
        return sending

    def connected(self, host: str, easy: pycurl.Curl, sending: Sending) -> None:
        """The attempt has its connection."""
        self._admission.reached(host)
        if not host.startswith("https:") or sending.name is None:
            return
        sending.counted = sending.name
        sending.early = self._admission.streams.began(sending.name, host)
        if sending.reused is not None and not self._admission.speaks_http2(host):
            easy.setopt(pycurl.VERBOSE, 0)
        if self._admission.settled(host) or host in self._settling:
            return
        self._settling.add(host)
        trip = easy.getinfo(pycurl.CONNECT_TIME) - easy.getinfo(pycurl.NAMELOOKUP_TIME)
        self.call_later(_ROUND_TRIPS * max(trip, 0.0) + _BUSY, lambda: self._settle(host))

    def failed(self, host: str, sending: Sending, code: int, os_errno: int = 0) -> None:
        """The attempt ended, and no head came: see `Sending.failed`."""
        sending.failed(code, os_errno)
        counted = sending.counted
        sending.shared = counted is not None and self._admission.streams.shared(counted)
        if sending.downgraded:
            self._peers.downgraded(host, monotonic())
        elif sending.refused:
            if counted is not None and self._admission.streams.refused(counted, sending.early):
                self._limit_streams()
        elif code == HTTP2_STREAM:
            pass  # the connection serves the others on
        elif sending.reused is not None and not sending.reused.dead:
            self._peers.died(host, monotonic())
        elif sending.reused is not None and not self._admission.speaks_http2(host):
            self._peers.left(host, sending.reused.rested, monotonic())

    def over(self, host: str, sending: Sending, head: Head | None) -> None:
        """The attempt is over; `head`: that of the answer, where it came."""
        if self._peers.deaths and head is not None and sending.reused is not None:
            self._peers.lived(host)
        counted, name = sending.counted, sending.name
        if counted is not None and self._admission.streams.ended(counted):
            self._limit_streams()
        if head is not None and name is not None:
            framed = "content-length" in head.headers
            if (host, framed) not in self._peers.keepers and not self._admission.speaks_http2(host):
                self._trials.answered(host, framed, name)

    def multiplexes(self, host: str, sending: Sending) -> None:
        """`host` answered the attempt over HTTP/2."""
        self._admission.multiplexes(host)
        if sending.name is not None:
            self._admission.streams.answered(sending.name)

    def fit_cache(self) -> None:
        """Let as many connections rest as the load may want."""
        needed = self._admission.active + _SPARE_CONNECTIONS
        if not needed <= self._cache_size <= 4 * needed:
            # libcurl closes a connection that comes free while more than this are open, so the
            # bound follows the load: reuse under load, no pile of descriptors after it.
            self._cache_size = 2 * needed
            self._curl.setopt(pycurl.M_MAXCONNECTS, self._cache_size)

    def _settle(self, host: str) -> None:
        self._settling.discard(host)
        self._admission.settle(host)

    def _limit_streams(self) -> None:
        # One number for all hosts: the least. After its SETTINGS came a connection has its own.
        self._curl.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, self._admission.streams.least())


@lru_cache(maxsize=256)  # mostly of one address
def host_of(url: str, unix_socket: str | None) -> str:
    """Scheme, host and port of `url`, and the unix socket where it goes to one."""
    scheme, _, rest = url.partition("//")
    host = f"{scheme}//{rest.partition('/')[0]}"
    return host if unix_socket is None else f"{host} at {unix_socket}"
