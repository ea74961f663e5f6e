"""`StreamLimits`: what refused HTTP/2 streams teach."""

from __future__ import annotations

from itertools import pairwise

import pytest

from engine.transport.connections import Name
from engine.transport.streams import StreamLimits

ONE, TWO = ("127.0.0.1", 1), ("127.0.0.1", 2)


def begin(limits: StreamLimits, many: int, name: Name = ONE, host: str = "a") -> None:
    for _ in range(many):
        limits.began(name, host)


def end(limits: StreamLimits, many: int, name: Name = ONE, now: float = 0.0) -> bool:
    return [limits.ended(name, now) for _ in range(many)][-1]


def test_a_burst_teaches_how_many_were_taken_whatever_ends_in_between() -> None:
    limits = StreamLimits(100)
    begin(limits, 16)
    for number in range(6):
        if number == 3:
            end(limits, 10)  # answered already
        assert limits.refused(ONE, True)
        end(limits, 1)
    assert (limits.limit("a"), limits.limit("b"), limits.least()) == (10, 100, 10)


def test_a_connection_takes_one_at_least() -> None:
    limits = StreamLimits(100)
    begin(limits, 3)
    for _ in range(3):
        limits.refused(ONE, True)
    assert limits.limit("a") == 1


def test_a_higher_limit_is_not_learned_from_a_refusal() -> None:
    limits = StreamLimits(100)
    begin(limits, 3)
    limits.refused(ONE, True)
    begin(limits, 50, TWO)
    assert not limits.refused(TWO, True)
    assert limits.limit("a") == 2


def test_a_connection_that_carried_its_limit_unrefused_raises_it() -> None:
    limits = StreamLimits(6)
    begin(limits, 3)
    limits.refused(ONE, True)
    assert not end(limits, 3)
    for carried, expected in ((2, 3), (3, 5), (5, 6)):
        begin(limits, carried, TWO)
        assert end(limits, carried, TWO)
        assert limits.limit("a") == expected
    begin(limits, 1, TWO)
    assert not end(limits, 1, TWO)


def test_fewer_than_the_limit_prove_nothing() -> None:
    limits = StreamLimits(100)
    begin(limits, 12)
    for _ in range(2):
        limits.refused(ONE, True)
    end(limits, 12)
    begin(limits, 9, TWO)
    assert not end(limits, 9, TWO)
    assert limits.limit("a") == 10


def test_a_connection_that_is_not_known_teaches_nothing() -> None:
    limits = StreamLimits(100)
    assert not limits.refused(ONE, True) and not limits.ended(ONE, 0.0)
    assert limits.least() == 100


def test_a_server_that_goes_away_teaches_no_limit() -> None:
    """nginx after `keepalive_requests`: all that came after the last one it takes are refused."""
    limits = StreamLimits(100)
    assert limits.began(ONE, "a") and limits.began(ONE, "a"), "early: nothing was answered yet"
    limits.answered(ONE, "a")
    assert not limits.began(ONE, "a")
    begin(limits, 50)
    assert not limits.refused(ONE, False)
    assert limits.limit("a") == 100
    assert limits.refused(ONE, True), "one that was begun before the first answer still does"
    assert limits.began(TWO, "a"), "each connection by itself"
    end(limits, 53)
    assert not limits.began(ONE, "a"), "also when it had none for a while"
    for n in range(1500):
        limits.answered(("127.0.0.1", n), "a")
    assert len(limits._answered) == 1000


def test_connections_of_a_host_that_are_known_to_speak_http2() -> None:
    limits = StreamLimits(100)
    assert limits.names("a") == []
    for name, host in ((ONE, "a"), (TWO, "b"), (ONE, "a")):
        limits.answered(name, host)
    assert (limits.names("a"), limits.names("b")) == ([ONE], [TWO])
    limits.answered(ONE, None)
    assert limits.names("a") == [] and limits.began(ONE, "a")


