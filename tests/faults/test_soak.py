"""The soak in small, and that it would notice."""

from __future__ import annotations

import logging

import pytest

import engine
from tests.faults.server import play
from tests.faults.soak import FAULTS, Sample, Soak, problems, script


def soaked(multi: engine.Multi, url: str, rounds: int, count: int) -> Soak:
    soak = Soak(multi, url, seed=1)
    for _ in range(rounds):
        soak.round(count)
        soak.sample()
    return soak


@pytest.mark.slow
def test_mixed_faults_are_told_as_they_were_and_leave_nothing(multi: engine.Multi) -> None:
    with play(script) as server:
        soak = soaked(multi, server.url, 4, 30)
    assert soak.wrong == []
    assert soak.streams == sum(soak.ended.values()) == 120
    assert set(soak.ended) == {"complete", "truncated", "cancelled", "error"}
    assert soak.samples[-1].descriptors <= soak.samples[1].descriptors


@pytest.mark.slow
def test_thousands_leave_memory_descriptors_and_threads_as_they_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "engine")  # what is captured is kept
    with play(script) as server, engine.Multi(max_connections=100) as multi:
        soak = soaked(multi, server.url, 16, 200)
    assert problems(soak) == []
    assert sum(soak.ended.values()) == 3200


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Sample(9.0, 9, 50.0, 11, 1), "descriptors"),
        (Sample(9.0, 9, 50.0, 10, 2), "threads"),
        (Sample(9.0, 9, 56.0, 10, 1), "memory"),
    ],
)
def test_what_grows_is_noticed(last: Sample, said: str, multi: engine.Multi) -> None:
    soak = Soak(multi, "http://127.0.0.1:1", 0)
    soak.samples = [Sample(0.0, 0, 50.0, 10, 1)] * 4
    assert problems(soak) == []
    soak.samples.append(last)
    (problem,) = problems(soak)
    assert problem.startswith(said)


def test_every_fault_says_how_it_may_end() -> None:
    assert all(FAULTS.values())
