"""`StreamLimits`: what refused HTTP/2 streams teach."""

from __future__ import annotations

from engine.transport.connections import Name
from engine.transport.streams import StreamLimits

ONE, TWO = ("127.0.0.1", 1), ("127.0.0.1", 2)


def begin(limits: StreamLimits, many: int, name: Name = ONE, host: str = "a") -> None:
    for _ in range(many):
        limits.began(name, host)


def end(limits: StreamLimits, many: int, name: Name = ONE) -> bool:
    return [limits.ended(name) for _ in range(many)][-1]


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


def test_a_connection_that_carried_its_limit_unrefused_raises_it_by_one() -> None:
    limits = StreamLimits(5)
    begin(limits, 3)
    limits.refused(ONE, True)
    assert not end(limits, 3)
    for expected in (3, 4, 5):
        begin(limits, expected - 1, TWO)
        assert end(limits, expected - 1, TWO)
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
    assert not limits.refused(ONE, True) and not limits.ended(ONE)
    assert limits.least() == 100


def test_a_server_that_goes_away_teaches_no_limit() -> None:
    """nginx after `keepalive_requests`: all that came after the last one it takes are refused."""
    limits = StreamLimits(100)
    assert limits.began(ONE, "a") and limits.began(ONE, "a"), "early: nothing was answered yet"
    limits.answered(ONE)
    assert not limits.began(ONE, "a")
    begin(limits, 50)
    assert not limits.refused(ONE, False)
    assert limits.limit("a") == 100
    assert limits.refused(ONE, True), "one that was begun before the first answer still does"
    assert limits.began(TWO, "a"), "each connection by itself"
    end(limits, 53)
    assert not limits.began(ONE, "a"), "also when it had none for a while"
    for n in range(1500):
        limits.answered(("127.0.0.1", n))
    assert len(limits._answered) == 1000
