"""What libcurl stored is handed over in order, for as long as the turn lasts; nothing is lost."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from engine import HttpRequest, Multi
from engine.transport.inbox import Inbox
from engine.transport.multi import driver_of
from tests.faults.server import Step, play
from tests.server import OK_SSE, Request

BODY = b"".join(b"%d " % n for n in range(400_000))
GZIP = OK_SSE.replace(b"Transfer-Encoding: chunked", b"Content-Encoding: gzip")


class Noting:
    """Notes what it is given, with its name."""

    def __init__(self, name: str, got: list[tuple[str, bytes]]) -> None:
        self.name, self.got = name, got

    def received(self, data: bytes) -> None:
        self.got.append((self.name, data))


def filled(*pieces: tuple[str, bytes]) -> tuple[Inbox, list[tuple[str, bytes]], dict[str, Noting]]:
    inbox, got = Inbox(), list[tuple[str, bytes]]()
    takers: dict[str, Noting] = {}
    for name, data in pieces:
        inbox.pieces.append((takers.setdefault(name, Noting(name, got)), data))
        inbox.size += len(data)
    return inbox, got, takers


def test_all_is_handed_over_in_order_and_the_size_counted_anew() -> None:
    pieces = [(name, b"%d" % n) for n, name in enumerate("abcabcabcabc")]
    inbox, got, _ = filled(*pieces)
    assert inbox.hand_over(inf)
    assert got == pieces and not inbox.pieces and inbox.size == 0


@pytest.mark.parametrize("size", [10, 2000])
def test_where_the_time_is_up_the_rest_stays_and_comes_next(size: int) -> None:
    pieces = [("a", bytes([n]) * size) for n in range(20)]
    inbox, got, _ = filled(*pieces)
    turns = 0
    while not inbox.hand_over(0.0):
        turns += 1
        assert got == pieces[: len(got)] and len(inbox.pieces) == 20 - len(got)
        assert inbox.size > 0, "what is left still counts"
    assert got == pieces and turns >= (9 if size > 1024 else 1)


def test_one_taker_may_be_served_before_the_others_and_keeps_its_order() -> None:
    pieces = [(name, b"%d" % n) for n, name in enumerate("ababab")]
    inbox, got, takers = filled(*pieces)
    assert not inbox.give(takers["b"], 0.0)
    assert got == [("b", b"1")]
    assert inbox.give(takers["b"], inf)
    assert got == [("b", b"1"), ("b", b"3"), ("b", b"5")]
    assert inbox.hand_over(inf)
    assert got[3:] == [("a", b"0"), ("a", b"2"), ("a", b"4")]


def test_what_a_taker_stores_meanwhile_is_handed_over_too() -> None:
    inbox, got = Inbox(), list[bytes]()

    class Storing:
        def received(self, data: bytes) -> None:
            got.append(data)
            if data == b"first":
                inbox.pieces.append((self, b"second"))

    inbox.pieces.append((Storing(), b"first"))
    assert inbox.hand_over(inf)
    assert got == [b"first", b"second"]


@pytest.mark.parametrize("seconds", [pytest.param(0.0, marks=pytest.mark.slow), 0.001, None])
def test_floods_that_are_held_back_lose_nothing_and_hold_little(seconds: float | None) -> None:
    """Three megabytes each out of a few packets of gzip: libcurl's one call would give them all."""

    def script(_: Request) -> Iterator[Step]:
        packer = zlib.compressobj(9, wbits=31)
        yield GZIP
        yield packer.compress(BODY) + packer.flush()

    with play(script) as server, Multi(turn_seconds=seconds) as multi:
        bodies: list[list[bytes]] = [[] for _ in range(3)]
        asked = [
            multi.add(HttpRequest("GET", server.url), on_data=lambda b, _, to=to: to.append(b))
            for to in bodies
        ]
        most = 0
        while len(multi):
            multi.poll()
            most = max(most, driver_of(multi).inbox.size)
    assert all(b"".join(body) == BODY for body in bodies)
    assert {x.response and x.response.status for x in asked} == {"complete"}
    assert most < 700_000


@pytest.mark.parametrize("hold", ["before it begins", "in the flood"])
def test_what_its_owner_holds_back_stays_held_whatever_else_is_let_go(hold: str) -> None:
    def script(_: Request) -> Iterator[Step]:
        packer = zlib.compressobj(9, wbits=31)
        yield GZIP
        yield packer.compress(BODY) + packer.flush()

    # A turn of no time hands over one piece; in a longer one a fast machine unpacks all of it.
    with play(script) as server, Multi(turn_seconds=0.0) as multi:
        got: list[bytes] = []
        exchange = multi.add(HttpRequest("GET", server.url), on_data=lambda b, x: got.append(b))
        transfer = exchange._reply._transfer
        if hold == "in the flood":
            while not got:
                multi.poll()
        transfer.pause()
        multi.poll(0.05)
        while driver_of(multi).inbox.pieces:  # what was stored before goes to its owner
            multi.poll(0)
        held = len(got)
        for _ in range(20):
            multi.poll(0.005)
        assert len(got) == held
        assert sum(map(len, got)) < len(BODY) // 2
        transfer.resume()
        multi.run()
        assert b"".join(got) == BODY


def test_who_is_behind_is_asked_for_before_anything_is_stored() -> None:
    inbox = Inbox()
    work: Any = object()
    inbox.wait_for({work})
    assert inbox.size > inbox.room
    assert work in inbox.behind
    inbox.wait_for(())
    assert inbox.size <= inbox.room
    assert not inbox.behind
