"""Descriptors of a `Multi`: none leaks where one is missing."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("free", [0, 1, 2, 3, 4])
def test_a_multi_without_descriptors_is_an_error_of_ours_and_leaks_none(free: int) -> None:
    if free == 0:
        script = _FREE.replace("    before = os.dup(0)\n    os.close(before)\n", "")
    else:
        script = _FREE
    assert run_script(script, str(free)) == "told, and none left behind\n"
