"""The poller a `Multi` owns: one descriptor that any select() can wait for.

epoll (Linux) and kqueue (BSD, macOS) instances are descriptors themselves and turn readable when
something in them is ready, so a host loop watches one small number however many streams are open.
"""

from __future__ import annotations

import select
import sys
from typing import Final, Protocol

from engine.errors import ResourceError
from engine.transport.patched import original, wait_with_others, waits_are_shared

__all__ = ["FD_SETSIZE", "IN", "OUT", "PEER_LEFT", "PEER_SPOKE", "Poller", "new_poller"]

# libcurl's CURL_CSELECT_* (what is ready) and CURL_POLL_* (what to wait for) agree in these two.
IN: Final = 1
OUT: Final = 2
_ERR: Final = 4

_SAME: Final = list(range(64))

# Beyond libcurl's bits, of connections at rest: EPOLLRDNORM and EPOLLRDHUP of linux/eventpoll.h.
PEER_SPOKE: Final = 0x40
PEER_LEFT: Final = 0x2000

# One wait takes at most so many; the next turn takes the rest, since readiness is level triggered.
BATCH: Final = 1024


class Poller(Protocol):
    """What `Multi` needs of a poller. `watch` and `unwatch` never raise for a stale descriptor:
    libcurl may have closed it before it says so. `rest` watches for what the peer of a connection
    that nobody reads does, which `poll` tells by events of `PEER_SPOKE` or more; `spoken`: for its
    end alone (`PEER_LEFT`), since it has spoken. Where the platform cannot, as `unwatch` does.

    Attributes:
        masks: libcurl's mask for each value of the events that `poll` returns; `IN` for `IN`.
    """

    masks: list[int]

    def watch(self, fd: int, mask: int) -> None: ...
    def unwatch(self, fd: int) -> None: ...
    def rest(self, fd: int, spoken: bool = False) -> None: ...
    def poll(self, timeout: float | None) -> list[tuple[int, int]]: ...
    def fileno(self) -> int: ...
    def fdset(self) -> tuple[list[int], list[int], list[int]]: ...
    def close(self) -> None: ...


def new_poller() -> Poller:
    """The best poller of this platform."""
    if sys.platform == "linux":
        return EpollPoller()
    elif sys.platform != "win32":
        return KqueuePoller()
    else:
        return SelectPoller()


# What a descriptor of select() must be less than; Windows counts differently.
FD_SETSIZE: Final = 1024


def _for_select(fd: int) -> tuple[list[int], list[int], list[int]]:
    if fd >= FD_SETSIZE:
        raise ResourceError(
            f"the descriptor of this Multi is {fd}, and select() takes none of {FD_SETSIZE} or "
            "more; wait with select.poll() or select.epoll() for fileno(), or make the Multi "
            "before so many files are open"
        )
    return [fd], [], []


if sys.platform == "linux":
    _CURL_MASK = [
        (IN if events & (select.EPOLLIN | select.EPOLLHUP) else 0)
        | (OUT if events & select.EPOLLOUT else 0)
        | (_ERR if events & select.EPOLLERR else 0)
        for events in range(64)
    ]
    _EPOLL_MASK = [0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT]

    class EpollPoller:
        """epoll(7)."""

        masks = _CURL_MASK

        def __init__(self) -> None:
            self._epoll: select.epoll = original("select", "epoll")()
            # Those it has, unless they were closed since: a connection is taken from rest once a
            # request, and to be refused by `register` costs twice what the change does.
            self._known: set[int] = set()

        def watch(self, fd: int, mask: int) -> None:
            events = _EPOLL_MASK[mask]
            try:
                if fd in self._known:
                    try:
                        self._epoll.modify(fd, events)
                        return
                    except FileNotFoundError:
                        pass  # closed, and the number is another one's now
                self._known.add(fd)
                self._epoll.register(fd, events)
            except FileExistsError:
                self._epoll.modify(fd, events)
            except OSError:
                pass

        def unwatch(self, fd: int) -> None:
            self._known.discard(fd)
            try:
                self._epoll.unregister(fd)
            except OSError:
                pass  # closed already: the kernel took it out

        def rest(self, fd: int, spoken: bool = False) -> None:
            try:
                self._epoll.modify(fd, PEER_LEFT if spoken else PEER_LEFT | PEER_SPOKE)
            except OSError:
                pass

        def poll(self, timeout: float | None) -> list[tuple[int, int]]:
            if timeout != 0 and waits_are_shared():
                wait_with_others(self._epoll, timeout)
                timeout = 0
            return self._epoll.poll(timeout, BATCH)

        def fileno(self) -> int:
            return self._epoll.fileno()

        def fdset(self) -> tuple[list[int], list[int], list[int]]:
            return _for_select(self._epoll.fileno())

        def close(self) -> None:
            self._epoll.close()


