"""A transfer's states, and what it tells its owner in which order."""

from __future__ import annotations

from math import inf

import pycurl
import pytest

import engine
from engine import HttpRequest, Multi
from engine.errors import Category, ConfigError, EngineError, ResourceError
from engine.transport import transfer as of_transfers
from engine.transport.multi import driver_of
from engine.transport.state import LEGAL_MOVES, State
from tests.server import Peer, serve

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


def test_final_states_lead_nowhere_and_every_other_to_each_end() -> None:
    ends = {state for state, to in LEGAL_MOVES.items() if not to}
    assert ends == {State.DONE, State.FAILED, State.CANCELLED}
    for state in set(LEGAL_MOVES) - ends:
        assert {State.FAILED, State.CANCELLED} <= LEGAL_MOVES[state]


@pytest.mark.parametrize("of_others", [False, True])
def test_the_end_of_an_attempt_comes_after_its_bytes_wherever_they_lie(of_others: bool) -> None:
    with serve(lambda peer: (peer.send(HEAD), peer.wait_closed())) as server, Multi() as multi:
        exchange = multi.add(HttpRequest("GET", server.url))
        other = multi.add(HttpRequest("GET", server.url))
        while multi.statistics().streaming < 2:
            multi.poll(0.01)
        multi.poll(0.01)
        transfer, inbox = exchange._reply._transfer, driver_of(multi).inbox
        if of_others:
            inbox.pieces.append((other._reply._transfer.owner, b"others"))
        inbox.pieces.append((transfer.owner, b"late"))
        transfer.attempt_over(18, "cut")
        while exchange.response is None:
            multi.poll(0.01)
        assert exchange.response.body == b"late"
        other.cancel()
        multi.run()


def test_where_the_time_went_on_a_new_connection_and_on_one_that_was_there() -> None:
    def answer(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        peer.keep_open = True

    with serve(answer) as server, Multi() as multi:
        responses = []
        for _ in range(2):
            exchange = multi.add(HttpRequest("GET", server.url))
            multi.run()
            responses.append(exchange.response)
    new, reused = (response.timing for response in responses if response is not None)
    assert (new.reused, reused.reused) == (False, True)
    assert new.dns is not None and new.connect and new.first_byte and new.tls == 0.0
    assert (reused.dns, reused.connect, reused.tls) == (0.0, 0.0, 0.0)
    for timing in (new, reused):
        assert timing.http_version == "1.1" and timing.queued is not None
        assert timing.first_byte is not None and timing.total is not None
        assert timing.queued <= timing.first_byte <= timing.total
        assert (timing.first_event, timing.last_event) == (None, None)


def test_who_is_cancelled_after_the_gate_and_before_libcurl_leaves_the_lane() -> None:
    with serve(lambda peer: peer.wait_closed()) as server, Multi(max_connections=1) as multi:
        client = engine.Client(multi, base_url=server.url)
        first, second = client.stream("m", "hi"), client.stream("m", "hi")
        multi.poll(0.01)
        (lane,) = driver_of(multi).lanes._lanes.values()
        assert lane.in_flight == 2
        second.cancel()
        assert lane.in_flight == 1
        first.cancel()
        assert lane.in_flight == 0


@pytest.mark.parametrize(
    ("raised", "kind", "category"),
    [
        (ConfigError("the file of certificates is missing"), ConfigError, Category.CONFIG),
        (pycurl.error(27, "out of memory"), ResourceError, Category.RESOURCE),
    ],
)
def test_what_could_not_start_is_told_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
    multi: Multi,
    raised: Exception,
    kind: type[EngineError],
    category: Category,
) -> None:
    def refuse(*_: object) -> None:
        raise raised

    monkeypatch.setattr(of_transfers, "prepare", refuse)
    exchange = multi.add(HttpRequest("GET", "http://127.0.0.1:9"))
    multi.run()
    assert exchange.response is not None
    error = exchange.response.error
    assert type(error) is kind
    assert error.category is category
    assert raised in (error, error.__cause__)
    assert not error.retryable


def test_a_state_that_may_not_follow_is_a_bug_that_shows() -> None:
    with serve(lambda peer: peer.wait_closed()) as server, Multi() as multi:
        exchange = multi.add(HttpRequest("GET", server.url))
        with pytest.raises(AssertionError, match="cannot go"):
            exchange._reply._transfer.move(State.STREAMING)
        exchange.cancel()
        multi.run()


def test_what_comes_while_it_is_held_back_waits_in_libcurl() -> None:
    with serve(lambda peer: (peer.send(HEAD), peer.wait_closed())) as server, Multi() as multi:
        exchange = multi.add(HttpRequest("GET", server.url))
        while multi.statistics().streaming < 1:
            multi.poll(0.01)
        transfer, inbox = exchange._reply._transfer, driver_of(multi).inbox
        transfer.pause()
        assert transfer._on_write(b"x") == pycurl.WRITEFUNC_PAUSE and not inbox.pieces
        transfer.resume()
        assert transfer._on_write(b"x") is None and inbox.pieces == [(transfer.owner, b"x")]
        exchange.cancel()
        multi.run()


def test_a_408_that_crossed_the_request_on_a_used_connection_is_not_read_on() -> None:
    def answer(peer: Peer) -> None:
        if peer.request.path == "/first":
            peer.json(b"{}")
        else:
            peer.wait_closed()

    with serve(answer) as server, Multi() as multi:
        multi.add(HttpRequest("GET", server.url + "/first"))
        multi.run()
        exchange = multi.add(HttpRequest("GET", server.url + "/second"))
        while multi.statistics().streaming < 1:
            multi.poll(0.01)
        transfer = exchange._reply._transfer
        transfer._sending._since = inf  # at once, however long this machine took
        transfer._lines += [b"HTTP/1.1 408 Request Timeout\r\n", b"Connection: close\r\n", b"\r\n"]
        assert transfer._on_write(b"late") == 0 and not driver_of(multi).inbox.pieces
        exchange.cancel()
        multi.run()
