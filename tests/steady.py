"""Time in tests, on a machine that may be slow, and stand still for half a second at any moment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from time import monotonic, sleep

import pytest

__all__ = ["advance", "at_some_pace", "comes_about"]

LONG = 30.0
"""Seconds that nothing takes which comes at all."""


def advance(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the engine's clock be so much later than the machine's: a limit of an hour is over in no
    time, and no stall of the machine makes it pass sooner."""
    for module in [*sys.modules.values()]:
        if module.__name__.startswith("engine.") and hasattr(module, "monotonic"):
            monkeypatch.setattr(module, "monotonic", lambda: monotonic() + seconds)


def at_some_pace(judge: Callable[[float], object], paces: Sequence[float] = (1, 3, 9)) -> None:
    """Call `judge` until it asserts nothing, with what all of its seconds are multiplied by.

    For what has a clock on both sides, the server's pauses and the client's limits: a machine that
    stands still is in between them. What is wrong is wrong at every pace.
    """
    for pace in paces[:-1]:
        try:
            judge(pace)
        except AssertionError:
            continue
        return
    judge(paces[-1])


def comes_about(holds: Callable[[], object]) -> bool:
    """Whether it does, be it late; nothing is driven meanwhile but other threads."""
    until = monotonic() + LONG
    while not holds() and monotonic() < until:
        sleep(0.001)
    return bool(holds())
