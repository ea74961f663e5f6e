"""How many files this process may open, asked and raised."""

from __future__ import annotations

import os

import pytest

from engine.transport.descriptors import descriptors_left
from tests.transport.process import run_script


def test_descriptors_left_follows_what_is_open() -> None:
    before = descriptors_left()
    if before is None:
        pytest.skip("this process has no limit of open files")
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    after = descriptors_left()
    for fd in files:
        os.close(fd)
    assert after is not None and after <= before - 10  # more where holes were filled


def test_at_the_limit_no_descriptor_is_left() -> None:
    run_script(
        """
        import os, resource
        from engine.transport.descriptors import descriptors_left

        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        held = []
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                break
        assert descriptors_left() == 0
        """
    )
