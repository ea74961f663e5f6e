"""`Wakeup`: readable after `set`, from anywhere, until `clear`."""

from __future__ import annotations

import os
import select
import threading

import pytest

from engine.transport.wakeup import Wakeup


def readable(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup.fileno()], [], [], 0)[0])


@pytest.fixture(params=["eventfd", "socketpair"])
def wakeup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Wakeup:
    if request.param == "socketpair":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("no eventfd on this platform")
    made = Wakeup()
    request.addfinalizer(made.close)
    return made


def test_it_is_readable_from_set_to_clear(wakeup: Wakeup) -> None:
    assert not readable(wakeup)
    wakeup.set()
    wakeup.set()
    assert readable(wakeup)
    wakeup.clear()
    assert not readable(wakeup)
    wakeup.clear()


def test_note_counts_again_after_clear(wakeup: Wakeup) -> None:
    wakeup.note()
    wakeup.note()
    wakeup.clear()
    assert not readable(wakeup)
    wakeup.note()
    assert readable(wakeup)


def test_another_thread_may_set_it(wakeup: Wakeup) -> None:
    thread = threading.Thread(target=wakeup.set)
    thread.start()
    assert select.select([wakeup.fileno()], [], [], 10)[0]
    thread.join()


def test_set_never_blocks_and_close_may_be_repeated(wakeup: Wakeup) -> None:
    for _ in range(100_000):
        wakeup.set()
    wakeup.close()
    wakeup.close()
    wakeup.set()


def test_dropped_it_is_freed_as_if_it_were_closed(wakeup: Wakeup) -> None:
    wakeup.close()
    before = set(os.listdir("/dev/fd"))
    Wakeup().note()
    assert set(os.listdir("/dev/fd")) == before
