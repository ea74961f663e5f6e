"""`engine agent`: the answer on stdout, every step on stderr, an exit code that tells."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import pytest

import engine.emulator
from engine.cli import agent
from engine.errors import ConfigError
from tests.agents.support import LOOP, call, script


def command(emulator: engine.emulator.Emulator, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    agent.add_arguments(parser)
    return agent.run(parser.parse_args(["-m", "demo", "--base-url", emulator.base_url, *arguments]))


@pytest.fixture(autouse=True)
def nothing_on_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


def test_a_task_with_a_tool(emulator: engine.emulator.Emulator, capsys: Any) -> None:
    task = script(call("calculator", expression="2^10"), "It is 1024.")
    assert command(emulator, task) == 0
    out, err = capsys.readouterr()
    assert out == "It is 1024.\n"
    assert err.splitlines() == ['→ calculator {"expression": "2^10"}', "← 1024"]


def test_react(emulator: engine.emulator.Emulator, capsys: Any) -> None:
    steps = {"thought": "Hm.", "action": "calculator", "input": "6*7"}
    assert command(emulator, "--react", script(steps, {"final": "42"})) == 0
    out, err = capsys.readouterr()
    assert out == "42\n" and "← 42" in err


def test_files_are_read_and_written_only_as_allowed(
    emulator: engine.emulator.Emulator, capsys: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("content")
    read = script(call("read_file", path="a.txt"), "Read.")
    write = script(call("write_file", path="a.txt", content="new"), "Written.")
    files = f"--tools=files:{tmp_path},calculator"
    assert command(emulator, files, read) == 0
    assert "← content" in capsys.readouterr().err
    assert command(emulator, files, write) == 0
    assert "there is no tool 'write_file'" in capsys.readouterr().err
    assert command(emulator, files, "--write", write) == 0
    assert "nobody is there to allow it" in capsys.readouterr().err
    assert (tmp_path / "a.txt").read_text() == "content"
    assert command(emulator, files, "--write", "--yes", write) == 0
    assert (tmp_path / "a.txt").read_text() == "new"


def test_what_a_page_or_model_says_is_harmless_on_the_terminal(
    emulator: engine.emulator.Emulator, capsys: Any
) -> None:
    task = script(call("calculator", expression="\x1b]52;c;x\x07" + "9" * 300), "Done.")
    assert command(emulator, task) == 0
    err = capsys.readouterr().err
    assert "\x1b" not in err and "\x07" not in err
    assert all(len(line) < 300 for line in err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--max-steps", "2", LOOP), 4),
        ((script({"error": "error-400"}),), 3),
        ((script(call("calculator", expression="1"), {"error": "error-400"}),), 1),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    emulator: engine.emulator.Emulator, capsys: Any, arguments: tuple[str, ...], code: int
) -> None:
    assert command(emulator, *arguments) == code
    assert "engine: error: " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--tools", "fly", "x"), ("--tools", "files:", "x"), ()])
def test_what_cannot_be_begun_is_refused(
    emulator: engine.emulator.Emulator, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError):
        command(emulator, *arguments)
