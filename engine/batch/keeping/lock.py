"""One runner an output file."""

from __future__ import annotations

import fcntl
import os

from engine.errors import ResourceError

__all__ = ["Lock"]


class Lock:
    """Holds `path` until it is closed or the process dies, however it dies.

    The lock is a file of its own, which stays: to delete it would let a third process lock a new
    one while a second still waits for the old.

    Attributes:
        warning: why the lock holds nobody back (some network file systems), or None.

    Raises:
        ResourceError: another process has it; the message names its pid.
    """

    def __init__(self, path: str) -> None:
        self.warning: str | None = None
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ResourceError(
                f"cannot make {path}: {error.strerror}; the output needs a folder that can be "
                "written to",
                retryable=False,
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise ResourceError(
                f"another batch (pid {holder or 'unknown'}) writes this output; wait for it, or "
                f"give another output file ({path})",
                retryable=False,
            ) from None
        except OSError as error:
            self.warning = f"{path} cannot be locked ({error.strerror}); start no second batch"
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError:
            pass  # a full disk; the lock holds all the same, without its holder's name

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)
