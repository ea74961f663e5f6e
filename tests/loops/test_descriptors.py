"""A `Multi` whose descriptor is 1,024 or more, for which select() cannot wait: every loop ends its
stream all the same, by its own poll() or by timers, and a select loop of one's own is told why."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import engine
import engine.emulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LEAST = 1100


def _asyncio(url: str, make: Callable[[], Any]) -> str:
    import asyncio

    from engine.loops.asyncio import AsyncClient

    async def main() -> str:
        held = fill()
        async with AsyncClient(base_url=url) as client:
            status = (await asyncio.wait_for(client.stream("demo", "hi"), 20)).status
        assert held
        return status

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(main())


def asyncio_epoll(url: str) -> str:
    import asyncio

    return _asyncio(url, asyncio.SelectorEventLoop)


def asyncio_select(url: str) -> str:
    import asyncio
    import selectors

    return _asyncio(url, lambda: asyncio.SelectorEventLoop(selectors.SelectSelector()))


def _client(url: str, done: Callable[[engine.Completion[Any]], object]) -> engine.Client:
    fill()
    client = engine.Client(base_url=url)
    client.stream("demo", "hi", on_done=done)
    return client


def tk(url: str) -> str:
    import tkinter

    from engine.loops.tk import attach

    root, ends = tkinter.Tk(), []

    def done(completion: engine.Completion[Any]) -> None:
        ends.append(completion.status)
        root.quit()

    # Not before its loop runs: Tk itself opens descriptors then, and cannot have large ones.
    root.after(10, lambda: attach(_client(url, done).multi, root))
    root.after(20_000, root.quit)
    root.mainloop()
    return ends[0]


def _twisted(url: str) -> str:
    from twisted.internet import reactor as _reactor

    from engine.loops.twisted import attach

    reactor: Any = _reactor
    ends: list[str] = []

    def done(completion: engine.Completion[Any]) -> None:
        ends.append(completion.status)
        reactor.stop()

    reactor.callWhenRunning(lambda: attach(_client(url, done).multi))
    reactor.run()
    return ends[0]


def twisted_select(url: str) -> str:
    from twisted.internet import selectreactor

    selectreactor.install()  # type: ignore[no-untyped-call]
    return _twisted(url)


def qt(url: str) -> str:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtCore import QCoreApplication

    from engine.loops.qt import attach

    app, ends = QCoreApplication([]), []

    def done(completion: engine.Completion[Any]) -> None:
        ends.append(completion.status)
        app.quit()

    attachment = attach(_client(url, done).multi)
    app.exec()
    attachment.close()
    return ends[0]


def gevent_patched(url: str) -> str:
    from gevent import monkey

    monkey.patch_all()
    ends: list[str] = []
    _client(url, lambda completion: ends.append(completion.status)).multi.run()
    return ends[0]


def select_loop(url: str) -> str:
    fill()
    with engine.Multi() as multi:
        try:
            multi.fdset()
        except engine.errors.ResourceError as error:
            return str(error)
    return "nothing was said"


def fill() -> list[int]:
    """Take all small numbers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * LEAST)), hard))
    return [os.dup(0) for _ in range(LEAST)]


LOOPS = (asyncio_epoll, asyncio_select, tk, twisted_select, qt, gevent_patched, select_loop)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with engine.emulator.start(tokens=5, tps=50) as emulator:
        yield emulator.base_url


@pytest.mark.parametrize("loop", [loop.__name__ for loop in LOOPS])
def test_a_large_number_stops_no_loop(loop: str, url: str) -> None:
    command = [sys.executable, "-m", "tests.loops.test_descriptors", loop, url]
    if loop == "tk":
        if shutil.which("xvfb-run") is None:
            pytest.skip("Xvfb is not installed")
        command = ["xvfb-run", "-a", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = "poll() or select.epoll()" if loop == "select_loop" else "complete"
    assert said in done.stdout


if __name__ == "__main__":
    print({loop.__name__: loop for loop in LOOPS}[sys.argv[1]](sys.argv[2]), flush=True)
    os._exit(0)
