"""`Multi.add`: any HTTP request, over real sockets."""

from __future__ import annotations

import gzip
import threading

import pytest

import engine
from engine import HttpRequest, Multi
from engine.errors import Category, ConfigError, ProtocolError, TruncatedError
from engine.response import HttpResponse
from tests.cases import each_case
from tests.server import Peer, serve


def ask(multi: Multi, url: str, method: str = "GET", **more: object) -> HttpResponse:
    exchange = multi.add(HttpRequest(method, url, **more))  # type: ignore[arg-type]
    multi.run()
    assert exchange.response is not None
    return exchange.response


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("POST", b"in"), ("POST", None), ("PUT", b"in"), ("DELETE", None),
     ("PATCH", b"in"), ("POST", b"")],
)  # fmt: skip
def test_methods_and_bodies_arrive_as_they_are(
    multi: Multi, method: str, body: bytes | None
) -> None:
    with serve(lambda peer: peer.json(b"out", "201 Made", "X-One: 1\r\nX-One: 2\r\n")) as server:
        response = ask(multi, f"{server.url}/a?b=c", method, body=body, headers={"X-In": "y"})
        (request,) = server.requests
    assert (request.method, request.path, request.body) == (method, "/a?b=c", body or b"")
    assert request.headers["x-in"] == "y"
    assert (response.status, response.http_status, response.body) == ("complete", 201, b"out")
    assert response.headers["x-one"] == "1, 2"
    assert response.error is None


