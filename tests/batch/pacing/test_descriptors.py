"""A run whose process is out of descriptors for a moment has all its requests in flight again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.batch.support import answer, provider
from tests.server import Peer
from tests.transport.process import run_script

RUN = """
import os, resource, sys
import engine
from engine.batch import Batch, Options
from engine.batch.pacing import ceiling
from engine.batch.pacing.descriptors import most_connections
from engine.transport import transfers
from tests.batch.support import ids, openai_row
from tests.transport.paced import take_all_descriptors

transfers._PATIENCE = 0.05  # that the lack is told, and not waited for
ceiling._LOOK_EVERY = 0.05
url, output = sys.argv[1:]
notices, rows, many = [], 300, 12
multi = engine.Multi()
options = Options(base_url=f"{url}/v1", concurrency=many)

batch = Batch(multi, map(openai_row, ids(rows)), output, options, on_notice=notices.append)
"""
TO_THE_END = """
for fd in held:
    os.close(fd)
at_the_end = 0
while batch.summary is None:
    multi.poll(0.05)
    if batch.summary is None and batch.progress().done > rows // 2:
        at_the_end = max(at_the_end, batch.progress().in_flight)
multi.close()
print(batch.summary.failed, low < many, at_the_end, len(notices))
"""


def closing(peer: Peer) -> None:
    """Answers on a connection that is not kept: the next request wants a descriptor."""
    time.sleep(0.002)
    peer.json(answer(), headers="connection: close\r\n")


def test_where_none_is_left_there_is_room_for_what_there_is_already() -> None:
    output = run_script(
        """
        from engine.batch.pacing.descriptors import most_connections
        from tests.transport.paced import take_all_descriptors

        free = most_connections()
        take_all_descriptors(100)
        print(free > 1, most_connections(), most_connections(30))
        """
    )
    assert output.split() == ["True", "1", "6"]


@pytest.mark.parametrize(
    "lack",
    [
        pytest.param(
            """
batch.start()
while batch.progress().done < 30:
    multi.poll(0.05)
held, (soft, hard) = [], resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
while not notices:
    multi.poll(0.05)
low = batch.progress().limit
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
""",
            id="in the middle",
        ),
        pytest.param(
            """
held = take_all_descriptors(100)
while most_connections() < 6:
    os.close(held.pop())
batch.start()
while not notices:
    multi.poll(0.05)
low = batch.progress().limit
while batch.progress().done < 30:
    multi.poll(0.05)
""",
            id="at the beginning",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_after_a_lack_as_many_are_in_flight_as_before(tmp_path: Path, lack: str) -> None:
    with provider(closing) as server:
        output = run_script(RUN + lack + TO_THE_END, server.url, str(tmp_path / "out.jsonl"))
    assert output.split() == ["0", "True", "12", "1"]
