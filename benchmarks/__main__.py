"""The benchmarks of this engine beside other clients, on loopback."""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.batch_rows import batch_rows
from benchmarks.origins import BenchmarkError, raise_descriptor_limit
from benchmarks.sections import (
    FULL,
    QUICK,
    Setting,
    dialects,
    full_speed,
    many_open,
    one_event_a_read,
    over_http2,
    recorded,
    short_answers,
)
from benchmarks.start import start_up
from benchmarks.table import Table

SECTIONS: dict[str, Callable[[Setting], Table]] = {
    "full": full_speed,
    "recorded": recorded,
    "short": short_answers,
    "http2": over_http2,
    "paced": one_event_a_read,
    "many": many_open,
    "dialects": dialects,
    "batch": lambda setting: batch_rows(20_000, 2_000),
    "start": start_up,
}
_LEGEND = """\
µs an event: CPU time (user and system) of the client's own process, from its first request to its
last completion, divided by the pieces of text sent; that of the best round. Ratios: the median of
the ratios within a round. busy: CPU time to clock time in the worst round; a client that is nearly
always busy where events come one by one does not keep up, and gets several a read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where something needed is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="less of everything, no goals")
    parser.add_argument("--rounds", type=int, help="how often each client has its turn")
    options = parser.parse_args(arguments)
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    sizes = QUICK if options.quick else FULL
    if options.rounds:
        sizes = dataclasses.replace(sizes, rounds=options.rounds)
    raise_descriptor_limit()
    print(_machine(), f"Rounds: {sizes.rounds}.\n")
    try:
        for name in options.sections or SECTIONS:
            with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
                table = SECTIONS[name](Setting(Path(folder), sizes, _note))
            _note("")
            print(f"{table.render(goals=not options.quick)}\n", flush=True)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(_LEGEND)
    return 0


def _machine() -> str:
    """What the numbers belong to. Load of other work makes them worse, and the paced ones better:
    whoever has to wait for a processor finds several events in a read."""
    return (
        f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} processors; "
        f"load before the start {os.getloadavg()[0]:.1f}."
    )


def _note(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
