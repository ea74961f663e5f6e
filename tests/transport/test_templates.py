"""A handle that is copied from a template, or has served before, asks as one that was prepared for
it alone."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pycurl
import pytest

import engine
from engine.request import HttpRequest
from engine.transport.easy import address
from engine.transport.multi import driver_of
from engine.transport.signals import SignalsHeld
from engine.transport.sockets import Sockets
from engine.transport.templates import Templates
from tests.cases import each_case
from tests.server import Peer, serve

URL = "http://127.0.0.1:1/"


def test_what_the_options_hang_on_tells_two_templates_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    templates = Templates(None)
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    asked = [
        (HttpRequest("POST", URL, body=b""), 10.0),
        (HttpRequest("POST", URL, body=b""), 11.0),
        (HttpRequest("POST", URL, body=b""), None),
        (HttpRequest("POST", URL), 10.0),
        (HttpRequest("GET", URL), 10.0),
        (HttpRequest("GET", URL, body=b"x"), 10.0),
        (HttpRequest("GET", URL + "a"), 10.0),
        (HttpRequest("GET", URL, unix_socket="/a"), 10.0),
        (HttpRequest("GET", "https://127.0.0.1:1/"), 10.0),
    ]
    keys = [templates.handle(request, timeout)[1] for request, timeout in asked]
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    keys.append(templates.handle(*asked[-1])[1])
    assert None not in keys
    assert len(set(keys)) == len(keys)
    # What is of one request alone tells nothing apart.
    other = HttpRequest("POST", URL, {"Authorization": "Bearer x"}, b"other")
    assert templates.handle(other, 10.0)[1] == keys[0]


def test_what_was_found_for_one_request_is_not_kept() -> None:
    templates = Templates("/no/such/file")
    assert templates.handle(HttpRequest("GET", URL, addresses=["127.0.0.1"]), 10.0) == (None, None)
    assert templates.handle(HttpRequest("GET", "https://a.example/"), 10.0) == (None, None)
    templates.keep(None, pycurl.Curl())
    assert len(templates) == 0


def asked(number: int) -> HttpRequest:
    return HttpRequest("GET", f"{URL}{number}")


def test_templates_are_bounded_and_freed() -> None:
    templates = Templates(None)
    easy = pycurl.Curl()
    for number in range(100):
        templates.keep(templates.handle(asked(number), 10.0)[1], easy)
    assert len(templates) == 32
    assert templates.handle(asked(0), 10.0)[0] is None
    assert templates.handle(asked(99), 10.0)[0] is not None
    templates.close()
    assert len(templates) == 0


def test_each_request_of_one_address_has_its_own_headers_body_and_key(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.json(b"")) as server:
        for number in range(6):
            body = None if number == 4 else b"x" * number
            headers = {"X-Number": str(number)} if number != 3 else {}
            multi.add(HttpRequest("POST", server.url, headers, body))
            multi.run()
        assert len(driver_of(multi).templates) == 2  # with a body, and without
        requests = server.requests
    assert [request.body for request in requests] == [b"", b"x", b"xx", b"xxx", b"", b"xxxxx"]
    told = [request.headers.get("x-number") for request in requests]
    assert told == ["0", "1", "2", None, "4", "5"]
    assert len({request.headers["idempotency-key"] for request in requests}) == 6


def test_a_key_of_ones_own_is_the_only_one(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.json(b"")) as server:
        for headers in ({"idempotency-key": "mine"}, {"Idempotency-Key": "other"}, {}):
            multi.add(HttpRequest("POST", server.url, headers, b""))
            multi.add(HttpRequest("PUT", server.url, headers, b""))
            multi.run()
        told = [(r.method, r.headers.get("idempotency-key")) for r in server.requests]
    posts = [key for method, key in told if method == "POST"]
    puts = [key for method, key in told if method == "PUT"]
    assert posts[:2] == ["mine", "other"] and posts[2]
    assert puts == ["mine", "other", None]


def test_neither_a_template_nor_what_rests_holds_anything_of_a_request() -> None:
    class Body(bytes):
        pass

    multi = engine.Multi()
    with serve(lambda peer: peer.json(b"")) as server:
        for url in (URL, server.url):
            multi.add(HttpRequest("POST", url, body=Body(b"x")))
            multi.run()
    templates = driver_of(multi).templates
    assert (len(templates), templates.resting) == (2, 1)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Body]
    multi.close()
    assert (len(templates), templates.resting) == (0, 0)


def test_what_served_serves_again_and_no_more_rest_than_a_turn_wants() -> None:
    templates = Templates(None)
    _, key = templates.handle(asked(0), 10.0)
    assert key is not None
    templates.put_back(key, pycurl.Curl())  # there is no template any more
    assert templates.resting == 0
    templates.keep(key, pycurl.Curl())
    copies = [templates.handle(asked(0), 10.0)[0] for _ in range(100)]
    for easy in copies:
        assert easy is not None
        templates.put_back(key, easy)
    assert templates.resting == 64
    assert templates.handle(asked(0), 10.0)[0] is copies[63]
    assert templates.resting == 63
    for number in range(1, 33):  # a template that is forgotten takes them with it
        templates.keep(templates.handle(asked(number), 10.0)[1], pycurl.Curl())
    assert templates.resting == 0


@each_case(
    ("answer", "rest"),
    [
        (lambda peer: peer.json(b"{}"), 1),
        (lambda peer: peer.json(b"{}", "500 Oops"), 1),
        (lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"), 0),
        (lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nContent"), 0),
        (lambda peer: peer.reset(), 0),
    ],
)
def test_only_a_handle_that_brought_the_whole_of_a_response_serves_again(
    answer: Callable[[Peer], object], rest: int
) -> None:
    with serve(answer) as server, engine.Multi() as multi:
        multi.add(HttpRequest("POST", server.url, {}, b""))
        multi.run()
        assert driver_of(multi).templates.resting == rest


def test_what_was_cancelled_does_not_rest(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.chunk(b"a")) as server:
        exchange = multi.add(HttpRequest("GET", server.url), on_data=lambda *_: exchange.cancel())
        multi.run()
    assert driver_of(multi).templates.resting == 0


def test_what_the_answer_before_was_is_nothing_to_the_next_request(multi: engine.Multi) -> None:
    def answer(peer: Peer) -> None:
        peer.send(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nX: y\r\n\r\na")

    lines = []
    with serve(answer) as server:
        for number in range(3):
            exchange = multi.add(HttpRequest("POST", server.url, body=b"x"))
            multi.run()
            lines.append(server.requests[number].version)
            response = exchange.response
            assert response is not None
            assert (response.http_status, response.body) == (200, b"a")
            timing = response.timing
            assert not timing.reused and timing.connect and timing.http_version == "1.0"
    assert driver_of(multi).templates.resting == 1
    assert lines == ["HTTP/1.1"] * 3  # not what a server spoke that has gone away since


def test_of_a_request_with_which_libcurl_did_not_begin_nothing_is_told(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = driver_of(multi)
    with serve(lambda peer: peer.json(b"{}")) as server:
        request = HttpRequest("POST", server.url, body=b"x")
        for _ in range(2):  # the second one waits until it is known that connections are kept
            multi.add(request)
            multi.run()
        assert driver.templates.resting == 1
        exchange = multi.add(request)
        with monkeypatch.context() as patch, SignalsHeld():  # as where bytes wait to be taken
            patch.setattr(Sockets, "run_timer", lambda *_: None)
            driver.transfers.admit(0.0)
        assert (driver.templates.resting, len(driver.transfers)) == (0, 1)
        assert exchange._reply._transfer.phase == "resolve"
        exchange.cancel()
        multi.run()
    response = exchange.response
    assert response is not None and response.status == "cancelled"
    timing = response.timing
    told = (timing.dns, timing.connect, timing.tls, timing.first_byte, timing.http_version)
    assert told == (None,) * 5 and not timing.reused
    assert timing.queued is not None and timing.total is not None
    assert driver.templates.resting == 0


@each_case(
    "request_",
    [
        HttpRequest("POST", URL, {"A": "b"}, b"x"),
        HttpRequest("POST", URL),
        HttpRequest("GET", URL),
        HttpRequest("PUT", URL, body=b""),
    ],
)
def test_the_same_options_are_set_for_each_request_of_a_kind(request_: HttpRequest) -> None:
    def options(request: HttpRequest) -> set[int]:
        told: dict[int, object] = {}
        easy: Any = SimpleNamespace(setopt=told.__setitem__)
        address(easy, request, "key")
        return {*told}

    other = {"Idempotency-Key": "mine", "X": "y", "Accept-Encoding": "gzip"}
    body = None if request_.body is None else b"longer"
    assert options(request_) == options(HttpRequest(request_.method, URL, other, body))
