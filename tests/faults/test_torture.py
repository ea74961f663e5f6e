"""Torture: every system call of our own in five scenarios fails once, with each error there is.

Whatever fails: nothing hangs, what is raised is an error of ours or the system's own, no descriptor
is left, and the same work, done again in the same place, succeeds.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.batch import Options, run
from engine.batch.keeping.journal import Journal
from tests.server import HEALTHY, Peer, Server, chat, serve

ERRORS = (errno.EMFILE, errno.ENOMEM, errno.EIO, errno.ENOSPC, errno.EINTR)
CALLS = ("open", "read", "write", "close", "fsync", "fdatasync", "ftruncate", "pipe", "pipe2",
         "eventfd", "rename", "replace", "unlink", "lseek", "pread", "pwrite")  # fmt: skip
TEXT = "".join(HEALTHY)
Scenario = Callable[[Server, Path], None]


class Counter:
    """Counts the calls made by the engine's own modules on this thread, and fails one."""

    def __init__(self, fail_at: int = -1, code: int = 0) -> None:
        self.calls: list[str] = []
        self._fail_at, self._code = fail_at, code
        self._thread = threading.get_ident()

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            who = sys._getframe(1).f_globals.get("__name__", "")
            if who.startswith("engine.") and threading.get_ident() == self._thread:
                self.calls.append(f"{who}: {name}")
                # What cannot be closed is closed all the same: a second attempt would close
                # another's descriptor.
                if len(self.calls) == self._fail_at and name != "close":
                    raise OSError(self._code, os.strerror(self._code))
            return real(*args, **kwargs)

        return call


@contextlib.contextmanager
def tortured(counter: Counter) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            if hasattr(os, name):
                patch.setattr(os, name, counter.wrap(name, getattr(os, name)))
        epoll = counter.wrap("epoll", select.epoll)
        epoll.fromfd = select.epoll.fromfd  # type: ignore[attr-defined]  # it makes no call
        patch.setattr(select, "epoll", epoll)
        yield


def one_stream(server: Server, folder: Path) -> None:
    told: list[engine.Completion] = []
    with engine.Client(base_url=server.url, api_key="k", retry=engine.Retry(max_attempts=1)) as c:
        c.stream("m", "hi", on_done=lambda completion: told.append(completion)).result()
    assert [done.text for done in told] == [TEXT]


def many_streams(server: Server, folder: Path) -> None:
    with engine.Multi() as multi:
        client = engine.Client(multi, base_url=server.url, api_key="k")
        streams = [client.stream("m", "hi") for _ in range(5)]
        streams[0].cancel()
        multi.run()
    statuses = [stream.completion.status for stream in streams if stream.completion is not None]
    assert statuses == ["cancelled", *["complete"] * 4]


def from_another_thread(server: Server, folder: Path) -> None:
    called: list[int] = []
    with engine.Multi() as multi:
        multi.call_soon(lambda: called.append(1))
        multi.wakeup()
        multi.perform()
        multi.info_read()
    assert called == [1]


def a_journal(server: Server, folder: Path) -> None:
    path = folder / "out.jsonl"
    journal = Journal(str(path))
    try:
        journal.mend(lambda line: True)
        for word in (b"one\n", b"two\n"):
            if word not in path.read_bytes():
                journal.append(word)
        journal.sync()
    finally:
        journal.close()
    assert sorted(path.read_bytes().splitlines()) == [b"one", b"two"]


def a_batch(server: Server, folder: Path) -> None:
    rows = folder / "in.jsonl"
    rows.write_text('{"custom_id":"a","prompt":"x"}\n{"custom_id":"b","prompt":"y"}\n')
    options = Options(model="m", base_url=server.url, api_key="k", max_attempts=1, stream=True)
    summary = run(str(rows), str(folder / "out.jsonl"), options)
    assert summary.done == 2
    assert len((folder / "out.jsonl").read_bytes().splitlines()) == 2


SCENARIOS: tuple[Scenario, ...] = (
    one_stream,
    many_streams,
    from_another_thread,
    a_journal,
    a_batch,
)


def answer(peer: Peer) -> None:
    peer.stream(chat(*HEALTHY))


def calls_of(scenario: Scenario, folder: Path) -> list[str]:
    counter = Counter()
    folder.mkdir()
    with serve(answer) as server, tortured(counter):
        scenario(server, folder)
    return counter.calls


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
def test_the_scenario_makes_calls_that_can_fail(scenario: Scenario, tmp_path: Path) -> None:
    assert calls_of(scenario, tmp_path / "x")


@pytest.mark.slow
@pytest.mark.timeout(300)
# What reads a batch's rows is closed by the collector where the run failed before its first row.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
def test_whichever_call_fails_the_same_work_succeeds_after_it(
    scenario: Scenario, tmp_path: Path
) -> None:
    calls = calls_of(scenario, tmp_path / "counted")
    before = descriptors()
    for n in range(1, len(calls) + 1):
        for code in ERRORS:
            folder = tmp_path / f"{n}-{code}"
            folder.mkdir()
            # What the scenario asserts need not hold then; what it raises else is its own failure.
            failing = contextlib.suppress(OSError, engine.EngineError, AssertionError)
            with serve(answer) as server:
                with failing, tortured(Counter(n, code)):
                    scenario(server, folder)
                scenario(server, folder)
    assert descriptors() <= before + 3, calls


def descriptors() -> int:
    """How many are open, once what nobody holds is gone."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
