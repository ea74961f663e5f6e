"""How many files this process may open, asked and raised."""

from __future__ import annotations

import os

import pytest

from engine.transport.descriptors import (
    descriptor_limit,
    descriptors_left,
    none_left,
    raise_descriptor_limit,
)
from tests.transport.process import run_script


def test_descriptors_left_follows_what_is_open() -> None:
    before = descriptors_left()
    if before is None:
        pytest.skip("this process has no limit of open files")
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    after = descriptors_left()
    for fd in files:
        os.close(fd)
    assert after is not None and after <= before - 10  # more where holes were filled


def test_at_the_limit_no_descriptor_is_left() -> None:
    run_script(
        """
        from engine.transport.descriptors import descriptors_left
        from tests.transport.paced import take_all_descriptors

        take_all_descriptors()
        assert descriptors_left() == 0
        """
    )


def test_a_few_that_others_closed_meanwhile_count_for_none() -> None:
    assert not none_left()
    out = run_script(
        """
        import os
        from engine.transport.descriptors import none_left
        from tests.transport.paced import take_all_descriptors

        held = take_all_descriptors()
        for _ in range(3):
            print(none_left(), end=" ")
            os.close(held.pop())
        """
    )
    assert out.split() == ["True"] * 3


def test_the_soft_limit_is_raised_to_the_hard_one_and_statistics_say_so() -> None:
    out = run_script(
        """
        import resource
        import engine

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = 500 if hard == resource.RLIM_INFINITY else min(hard, 500)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, wanted))
        with engine.Multi() as multi:
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, wanted)
            print(multi.statistics().descriptors == wanted)
        """
    )
    assert out == "True\n"


def test_where_the_system_does_not_allow_it_the_limit_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resource = pytest.importorskip("resource")

    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    before = descriptor_limit()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_descriptor_limit()
    assert descriptor_limit() == 100
    monkeypatch.undo()
    assert descriptor_limit() == before
