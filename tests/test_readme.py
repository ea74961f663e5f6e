"""What the README says is so: its snippets run, its commands and links are there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine.emulator
from engine.cli import _parser
from tests.cli.terminal import terminal

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
    assert len(SNIPPETS) == README.count("```python") == 6


def test_the_iterator(emulator: engine.emulator.Emulator) -> None:
    assert len(run(SNIPPETS["An iterator"], emulator).split()) >= 20


def test_the_select_loop_answers_what_is_typed(emulator: engine.emulator.Emulator) -> None:
    snippet = SNIPPETS["A select loop with stdin"]
    assert run(snippet, emulator) == "Ask, and press Enter; Ctrl-D ends it.\n"
    assert len(run(snippet, emulator, stdin="Why?\n").split()) >= 20


@pytest.mark.slow
def test_the_select_loop_takes_lines_in_halves_and_torn_characters(
    emulator: engine.emulator.Emulator,
) -> None:
    code = SNIPPETS["A select loop with stdin"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "ENGINE_EMULATOR_URL": emulator.base_url},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for piece in (b'[[script: ["one', b'"]]]\n[[script: ["\xc3', b'\xa4!"]]]'):
            process.stdin.write(piece)
            process.stdin.flush()
            time.sleep(0)  # each is a read of its own, or not: the answer is the same
        process.stdin.close()
        said = process.stdout.read().decode()
    assert process.returncode == 0
    assert "one" in said and "ä!" in said


def test_the_select_loop_shows_each_word_as_it_comes_and_not_at_the_next_question() -> None:
    code = SNIPPETS["A select loop with stdin"]
    plain = {"PYTHONUNBUFFERED": ""}  # as a terminal has it
    with (
        engine.emulator.start() as slow,
        terminal(
            "-c", code, program=[sys.executable], ENGINE_EMULATOR_URL=slow.base_url, **plain
        ) as screen,
    ):
        # The stream stalls after its words: it is not over when they are looked for.
        screen.type('[[script: [{"text": "on the screen", "error": "stall"}]]]\n')
        screen.read_until("]]]")  # what was typed is echoed
        screen.read_until("on the")
        assert screen.process.poll() is None


def test_the_callbacks_see_events_and_one_end(emulator: engine.emulator.Emulator) -> None:
    *events, end = run(SNIPPETS["Callbacks"], emulator).splitlines()
    assert any(line.startswith("TextDelta(") for line in events)
    assert end.startswith("cancelled ")


@pytest.mark.slow
def test_a_thousand_at_once_complete(emulator: engine.emulator.Emulator) -> None:
    assert run(SNIPPETS["A thousand at once"], emulator) == "1000 complete\n"


def test_a_slow_model_gives_way_to_another(emulator: engine.emulator.Emulator) -> None:
    assert len(run(SNIPPETS["A slow first token, another model"], emulator).split()) >= 20


def test_a_server_of_your_own(emulator: engine.emulator.Emulator) -> None:
    assert len(run(SNIPPETS["Your own server"], emulator).split()) >= 20


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"(?:`|^    )make ([a-z]+)", README, re.MULTILINE))
    assert targets >= {"demo", "test", "bench", "examples", "docs"}
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets <= set(rules)


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_line_is_understood() -> None:
    assert len(COMMANDS) == 6
    for command in COMMANDS:
        arguments = shlex.split(command.rpartition("| ")[2])[1:]
        _parser(arguments).parse_args(arguments)  # else it exits, which fails here
