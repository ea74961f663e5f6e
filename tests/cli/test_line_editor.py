"""A pasted text is one question; history survives, for its owner alone; commands are not asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.line_editor import LineEditor, history_path
from tests.cases import each_case
from tests.cli.terminal import terminal
from tests.server import Peer, Server, chat, serve


def answered(peer: Peer) -> None:
    peer.stream(chat("All is well."))


def said(server: Server, number: int) -> list[str]:
    return [message["content"] for message in json.loads(server.requests[number].body)["messages"]]


def test_a_pasted_text_of_several_lines_is_one_question(tmp_path: Path) -> None:
    with serve(answered) as server:
        asked = ("chat", "-m", "m", "--base-url", f"{server.url}/v1")
        with terminal(*asked, XDG_STATE_HOME=str(tmp_path)) as screen:
            screen.read_until("> ")
            screen.type("\x1b[200~one\ntwo\n\tthree\x1b[201~\r")
            screen.read_until("All is well.")
            screen.read_until("> ")
            screen.type("\x04")
            screen.read_rest()
        with terminal(*asked, XDG_STATE_HOME=str(tmp_path)) as screen:
            screen.read_until("> ")
            screen.type("\x1b[A\r")  # the arrow up: what was asked the last time
            screen.read_until("All is well.")
        assert [said(server, number) for number in (0, 1)] == [["one\ntwo\n\tthree"]] * 2
    file = tmp_path / "streamengine" / "chat_history"
    assert file.stat().st_mode & 0o777 == 0o600


def test_commands_are_told_and_never_asked() -> None:
    with (
        serve(answered) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1") as screen,
    ):
        screen.read_until("Ctrl-D ends")
        screen.read_until("> ")
        screen.type("/help\r")
        screen.read_until("forget what was said")
        screen.read_until("> ")
        screen.type("/nope\r")
        screen.read_until("no command /nope")
        screen.read_until("> ")
        screen.type("/etc/hosts, what is it?\r")  # a question
        screen.read_until("All is well.")
        screen.read_until("> ")
        screen.type("/clear\r")
        screen.read_until("forgotten")
        screen.read_until("> ")
        screen.type("again\r")
        screen.read_until("All is well.")
        screen.read_until("> ")
        screen.type("/quit\r")
        screen.read_rest()
        assert screen.process.wait() == 0
        assert [said(server, number) for number in (0, 1)] == [
            ["/etc/hosts, what is it?"],
            ["again"],
        ]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def type_(*lines: str) -> None:
        waiting = iter(lines)
        monkeypatch.setattr("builtins.input", lambda prompt: next(waiting))

    return type_


def test_history_is_the_owners_alone_whatever_the_umask(
    tmp_path: Path, typed: Callable[..., None]
) -> None:
    path = tmp_path / "state" / "chat_history"
    typed("one\r\ntwo", "  ", "/help", "three")
    before = os.umask(0)
    try:
        editor = LineEditor(path)
        read = [editor.read("> ") for _ in range(4)]
    finally:
        os.umask(before)
    assert read == ["one\ntwo", "", "/help", "three"]
    assert [json.loads(line) for line in path.read_text().splitlines()] == ["one\ntwo", "three"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_history_that_cannot_be_kept_stops_nobody(
    tmp_path: Path, typed: Callable[..., None]
) -> None:
    (tmp_path / "file").write_text("")
    torn = tmp_path / "torn"
    torn.write_bytes(b'"whole"\n{"no string"\n\xff')
    typed("one", "two", "three")
    for path in (tmp_path / "file" / "history", torn, None):
        assert LineEditor(path).read("> ") in ("one", "two", "three")


@each_case(
    ("environ", "path"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/streamengine/chat_history"),
        ({"XDG_STATE_HOME": "s", "HOME": "/h"}, "/h/.local/state/streamengine/chat_history"),
        ({"HOME": "/h"}, "/h/.local/state/streamengine/chat_history"),
    ],
)
def test_where_history_is(environ: dict[str, str], path: str) -> None:
    assert history_path(environ) == Path(path)
