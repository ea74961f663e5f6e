"""On Ray a batch is the same batch: same files, true counts, one budget; whoever dies, every id is
there once."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.batch.support import answer, custom_ids, ids, openai_row, provider, read, write_rows
from tests.server import Peer, Server

# Not imported here: its threads would stay, and take the signals other tests hold off.
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS = 600


class Command:
    """`engine batch … --ray` in a process group of its own: Ray's processes belong to it."""

    def __init__(self, input: Path, output: Path, server: Server, *options: str) -> None:
        asked = [str(input), "-o", str(output), "--base-url", f"{server.url}/v1"]
        ray = ["--ray", "--ray-actors", "2", "--progress", "json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine", "batch", *asked, *ray, *options],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait(self) -> dict[str, Any]:
        """Its summary, once it is over."""
        _, said = self.process.communicate()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        facts: dict[str, Any] = json.loads(said.splitlines()[-1])
        return facts

    def kill_a_worker(self) -> None:
        found = subprocess.run(
            ["pgrep", "-g", str(self.process.pid), "-f", "ray::Worker"],
            capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        if found:
            os.kill(int(found[0]), signal.SIGKILL)


def test_a_worker_killed_the_driver_interrupted_and_run_again(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", [*map(openai_row, ids(ROWS)), {"no": "row"}])
    output = tmp_path / "out.jsonl"
    killed, interrupted = threading.Event(), threading.Event()
    answered: list[int] = []

    def handler(peer: Peer) -> None:
        if len(server.requests) > 100 and not killed.is_set():
            killed.set()
            first.kill_a_worker()
        if len(server.requests) > 300 and not interrupted.is_set():
            interrupted.set()
            first.process.send_signal(signal.SIGINT)
        peer.json(answer())
        answered.append(1)

    with provider(handler) as server:
        first = Command(input, output, server, "--concurrency", "20")
        facts = first.wait()
        assert killed.is_set() and facts["exit_code"] == 130
        kept = custom_ids(output)
        # What a dead worker had under way was answered to nobody; all else is kept.
        assert len(answered) - 20 <= len(kept) == facts["done"]
        assert facts["output_tokens"] == 20 * len(kept)
        second = Command(input, output, server, "--concurrency", "20", "--ordered").wait()
    assert (second["done"], second["failed"], second["exit_code"]) == (ROWS, 1, 1)
    assert custom_ids(output) == ids(ROWS)
    assert [row["line"] for row in read(tmp_path / "out.errors.jsonl")] == [ROWS + 1]


def test_one_budget_and_one_pace_for_all_workers(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(ROWS)))
    refused: list[int] = []

    def handler(peer: Peer) -> None:
        if len(server.requests) in (5, 6):
            refused.append(1)
            peer.json(b"{}", "429 Slow", "retry-after-ms: 50\r\n")
        else:
            peer.json(answer())

    report = tmp_path / "report.html"
    with provider(handler) as server:
        capped = ("--max-tokens-total", "3000", "--report", str(report))
        facts = Command(input, tmp_path / "out.jsonl", server, *capped).wait()
        assert (facts["exit_code"], facts["stopped"]) == (4, "budget")
        assert 2900 <= 30 * len(custom_ids(tmp_path / "out.jsonl")) <= 3030
        assert facts["requests"] == len(server.requests)
        assert facts["refused"] == len(refused) == 2
    assert "<svg" in report.read_text()
