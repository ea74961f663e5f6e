"""What is known of libcurl's connections, by their local address: libcurl itself tells nothing.

A server closes connections that rest, and libcurl notices at most once a second. A request that is
given a dead one is lost, and nobody can tell whether the server read it. So the socket is looked at
before the request goes out, and again when it has failed.
"""

from __future__ import annotations

import socket
import sys
from _socket import socket as RawSocket  # the class in C: socket.socket costs twice the time
from collections.abc import Sequence
from struct import Struct
from time import monotonic
from typing import Final

import msgspec

__all__ = ["Connections", "Name", "Reused"]

Name = tuple[str, int]
"""Local address and port of a connection."""


# Connections remembered beyond those that there are.
_MOST_ENDS: Final = 256


class Reused(msgspec.Struct, frozen=True, gc=False):
    """A connection that had served before, as a request is given it.

    Attributes:
        dead: the peer had closed it, or said something unasked, which the request would take for
            its answer.
        acknowledged: bytes the peer had acknowledged; None: the platform does not tell.
        rested: seconds since its last request ended.
    """

    dead: bool
    acknowledged: int | None
    rested: float = 0.0


_Look = tuple[Name, int, int]  # state of the connection, and bytes the peer has acknowledged


# States of linux/include/net/tcp_states.h, and where tcp_info has them (linux/tcp.h).
_ESTABLISHED: Final = 1
# The peer has said that it is done, in order and not by a reset: CLOSE_WAIT, and what may follow.
_CLOSED_IN_ORDER: Final = frozenset({8, 9})
_BYTES_ACKED: Final = 120
_number_in: Final = Struct("Q").unpack_from
_FAMILY, _STREAM, _TCP = int(socket.AF_INET6), int(socket.SOCK_STREAM), int(socket.IPPROTO_TCP)
_NOT_LENT: Final[tuple[Name, Sequence[bytes]]] = ("", 0), ()
_TCP_INFO: Final = socket.TCP_INFO if sys.platform == "linux" else None


class Connections:
    """The connections of one `Multi`. `rests`, `used` and `given` are called inside libcurl."""

    __slots__ = ("_dead", "_ends", "_lent", "_names", "_no_sockets", "_seen", "_spoke")

    def __init__(self) -> None:
        # Those at rest, unless libcurl has closed them since: it does not say.
        self._seen: dict[Name, tuple[int, float]] = {}
        # As they were when libcurl first took its eyes off them after the last request was given
        # to them. It may look again: its own good-bye makes the peer hang up as well.
        self._ends: dict[Name, _Look] = {}
        self._names: dict[int, Name] = {}
        # Which connection a descriptor was found to be when it was given to a request, and what was
        # heard in answer since.
        self._lent: dict[int, tuple[Name, Sequence[bytes]]] = {}
        # libcurl's wake-up descriptor, which it watches anew with each transfer. Also those of its
        # look-ups, and unix sockets, whose numbers come to be those of connections.
        self._no_sockets: set[int] = set()
        # Those found dead that several requests of HTTP/2 may have been given.
        self._dead: set[Name] = set()
        self._spoke: set[Name] = set()

    @property
    def resting(self) -> int:
        """How many rest, or were closed by libcurl since."""
        return len(self._names)

    def rests(self, fd: int) -> bool:
        """libcurl stops to watch `fd`, which is still open; whether it is a connection."""
        if fd in self._no_sockets:
            return False
        name, heard = self._lent.pop(fd, _NOT_LENT)
        look = None
        if not heard:  # else it was read, and nobody will ask how far it got: three calls in vain
            look = _look(fd)
            if look is None:
                self._no_sockets.add(fd)
                return False
            name = look[0]
        self._seen[name] = (fd, monotonic())
        self._names[fd] = name
        if look is not None:
            self._note_end(name, look)
        if self._dead or self._spoke:
            self._dead.discard(name)
            self._spoke.discard(name)
        return True

    def _note_end(self, name: Name, look: _Look) -> None:
        self._ends.setdefault(name, look)
        if len(self._ends) > 2 * len(self._names) + _MOST_ENDS:
            self._ends = {name: end for name, end in self._ends.items() if name in self._seen}

    def used(self, fd: int) -> None:
        """libcurl watches `fd`."""
        name = self._names.pop(fd, None)
        if name is not None:
            self._seen.pop(name, None)
        if self._lent.get(fd, _NOT_LENT)[1]:
            # An answer that came before libcurl ever watched for it. If it was the last one of its
            # connection, the number may be that of another.
            del self._lent[fd]

    def given(
        self, name: Name, heard: Sequence[bytes] = (), multiplexed: bool = False
    ) -> Reused | None:
        """A request is about to go out on the connection `name`; None: a new one, or one that
        other requests are on, too. What it hears in answer comes to be in `heard`.

        Args:
            multiplexed: it is one of HTTP/2, whose servers may say things unasked.
        """
        self._ends.pop(name, None)
        if name in self._dead:
            return Reused(True, None)
        seen = self._seen.get(name)
        if seen is None:
            self._no_sockets.clear()  # a new one may have the number of what was none
            return None
        fd, since = seen
        look = _look(fd)
        if look is None or look[0] != name:
            # libcurl closes what rests without a word, and the number is somebody else's now.
            del self._seen[name]
            return None
        self._lent[fd] = name, heard
        _, state, acknowledged = look
        dead = state != _ESTABLISHED or (not multiplexed and name in self._spoke)
        return Reused(dead, acknowledged, monotonic() - since)

    def alive(self, name: Name) -> bool | None:
        """Whether the peer keeps the connection `name`, which rests, and keeps silent; None: it
        does not rest."""
        seen = self._seen.get(name)
        look = None if seen is None else _look(seen[0])
        if look is None or look[0] != name:
            return None
        return look[1] == _ESTABLISHED and name not in self._spoke

    def at_rest(self, fd: int) -> Name | None:
        """The connection whose descriptor is `fd`, where libcurl does not watch it."""
        return self._names.get(fd)

    def spoke(self, name: Name) -> None:
        """The peer said something on `name` while it rested: a 408 for asking nothing, an answer
        beyond those asked for, the alert of TLS that it closes."""
        self._spoke.add(name)
        if len(self._spoke) > 2 * len(self._names) + _MOST_ENDS:
            self._spoke &= self._seen.keys()

    def died(self, name: Name) -> None:
        """`name` was found dead, and libcurl will give it to other requests as well."""
        self._dead.add(name)

    def unread(self, name: Name, before: Reused) -> bool:
        """Whether the peer had closed `name`, in order, before any of the request that it was
        given `before` reached it. A reset proves nothing: an acknowledgement may be lost to it."""
        end = self._ends.get(name)
        if end is None or before.acknowledged is None:
            return False
        _, state, acknowledged = end
        return state in _CLOSED_IN_ORDER and acknowledged == before.acknowledged


def _look(fd: int) -> _Look | None:
    """The TCP socket `fd` as it is now; None: it is none, or the platform does not tell."""
    if _TCP_INFO is None:
        return None
    try:
        # The family is the larger of the two, for the room that the name of either takes.
        sock = RawSocket(_FAMILY, _STREAM, 0, fd)
    except OSError:
        return None  # libcurl's own wake-up descriptor
    try:
        info = sock.getsockopt(_TCP, _TCP_INFO, _BYTES_ACKED + 8)
        name = sock.getsockname()[:2]  # IPv6 has two more
    except OSError:
        return None  # a unix socket
    finally:
        sock.detach()
    acknowledged = _number_in(info, _BYTES_ACKED)[0] if len(info) > 127 else 0
    return name, info[0], acknowledged
