"""Killed at any moment, a batch loses nothing and repeats nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.batch.support import answer, custom_ids, ids, openai_row, provider, write_rows
from tests.server import Peer, Server

ROWS = 60
CONCURRENCY = 8  # as in killed.py
POINTS = [
    "before the append",
    "in the append",
    "before the sync",
    "after the sync",
    "in recovery",
]


def start(
    input: Path, output: Path, server: Server, point: str, count: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.batch.killed", str(input), str(output)]
    return subprocess.Popen([*command, f"{server.url}/v1", point, str(count)])


def finish(input: Path, output: Path, server: Server, kills: int) -> None:
    """One more run, undisturbed; then every row is there once."""
    assert start(input, output, server, "never", 0).wait() == 0
    assert sorted(custom_ids(output)) == sorted(ids(ROWS))
    assert len(server.requests) <= ROWS + CONCURRENCY * kills


def killed_at(tmp_path: Path, point: str, counts: Sequence[int]) -> None:
    """Kill the runner at `point` once for each of `counts`: when it gets there that time."""
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(ROWS)))
    output = tmp_path / "out.jsonl"
    kills = 0
    with provider() as server:
        for count in counts:
            code = start(input, output, server, point, count).wait()
            assert code in (0, -signal.SIGKILL)
            kills += code != 0
        assert kills, "the point was never reached"
        finish(input, output, server, kills)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point_every_id_is_there_exactly_once(tmp_path: Path, point: str) -> None:
    killed_at(tmp_path, point, (2, 1))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_again_and_again_every_id_is_there_exactly_once(tmp_path: Path, point: str) -> None:
    killed_at(tmp_path, point, (2, 1, 3, 1, 2, 1, 5, 1, 3, 1))


def killed_at_random(tmp_path: Path, cycles: int, seed: int) -> None:
    """Kill the runner when it has sent so many requests; the moment between is the machine's."""
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(ROWS)))
    dice = random.Random(seed)
    countdown = 0
    victim = 0
    lock = threading.Lock()

    def handler(peer: Peer) -> None:
        nonlocal countdown
        with lock:
            countdown -= 1
            if countdown == 0:
                os.kill(victim, signal.SIGKILL)
        peer.json(answer())

    with provider(handler) as server:
        kills = done = 0
        output = tmp_path / "out.jsonl"
        while kills < cycles:
            with lock:
                countdown = dice.randrange(1, 40)
                process = start(input, output, server, "never", 0)
                victim = process.pid
            code = process.wait()
            with lock:
                countdown = 0
            kills += code != 0
            done += code == 0
            if code == 0:
                finish(input, output, server, kills)
                for file in tmp_path.glob("out*"):
                    file.unlink()
                server.requests.clear()
                cycles -= kills
                kills = 0
        finish(input, output, server, kills)


def test_killed_at_random_moments_every_id_is_there_exactly_once(tmp_path: Path) -> None:
    killed_at_random(tmp_path, cycles=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_three_hundred_times(tmp_path: Path) -> None:
    killed_at_random(tmp_path, cycles=300, seed=2)
