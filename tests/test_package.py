"""What `import engine` brings, and what it leaves until it is named."""

from __future__ import annotations

import subprocess
import sys

import engine

LATER = ("agents", "batch", "emulator", "loops")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_each_folder_is_reached_by_its_name_and_none_is_imported_before() -> None:
    code = (
        "import sys, engine\n"
        f"later = {LATER}\n"
        "print([n for n in later if f'engine.{n}' in sys.modules])\n"
        "print(engine.batch.run.__module__, engine.agents.Agent.__name__)\n"
        "print(engine.loops.__name__, engine.emulator.start.__name__)\n"
        "print(engine.errors.EngineError.__name__, engine.events.TextDelta.__name__)\n"
        "print([n for n in later if f'engine.{n}' not in sys.modules])"
    )
    assert run(code).splitlines() == [
        "[]",
        "engine.batch Agent",
        "engine.loops start",
        "EngineError TextDelta",
        "[]",
    ]


def test_every_name_that_is_told_is_there() -> None:
    assert sorted(engine.__all__) == sorted(set(engine.__all__))
    for name in engine.__all__:
        assert getattr(engine, name) is not None
        assert name in dir(engine)


def test_a_name_that_there_is_not() -> None:
    names = ["Strem", "cli", "receiver"]
    assert run(f"import engine\nprint([n for n in {names} if hasattr(engine, n)])") == "[]"
