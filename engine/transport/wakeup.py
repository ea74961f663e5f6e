"""A descriptor that another thread, or a signal handler, can make readable."""

from __future__ import annotations

import os

__all__ = ["Wakeup"]


class Wakeup:
    """An eventfd (Linux) or a socket pair; freed with the last reference, too."""

    __slots__ = ("_far", "_fd", "_near", "_noted")

    def __init__(self) -> None:
        self._near = self._far = None
        self._fd = -1
        self._noted = False
        if hasattr(os, "eventfd"):
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            import socket  # 5 ms that Linux need not pay

            self._near, self._far = socket.socketpair()
            self._near.setblocking(False)
            self._far.setblocking(False)
            self._fd = self._near.fileno()

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
        if self._near is not None and self._far is not None:
            self._near.close()
            self._far.close()
        elif fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # An eventfd is a bare number: nobody else closes that of a `Multi` that was dropped, and
        # who makes a client a question has none left after a thousand.
        self.close()
