"""How many connections this process may have: each takes a descriptor."""

from __future__ import annotations

import errno
import os
from typing import Final

__all__ = ["most_connections"]

# Files, pipes and libraries that come besides, and what libcurl opens for a moment while it looks a
# host name up.
_SPARE: Final = 24
_NONE_LEFT: Final = (errno.EMFILE, errno.ENFILE)


def most_connections(ours: int = 0) -> int | None:
    """Connections there are descriptors for, the soft limit raised to the hard one first; at least
    one. None: the system has no such limit.

    Args:
        ours: connections that there are already, and count among them.
    """
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):
            pass  # macOS refuses "unlimited"; what there is must do
    if soft == resource.RLIM_INFINITY:
        return None
    return max(soft - _in_use(soft) + ours - _SPARE, 1)


def _in_use(most: int) -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))
        except OSError as error:
            if error.errno in _NONE_LEFT:
                return most
    return 16
