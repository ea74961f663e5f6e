"""Streams that are closed, or that nobody reads, change nothing about how a command ends.

Without PYTHONUNBUFFERED, which hides what Python does at exit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import COMMAND, environment

# Each starts a program, or two.
pytestmark = pytest.mark.slow
QUIET = ["batch", "--help"], ["providers"], ["--version"], ["--help"]
WRONG = ["batch"], ["chat", "-m", "nobody/m", "hi"], ["merge", "x", "-o", "y"], ["nonsense"], []


def run(arguments: list[str], redirection: str) -> tuple[int, str, str]:
    """`engine ARGUMENTS REDIRECTION`: exit code, and what still came out on the two streams."""
    changed = environment()
    changed.pop("PYTHONUNBUFFERED", None)
    script = ["sh", "-c", f'exec "$@" {redirection}', "sh", str(COMMAND), *arguments]
    done = subprocess.run(
        script, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=changed
    )
    return done.returncode, done.stdout, done.stderr


def run_unread(arguments: list[str], *, out: bool, err: bool) -> tuple[int, str, str]:
    """The same with pipes whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    changed = environment()
    changed.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=writer if out else subprocess.PIPE,
        stderr=writer if err else subprocess.PIPE,
        text=True,
        env=changed,
    )
    os.close(writer)
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [*QUIET, *WRONG], ids=" ".join)
def test_nobody_who_reads_stderr_changes_nothing(arguments: list[str]) -> None:
    code, stdout, _ = run(arguments, "")
    assert run_unread(arguments, out=False, err=True) == (code, stdout, "")
    assert run(arguments, "2>&-") == (code, stdout, "")


@pytest.mark.parametrize("arguments", QUIET, ids=" ".join)
def test_a_reader_of_stdout_that_has_gone_is_told_by_the_code_alone(arguments: list[str]) -> None:
    code, stdout, stderr = run_unread(arguments, out=True, err=False)
    assert (code in (0, 1), stdout, stderr) == (True, "", "")
    assert run_unread(arguments, out=True, err=True)[0] == code
    assert run(arguments, ">&-") == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_under_stderr_changes_nothing() -> None:
    assert run(["merge", "x", "-o", "y"], "2>/dev/full") == (2, "", "")


def test_all_three_closed_and_the_first_file_opened_is_not_one_of_them(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from engine.cli.standard_streams import open_standard_streams\n"
        "open_standard_streams()\n"
        f"file = open({str(tmp_path / 'out')!r}, 'w')\n"
        "print('to stdout'); print('to stderr', file=sys.stderr); os.write(2, b'from C')\n"
        "assert os.read(0, 1) == b''\n"
        "file.write(str(file.fileno()))\n"
    )
    script = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program]
    assert subprocess.run(script).returncode == 0
    assert int((tmp_path / "out").read_text()) > 2
