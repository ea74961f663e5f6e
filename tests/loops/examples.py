"""What the tests of `examples/hosts` share: a provider that never comes to an end by itself, and an
example that runs in a process of its own against it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.server import KEEP, FaultServer, Step, play
from tests.server import DONE, OK_SSE, Request, chat_chunk

HOSTS = Path(__file__).parents[2] / "examples" / "hosts"
WORDS = [f"word{n} " for n in range(30)]
SECONDS = 30.0  # a loaded machine's patience


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def script(request: Request) -> Iterable[Step]:
    """An answer that ends where the last question says "short", else one that never does."""
    question = json.loads(request.body)["messages"][-1]["content"]
    yield OK_SSE
    for word in WORDS if "short" in question else _counted():
        yield chunked(chat_chunk(word))
        yield 0.01
    yield chunked(chat_chunk(finish="stop") + DONE) + b"0\r\n\r\n"
    yield KEEP


def _counted() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"more{number} "


@contextmanager
def provider() -> Iterator[FaultServer]:
    with play(script) as server:
        yield server


def environment(server: FaultServer, **changes: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name != "ENGINE_MODEL"}
    return {**ours, "ENGINE_EMULATOR_URL": f"{server.url}/v1", **changes}


@contextmanager
def running(
    name: str, server: FaultServer, *arguments: str, python: str = sys.executable, **changes: str
) -> Iterator[Running]:
    """The example `name` in a process of its own, which is ended at the end if it runs still."""
    process = subprocess.Popen(
        [python, str(HOSTS / name), *arguments],
        env=environment(server, **changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process, server)
    finally:
        process.kill()
        process.communicate()


class Running:
    """An example that runs."""

    def __init__(self, process: subprocess.Popen[str], server: FaultServer) -> None:
        self.process = process
        self._server = server

    def wait_for_requests(self, count: int) -> None:
        until(lambda: len(self._server.requests) >= count, self)

    def wait_for_leavers(self, count: int) -> None:
        """Until the example has closed so many upstreams before their end."""
        until(lambda: len(self._server.left) >= count, self)

    def ended(self) -> str:
        """What it said, once it ended by itself; nothing on stderr."""
        out, err = self.process.communicate(timeout=SECONDS)
        assert (self.process.returncode, err) == (0, ""), out + err
        return out


def until(reached: Callable[[], bool], running: Running | None = None) -> None:
    """Look every 10 ms whether something in another process has come about."""
    end = time.monotonic() + SECONDS
    while not reached():
        assert running is None or running.process.poll() is None, running.process.communicate()
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def words_of(text: str) -> list[str]:
    """The words of the endless answer in `text`, which begin at the first and miss none."""
    found = re.findall(r"more\d+", text)
    assert found == [f"more{n + 1}" for n in range(len(found))]
    return found
