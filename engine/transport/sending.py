"""How far a request got: which connection it was given, and whether its server can have read it."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

import msgspec
import pycurl

from engine.transport.connections import Connections, Name, Reused
from engine.transport.descriptors import none_left
from engine.transport.failure import NO_SOCKET, SEND_FAIL_REWIND, turned_away
from engine.wire.headers import Head, header_words, parse_head

__all__ = ["HTTP2_STREAM", "Sending", "goes_again", "repeat_wait"]

_ABORT: Final = int(pycurl.PREREQFUNC_ABORT)
_OK: Final = int(pycurl.PREREQFUNC_OK)
_TEXT: Final = int(pycurl.INFOTYPE_TEXT)

# The server reset this one stream: its own word, and no sign that the connection died.
HTTP2_STREAM: Final = 92
# How libcurl tells that a connection died with a request on it.
_LOST: Final = frozenset(
    {
        pycurl.E_GOT_NOTHING,
        pycurl.E_SEND_ERROR,
        pycurl.E_RECV_ERROR,
        SEND_FAIL_REWIND,
        16,  # HTTP2: the framing layer
    }
)
# libcurl's words, those of 8.23 and those of before. Names and values of the request are in others,
# most of all in these, a line for each header.
_OF_THE_REQUEST: Final = b"["
_OF_A_STREAM: Final = b"HTTP/2 stream "
_REFUSED: Final = b"refused by server"
_REFUSED_BEFORE: Final = b"REFUSED_STREAM"
_ALERT: Final = b"alert"
_DOWNGRADED: Final = b"HTTP_1_1_REQUIRED"
# Seconds after which a 408 is the server's word about a request that it waited for. As Firefox has
# it: no server closes for want of a request that soon after it read the first of one.
_AT_ONCE: Final = 1.0
# Times a request that was never read is sent again.
_MOST_REPEATS: Final = 50
# The same where the server refused it. Of a thousand at once at a server that takes one stream a
# connection none was refused more than twice; one that refuses all is overloaded, and that is an
# attempt that failed.
_MOST_REFUSALS: Final = 5
# So often at once; then it waits for so many seconds at most, twice as long each time.
_REFUSED_AT_ONCE: Final = 2
_REFUSED_WAIT: Final = 0.05


class Sending(msgspec.Struct, eq=False):
    """One attempt's way out: made of what is known of each connection, and of whether the server
    was seen to speak HTTP/2.

    Attributes:
        name: the connection it was given; None: none yet.
        counted: the connection it counts as a stream of: libcurl may ask again by itself on another
            where there is no body.
        reused: what that connection had been, where it had served before; else None.
        unsent: it is known that nobody read the request.
        refused: the HTTP/2 server refused the stream, so that it was not processed.
        barred: the server's TLS does not take this client.
        downgraded: the HTTP/2 server wants to be asked by HTTP/1.1, and did not process it.
        early: it went out on an HTTP/2 connection on which nothing had been answered yet.
        shared: others were on the connection at the same time.
        starved: no file descriptor was left for a connection.
        unsure: what comes may be no answer to the request; ask `crossed`.
        apart: its handle has options that others of its kind do not have.
    """

    _connections: Connections
    _multiplexed: bool
    name: Name | None = None
    counted: Name | None = None
    reused: Reused | None = None
    unsent: bool = False
    refused: bool = False
    barred: bool = False
    downgraded: bool = False
    early: bool = False
    shared: bool = False
    starved: bool = False
    unsure: bool = False
    apart: bool = False
    _since: float = 0.0  # when it went out, where that matters

    @property
    def out(self) -> bool:
        """Whether the request may have been read, as far as is known."""
        return self.name is not None and not self.unsent

    def look(self, name: Name, heard: Sequence[bytes], answered: bool = False) -> int:
        """Called inside libcurl, before the first byte goes out on the connection `name`; what
        libcurl is told to do. The lines of the answer come to be in `heard`.

        Args:
            answered: a head came already.
        """
        if self.name is not None and (self.downgraded or answered or heard):
            # It asks again by itself, by HTTP/1.1: with the body spent, and in the middle of an
            # answer it would go on with another.
            return _ABORT
        self.name = name
        reused = self.reused = self._connections.given(name, heard, self._multiplexed)
        if reused is None or not reused.dead:
            if reused is not None and not self._multiplexed:
                self.unsure, self._since = True, monotonic()
            return _OK
        self.unsent = True
        if not self._multiplexed:
            return _ABORT
        # libcurl keeps an HTTP/2 connection on which a request was aborted, and gives it to the
        # next one for ever; one on which it failed it drops. The others of a burst are on it, too.
        self._connections.died(name)
        return _OK

    def hear(self, kind: int, words: bytes) -> None:
        """Called inside libcurl, of each thing it does: the only place where it tells a refused
        stream from a connection that died. It closes the connection itself then, and the peer hangs
        up in answer, so that a look at the socket tells nothing."""
        if kind != _TEXT or words.startswith(_OF_THE_REQUEST):
            return
        if words.startswith(_OF_A_STREAM):
            if _REFUSED in words or _REFUSED_BEFORE in words:
                self.refused = True
            elif _DOWNGRADED in words:
                self.downgraded = True
        elif words.startswith(_REFUSED_BEFORE):
            self.refused = True
        elif _ALERT in words and turned_away(words.decode("latin-1")):
            self.barred = True

    def crossed(self, head: Head | None, lines: list[bytes]) -> bool:
        """Whether what came is no answer to the request: the server had waited too long for one on
        a connection at rest, told so with a 408 and closed, and the two met on the way. May be
        called inside libcurl; `head` is that of the answer, where it was read from the `lines`."""
        if self.unsent:
            return True
        self.unsure = False
        if head is None and lines and b" 408" in lines[0]:
            head = parse_head(lines)
        if head is None or head.status != 408:
            return False
        if "close" not in header_words(head.headers, "connection"):
            return False
        self.unsure = self.unsent = monotonic() - self._since < _AT_ONCE
        return self.unsent

    def failed(self, code: int, os_errno: int = 0) -> None:
        """The attempt ended with libcurl's `code`, and no head came: what follows from that.

        Args:
            os_errno: what the system said of the connection, as libcurl knows it; 0: nothing.
        """
        if self.refused or self.barred or self.downgraded:
            self.unsent = True
        elif self.name is None:
            self.starved = code in NO_SOCKET and not os_errno and none_left()
        elif self.reused is not None and not self.unsent:
            self.unsent = self._connections.unread(self.name, self.reused)


def repeat_wait(sending: Sending, repeats: int, dice: float) -> float:
    """Seconds until a request goes out again that did so `repeats` times before; `dice` from 0 to
    1, so that a burst does not come back as one."""
    if not sending.refused or repeats < _REFUSED_AT_ONCE:
        return 0.0
    return _REFUSED_WAIT * 2.0 ** (repeats - _REFUSED_AT_ONCE) * (1 + dice) / 2


def goes_again(code: int, sending: Sending, repeats: int, lost: int, unknown: str) -> bool:
    """Whether a request that got no head goes out again at once, uncounted.

    Args:
        code: libcurl's.
        sending: how far it got.
        repeats: how often it did so before.
        lost: how many of these times the server may have read it.
        unknown: `Retry.unknown`.
    """
    if repeats >= _MOST_REPEATS or sending.barred:
        return False
    if sending.name is None:
        return sending.starved  # it waits in the queue until a descriptor is free
    if sending.downgraded:
        return True  # whatever libcurl's own second try came to
    if sending.refused and repeats >= _MOST_REFUSALS:
        return False
    if sending.unsent:
        return code in _LOST or code in (HTTP2_STREAM, pycurl.E_ABORTED_BY_CALLBACK)
    pooled = sending.reused is not None or sending.shared
    return code in _LOST and pooled and not lost and unknown == "retry"
