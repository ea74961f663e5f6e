"""Runs a batch and kills its own process, as `kill -9` does, at a named point.

python -m tests.batch.killed INPUT OUTPUT BASE_URL POINT COUNT
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from engine.batch.keeping import journal as journal_module
from engine.batch.keeping import order
from engine.batch.keeping.journal import Journal
from engine.batch.keeping.plan import Past
from engine.batch.keeping.store import Store
from engine.cli import main


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at(count: int, call: Callable[..., Any], before: Callable[..., object]) -> Callable[..., Any]:
    """`call`, with `before` called instead of it the `count`-th time."""
    calls = 0

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            before(*arguments)
        return call(*arguments)

    return counted


def half_a_write(journal: Journal, data: bytes) -> None:
    os.write(journal._fd, data[: len(data) * 2 // 3])
    die()


def synced(fd: int) -> None:
    os.fdatasync(fd)
    die()


def renamed(source: str, to: str) -> None:
    os.rename(source, to)
    die()


def arm(point: str, count: int) -> None:
    """Have the process die at `point`, the `count`-th time it gets there."""
    if point == "before the append":
        Store.write = at(count, Store.write, lambda *_: die())  # type: ignore[method-assign]
    elif point == "in the append":
        Journal._write = at(count, Journal._write, half_a_write)  # type: ignore[method-assign]
    elif point == "before the sync":
        journal_module._sync = at(count, journal_module._sync, lambda *_: die())
    elif point == "after the sync":
        journal_module._sync = at(count, journal_module._sync, synced)
    elif point == "in the sort":
        order._copy = at(count, order._copy, lambda *_: die())
    elif point == "before the rename":
        os.replace = at(count, os.replace, lambda *_: die())
    elif point == "after the rename":
        os.replace = at(count, os.replace, renamed)
    elif point == "in recovery":
        Past.read = at(count, Past.read, lambda *_: die())  # type: ignore[method-assign]
    else:
        assert point == "never", point


if __name__ == "__main__":
    input, output, base_url, point, count = sys.argv[1:]
    arm(point, int(count))
    asked = ["batch", input, "-o", output, "--base-url", base_url, "--concurrency", "8"]
    # A row that was harmed five times in a row is no loss, but would end a run with code 1.
    asked += ["--max-attempts", "20", "--progress", "none"]
    sys.exit(main([*asked, "--ordered", "--retry-errors"]))
