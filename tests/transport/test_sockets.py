"""Descriptors of a `Multi`: none leaks where one is missing, none of a dead connection stays."""

from __future__ import annotations

import pytest

from engine import Multi
from engine.transport import sockets as sockets_module
from engine.transport.multi import driver_of
from engine.transport.poller import PEER_LEFT
from tests.transport.process import run_script

_FREE = """
    import os, sys
    import engine
    from engine.errors import ResourceError
    from tests.transport.paced import take_all_descriptors

    free = int(sys.argv[1])
    engine.Multi().close()  # what is imported late is imported
    held = take_all_descriptors()
    for fd in held[len(held) - free:]:
        os.close(fd)
    before = os.dup(0)
    os.close(before)
    multis = []
    try:
        for _ in range(200):
            multis.append(engine.Multi())
    except ResourceError as error:
        assert "ulimit" in str(error)
    else:
        raise AssertionError("it took no descriptor")
    for multi in multis:
        multi.close()
    after = len(take_all_descriptors())
    assert after == free, (after, free)
    print("told, and none left behind")
"""


@pytest.mark.parametrize(
    "free", [0, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4))]
)
def test_a_multi_without_descriptors_is_an_error_of_ours_and_leaks_none(free: int) -> None:
    if free == 0:
        script = _FREE.replace("    before = os.dup(0)\n    os.close(before)\n", "")
    else:
        script = _FREE
    assert run_script(script, str(free)) == "told, and none left behind\n"


def test_servers_that_go_on_leaving_do_not_put_off_that_ours_are_closed(
    monkeypatch: pytest.MonkeyPatch, multi: Multi
) -> None:
    now, waiting, longest = 100.0, list[float](), 0.0
    sockets = driver_of(multi).sockets
    monkeypatch.setattr(sockets_module, "monotonic", lambda: now)
    monkeypatch.setattr(type(sockets.connections), "at_rest", lambda self, fd: ("127.0.0.1", fd))
    for second in range(40):
        if second < 30:
            sockets.notice(10_000 + second, PEER_LEFT)
            waiting.append(now)
        now += 0.7
        due = sockets.next_time()
        if due is not None and now >= due:
            sockets.run_timer([])
            # libcurl looks at each once a second: one that left just now may be overlooked.
            longest = max(longest, now - waiting[0]) if waiting else longest
            waiting = [left for left in waiting if now - left < 1.0]
    assert longest < 3
    assert not waiting
    assert sockets.next_time() is None
