"""Every wait has a bound and a word: how long a provider is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.batch.lane import Lane
from engine.batch.showing.words import duration
from engine.batch.verdict import is_nobodys
from engine.errors import Category, EngineError

__all__ = ["long_wait"]

# Seconds in which nothing is answered before a provider is given up: one that refuses says at least
# that it is at work.
_QUIET: Final = 600.0
_QUIET_REFUSED: Final = 3600.0
# Attempts that reached no server, none ever answered: the address is wrong, or nobody is there.
_NEVER_REACHED: Final = 10
# A wait as long as this is worth a word.
_WORTH_A_WORD: Final = 20.0


def long_wait(
    lane: Lane,
    error: EngineError,
    max_wait: float | None,
    now: float,
    notice: Callable[[str], object],
) -> str | None:
    """Why `lane` is given up after `error`; None: it is waited for, with a word if it is long."""
    if lane.quiet_since is None:
        lane.quiet_since = now
    held = lane.pace.gate.until - now
    if max_wait is not None and held > max_wait:
        return (
            f"{lane.name} asks to wait {duration(held)}, longer than max_wait "
            f"({duration(max_wait)}); run the same command again then"
        )
    if held > _WORTH_A_WORD and lane.pace.gate.until > lane.told_until:
        lane.told_until = lane.pace.gate.until + held / 10
        notice(
            f"{lane.name} asks to wait {duration(held)}: {error.message}; going on then, unless "
            "stopped (--max-wait gives up instead)"
        )
    if held > 0 and error.retry_after is not None:
        # What it asked for does not count as silence.
        lane.quiet_since = max(lane.quiet_since, lane.pace.gate.until)
    quiet = now - lane.quiet_since
    limited = error.category is Category.RATE_LIMIT
    bound = max_wait if max_wait is not None else _QUIET_REFUSED if limited else _QUIET
    if quiet > bound:
        return f"nothing was answered for {duration(quiet)}: {error.message}"
    if is_nobodys(error) and error.category is not Category.RESOURCE:
        lane.unreached += 1
        if lane.unreached >= _NEVER_REACHED and not lane.pace.answered:
            return error.message
    return None