def test_whether_a_connection_is_the_only_one_of_its_host_with_streams() -> None:
    limits = StreamLimits(100)
    begin(limits, 2, ONE, "a")
    begin(limits, 2, TWO, "b")
    assert limits.alone(ONE, "a") and limits.alone(TWO, "b")
    begin(limits, 1, ("127.0.0.1", 3), "a")
    assert not limits.alone(ONE, "a")
    end(limits, 1, ("127.0.0.1", 3))
    assert limits.alone(ONE, "a")


def carry(limits: StreamLimits, many: int, took: float = 0.0) -> list[int]:
    """One stream after another on a connection that carries as many as it may; the limits."""
    seen, now, alive = [], 0.0, 0
    for _ in range(many):
        begin(limits, limits.limit("a") - alive)
        alive = limits.limit("a") - 1
        now += took
        end(limits, 1, now=now)
        seen.append(limits.limit("a"))
    return seen


def learned(limit: int, most: int = 100, bounded: bool = False) -> StreamLimits:
    limits = StreamLimits(most, bounded)
    begin(limits, limit + 1, TWO)
    assert limits.refused(TWO, True)
    end(limits, limit + 1, TWO)
    assert limits.limit("a") == limit
    return limits


def test_a_connection_that_is_always_busy_raises_its_limit_too_and_faster_each_time() -> None:
    seen = carry(learned(2), 40)
    assert sorted(set(seen)) == [2, 3, 5, 9, 17, 33]
    assert [seen.index(limit) + 1 for limit in (3, 5, 9, 17)] == [2, 5, 10, 19]
    assert carry(learned(2), 300)[-1] == 100


def test_what_is_not_full_or_was_refused_raises_nothing_however_long_it_is_busy() -> None:
    for refused, alive in ((0, 9), (1, 11)):
        limits = learned(10)
        begin(limits, alive)
        for _ in range(refused):
            assert not limits.refused(ONE, True)
        for _ in range(100):
            end(limits, 1)
            begin(limits, 1)
        assert limits.limit("a") == 10


@pytest.mark.parametrize(("took", "rises"), [(0.5, True), (1.5, False)])
def test_who_may_have_no_other_connection_waits_for_no_place_that_comes_late(
    took: float, rises: bool
) -> None:
    assert (carry(learned(4, bounded=True), 50, took)[-1] > 4) is rises
    assert carry(learned(4), 50, took)[-1] > 4


def test_what_libcurl_found_full_is_the_limit_and_a_raise_begins_with_one_again() -> None:
    limits = StreamLimits(100)
    assert not limits.told("a", 100) and limits.limit("a") == 100
    assert limits.told("a", 7) and (limits.limit("a"), limits.limit("b")) == (7, 100)
    assert not limits.told("a", 7) and not limits.told("a", 12)
    assert not limits.told("b", 7), "that may be what is set for all, since a takes no more"
    assert carry(limits, 20)[-1] == 10
    assert limits.told("a", 0) and limits.limit("a") == 1


def test_a_raise_that_was_too_much_is_tried_less_often_each_time() -> None:
    limits = learned(3)
    tried = []
    for number in range(1, 2000):
        begin(limits, limits.limit("a") + 1 - number % 2)
        if end(limits, 1):
            tried.append(number)
            limits.told("a", 3)
    waits = [after - before for before, after in pairwise(tried)]
    assert waits == sorted(waits) and (waits[0], waits[1], waits[-1]) == (6, 12, 96)
    limits.told("a", 3)
    assert carry(limits, 700)[-1] == 100, "and once it is taken, as before"


def test_after_a_raise_a_connection_must_be_full_anew() -> None:
    limits = learned(2)
    begin(limits, 4)
    end(limits, 2)
    assert limits.limit("a") == 3
    for _ in range(20):
        end(limits, 1)
        begin(limits, 1)
    assert limits.limit("a") == 3, "two at a time is not three"
