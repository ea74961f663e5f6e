"""Every adapter in its real host: each stream ends once, mistakes end nothing else, and the host's
own timer ticks on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec

import pytest

from tests.faults.server import KEEP, STALL, Step, play
from tests.loops.hosts import COUNT, HOSTS
from tests.server import DONE, HEALTHY, OK_SSE, Request, chat_chunk

# PyGObject is no wheel: where a system has it, its host is tested too.
FAST = ("asyncio", "trio")
SLOW = [name for name in HOSTS if name not in FAST and (name != "glib" or find_spec("gi"))]


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def script(request: Request) -> Iterable[Step]:
    yield OK_SSE
    if b"endless" in request.body:
        while True:
            yield chunked(chat_chunk("more "))
            yield 0.002
    for word in HEALTHY:
        yield chunked(chat_chunk(word))
        yield 0.01
        if b"stalls" in request.body:
            yield STALL
    yield chunked(chat_chunk(finish="stop") + DONE) + b"0\r\n\r\n"
    yield KEEP


def command(name: str, url: str) -> list[str]:
    command = [sys.executable, "-m", "tests.loops.hosts", name, url]
    if name != "tk" or os.environ.get("DISPLAY"):
        return command
    if shutil.which("xvfb-run") is None:
        pytest.skip("Xvfb is not installed")
    return ["xvfb-run", "-a", *command]


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_the_scenario(name: str) -> None:
    with play(script) as server:
        done = subprocess.run(command(name, server.url), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    ends = ["complete"] * COUNT + ["cancelled"] * 2 + ["error", "truncated"]
    assert told["ends"] in (sorted(ends), sorted([*ends[:-1], "error"]))
    assert told["texts"] == ["".join(HEALTHY)]
    assert told["ticks"] >= 5
    assert told["tick"] < 0.06  # 20 ms of its own; the slowest says more of the machine than of us
