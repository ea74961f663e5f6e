"""What a client is asked to do, and what it reports."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

__all__ = ["Job", "Meter", "Report", "run"]


@dataclass(frozen=True)
class Job:
    """Read `streams` answers from `url`, `at_once` of them at a time, in one wire format; by HTTP/2
    with TLS where the file of an authority's certificate is given."""

    url: str
    dialect: str
    streams: int
    at_once: int
    ca_file: str | None = None

    @property
    def chat_url(self) -> str:
        return f"{self.url}/chat/completions"

    @property
    def chat_body(self) -> dict[str, Any]:
        """What a client without a library for it sends to Chat Completions."""
        return {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }


@dataclass(frozen=True)
class Report:
    """What one run of a client took; seconds and bytes.

    Attributes:
        received: characters of text it handed over; a bare client: bytes.
        cpu: processor time of the process, from the first request to the last completion.
        steady_cpu: the part of `cpu` after the first events, one for each stream that is open at
            once, and before the first end of a stream.
        wall: time on the clock for the whole.
        memory: the most it held resident, beyond what it held before the first request.
    """

    received: int
    cpu: float
    steady_cpu: float
    wall: float
    memory: int


class Meter:
    """Reads the clocks of this process, from its making to `report`.

    Args:
        at_once: calls of `event` after which streams are no more being opened.
    """

    def __init__(self, at_once: int) -> None:
        self._idle_memory = _memory("VmRSS")
        self._opening = at_once
        self._opened: float | None = None
        self._first_end: float | None = None
        self._began = perf_counter()
        self._cpu = _cpu()

    def event(self) -> None:
        """An event came. Only the first ones count, so that it may be called for those alone that
        bring no text, as each stream's first does."""
        if self._opening:
            self._opening -= 1
            if not self._opening:
                self._opened = _cpu()

    def end(self) -> None:
        """A stream is complete."""
        if self._first_end is None:
            self._first_end = _cpu()

    def report(self, received: int) -> Report:
        """Everything is complete."""
        cpu = _cpu()
        assert self._opened is not None and self._first_end is not None
        return Report(
            received=received,
            cpu=cpu - self._cpu,
            steady_cpu=max(self._first_end - self._opened, 0.0),
            wall=perf_counter() - self._began,
            memory=_memory("VmHWM") - self._idle_memory,
        )


def run(client: Callable[[Job], Report]) -> None:
    """The main function of a client's process."""
    job = Job(**json.loads(sys.argv[1]))
    print(json.dumps(asdict(client(job))), flush=True)
    os._exit(0)  # threads of a client that is not Python's crash now and then as Python winds down


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _memory(field: str) -> int:
    """A line of /proc/self/status, in bytes. (ru_maxrss would count the process that forked.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(field)
