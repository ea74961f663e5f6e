"""What runs in a process of its own, which imports this file and nothing that only tests want."""

from __future__ import annotations

import os
import time

from engine.agents import tool


@tool(run_in="process")
def of_another_process(a: int) -> dict[str, int]:
    """Tell who works."""
    return {"pid": os.getpid(), "twice": 2 * a}


@tool(run_in="process")
def raises_there() -> None:
    """Fail."""
    raise ValueError("not today")


@tool(run_in="process")
def dies_there() -> None:
    """End the process."""
    os._exit(7)


@tool(run_in="process", timeout=None)
def hangs_there(path: str) -> None:
    """Never end."""
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(3600)


def sleeps() -> None:
    time.sleep(3600)
