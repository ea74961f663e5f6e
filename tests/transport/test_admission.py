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


@pytest.mark.parametrize("many", [1, 3, 40])
@pytest.mark.parametrize("stands", [True, False])
def test_a_host_that_has_no_connection_any_more_is_a_new_one(many: int, stands: bool) -> None:
    admission = Admission(0, 2, 100)
    asked: list[str] = []

    def still(name: str) -> bool:
        asked.append(name)
        return stands

    admission.stands = still
    host = "https://a"
    first = Item(host)
    admission.enqueue(first)
    assert list(admission.take(None)) == [first]
    admission.multiplexes(host)
    admission.release(first)
    for _ in range(many):
        admission.enqueue(Item(host))
    taken = list(admission.take(None))
    assert len(taken) == (many if stands else min(many, 2))
    assert asked == ([host] if many > 1 else []), "one alone needs no room, and is not looked at"
    assert admission.settled(host) is (stands or many == 1)


def test_a_host_that_is_seen_to_speak_http_1_1_is_counted_so_again() -> None:
    admission = Admission(0, 2, 100)
    jobs = [Item("https://a") for _ in range(10)]
    for job in jobs:
        admission.enqueue(job)
    assert list(admission.take(None)) == jobs[:2]
    admission.multiplexes("https://a")
    assert list(admission.take(3)) == jobs[2:5]
    admission.multiplexes("https://a", False)
    assert list(admission.take(None)) == [] and admission.settled("https://a")
    for job in jobs[:5]:
        admission.release(job)
    assert list(admission.take(None)) == jobs[5:7]


def test_plain_http_has_nothing_to_wait_for_when_it_is_new_again() -> None:
    admission = Admission(0, 0, 100)
    for host in ("http://a", "https://a"):
        for _ in range(3):
            admission.enqueue(Item(host))
        admission.multiplexes(host)
        admission.unsettle(host)
        assert not admission.speaks_http2(host)
        assert admission.settled(host) is (host == "http://a")
    admission.unsettle("https://unknown")
