"""On Ray a batch has the same files: killed and run again, every id is there once."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.batch.support import answer, custom_ids, ids, openai_row, provider, read, write_rows
from tests.server import Peer

# Not imported here: its threads would stay, and take the signals other tests hold off.
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)

ROWS = 1300
PROGRAM = """
import sys
from engine.batch import Options
from engine.batch.ray import run_on_ray

options = Options(base_url=sys.argv[3], concurrency=20)
sys.exit(run_on_ray(sys.argv[1], sys.argv[2], options, actors=2).exit_code)
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_killed_on_two_workers_and_run_again_every_id_is_there_once(tmp_path: Path) -> None:
    rows = [*map(openai_row, ids(ROWS)), {"no": "row"}]
    input = write_rows(tmp_path / "in.jsonl", rows)
    output = tmp_path / "out.jsonl"
    first: subprocess.Popen[bytes] | None = None

    def handler(peer: Peer) -> None:
        if first is not None and first.poll() is None and len(server.requests) > ROWS - 150:
            # The last rows wait until the first blocks are written: it dies in the middle.
            while read_lines(output) < 500 and first.poll() is None:
                threading.Event().wait(0.02)
            first.kill()
        peer.json(answer())

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, str(input), str(output), f"{server.url}/v1"]
        # Ray's own processes belong to the group of the one that began them.
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    with provider(handler) as server:
        first = start()
        assert first.wait() == -signal.SIGKILL
        left = len(read_whole(output))
        assert 0 < left < ROWS
        second = start()
        assert second.wait() == 1  # the line that is no row
        for process in (first, second):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    assert sorted(custom_ids(output)) == sorted(ids(ROWS))
    assert [row["line"] for row in read(tmp_path / "out.errors.jsonl")] == [ROWS + 1]


def read_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def read_whole(path: Path) -> list[str]:
    """Ids of the whole lines; the last may be torn."""
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line)["custom_id"] for line in whole.splitlines()]
