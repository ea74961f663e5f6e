"""How far behind is too far: by bytes, and not to and fro."""

from __future__ import annotations

from engine.answering.backlog import NOBODY, Backlog


def test_it_holds_back_beyond_the_limit_and_lets_go_at_half() -> None:
    backlog = Backlog(100)
    assert [backlog.add(n, 50) for n in (1, 2, 3, 4)] == [False, False, True, False]
    assert (backlog.size, backlog.held_back) == (200, True)
    assert [backlog.taken(n) for n in (1, 2, 3, 4)] == [False, False, True, False]
    assert (backlog.size, backlog.held_back) == (0, False)


def test_a_read_counts_until_its_last_event_is_taken() -> None:
    backlog = Backlog(100)
    backlog.add(10, 500)
    assert backlog.next == 10
    assert not backlog.taken(9)
    assert backlog.size == 500
    assert backlog.taken(10)
    assert backlog.next == NOBODY


def test_where_nobody_reads_nothing_waits() -> None:
    backlog = Backlog(1)
    backlog.add(1, 5)
    backlog.add(9, 5)
    assert backlog.taken(NOBODY)
    assert (backlog.size, backlog.next, backlog.held_back) == (0, NOBODY, False)
