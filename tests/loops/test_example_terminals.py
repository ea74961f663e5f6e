"""The examples of `examples/hosts` that a person types in, on a real pseudo-terminal."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.terminal import Terminal, terminal
from tests.faults.server import FaultServer
from tests.loops.examples import HOSTS, SECONDS, WORDS, provider, until

pytestmark = pytest.mark.slow

ESCAPE, CTRL_C, CTRL_D, CTRL_Q = "\x1b", "\x03", "\x04", "\x11"


@contextmanager
def typing_at(name: str) -> Iterator[tuple[Terminal, FaultServer]]:
    program = (sys.executable, str(HOSTS / name))
    with provider() as server:
        url = f"{server.url}/v1"
        with terminal(program=program, ENGINE_EMULATOR_URL=url, PROMPT_TOOLKIT_NO_CPR="1") as shown:
            yield shown, server


class Drawn:
    """The screen as it stands: a program that draws writes the cells that changed, not words."""

    def __init__(self, terminal: Terminal) -> None:
        pyte = pytest.importorskip("pyte")
        self._terminal = terminal
        self._screen: Any = pyte.Screen(100, 24)
        self._stream: Any = pyte.ByteStream(self._screen)

    def until(self, text: str) -> None:
        """Draw what comes until `text` stands there."""
        end = time.monotonic() + SECONDS
        while text not in "\n".join(self._screen.display):
            ready, _, _ = select.select([self._terminal.screen], [], [], end - time.monotonic())
            assert ready, self._screen.display
            self._stream.feed(os.read(self._terminal.screen, 65536))


def ends_well(shown: Terminal) -> None:
    shown.read_rest()
    assert shown.process.wait() == 0


def test_prompt_toolkit_one_types_while_it_streams_and_ctrl_c_cancels_the_answer_only() -> None:
    with typing_at("prompt_toolkit_repl.py") as (shown, server):
        screen = Drawn(shown)
        screen.until(">")
        shown.type("endless\r")
        screen.until("more5")
        shown.type("a sho")  # typed in the middle of an answer, it stays
        screen.until("more20")
        screen.until("> a sho")
        assert server.left == []
        shown.type(CTRL_C)
        screen.until("[cancelled]")
        until(lambda: len(server.left) == 1)
        shown.type("rt one\r")
        screen.until(WORDS[-1].strip())
        assert b"a short one" in server.requests[-1].body
        assert b"more5" in server.requests[-1].body  # what came before it was cancelled
        shown.type(CTRL_D)
        ends_well(shown)


def test_prompt_toolkit_inputhook_answers_while_the_prompt_waits() -> None:
    with typing_at("prompt_toolkit_inputhook.py") as (shown, _server):
        screen = Drawn(shown)
        screen.until(">")
        shown.type("short\r")
        screen.until(WORDS[-1].strip())
        shown.type(CTRL_D)
        ends_well(shown)


@pytest.mark.parametrize(
    ("name", "begins", "leave"),
    [("curses_chat.py", ">", CTRL_C), ("textual_chat.py", "Ask anything", CTRL_Q)],
)
def test_a_full_screen_shows_what_streams_and_escape_stops_it(
    name: str, begins: str, leave: str
) -> None:
    with typing_at(name) as (shown, server):
        screen = Drawn(shown)
        screen.until(begins)
        shown.type("endless\r")
        screen.until("more20")
        assert server.left == []
        shown.type(ESCAPE)
        until(lambda: len(server.left) == 1)
        shown.type("short\r")
        screen.until(WORDS[-1].strip())
        shown.type(leave)
        ends_well(shown)
