"""What it takes to begin: the time of an import, and of a command that only prints its help.

What it showed: asyncio alone takes as long to import as the two dependencies together, so nothing
the engine imports may import it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.origins import BenchmarkError
from benchmarks.sections import Setting
from benchmarks.table import Goal, Table, number

__all__ = ["start_up"]

_IMPORTED = ("engine", "pycurl, msgspec", "aiohttp", "httpx", "openai")
_ROOT = Path(__file__).resolve().parent.parent
_IMPORT = """
from time import perf_counter, process_time
wall, cpu = perf_counter(), process_time()
import {}
print(process_time() - cpu, perf_counter() - wall)
"""


@dataclass(frozen=True, order=True)
class Took:
    """Milliseconds of the processor, and on the clock."""

    cpu: float
    wall: float


def start_up(setting: Setting) -> Table:
    """Each in a new interpreter, with its bytecode already written. The least of several counts,
    since whatever disturbs makes it longer; and the processor's time, which is the clock's on a
    machine that does nothing else."""
    measures: dict[str, Callable[[], Took]] = {
        f"import {name}": partial(_import, name) for name in _IMPORTED
    }
    measures["engine --help"] = partial(_whole, "-m", "engine", "--help")
    measures["python -c pass"] = partial(_whole, "-c", "pass")
    rows, best = [], {}
    for label, measure in measures.items():
        setting.note(label)
        try:
            measure()  # writes the bytecode
            took = [measure() for _ in range(2 + 3 * setting.sizes.rounds)]
        except BenchmarkError as error:
            rows.append((label, "–", "–", str(error)))
            continue
        best[label] = min(took).cpu
        rows.append((label, number(best[label], 0), number(min(t.wall for t in took), 0), ""))
    goals = [
        Goal("import engine, ms", best.get("import engine"), 60),
        Goal("engine --help, ms", best.get("engine --help"), 150),
    ]
    return Table("Start, best of several", ("", "CPU ms", "clock ms", ""), rows, goals)


def _import(name: str) -> Took:
    cpu, wall = _python("-c", _IMPORT.format(name)).split()
    return Took(float(cpu) * 1000, float(wall) * 1000)


def _whole(*arguments: str) -> Took:
    wall, cpu = perf_counter(), _children_cpu()
    _python(*arguments)
    return Took((_children_cpu() - cpu) * 1000, (perf_counter() - wall) * 1000)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _python(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError((done.stderr.strip().splitlines() or ["failed"])[-1])
    return done.stdout