if sys.platform != "linux" and sys.platform != "win32":

    class KqueuePoller:
        """kqueue(2). Not tried on a real BSD or macOS yet."""

        masks = _SAME

        def __init__(self) -> None:
            self._kqueue: select.kqueue = original("select", "kqueue")()
            self._kevent: type[select.kevent] = original("select", "kevent")
            self._masks: dict[int, int] = {}

        def watch(self, fd: int, mask: int) -> None:
            before = self._masks.get(fd, 0)
            self._masks[fd] = mask
            self._change(fd, before, mask)

        def unwatch(self, fd: int) -> None:
            self._change(fd, self._masks.pop(fd, 0), 0)

        def rest(self, fd: int, spoken: bool = False) -> None:
            self.unwatch(fd)

        def _change(self, fd: int, before: int, after: int) -> None:
            for bit, kind in ((IN, select.KQ_FILTER_READ), (OUT, select.KQ_FILTER_WRITE)):
                if (before ^ after) & bit:
                    flags = select.KQ_EV_ADD if after & bit else select.KQ_EV_DELETE
                    try:
                        self._kqueue.control([self._kevent(fd, kind, flags)], 0)
                    except OSError:
                        pass

        def poll(self, timeout: float | None) -> list[tuple[int, int]]:
            if timeout != 0 and waits_are_shared():
                wait_with_others(self._kqueue, timeout)
                timeout = 0
            events = self._kqueue.control(None, BATCH, timeout)
            return [
                (int(event.ident), IN if event.filter == select.KQ_FILTER_READ else OUT)
                for event in events
            ]

        def fileno(self) -> int:
            return self._kqueue.fileno()

        def fdset(self) -> tuple[list[int], list[int], list[int]]:
            return _for_select(self._kqueue.fileno())

        def close(self) -> None:
            self._kqueue.close()


class SelectPoller:
    """select(2), for platforms without a descriptor of descriptors (Windows)."""

    masks = _SAME

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}

    def watch(self, fd: int, mask: int) -> None:
        self._masks[fd] = mask

    def unwatch(self, fd: int) -> None:
        self._masks.pop(fd, None)

    def rest(self, fd: int, spoken: bool = False) -> None:
        self.unwatch(fd)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        readable, writable, failed = select.select(*self.fdset(), timeout)
        ready: dict[int, int] = {}
        for fds, bit in ((readable, IN), (writable, OUT), (failed, _ERR)):
            for fd in fds:
                ready[fd] = ready.get(fd, 0) | bit
        return list(ready.items())

    def fileno(self) -> int:
        raise ResourceError(
            "this platform has no descriptor that stands for all sockets; "
            "use fdset(), or call perform() from a timer"
        )

    def fdset(self) -> tuple[list[int], list[int], list[int]]:
        if sys.platform != "win32" and max(self._masks, default=0) >= FD_SETSIZE:
            raise ResourceError(
                f"a socket has a number of {FD_SETSIZE} or more, which select() cannot "
                "wait for; open fewer files or connections (max_connections=)"
            )
        rlist = [fd for fd, mask in self._masks.items() if mask & IN]
        wlist = [fd for fd, mask in self._masks.items() if mask & OUT]
        return rlist, wlist, list(self._masks)

    def close(self) -> None:
        self._masks.clear()