def test_head_has_headers_and_no_body(multi: Multi) -> None:
    def head(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        peer.keep_open = True

    with serve(head) as server:
        response = ask(multi, server.url, "HEAD")
        assert server.requests[0].method == "HEAD"
    assert (response.status, response.body) == ("complete", b"")
    assert response.headers["content-length"] == "1000"


def test_what_the_engine_adds_and_what_it_does_not(multi: Multi) -> None:
    with serve(lambda peer: peer.json(b"")) as server:
        ask(multi, server.url, "POST", body=b"x" * 3_000_000)
        ask(multi, server.url, headers={"User-Agent": "mine", "Accept-Encoding": "br", "Empty": ""})
        first, second = server.requests
    assert "expect" not in first.headers, "a server that ignores it costs a second"
    assert len(first.body) == 3_000_000
    assert first.headers["accept-encoding"] == "identity"
    assert first.headers["user-agent"] == "streamengine"
    assert second.headers["user-agent"] == "mine"
    assert second.headers["accept-encoding"] == "br"
    assert second.headers["empty"] == ""


def test_on_data_takes_the_body_piece_by_piece_and_on_done_comes_last(multi: Multi) -> None:
    body = bytes(range(256)) * 2000
    order: list[object] = []
    with serve(lambda peer: peer.json(body)) as server:
        exchange = multi.add(
            HttpRequest("GET", server.url),
            on_data=lambda piece, x: order.append(piece),
            on_done=lambda response, x: order.append(response),
            user_data="mine",
        )
        multi.run()
    *pieces, last = order
    assert b"".join(pieces) == body  # type: ignore[arg-type]
    assert len(pieces) > 1
    assert last is exchange.response and exchange.response.body == b""
    assert exchange.user_data == "mine"


def test_a_body_over_the_limit_is_an_error_that_names_it(multi: Multi) -> None:
    with serve(lambda peer: peer.json(b"x" * 100_000)) as server:
        exchange = multi.add(HttpRequest("GET", server.url), max_body_bytes=1000)
        multi.run()
        inside = multi.add(HttpRequest("GET", server.url), max_body_bytes=100_000)
        multi.run()
    assert exchange.response is not None
    assert isinstance(exchange.response.error, ProtocolError)
    assert "max_body_bytes=1000" in str(exchange.response.error)
    assert inside.response is not None and len(inside.response.body) == 100_000


def test_an_answer_that_is_cut_is_truncated_and_kept(multi: Multi) -> None:
    def cut(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    with serve(cut) as server:
        response = ask(multi, server.url)
    assert (response.status, response.body) == ("truncated", b"half")
    assert isinstance(response.error, TruncatedError)


def test_no_answer_is_an_error(multi: Multi) -> None:
    with serve(lambda peer: None) as server:
        response = ask(multi, server.url)
        refused = server.url
    assert (response.status, response.http_status) == ("error", None)
    assert response.error is not None and response.error.category is Category.NETWORK
    again = ask(multi, refused)
    assert again.error is not None and again.error.phase == "connect"
    assert "check that the server runs" in str(again.error)


def test_a_status_is_no_failure_here(multi: Multi) -> None:
    with serve(lambda peer: peer.json(b"gone", "404 Not Found")) as server:
        response = ask(multi, server.url)
    assert (response.status, response.http_status, response.body) == ("complete", 404, b"gone")


def test_cancel_ends_it_once(multi: Multi) -> None:
    done: list[str] = []
    with serve(lambda peer: peer.wait_closed()) as server:
        exchange = multi.add(
            HttpRequest("GET", server.url), on_done=lambda r, x: done.append(r.status)
        )
        queued = multi.add(
            HttpRequest("GET", server.url), on_done=lambda r, x: done.append(r.status)
        )
        queued.cancel()
        while not server.requests:
            multi.poll(0.01)
        exchange.cancel()
        exchange.cancel()
        multi.run()
        exchange.cancel()
    assert done == ["cancelled"] * 2
    assert len(server.requests) == 1


def test_cancel_in_on_data_hands_over_nothing_more(multi: Multi) -> None:
    pieces: list[bytes] = []

    def on_data(piece: bytes, exchange: engine.transport.Exchange) -> None:
        pieces.append(piece)
        exchange.cancel()

    with serve(lambda peer: peer.json(b"x" * 200_000)) as server:
        exchange = multi.add(HttpRequest("GET", server.url), on_data=on_data)
        multi.run()
    assert len(pieces) == 1
    assert exchange.response is not None and exchange.response.status == "cancelled"


def test_cancel_in_on_data_after_the_body_has_ended_hands_over_nothing_more(multi: Multi) -> None:
    pieces: list[bytes] = []

    def on_data(piece: bytes, exchange: engine.transport.Exchange) -> None:
        pieces.append(piece)
        exchange.cancel()

    closed = threading.Event()

    def whole(peer: Peer) -> None:
        peer.json(b"x" * 100_000)
        closed.set()

    with serve(whole) as server:
        exchange = multi.add(HttpRequest("GET", server.url), on_data=on_data)
        while not server.requests:
            multi.poll(0.01)
        assert closed.wait(10)  # all of it lies in the socket, and comes in one turn
        multi.run()
    assert len(pieces) == 1
    assert exchange.response is not None and exchange.response.status == "cancelled"


# -- what must never leave, or be followed -------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_no_key_reaches_its_target(
    multi: Multi, status: int
) -> None:
    with serve(lambda peer: peer.json(b"caught")) as thief:

        def redirect(peer: Peer) -> None:
            peer.json(b"", f"{status} Moved", f"Location: {thief.url}/stolen\r\n")

        with serve(redirect) as server:
            response = ask(multi, server.url, "POST", body=b"x", headers={"x-api-key": "secret"})
    assert response.http_status == status
    assert thief.connections == 0


def test_a_proxy_of_the_environment_never_sees_requests_to_this_machine(
    multi: Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(lambda peer: peer.json(b"proxy")) as proxy, serve(lambda p: p.json(b"me")) as server:
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(multi, server.url).body == b"me"
        assert ask(multi, server.url.replace("127.0.0.1", "localhost")).body == b"me"
        assert proxy.connections == 0
        # and is used for all others
        assert ask(multi, "http://model.example/v1").body == b"proxy"


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "address",
    ['"http://u:s3cret@127.0.0.1:1"', "http://u:s3cret@127.0.0.1:port", "http://u:s3cret@[::1",
     "socks9://u:s3cret@127.0.0.1:1", "http://u:s3cret@127.0.0.1:1\n", "http://u:s3cret@",
     "http://u:a s3cret@127.0.0.1:1"],
)  # fmt: skip
def test_a_proxy_variable_that_cannot_be_read_is_named_and_not_tried_again(
    multi: Multi, variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, address)
    scheme = "https" if variable == "https_proxy" else "http"
    error = ask(multi, f"{scheme}://model.example/v1").error
    assert error is not None
    assert (error.category, error.retryable, error.phase) == (Category.NETWORK, False, "connect")
    assert f"correct {variable} " in str(error)
    assert "s3cret" not in f"{error} {error.detail}"


@each_case(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/", "dict://x/", "ws://x/", "//x", "x",
     "", "http://", "http:///x", "http://u:p@h/", "http://h/a b", "http://h/\r\nX: y",
     "http://h\\@evil/", "http://h:99999/", "http://h:0/", "http://[::1/", "http://ü/"],
)  # fmt: skip
def test_a_wrong_url_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigError):
        HttpRequest("GET", url)


