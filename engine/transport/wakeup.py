"""A descriptor that another thread, or a signal handler, can make readable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from engine.transport.patched import original

if TYPE_CHECKING:
    import socket

__all__ = ["Wakeup"]


class Wakeup:
    """An eventfd (Linux) or a socket pair; freed with the last reference, too."""

    __slots__ = ("_far", "_fd", "_near", "_noted", "_owner")

    def __init__(self) -> None:
        self._near = self._far = None
        self._fd = -1
        self._noted = False
        self._owner: Any  # closes it
        if hasattr(os, "eventfd"):
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            # An eventfd is a bare number: nobody else closes that of a `Multi` that was dropped,
            # and who makes a client a question has none left after a thousand. This object does,
            # in C: a `__del__` is broken off where the handler of a signal raises.
            self._owner = original("select", "epoll").fromfd(self._fd)
        else:
            import socket  # 5 ms that Linux need not pay

            self._near, self._far = socket.socketpair()
            self._near.setblocking(False)
            self._far.setblocking(False)
            self._fd = self._near.fileno()
            self._owner = _Pair(self._near, self._far)

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._fd

    def set(self) -> None:
        """Make it readable, from anywhere. Nothing happens once it is closed."""
        try:
            if self._far is not None:
                self._far.send(b"\0")
            elif self._fd >= 0:
                os.eventfd_write(self._fd, 1)
        except (BlockingIOError, OSError):
            pass  # full: it is readable already

    def note(self) -> None:
        """`set`, from the owner's thread: one system call until the next `clear`."""
        if not self._noted:
            self._noted = True
            self.set()

    def clear(self) -> None:
        """Make it unreadable."""
        self._noted = False
        try:
            if self._near is not None:
                self._near.recv(4096)
            else:
                os.eventfd_read(self._fd)
        except (BlockingIOError, OSError):
            pass

    def close(self) -> None:
        """Free the descriptor. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._owner.close()


class _Pair:
    """Closes two sockets with the last reference to it: by themselves they would complain."""

    __slots__ = ("_sockets",)

    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    __del__ = close
