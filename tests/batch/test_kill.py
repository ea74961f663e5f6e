"""Killed at any moment, a batch loses nothing and repeats nothing.

The provider is the emulator, in a process of its own. Each request reaches it through a server
that counts them, and that decides when the runner dies.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from engine.emulator import Emulator
from engine.emulator import start as start_emulator
from tests.batch.support import custom_ids, ids, openai_row, provider, read, write_rows
from tests.server import Peer, Server

ROWS = 60
CONCURRENCY = 8  # as in killed.py
# Kills at random moments; CI makes fifty, ENGINE_KILLS=300 is for whoever changes the journal.
KILLS = int(os.environ.get("ENGINE_KILLS", "50"))
POINTS = [
    "before the append",
    "in the append",
    "before the sync",
    "after the sync",
    "in recovery",
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start_emulator(tokens=20) as emulator:
        yield emulator


class Killer:
    """Kills `victim` a moment after so many requests from now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._victim: subprocess.Popen[bytes] | None = None
        self._left = 0
        self._delay = 0.0

    def aim(self, victim: subprocess.Popen[bytes], requests: int, delay: float) -> None:
        with self._lock:
            self._victim, self._left, self._delay = victim, requests, delay

    def count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0 and self._victim is not None:
                threading.Timer(self._delay, self._victim.kill).start()


@contextmanager
def counted(emulator: Emulator, killer: Killer | None = None) -> Iterator[Server]:
    """The emulator behind a server that knows every request that was made."""
    host = emulator.url.partition("//")[2]

    def forward(peer: Peer) -> None:
        if killer is not None:
            killer.count()
        request = peer.request
        with closing(HTTPConnection(host)) as connection:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            peer.json(answer.read(), status=f"{answer.status} {answer.reason}")

    with provider(forward) as server:
        yield server


def start(
    input: Path, output: Path, server: Server, point: str, count: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.batch.killed", str(input), str(output)]
    return subprocess.Popen([*command, f"{server.url}/v1", point, str(count)])


def finish(input: Path, output: Path, server: Server, kills: int) -> None:
    """One more run, undisturbed; then every row is there once."""
    assert start(input, output, server, "never", 0).wait() == 0
    assert sorted(custom_ids(output)) == sorted(ids(ROWS))
    assert not read(output.with_name("out.errors.jsonl"))
    assert len(server.requests) <= ROWS + CONCURRENCY * kills


def killed_at(tmp_path: Path, emulator: Emulator, point: str, counts: Sequence[int]) -> None:
    """Kill the runner at `point` once for each of `counts`: when it gets there that time."""
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(ROWS)))
    output = tmp_path / "out.jsonl"
    kills = 0
    with counted(emulator) as server:
        for count in counts:
            code = start(input, output, server, point, count).wait()
            assert code in (0, -signal.SIGKILL)
            kills += code != 0
        assert kills, "the point was never reached"
        finish(input, output, server, kills)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point_every_id_is_there_exactly_once(
    tmp_path: Path, emulator: Emulator, point: str
) -> None:
    killed_at(tmp_path, emulator, point, (2, 1))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_again_and_again_every_id_is_there_exactly_once(
    tmp_path: Path, emulator: Emulator, point: str
) -> None:
    killed_at(tmp_path, emulator, point, (2, 1, 3, 1, 2, 1, 5, 1, 3, 1))


def killed_at_random(tmp_path: Path, emulator: Emulator, cycles: int, seed: int) -> None:
    """Run again and again, killed each time; once it came to its end unharmed, begin a new one."""
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(ROWS)))
    dice = random.Random(seed)
    killer = Killer()
    killed = batches = 0
    while killed < cycles:
        output = tmp_path / str(batches) / "out.jsonl"
        output.parent.mkdir()
        batches += 1
        kills = 0
        with counted(emulator, killer) as server:
            code = -signal.SIGKILL
            while code and killed + kills < cycles:
                process = start(input, output, server, "never", 0)
                killer.aim(process, dice.randrange(1, 40), dice.uniform(0, 0.01))
                code = process.wait()
                assert code in (0, -signal.SIGKILL)
                kills += code != 0
            finish(input, output, server, kills)
        killed += kills


def test_killed_at_random_moments_every_id_is_there_exactly_once(
    tmp_path: Path, emulator: Emulator
) -> None:
    killed_at_random(tmp_path, emulator, cycles=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(60 + 3 * KILLS)
def test_killed_many_times_every_id_is_there_exactly_once(
    tmp_path: Path, emulator: Emulator
) -> None:
    killed_at_random(tmp_path, emulator, KILLS, seed=2)
