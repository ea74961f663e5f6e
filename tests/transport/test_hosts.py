"""`Hosts`: what follows from one attempt for the next, with a libcurl that only takes notes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pycurl
import pytest

from engine.transport.admission import Admission
from engine.transport.connections import Connections, Reused
from engine.transport.hosts import Hosts
from engine.transport.sending import Sending
from engine.transport.timers import Timer
from engine.wire.headers import Head

HTTP, HTTPS = "http://llm.example", "https://llm.example"
NAME = ("127.0.0.1", 1)


class Curl(dict[int, Any]):
    """An easy or multi handle: the options that were set."""

    setopt = dict.__setitem__

    def getinfo(self, what: int) -> float:
        return 0.02 if what == pycurl.CONNECT_TIME else 0.0


class World:
    def __init__(self) -> None:
        self.multi = Curl()
        self.admission = Admission(0, 0, 100)
        self.timers: list[Timer] = []
        sockets: Any = SimpleNamespace(curl=self.multi, connections=Connections())
        self.sockets = sockets
        self.hosts = Hosts(self.admission, sockets, self.call_later, lambda call: None)

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(delay, call))
        return self.timers[-1]

    def send(self, host: str, *, fresh: bool = False) -> tuple[Curl, Sending]:
        easy: Any = Curl()
        sending = self.hosts.send(host, easy, fresh)
        # What is not set for each request of a kind keeps the handle from serving another.
        assert sending.apart is bool(easy.keys() - {pycurl.VERBOSE, pycurl.DEBUGFUNCTION})
        sending.name = NAME
        return easy, sending


@pytest.fixture
def world() -> World:
    return World()


def test_only_tls_is_listened_to(world: World) -> None:
    assert pycurl.VERBOSE not in world.send(HTTP)[0]
    easy, sending = world.send(HTTPS)
    assert (easy[pycurl.VERBOSE], easy[pycurl.DEBUGFUNCTION]) == (1, sending.hear)


def test_what_is_to_be_fresh_is_fresh_and_pooled_afterwards(world: World) -> None:
    easy, _ = world.send(HTTP, fresh=True)
    assert easy[pycurl.FRESH_CONNECT] == 1 and pycurl.FORBID_REUSE not in easy
    assert pycurl.FRESH_CONNECT not in world.send(HTTP)[0]


def test_two_deaths_end_the_pool_of_a_host(world: World) -> None:
    for _ in range(2):
        _, sending = world.send(HTTP)
        sending.reused = Reused(False, None)
        world.hosts.failed(HTTP, sending, 56)
    easy, _ = world.send(HTTP)
    assert (easy[pycurl.FRESH_CONNECT], easy[pycurl.FORBID_REUSE]) == (1, 1)
    assert pycurl.FORBID_REUSE not in world.send(HTTPS)[0]


def test_the_rest_of_a_burst_waits_two_round_trips_for_what_the_server_allows(
    world: World,
) -> None:
    host = SimpleNamespace(host=HTTPS, over=False)
    for _ in range(20):
        world.admission.enqueue(host)
    assert len(list(world.admission.take(None))) == 16
    easy, sending = world.send(HTTPS)
    world.hosts.connected(HTTPS, easy, sending)  # type: ignore[arg-type]
    world.hosts.connected(HTTPS, easy, sending)  # type: ignore[arg-type]
    (timer,) = world.timers
    assert timer.when == pytest.approx(0.045)
    assert list(world.admission.take(None)) == []
    timer.call()  # type: ignore[misc]
    assert len(list(world.admission.take(None))) == 4


def test_refused_streams_lower_what_libcurl_puts_on_a_connection(world: World) -> None:
    sent = []
    for _ in range(16):
        easy, sending = world.send(HTTPS)
        world.hosts.connected(HTTPS, easy, sending)  # type: ignore[arg-type]
        sent.append(sending)
    for sending in sent[10:]:
        sending.refused = True
        world.hosts.failed(HTTPS, sending, 56)
        world.hosts.over(HTTPS, sending, head=None)
    assert world.multi[pycurl.M_MAX_CONCURRENT_STREAMS] == 10
    assert sending.unsent and sending.shared


def test_those_refused_after_an_answer_lower_nothing(world: World) -> None:
    easy, sending = world.send(HTTPS)
    world.hosts.connected(HTTPS, easy, sending)  # type: ignore[arg-type]
    world.hosts.multiplexes(HTTPS, sending)
    easy, sending = world.send(HTTPS)
    world.hosts.connected(HTTPS, easy, sending)  # type: ignore[arg-type]
    sending.refused = True
    world.hosts.failed(HTTPS, sending, 56)
    assert sending.unsent and not sending.early
    assert pycurl.M_MAX_CONCURRENT_STREAMS not in world.multi


def test_who_wants_http_1_1_is_asked_by_it_and_its_death_is_none(world: World) -> None:
    easy, sending = world.send(HTTPS)
    assert pycurl.HTTP_VERSION not in easy
    for _ in range(2):
        sending.downgraded, sending.reused = True, Reused(False, None)
        world.hosts.failed(HTTPS, sending, 42)
        assert sending.unsent
    easy, _ = world.send(HTTPS)
    assert easy[pycurl.HTTP_VERSION] == pycurl.CURL_HTTP_VERSION_1_1
    assert pycurl.FORBID_REUSE not in easy
    assert pycurl.HTTP_VERSION not in world.send("https://other.example")[0]


def test_a_stream_is_over_on_the_connection_it_was_counted_on(world: World) -> None:
    """libcurl asks again by itself, on another, what has no body; and may end one of which it was
    not told yet that it has a connection."""
    streams = world.admission.streams
    easy, moved = world.send(HTTPS)
    world.hosts.connected(HTTPS, easy, moved)  # type: ignore[arg-type]
    easy, other = world.send(HTTPS)
    world.hosts.connected(HTTPS, easy, other)  # type: ignore[arg-type]
    moved.name = ("127.0.0.1", 2)
    _, uncounted = world.send(HTTPS)
    for sending in (moved, uncounted):
        world.hosts.over(HTTPS, sending, head=None)
        assert streams.shared(NAME)
    world.hosts.over(HTTPS, other, head=None)
    assert not streams.shared(NAME)


def test_the_cache_follows_the_load(world: World) -> None:
    world.hosts.fit_cache()
    assert world.multi.pop(pycurl.M_MAXCONNECTS) == 64
    world.hosts.fit_cache()
    assert pycurl.M_MAXCONNECTS not in world.multi
    world.admission.active = 100
    world.hosts.fit_cache()
    assert world.multi[pycurl.M_MAXCONNECTS] == 264


def test_plain_http_has_no_streams_to_count_and_nothing_to_wait_for(world: World) -> None:
    for _ in range(2):
        easy, sending = world.send(HTTP)
        world.hosts.connected(HTTP, easy, sending)  # type: ignore[arg-type]
    world.hosts.failed(HTTP, sending, 56)
    assert not sending.shared and world.timers == []


def test_a_connection_of_http_1_1_that_served_before_is_not_listened_to(world: World) -> None:
    world.admission.enqueue(SimpleNamespace(host=HTTPS, over=False))
    for http2, reused, verbose in (
        (False, None, 1),
        (False, Reused(False, None), 0),
        (True, Reused(False, None), 1),  # it may refuse a stream
    ):
        easy, sending = world.send(HTTPS)
        if http2:
            world.hosts.multiplexes(HTTPS, sending)
        sending.reused = reused
        world.hosts.connected(HTTPS, easy, sending)  # type: ignore[arg-type]
        assert easy[pycurl.VERBOSE] == verbose


@pytest.mark.parametrize("reused", [None, Reused(False, None)])
@pytest.mark.parametrize("answered", [True, False])
def test_only_an_answer_on_a_pooled_connection_forgives_a_death(
    world: World, reused: Reused | None, answered: bool
) -> None:
    def dies() -> None:
        _, sending = world.send(HTTP)
        sending.reused = Reused(False, None)
        world.hosts.failed(HTTP, sending, 56)

    dies()
    _, sending = world.send(HTTP)
    sending.reused = reused
    world.hosts.over(HTTP, sending, Head(200, {}, True) if answered else None)
    dies()
    forgiven = answered and reused is not None
    assert (pycurl.FORBID_REUSE not in world.send(HTTP)[0]) is forgiven


def test_a_host_is_tried_once_for_each_way_of_framing_and_never_over_http2(world: World) -> None:
    tried: list[tuple[str, bool]] = []

    def answered(host: str, framed: bool, name: object) -> None:
        tried.append((host, framed))

    world.hosts._trials = SimpleNamespace(answered=answered)  # type: ignore[assignment]
    sized, endless = Head(200, {"content-length": "5"}, True), Head(200, {}, True)
    for host, head in ((HTTP, sized), (HTTP, endless), (HTTPS, sized)):
        world.admission.enqueue(SimpleNamespace(host=host, over=False))
        assert len(list(world.admission.take(None))) == 1
        _, sending = world.send(host)
        world.hosts.over(host, sending, head)
    assert tried == [(HTTP, True), (HTTP, False), (HTTPS, True)]
    world.hosts._peers.kept(HTTP, True)
    world.hosts.multiplexes(HTTPS, sending)
    for host, head in ((HTTP, sized), (HTTP, endless), (HTTPS, sized), (HTTP, None)):
        _, sending = world.send(host)
        world.hosts.over(host, sending, head)
    assert tried[3:] == [(HTTP, False)]


def test_what_its_server_closes_while_it_rests_is_judged_at_once(world: World) -> None:
    assert world.sockets.left == world.hosts._trials.judge


def test_addresses_that_were_found_are_told_and_a_host_that_was_reached_is_known(
    world: World,
) -> None:
    world.hosts._names._told(HTTP, "+llm.example:80:127.0.0.1")
    assert world.send(HTTP)[0][pycurl.RESOLVE] == ["+llm.example:80:127.0.0.1"]
    assert pycurl.RESOLVE not in world.send(HTTPS)[0]
    world.admission.enqueue(SimpleNamespace(host=HTTP, over=False))
    assert len(list(world.admission.take(None))) == 1
    assert world.admission._unreached == 1
    easy, sending = world.send(HTTP)
    for _ in range(2):
        world.hosts.connected(HTTP, easy, sending)  # type: ignore[arg-type]
    assert world.admission._unreached == 0


def test_one_found_dead_soon_after_its_answer_ends_the_pool_but_not_over_http2(
    world: World,
) -> None:
    for host, rested, pooled in ((HTTP, 5.0, True), (HTTP, 0.1, False)):
        _, sending = world.send(host)
        sending.reused = Reused(True, None, rested)
        world.hosts.failed(host, sending, 56)
        assert (pycurl.FORBID_REUSE not in world.send(host)[0]) is pooled
