"""Tables fit the terminal they are shown on; options are spelt out."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.cli.terminal import COMMAND, environment, terminal


@pytest.mark.parametrize("columns", [44, 60, 150, 186, 200])
def test_a_table_fits_its_terminal(columns: int) -> None:
    with terminal("providers", "--color", "never", columns=columns) as screen:
        shown = screen.read_rest()
    shown = re.sub(r"\x1b\[[0-9;]*m|\r", "", shown)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("openrouter" in line for line in lines) >= 1
    assert "OPENROUTER_API_KEY" in shown and "api.groq.com" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", "--mod", "emulator/m", "hi"),
        ("agent", "--tool", "calculator", "hi"),
        ("batch", "in.jsonl", "--out", "x"),
        ("demo", "--stream", "3"),
        ("emulate", "--tok", "3"),
        ("--vers",),
    ],
)
def test_an_option_is_not_abbreviated(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
