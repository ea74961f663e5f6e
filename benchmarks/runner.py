"""Runs clients in turn, and puts together what they report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.clients.job import Job, Report
from benchmarks.origins import BenchmarkError
from benchmarks.streams import WireStream

__all__ = ["Case", "Outcome", "run_client", "take_turns"]

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Case:
    """One row of a table: a client, what it is asked to do, and what it must have received.

    Attributes:
        label: what the row is called.
        client: module of `benchmarks.clients`.
        origin: a new server for each run; gives the base URL.
        dialect: wire format, and the first part of the path.
        stream: what the server sends.
        includes: what the row's time pays for.
        decodes: whether the client counts characters; if not, bytes.
        ca_file: whom to trust, where the server speaks HTTP/2 with TLS.
    """

    label: str
    client: str
    origin: Callable[[], AbstractContextManager[str]]
    dialect: str
    stream: WireStream
    streams: int
    at_once: int
    includes: str
    decodes: bool = True
    ca_file: str | None = None

    @property
    def events(self) -> int:
        """Pieces of text the server sends in all: what CPU time is divided by."""
        return self.streams * len(self.stream.events)

    @property
    def expected(self) -> int:
        """`Report.received` of a run without loss."""
        return self.streams * len(self.stream.text if self.decodes else self.stream.body)


@dataclass
class Outcome:
    """The runs of a case, one a round; None where it failed, and why."""

    case: Case
    runs: list[Report | None] = field(default_factory=list)
    failure: str = ""

    def microseconds(self, *, steady: bool = False) -> list[float | None]:
        """CPU time an event, in each round."""
        return [
            (run.steady_cpu if steady else run.cpu) / self.case.events * 1e6 if run else None
            for run in self.runs
        ]

    def best(self, *, steady: bool = False) -> float | None:
        """The least CPU time an event of any round, in microseconds."""
        return min((x for x in self.microseconds(steady=steady) if x is not None), default=None)

    def best_around(self) -> float | None:
        """The least CPU time to open and end a stream, in microseconds."""
        spent = [(run.cpu - run.steady_cpu) / self.case.streams * 1e6 for run in self.runs if run]
        return min(spent, default=None)

    def ratio(self, to: Outcome, *, steady: bool = False) -> float | None:
        """The median of the rounds' ratios to another case."""
        mine, others = self.microseconds(steady=steady), to.microseconds(steady=steady)
        ratios = [a / b for a, b in zip(mine, others, strict=True) if a is not None and b]
        return median(ratios) if ratios else None

    @property
    def busy(self) -> float:
        """The largest part of the clock's time the client's process was on a processor."""
        return max((run.cpu / run.wall for run in self.runs if run), default=0.0)

    @property
    def kib_a_stream(self) -> float | None:
        """Memory, the least of any round."""
        held = [run.memory / 1024 / self.case.at_once for run in self.runs if run]
        return min(held, default=None)


def run_client(case: Case, timeout: float) -> Report:
    """One run of one client, in a process of its own.

    Raises:
        BenchmarkError: it failed, was not done within `timeout` seconds, or lost something.
    """
    with case.origin() as url:
        job = Job(f"{url}/{case.dialect}", case.dialect, case.streams, case.at_once, case.ca_file)
        command = [sys.executable, "-m", f"benchmarks.clients.{case.client}"]
        try:
            done = subprocess.run(
                [*command, json.dumps(asdict(job))],
                cwd=_ROOT,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"not done after {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise BenchmarkError(lines[-1])
    report = Report(**json.loads(done.stdout))
    if report.received != case.expected:
        raise BenchmarkError(f"received {report.received} of {case.expected}")
    return report


def take_turns(
    cases: list[Case], rounds: int, note: Callable[[str], None], timeout: float = 180
) -> list[Outcome]:
    """Run each case once a round. One that failed is not run again."""
    outcomes = [Outcome(case) for case in cases]
    for number in range(1, rounds + 1):
        for outcome in outcomes:
            note(f"round {number} of {rounds}: {outcome.case.label}")
            try:
                outcome.runs.append(None if outcome.failure else run_client(outcome.case, timeout))
            except BenchmarkError as error:
                outcome.runs.append(None)
                outcome.failure = str(error)
    return outcomes
