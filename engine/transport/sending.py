"""How far a request got: which connection it was given, and whether its server can have read it."""

from __future__ import annotations

from typing import Final

import pycurl

from engine.transport.connections import Connections, Name, Reused
from engine.transport.failure import SEND_FAIL_REWIND

__all__ = ["Sending"]

_ABORT: Final = int(pycurl.PREREQFUNC_ABORT)
_OK: Final = int(pycurl.PREREQFUNC_OK)


class Sending:
    """One attempt's way out.

    Attributes:
        name: the connection it was given; None: none yet.
        reused: what that connection had been, where it had served before; else None.
        unsent: it is known that nobody read the request.
        refused: the HTTP/2 server refused the stream, so that it was not processed.
    """

    __slots__ = ("_connections", "_multiplexed", "name", "refused", "reused", "unsent")

    def __init__(self, connections: Connections, multiplexed: bool) -> None:
        self._connections = connections
        self._multiplexed = multiplexed
        self.name: Name | None = None
        self.reused: Reused | None = None
        self.unsent = False
        self.refused = False

    @property
    def out(self) -> bool:
        """Whether the request may have been read, as far as is known."""
        return self.name is not None and not self.unsent

    def look(self, name: Name) -> int:
        """Called inside libcurl, before the first byte goes out on the connection `name`; what
        libcurl is told to do."""
        self.name = name
        reused = self.reused = self._connections.given(name)
        if reused is None or not reused.dead:
            return _OK
        self.unsent = True
        if not self._multiplexed:
            return _ABORT
        # libcurl keeps an HTTP/2 connection on which a request was aborted, and gives it to the
        # next one for ever; one on which it failed it drops. The others of a burst are on it, too.
        self._connections.died(name)
        return _OK

    def failed(self, code: int, text: str, watched: set[int]) -> None:
        """The attempt ended with libcurl's `code` and no head; conclude from it what can be.
        `watched`: descriptors libcurl watches."""
        name = self.name
        if name is None or self.unsent:
            return
        if self._multiplexed and _says_refused(code, text):
            # In the words of a connection that died; but it lives.
            self.refused = not self._connections.hung_up(name, watched)
            self.unsent = self.refused
        elif self.reused is not None:
            self.unsent = self._connections.unread(name, self.reused)


def _says_refused(code: int, text: str) -> bool:
    return code == SEND_FAIL_REWIND or "tried 5 times" in text or "REFUSED_STREAM" in text
