"""Killed at any moment, a batch loses nothing and repeats nothing.

The provider is the emulator, in a process of its own. Each request reaches it through a server
that counts them, refuses and cuts some, and decides when the runner dies, and by which signal.
After each death every file is read back whole.
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

from engine.batch.keeping.records import read_entry
from engine.emulator import Emulator
from engine.emulator import start as start_emulator
from tests.batch.support import custom_ids, ids, openai_row, provider, read, write_rows
from tests.server import Peer, Server

ROWS = 60
CONCURRENCY = 8  # as in killed.py
# Kills at random moments; CI makes thirty, ENGINE_KILLS=300 is for whoever changes the journal.
KILLS = int(os.environ.get("ENGINE_KILLS", "30"))
POINTS = [
    "before the append",
    "in the append",
    "before the sync",
    "after the sync",
    "in recovery",
    "in the sort",
    "before the rename",
    "after the rename",
]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How a run ends that is no failure: well, or by one of the signals, told or taken.
ENDINGS = {0, *(-number for number in SIGNALS), *(128 + number for number in SIGNALS)}


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
        self._signal = signal.SIGKILL

    def aim(
        self, victim: subprocess.Popen[bytes], requests: int, delay: float, number: signal.Signals
    ) -> None:
        with self._lock:
            self._victim, self._left, self._delay = victim, requests, delay
            self._signal = number

    def count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0 and self._victim is not None:
                victim, number = self._victim, self._signal
                threading.Timer(self._delay, victim.send_signal, (number,)).start()


@contextmanager
def counted(
    emulator: Emulator, killer: Killer | None = None, dice: random.Random | None = None
) -> Iterator[Server]:
    """The emulator behind a server that knows every request that was made. With `dice`, one in
    five is refused, fails, is cut or reset."""
    host = emulator.url.partition("//")[2]

    def forward(peer: Peer) -> None:
        if killer is not None:
            killer.count()
        request = peer.request
        harm = dice.randrange(20) if dice is not None else 20
        if harm < 2:
            soon = "retry-after-ms: 5\r\n"
            peer.json(b"{}", ("429 Slow", "503 Oops")[harm], soon)
            return
        with closing(HTTPConnection(host)) as connection:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            body = answer.read()
        if harm == 2:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + body[:50])
        elif harm == 3:
            peer.reset()
        else:
            peer.json(body, status=f"{answer.status} {answer.reason}")

    with provider(forward) as server:
        yield server


def look(output: Path) -> None:
    """Every whole line of both files is read back, and no id is there twice."""
    seen: list[bytes] = []
    for path in (output, output.with_name("out.errors.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for line in lines:
            entry = read_entry(line)
            assert entry is not None or (line is lines[-1] and not line.endswith(b"\n")), line
            if entry is not None and not entry.failed:
                seen.append(entry.key)
    assert len(seen) == len(set(seen))


def start(
    input: Path, output: Path, server: Server, point: str, count: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.batch.killed", str(input), str(output)]
    return subprocess.Popen([*command, f"{server.url}/v1", point, str(count)])


def finish(input: Path, output: Path, server: Server, kills: int, fair: bool = True) -> None:
    """One more run, undisturbed; then every row is there once."""
    assert start(input, output, server, "never", 0).wait() == 0
    look(output)
    assert sorted(custom_ids(output)) == sorted(ids(ROWS))
    assert not read(output.with_name("out.errors.jsonl"))
    if fair:
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
            look(output)
        assert kills, "the point was never reached"
        finish(input, output, server, kills)


@pytest.mark.slow
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
        with counted(emulator, killer, dice) as server:
            code = -1
            while code and killed + kills < cycles:
                process = start(input, output, server, "never", 0)
                number = dice.choice(SIGNALS)
                killer.aim(process, dice.randrange(1, 40), dice.uniform(0, 0.01), number)
                code = process.wait()
                assert code in ENDINGS
                kills += code != 0
                look(output)
            finish(input, output, server, kills, fair=False)
        killed += kills


@pytest.mark.slow
def test_killed_at_random_moments_every_id_is_there_exactly_once(
    tmp_path: Path, emulator: Emulator
) -> None:
    killed_at_random(tmp_path, emulator, cycles=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(120 + 30 * KILLS)
def test_killed_many_times_every_id_is_there_exactly_once(
    tmp_path: Path, emulator: Emulator
) -> None:
    killed_at_random(tmp_path, emulator, KILLS, seed=2)
