"""Each example runs as it stands, against an emulator of its own and against one that is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine.emulator

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def emulator() -> Iterator[engine.emulator.Emulator]:
    with engine.emulator.start(tokens=30) as emulator:
        yield emulator


def run(name: str, *arguments: str, url: str | None = None, stdin: str = "") -> str:
    ours = {n: v for n, v in os.environ.items() if n not in ("ENGINE_EMULATOR_URL", "ENGINE_MODEL")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=ours if url is None else {**ours, "ENGINE_EMULATOR_URL": url},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_it_runs_alone(example: str) -> None:
    assert run(example)


def test_select_loop_answers_each_line_that_is_typed(emulator: engine.emulator.Emulator) -> None:
    shown = run("select_loop.py", url=emulator.base_url, stdin="one\n\ntwo")
    assert all(f"[{number}] " in shown for number in (1, 2, 3))
    assert "[4] " not in shown


def test_callbacks_ends_one_chains_one_and_survives_one() -> None:
    shown = run("callbacks.py")
    assert "first: cancelled, 2" in shown
    assert "second: " in shown and "second is over" in shown
    assert "third: error, because of ValueError('a mistake of mine')" in shown


def test_many_streams_counts_those_that_completed(emulator: engine.emulator.Emulator) -> None:
    assert "50 of 50 complete, 1500 tokens" in run("many_streams.py", "50", url=emulator.base_url)


def test_raw_http_shows_bodies_and_a_failure(emulator: engine.emulator.Emulator) -> None:
    shown = run("raw_http.py", url=emulator.base_url)
    assert "200 application/json" in shown
    assert "complete 0." in shown
    assert "error - 127.0.0.1:9" in shown


def test_the_custom_provider_streams(emulator: engine.emulator.Emulator) -> None:
    story, status = run("custom_provider.py", url=emulator.base_url).splitlines()[-2:]
    assert story
    assert status == "complete"