@each_case(
    "headers",
    [{"A": "x\r\nB: y"}, {"A": "x\n"}, {"A": "x\0"}, {"A\r\nB": "x"}, {"A:": "x"}, {"": "x"},
     {"A B": "x"}, {"A": "ü"}, {"A": 1}],
)  # fmt: skip
def test_a_header_that_would_add_others_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        HttpRequest("GET", "http://127.0.0.1/", headers)


def test_nothing_of_the_home_directory_is_read(
    multi: Multi, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    (tmp_path / ".curlrc").write_text('header = "X-Curlrc: yes"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    with serve(lambda peer: peer.json(b"")) as server:
        ask(multi, server.url)
    assert not {"authorization", "x-curlrc"} & server.requests[0].headers.keys()


# -- connections -------------------------------------------------------------------------------


def test_a_post_that_was_lost_on_a_pooled_connection_is_sent_once_more_under_its_key(
    multi: Multi,
) -> None:
    served = threading.Event()

    def handle(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.json(b"first")  # and the connection stays
        else:
            served.set()  # read, and closed without a word

    with serve(handle) as server:
        assert ask(multi, server.url, "POST", body=b"1").body == b"first"
        response = ask(multi, server.url, "POST", body=b"2")
        assert served.is_set()
        assert [r.body for r in server.requests] == [b"1", b"2", b"2"], "not a third time, unseen"
        assert len({r.headers["idempotency-key"] for r in server.requests[1:]}) == 1
    assert (response.status, response.possibly_billed) == ("error", 2)
    assert response.error is not None and response.error.retryable


def test_what_is_compressed_unasked_is_decoded(multi: Multi) -> None:
    body = b"compressed " * 1000
    packed = gzip.compress(body)

    def handle(peer: Peer) -> None:
        peer.json(packed, headers="Content-Encoding: gzip\r\n")

    with serve(handle) as server:
        assert ask(multi, server.url).body == body


def test_addresses_that_were_looked_up_already_are_used(multi: Multi) -> None:
    with serve(lambda peer: peer.json(b"here")) as server:
        url = f"http://pinned.invalid:{server.port}/"  # RFC 2606: a name that never resolves
        exchange = multi.add(HttpRequest("GET", url, addresses=("127.0.0.1",)))
        multi.run()
    assert exchange.response is not None and exchange.response.body == b"here"
    assert server.requests[0].headers["host"] == f"pinned.invalid:{server.port}"


def test_who_asks_when_it_is_over_is_told_at_once(multi: Multi) -> None:
    heard: list[object] = []
    with serve(lambda peer: peer.json(b"")) as server:
        exchange = multi.add(HttpRequest("GET", server.url))
        exchange.add_done(lambda *_: exchange.add_done(lambda *_: heard.append("meanwhile")))
        multi.run()
        assert heard == ["meanwhile"]
        exchange.add_done(lambda response, it: heard.append((response.status, it is exchange)))
        assert heard == ["meanwhile", ("complete", True)]
        multi.run()
        assert len(heard) == 2
