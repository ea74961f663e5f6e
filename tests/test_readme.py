"""What the README says is so: its snippets run, its commands and links are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine.emulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = dict(
    re.findall(r"^\*\*(.+?)\*\*(?:(?!^\*\*).)*?^```python\n(.*?)^```", README, re.MULTILINE | re.S)
)
COMMANDS = re.findall(r"^    ((?:.* \| )?engine .*?)(?:  +#.*)?$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def emulator() -> Iterator[engine.emulator.Emulator]:
    with engine.emulator.start(tokens=30) as emulator:
        yield emulator


def run(code: str, emulator: engine.emulator.Emulator, stdin: str = "") -> str:
    # A snippet names the default port; the one here is any that was free.
    code = code.replace("http://127.0.0.1:8089/v1", emulator.base_url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "ENGINE_EMULATOR_URL": emulator.base_url},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_snippet_is_found() -> None:
    assert len(SNIPPETS) == README.count("```python") == 5


def test_the_iterator(emulator: engine.emulator.Emulator) -> None:
    assert len(run(SNIPPETS["An iterator"], emulator).split()) >= 20


def test_the_select_loop_answers_what_is_typed(emulator: engine.emulator.Emulator) -> None:
    snippet = SNIPPETS["A select loop with stdin"]
    assert run(snippet, emulator) == ""
    assert len(run(snippet, emulator, stdin="Why?\n").split()) >= 20


def test_the_callbacks_see_events_and_one_end(emulator: engine.emulator.Emulator) -> None:
    *events, end = run(SNIPPETS["Callbacks"], emulator).splitlines()
    assert any(line.startswith("TextDelta(") for line in events)
    assert end.startswith("cancelled ")


def test_a_thousand_at_once_complete(emulator: engine.emulator.Emulator) -> None:
    assert run(SNIPPETS["A thousand at once"], emulator) == "1000 complete\n"


def test_a_server_of_your_own(emulator: engine.emulator.Emulator) -> None:
    assert len(run(SNIPPETS["Your own server"], emulator).split()) >= 20


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"(?:`|^    )make ([a-z]+)", README, re.MULTILINE))
    assert targets >= {"demo", "test", "bench", "examples"}
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets <= set(rules)


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_line_is_understood() -> None:
    assert len(COMMANDS) == 5
    code = "import shlex, sys; from engine.cli import _parser; a = shlex.split(sys.argv[1])[1:]; "
    code += "_parser(a).parse_args(a)"
    for command in COMMANDS:
        line = command.rpartition("| ")[2]
        done = subprocess.run([sys.executable, "-c", code, line], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
