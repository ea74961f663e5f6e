"""Tables fit the terminal they are shown on; options are spelt out."""

from __future__ import annotations

import re

import pytest

from engine.cli import main
from tests.cli.terminal import terminal


@pytest.mark.parametrize(
    "columns", [44, 150, *(pytest.param(n, marks=pytest.mark.slow) for n in (60, 186, 200))]
)
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
def test_an_option_is_not_abbreviated(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
