"""Files: below one folder, and not a step outside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent
from engine.agents.tools.files import file_tools
from engine.errors import ConfigError
from tests.agents.support import call, script


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with files in it, and secrets beside it that links lead to."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_text("secret")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("one\ntwo\nthree\n")
    (root / "sub/b.txt").write_text("deep")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "links").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to("..")
    (root / "inner.txt").symlink_to("a.txt")
    os.link(tmp_path / "secret.txt", root / "hard.txt")
    os.mkfifo(root / "pipe")
    return root


def tools(root: Path, **options: Any) -> dict[str, Any]:
    return {tool.definition.name: tool for tool in file_tools(root, **options)}


ESCAPES = [
    *("../secret.txt", "sub/../../secret.txt", "sub/../a.txt", "..", "/etc/passwd", "a\0b"),
    *("link.txt", "links/secret.txt", "up/secret.txt", "inner.txt", "up", "links/../secret.txt"),
]


def test_listing_and_reading(root: Path) -> None:
    given = tools(root)
    assert given["list_files"]().splitlines() == [
        *("a.txt", "hard.txt", "inner.txt", "link.txt", "links", "pipe", "sub/", "up"),
    ]
    assert given["list_files"]("./sub//") == "b.txt"
    assert given["read_file"]("sub/b.txt") == "deep"
    assert given["read_file"]("a.txt", first_line=2, lines=1) == "two\n"


@pytest.mark.parametrize("path", ESCAPES)
def test_nothing_leads_outside(root: Path, path: str) -> None:
    given = tools(root, write=True)
    before = {each: each.read_bytes() for each in root.parent.rglob("*.txt")}
    for attempt in (
        lambda: given["read_file"](path),
        lambda: given["list_files"](path),
        lambda: given["write_file"](path, "changed"),
    ):
        with pytest.raises((OSError, ValueError)) as caught:
            attempt()
        assert str(root) not in str(caught.value)
    assert {each: each.read_bytes() for each in root.parent.rglob("*.txt")} == before


@pytest.mark.parametrize("path", ["pipe", "sub", ".", "", "missing.txt", "a.txt/x"])
def test_what_is_no_file_is_not_read_and_does_not_hang(root: Path, path: str) -> None:
    with pytest.raises((OSError, ValueError)):
        tools(root)["read_file"](path)


def test_writing_only_where_it_is_allowed(root: Path) -> None:
    assert "write_file" not in tools(root)
    write = tools(root, write=True, max_bytes=100)["write_file"]
    assert write("sub/new.txt", "für\n") == "wrote 5 bytes to sub/new.txt"
    assert write("a.txt", "short") == "wrote 5 bytes to a.txt"
    assert (root / "a.txt").read_text() == "short"
    assert (root / "sub/new.txt").read_text() == "für\n"
    with pytest.raises(PermissionError, match="hard link"):
        write("hard.txt", "changed")
    assert (root.parent / "secret.txt").read_text() == "secret"
    with pytest.raises(ValueError, match="larger"):
        write("big.txt", "x" * 101)
    for path in ("sub", "no/such/folder.txt", "pipe"):
        with pytest.raises((OSError, ValueError)):
            write(path, "x")


def test_large_and_binary_files(root: Path) -> None:
    (root / "large.txt").write_text("x" * 1000)
    (root / "image.png").write_bytes(b"\x89PNG\0\0")
    read = tools(root, max_bytes=10)["read_file"]
    assert read("large.txt") == "x" * 10 + "\n[cut]"
    with pytest.raises(ValueError, match="no text"):
        read("image.png")


def test_a_folder_of_very_many_files_is_cut(root: Path) -> None:
    for number in range(1001):
        (root / "sub" / f"{number:04}").touch()
    lines = tools(root)["list_files"]("sub").splitlines()
    assert len(lines) == 1001 and lines[-1] == "[and 2 more]"


def test_the_root_must_be_a_folder(root: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        file_tools(root / "a.txt")


def test_an_agent_reads_a_file(client: engine.Client, root: Path) -> None:
    agent = FunctionAgent(client, "demo", file_tools(root))
    result = agent.run(script(call("read_file", path="sub/b.txt"), "It says deep."))
    assert result.trace[0].tools[0].content == "deep"
    escaped = agent.run(script(call("read_file", path="../secret.txt"), "No."))
    assert escaped.trace[0].tools[0].is_error
