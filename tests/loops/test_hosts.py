"""Every adapter, and every glue of the examples, in its real host: each stream ends once, mistakes
end nothing else, the host's own timer ticks on, and whoever leaves leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import terminal
from tests.faults.server import KEEP, STALL, Step, play
from tests.loops import gi
from tests.loops.hosts import HOSTS, MANY
from tests.server import DONE, OK_SSE, Request, chat_chunk

FAST = ("asyncio", "trio")
# PyGObject is no wheel: where a system has it, its host is tested too.
SLOW = [name for name in HOSTS if name not in FAST and (name != "glib" or gi.python())]
ON_A_SCREEN = ("tk", "qt")
IN_A_TERMINAL = ("curses", "inputhook", "prompt_toolkit", "textual")
WORDS = [f"w{n} " for n in range(15)]


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def script(request: Request, pause: float) -> Iterable[Step]:
    model = json.loads(request.body)["model"]
    yield OK_SSE
    if model == "endless":
        while True:
            yield chunked(chat_chunk("more "))
            yield 0.002
    for word in WORDS[: 1 if model == "short" else None]:
        yield chunked(chat_chunk(word))
        yield pause
        if model == "stalls":
            yield STALL
    yield chunked(chat_chunk(finish="stop") + DONE) + b"0\r\n\r\n"
    yield KEEP


def scenario(name: str, way: str, count: int, folder: Path) -> Any:
    """What came of it, in a process of its own."""
    file = folder / f"{way}.json"
    python = gi.python() or "" if name == "glib" else sys.executable
    changes = gi.environment() if name == "glib" else {}
    pause = 0.1 if count >= MANY else 0.02
    with play(lambda request: script(request, pause)) as server:
        arguments = [name, server.url, way, str(count), str(file)]
        run([python, "-m", "tests.loops.hosts", *arguments], name, changes)
    return json.loads(file.read_text())


def run(command: Sequence[str], name: str, changes: dict[str, str]) -> None:
    if name in IN_A_TERMINAL:
        with terminal(program=command, PROMPT_TOOLKIT_NO_CPR="1") as shown:
            said = shown.read_rest()
            assert shown.process.wait() == 0, said
        return
    if name in ON_A_SCREEN and not os.environ.get("DISPLAY"):
        if shutil.which("xvfb-run") is None:
            pytest.skip("Xvfb is not installed")
        command = ["xvfb-run", "-a", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, env={**os.environ, **changes}
    )
    assert done.returncode == 0, done.stderr


def holds(told: Any, count: int) -> None:
    """What must hold in every single run."""
    assert told["told"] == {"1": count + 5}  # each stream is told of once
    assert told["ends"] == {"complete": count + 1, "cancelled": 2, "error": 2}
    assert told["texts"] == {"".join(WORDS): count}
    assert told["left"] == []
    assert told["ticks"]["busy"] >= 10


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", FAST)
def test_each_stream_ends_once_and_mistakes_end_nothing_else(name: str, tmp_path: Path) -> None:
    holds(scenario(name, "stop", 20, tmp_path), 20)


@pytest.mark.slow
@pytest.mark.timeout(800)
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_two_hundred_streams_and_the_host_ticks_on_however_it_is_left(
    name: str, tmp_path: Path
) -> None:
    late, idle = [], []
    for turn in range(3):  # the least of three: what else the machine does takes time, too
        with ThreadPoolExecutor(2) as pool:
            ways = ("stop", "exception") if turn == 0 else ("stop",)
            runs = list(pool.map(lambda way: scenario(name, way, MANY, tmp_path), ways))
        for way, told in zip(ways, runs, strict=True):
            holds(told, MANY)
            assert told["by_exception"] is (way == "exception")
            late.append(told["late"]["busy"] - told["late"]["idle"])
            idle.append(told["idle_cpu"])
        if min(late) < 0.02 and min(idle) < 0.01:
            return
    raise AssertionError((late, idle))
