"""Large batches: memory that does not follow the rows, and speed."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from benchmarks.batch_rows import batch_rows
from benchmarks.origins import raise_descriptor_limit


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_thousand_rows_a_thousand_at_once() -> None:
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        pytest.skip("nginx is not installed")
    assert importlib.util.find_spec("openai"), "the script it is compared with needs openai"
    raise_descriptor_limit()
    table = batch_rows(200_000, 1_000)
    # Rows a second are the machine's as much as ours: the ratio and the memory are what must hold.
    ours = [str(goal) for goal in table.goals if not str(goal).startswith("rows a CPU second")]
    assert len(ours) == 2
    assert not [goal for goal in ours if "kept" not in goal]
