"""Descriptors of a `Multi`: none leaks where one is missing."""

from __future__ import annotations

import pytest

from tests.transport.process import run_script

_FREE = """
    import os, resource, sys
    import engine
    from engine.errors import ResourceError

    free = int(sys.argv[1])
    engine.Multi().close()  # what is imported late is imported
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
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
    after = 0
    try:
        while True:
            held.append(os.dup(0))
            after += 1
    except OSError:
        pass
    assert after == free, (after, free)
    print("told, and none left behind")
"""


@pytest.mark.parametrize("free", [0, 1, 2, 3, 4])
def test_a_multi_without_descriptors_is_an_error_of_ours_and_leaks_none(free: int) -> None:
    if free == 0:
        script = _FREE.replace("    before = os.dup(0)\n    os.close(before)\n", "")
    else:
        script = _FREE
    assert run_script(script, str(free)) == "told, and none left behind\n"
