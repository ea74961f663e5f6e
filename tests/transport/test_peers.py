"""`Peers`: hosts that close as they are used again get fresh connections, for a while."""

from __future__ import annotations

from engine.transport.peers import Peers


def test_two_deaths_in_a_row_are_enough_for_a_minute() -> None:
    peers = Peers()
    peers.died("a", 0.0)
    assert not peers.wants_fresh("a", 0.0)
    peers.died("a", 1.0)
    assert peers.wants_fresh("a", 1.0) and not peers.wants_fresh("b", 1.0)
    assert peers.wants_fresh("a", 60.9) and not peers.wants_fresh("a", 61.0)
    peers.died("a", 62.0)
    assert not peers.wants_fresh("a", 62.0)  # it begins anew


def test_a_good_answer_in_between_forgives() -> None:
    peers = Peers()
    for now in range(10):
        peers.died("a", now)
        peers.lived("a")
    assert not peers.wants_fresh("a", 10.0)


def test_a_server_that_closes_after_its_answer_gets_fresh_ones_at_once() -> None:
    peers = Peers()
    peers.left("a", 5.0, 0.0)  # an idle limit
    assert not peers.wants_fresh("a", 0.0)
    peers.left("a", 0.3, 0.0)
    assert peers.wants_fresh("a", 59.0) and not peers.wants_fresh("a", 60.0)


def test_what_is_remembered_is_bounded() -> None:
    peers = Peers()
    for n in range(5000):
        peers.died(f"once {n}", 0.0)
        peers.died(f"twice {n}", 0.0)
        peers.died(f"twice {n}", 0.0)
    assert len(peers.deaths) <= 1000 and len(peers.fresh_until) <= 1000
    assert peers.wants_fresh("twice 4999", 1.0)


def test_who_keeps_connections_after_some_answers_may_not_after_others() -> None:
    peers = Peers()
    peers.kept("a", True)
    assert (
        ("a", True) in peers.keepers
        and ("a", False) not in peers.keepers
        and ("b", True) not in peers.keepers
    )


def test_what_dies_or_is_left_soon_is_kept_no_longer() -> None:
    peers = Peers()
    for lost in (lambda: peers.died("a", 0.0), lambda: peers.left("a", 0.1, 0.0)):
        for framed in (False, True):
            peers.kept("a", framed)
        peers.kept("b", True)
        lost()
        assert ("a", True) not in peers.keepers and ("a", False) not in peers.keepers
        assert ("b", True) in peers.keepers
    peers.kept("a", True)
    peers.left("a", 5.0, 0.0)  # an idle limit says nothing of what it does after an answer
    assert ("a", True) in peers.keepers


def test_keepers_are_bounded() -> None:
    peers = Peers()
    for n in range(1500):
        peers.kept(f"host {n}", True)
    assert len(peers.keepers) == 1000 and ("host 1499", True) in peers.keepers


def test_who_wants_http_1_1_is_asked_by_it_for_ten_minutes() -> None:
    peers = Peers()
    assert not peers.wants_http1("a", 0.0)
    peers.downgraded("a", 0.0)
    assert peers.wants_http1("a", 599.0) and not peers.wants_http1("b", 599.0)
    assert not peers.wants_fresh("a", 1.0)
    assert not peers.wants_http1("a", 600.0) and not peers.wants_http1("a", 1.0)
    for n in range(5000):
        peers.downgraded(f"host {n}", 0.0)
    assert len(peers._http1_until) <= 1000 and peers.wants_http1("host 4999", 1.0)
