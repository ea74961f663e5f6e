"""How many files this process may open."""

from __future__ import annotations

import os

__all__ = ["descriptor_limit", "descriptors_left", "none_left", "raise_descriptor_limit"]

# What a host program may open while all transfers run: a log, a subprocess, a look-up.
_RESERVE = 64
# So many may have been closed by others since one was wanted.
_FEW = 16


def descriptor_limit() -> int | None:
    """How many descriptors this process may have; None where there is no limit, or none known."""
    try:
        import resource
    except ImportError:
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> None:
    """Raise the soft limit, mostly 1,024 for the sake of programs that use select(), to the hard
    one; nothing where the system does not allow it."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # macOS: "unlimited" is more than the kernel allows; a sandbox: not at all


def descriptors_left() -> int | None:
    """How many more descriptors this process may open, less a reserve; None without a limit."""
    soft = descriptor_limit()
    if soft is None:
        return None
    try:
        lowest = os.dup(0)
    except OSError as error:
        if error.errno != 9:  # EBADF: standard input is closed, which says nothing
            return 0
        return None
    os.close(lowest)
    return max(soft - lowest - min(_RESERVE, soft // 8), 0)


def none_left() -> bool:
    """Whether none can be opened, by this process or by the system, or so few that there was none
    a moment ago: what others close meanwhile would make a server's refusal of it."""
    opened: list[int] = []
    try:
        while len(opened) < _FEW:
            opened.append(os.dup(0))
    except OSError as error:
        return error.errno in (23, 24)  # ENFILE, EMFILE
    finally:
        for number in opened:
            os.close(number)
    return False
