"""The driver: the corpus holds, and the same seed gives the same inputs."""

from __future__ import annotations

import pytest

from tests.cases import each_case
from tests.fuzz.driver import inputs, run, seeds
from tests.fuzz.targets import TARGETS


@each_case("name", TARGETS)
def test_the_corpus_holds(name: str) -> None:
    assert seeds(name)
    run(name, 60)


def test_the_same_seed_gives_the_same_inputs() -> None:
    once, again, other = inputs("sse", 1), inputs("sse", 1), inputs("sse", 2)
    first = [next(once) for _ in range(50)]
    assert first == [next(again) for _ in range(50)]
    assert first != [next(other) for _ in range(50)]


def test_a_target_that_fails_shows_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(data: bytes) -> None:
        assert b"\xff" not in data

    monkeypatch.setitem(TARGETS, "sse", fails)
    with pytest.raises(AssertionError, match=r"sse fails for b'"):
        run("sse", 10_000)
