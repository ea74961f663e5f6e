"""libcurl's multi handle, the sockets it wants watched, and its timer."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import pycurl

from engine.errors import ResourceError
from engine.transport.affinity import Affinity
from engine.transport.closing import close_curl_multi
from engine.transport.connections import Connections, Name
from engine.transport.options import MULTI_OPTIONS
from engine.transport.poller import IN, OUT, PEER_SPOKE, new_poller
from engine.transport.wakeup import Wakeup

__all__ = ["HEARTBEAT", "Sockets"]

# libcurl's own timers and wake-ups have been lost before (curl 8.10 endless still_running,
# curl#21960): while transfers run, perform() is wanted at least so often (seconds).
HEARTBEAT: Final = 1.0
# Seconds after a server closed a connection at rest until ours is closed too: libcurl looks for
# such at most once a second.
_DROP_AFTER: Final = 1.05
# libcurl asks for 0 ms again while a transfer goes through its first states.
_CURL_ROUNDS: Final = 8


class Sockets:
    """What a `Multi` waits for. Made, used and closed by one `Driver`; none of it calls user code.

    Attributes:
        connections: what is known of the sockets, also of those that rest.
        curl: libcurl's multi handle.
        masks: libcurl's mask for each value of the events in `ready`.
        wakeup: the descriptor that others can make readable.
        ready: sockets of the last poll that were not served yet, and their events.
        left: called when the server of a connection that rests has closed it, or has spoken.
        due: when libcurl wants to be called, ready or not (seconds of time.monotonic), or None.

    Raises:
        ResourceError: no descriptor is left.
    """

    __slots__ = (
        "_affinity",
        "_drop_at",
        "_heartbeat",
        "_left_at",
        "_poller",
        "_watched",
        "connections",
        "curl",
        "due",
        "left",
        "masks",
        "ready",
        "wakeup",
    )

    def __init__(self, limits: tuple[tuple[int, int], ...], affinity: Affinity) -> None:
        self._affinity = affinity
        self.ready: list[tuple[int, int]] = []
        self.due: float | None = None
        self._heartbeat = monotonic()
        self._watched: set[int] = set()
        self.connections: Connections = Connections()
        self._drop_at: float | None = None
        self._left_at = 0.0
        self.left: Callable[[Name], None] = lambda name: None
        opened: list[Callable[[], None]] = []
        try:
            self._poller = new_poller()
            self.masks: list[int] = self._poller.masks
            opened.append(self._poller.close)
            self.wakeup: Wakeup = Wakeup()
            opened.append(self.wakeup.close)
            self._poller.watch(self.wakeup.fileno(), IN)
            self.curl: pycurl.CurlMulti = pycurl.CurlMulti()
            curl = self.curl
            opened.append(curl.close)
            for option, value in (*MULTI_OPTIONS, *limits):
                curl.setopt(option, value)
            curl.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
            curl.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        except BaseException as error:
            for close in reversed(opened):
                close()
            if isinstance(error, OSError | pycurl.error):
                raise ResourceError(
                    "no file descriptor is left for the poller; raise the limit (ulimit -n)"
                ) from error
            raise

    def __len__(self) -> int:
        """Sockets libcurl wants watched."""
        return len(self._watched)

    def fdset(self) -> tuple[list[int], list[int], list[int]]:
        """Three lists for select()."""
        return self._poller.fdset()

    def fileno(self) -> int:
        """The one descriptor that stands for all."""
        return self._poller.fileno()

    def wait(self, seconds: float | None) -> None:
        """Block until something is ready, or so long; None: as long as it takes."""
        self._poller.poll(seconds)

    def look(self) -> None:
        """Fill `ready` with what is ready now; nothing while the last look is not served."""
        if not self.ready:
            self.ready = self._poller.poll(0)

    def read(self, fd: int) -> None:
        """Have libcurl read `fd` now, ready or not."""
        self.curl.socket_action(fd, IN)

    def next_time(self) -> float | None:
        """When `run_timer` is wanted, or None."""
        due, drop_at = self.due, self._drop_at
        return drop_at if due is None or (drop_at is not None and drop_at < due) else due

    def run_timer(self, stored: list[Any]) -> None:
        """Have libcurl do what its timer is due for, until bytes are `stored`: a transfer that has
        more to give waits until those were taken."""
        now = monotonic()
        if self._drop_at is not None and now >= self._drop_at:
            self._drop_left()
        if now - self._heartbeat > HEARTBEAT:
            self._heartbeat = self.due = now
        for _ in range(_CURL_ROUNDS):
            if stored or self.due is None or self.due > monotonic():
                break
            self.due = None
            self.curl.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def notice(self, fd: int, events: int) -> None:
        """What is ready is not for libcurl: the server of a connection that rests has closed it, or
        said something unasked."""
        name = self.connections.at_rest(fd)
        if name is not None:
            if events & ~PEER_SPOKE:
                self._poller.unwatch(fd)
            else:
                self._poller.rest(fd, spoken=True)
            if events & PEER_SPOKE:
                self.connections.spoke(name)
            self._left_at = monotonic()
            if self._drop_at is None:
                self._drop_at = self._left_at + _DROP_AFTER
            self.left(name)

    def _drop_left(self) -> None:
        """Have libcurl close the connections whose servers left. It looks through them when a
        request begins: this one goes nowhere."""
        again = self._left_at + _DROP_AFTER  # for those that left since this was due
        self._drop_at = again if again > monotonic() else None
        easy = pycurl.Curl()
        easy.setopt(pycurl.URL, "http://localhost/")
        easy.setopt(pycurl.UNIX_SOCKET_PATH, "/dev/null/none")
        easy.setopt(pycurl.NOSIGNAL, 1)
        self.curl.add_handle(easy)
        self.curl.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self.curl.remove_handle(easy)
        easy.close()

    def close(self) -> None:
        """Free everything; no easy handle may be left."""
        close_curl_multi(self.curl)
        self._poller.close()
        self.wakeup.close()

    # -- inside libcurl: store, nothing else ---------------------------------------------------

    def _on_socket(self, what: int, fd: int, *_: object) -> None:
        if self._affinity.forked:
            return  # the poller is shared with the parent, whose sockets these are
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            if self.connections.rests(fd):
                self._poller.rest(fd)
            else:
                self._poller.unwatch(fd)
        else:
            self._watched.add(fd)
            self._poller.watch(fd, what & (IN | OUT))
            self.connections.used(fd)

    def _on_timer(self, timeout_ms: int) -> None:
        self.due = None if timeout_ms < 0 else monotonic() + timeout_ms / 1000
