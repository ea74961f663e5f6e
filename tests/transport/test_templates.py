"""A handle that is copied from a template asks as one that was prepared for it alone."""

from __future__ import annotations

import gc
from pathlib import Path

import pycurl
import pytest

import engine
from engine.request import HttpRequest
from engine.transport.multi import driver_of
from engine.transport.templates import Templates
from tests.server import serve

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


def test_a_template_holds_nothing_of_a_request() -> None:
    class Body(bytes):
        pass

    multi = engine.Multi()
    multi.add(HttpRequest("POST", URL, body=Body(b"x")))
    multi.run()
    assert len(driver_of(multi).templates) == 1
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Body]
    multi.close()
    assert len(driver_of(multi).templates) == 0
