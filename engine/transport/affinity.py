"""The thread and the process that something belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable

from engine.errors import MisuseError
from engine.transport.patched import original

__all__ = ["Affinity", "get_ident"]

# Under gevent's and eventlet's patches the module's own tells greenlets apart.
get_ident: Callable[[], int] = original("_thread", "get_ident")

_process = object()  # a new one in every forked child


def _forked() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Affinity:
    """Belongs to this process, and to the thread that comes to `check` first."""

    __slots__ = ("_process", "_thread")

    def __init__(self) -> None:
        self._process = _process
        self._thread: int | None = None

    @property
    def forked(self) -> bool:
        """Whether this is a forked child of the process it belongs to."""
        return self._process is not _process

    @property
    def here(self) -> bool:
        """Whether this is its thread, or could become it."""
        return self._thread is None or self._thread == get_ident()

    def check(self, what: str) -> None:
        """MisuseError, which begins with `what`, in any other thread or process."""
        if self._process is not _process:
            raise MisuseError(
                f"{what}: this Multi belongs to the parent process and would steal its bytes; "
                "make a new one after fork()"
            )
        thread = get_ident()
        if self._thread is None:
            self._thread = thread
        elif self._thread != thread:
            raise MisuseError(
                f"{what}: this Multi belongs to another thread; use one Multi a thread, and "
                "wakeup() to have the owner's loop look at a queue of yours"
            )
