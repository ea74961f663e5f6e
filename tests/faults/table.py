"""A pytest plugin, ``-p tests.faults.table``: prints the fault matrix with what became of it.

``FAULT_TABLE`` names a file that is given it too, as Markdown.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.faults.rows import CHAPTERS, ROWS

_ID = re.compile(r"(?:^|[\[_ -])([NTXHFSPDKMBZ]\d\d)(?=[_ \]-]|$)", re.IGNORECASE)

_seconds: dict[str, float] = defaultdict(float)
_outcomes: dict[str, list[str]] = defaultdict(list)


def ids_in(name: str) -> list[str]:
    """The rows a test is of, by its name."""
    return [found.upper() for found in _ID.findall(name.rpartition("::")[2])]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "test_rows.py" in report.nodeid or (report.when != "call" and report.outcome == "passed"):
        return
    for row in ids_in(report.nodeid):
        _seconds[row] += report.duration
        _outcomes[row].append(report.outcome)


def _lines() -> list[str]:
    lines = []
    for letter, title in CHAPTERS.items():
        lines += ["", f"## {title}", "", "| | fault | what must come of it | result | s |"]
        lines.append("|---|---|---|---|---:|")
        for row, (fault, outcome, elsewhere) in ROWS.items():
            if row[0] != letter:
                continue
            ran = _outcomes.get(row, [])
            good = ran.count("passed")
            if not ran:
                result = elsewhere or "not run"
            elif set(ran) == {"passed"}:
                result = f"holds ({good})" if good > 1 else "holds"
            elif "failed" in ran:
                result = f"FAILS ({ran.count('failed')} of {len(ran)})"
            else:
                result = "skipped"
            seconds = f"{_seconds[row]:.1f}" if ran else ""
            lines.append(f"| {row} | {fault} | {outcome} | {result} | {seconds} |")
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _outcomes:
        return
    lines = _lines()
    for line in lines:
        terminalreporter.write_line(line)
    if target := os.environ.get("FAULT_TABLE"):
        Path(target).write_text("\n".join(lines).lstrip() + "\n")
