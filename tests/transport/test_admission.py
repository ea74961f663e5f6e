"""`Admission`: fair between hosts, within every limit, nothing forgotten."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.transport.admission import Admission


@dataclass(eq=False)
class Item:
    host: str
    over: bool = False


def take(admission: Admission, most: int | None = None) -> str:
    return "".join(item.host for item in admission.take(most))


def filled(admission: Admission, hosts: str) -> list[Item]:
    items = [Item(host) for host in hosts]
    for item in items:
        admission.enqueue(item)
    return items


def test_hosts_take_turns() -> None:
    admission = Admission(0, 0, 100)
    filled(admission, "aaaabc")
    assert take(admission, 4) == "abca"
    assert take(admission) == "aa"
    assert not admission.waiting


def test_the_total_and_the_host_limit_hold_until_a_release() -> None:
    admission = Admission(3, 2, 100)
    items = filled(admission, "aaab")
    assert take(admission) == "aba"
    assert not admission.waiting
    admission.release(items[0])
    assert admission.waiting
    assert take(admission) == "a"


def test_the_total_is_looked_at_before_each() -> None:
    admission = Admission(2, 0, 100)
    filled(admission, "aaaa")
    assert take(admission) == "aa"


def test_who_comes_while_its_host_waits_waits_behind_the_other_hosts() -> None:
    admission = Admission(0, 0, 100)
    filled(admission, "aaabb")
    assert take(admission, 1) == "a"
    filled(admission, "a")
    assert take(admission) == "babaa"


@pytest.mark.parametrize("name", ["http://a", "https://a"])
@pytest.mark.parametrize("host_limit", [0, 20])
def test_a_host_that_was_reached_keeps_to_what_holds_for_it(name: str, host_limit: int) -> None:
    admission = Admission(0, host_limit, 100)

    def begun() -> int:
        return len(list(admission.take(None)))

    for _ in range(40):
        admission.enqueue(Item(name))
    assert len(list(admission.take(1))) == 1
    admission.reached(name)
    wanted: list[str] = []
    admission.hold(name, lambda: wanted.append(name))
    assert begun() == 0
    assert wanted == [name]
    admission.let_go(name)
    early = 16 if name.startswith("https:") else 40
    assert begun() == min(early, host_limit or 40) - 1
    admission.settle(name)
    assert begun() == max((host_limit or 40) - early, 0)


def test_over_http2_a_connection_carries_many() -> None:
    admission = Admission(0, 1, 10)
    items = filled(admission, "a" * 30)
    assert len(take(admission)) == 1
    admission.multiplexes(items[0].host)
    assert len(take(admission)) == 9
    admission.release(items[0])
    assert len(take(admission)) == 1


def test_cancelled_ones_are_skipped_and_leave_no_trace() -> None:
    admission = Admission(0, 0, 100)
    for item in filled(admission, "abc" * 10):
        item.over = True
    last = Item("d")
    admission.enqueue(last)
    assert take(admission) == "d"
    admission.release(last)
    assert admission._hosts == {}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_everything_starts_once_and_no_limit_is_passed(
    asked: list[tuple[str, bool]], total: int, a_host: int, most: int
) -> None:
    admission = Admission(total, a_host, 100)
    items = [Item(host, over) for host, over in asked]
    for item in items:
        admission.enqueue(item)
    running: list[Item] = []
    started: list[Item] = []
    while True:
        new = [item for item in admission.take(most) if isinstance(item, Item)]
        running += new
        started += new
        assert admission.active == len(running)
        assert not total or len(running) <= total
        assert not a_host or all(sum(i.host == h for i in running) <= a_host for h in "abc")
        if not running:
            break
        admission.release(running.pop(0))
    assert sorted(map(id, started)) == sorted(id(item) for item in items if not item.over)
    assert not admission.waiting
