"""What it takes to begin: the time of an import, and of a command that only prints its help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.origins import BenchmarkError
from benchmarks.sections import Setting
from benchmarks.table import Goal, Table, number

__all__ = ["start_up"]

_IMPORTED = ("engine", "aiohttp", "httpx", "openai")

_ROOT = Path(__file__).resolve().parent.parent
_IMPORT = (
    "from time import perf_counter; begin = perf_counter(); import {}; "
    "print(perf_counter() - begin)"
)


def start_up(setting: Setting) -> Table:
    """Milliseconds on the clock, each in a new interpreter with its bytecode already written; the
    least of several counts, since whatever disturbs makes it longer."""
    measures: dict[str, Callable[[], float]] = {
        f"import {name}": partial(_import, name) for name in _IMPORTED
    }
    measures["engine --help"] = partial(_whole, "-m", "engine", "--help")
    measures["python -c pass"] = partial(_whole, "-c", "pass")
    rows, best = [], {}
    for label, measure in measures.items():
        setting.note(label)
        try:
            measure()  # writes the bytecode
            seconds = [measure() for _ in range(2 + 3 * setting.sizes.rounds)]
        except BenchmarkError as error:
            rows.append((label, "–", "–", str(error)))
            continue
        best[label] = min(seconds) * 1000
        rows.append((label, number(best[label], 0), number(median(seconds) * 1000, 0), ""))
    goals = [
        Goal("import engine, ms", best.get("import engine"), 60),
        Goal("engine --help, ms", best.get("engine --help"), 150),
    ]
    return Table("Start", ("", "ms, best", "median", ""), rows, goals)


def _import(name: str) -> float:
    return float(_python("-c", _IMPORT.format(name)))


def _whole(*arguments: str) -> float:
    begin = perf_counter()
    _python(*arguments)
    return perf_counter() - begin


def _python(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError((done.stderr.strip().splitlines() or ["failed"])[-1])
    return done.stdout
