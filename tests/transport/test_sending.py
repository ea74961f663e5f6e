"""What becomes of a request that got no head: a table of how libcurl ended it and what is known."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from pathlib import Path

import pycurl
import pytest

import engine
from engine import Multi, Retry
from engine.transport.connections import Connections, Reused
from engine.transport.sending import Sending, goes_again, repeat_wait
from tests.cases import each_case
from tests.servers.certificate import certify

GOT_NOTHING, SEND, RECEIVE, REWIND, ABORTED, TIMED_OUT = 52, 55, 56, 65, 42, 28
ALIVE = Reused(False, 7)


def sending(**known: object) -> Sending:
    one = Sending(Connections(), False)
    one.name = ("127.0.0.1", 1)
    for name, value in known.items():
        setattr(one, name, value)
    return one


@each_case(
    ("again", "code", "known"),
    [
        # Nobody read it.
        (True, ABORTED, {"unsent": True, "reused": Reused(True, 7)}),
        (True, REWIND, {"unsent": True, "refused": True}),
        (True, SEND, {"unsent": True}),
        # Lost on a connection that had served, or that serves others.
        (True, REWIND, {"reused": ALIVE}),
        (True, GOT_NOTHING, {"reused": ALIVE}),
        (True, RECEIVE, {"reused": ALIVE}),
        (True, SEND, {"shared": True}),
        (True, 16, {"shared": True}),
        # The server's own word about one stream, on whatever connection; or it was refused.
        (False, 92, {"shared": True}),
        (False, 92, {"reused": ALIVE}),
        (True, 92, {"unsent": True, "refused": True}),
        # The server's TLS does not take this client: nobody read it, and nobody will.
        (False, RECEIVE, {"unsent": True, "barred": True}),
        (False, RECEIVE, {"unsent": True, "barred": True, "reused": ALIVE}),
        # HTTP/1.1 is wanted, whatever libcurl's own second try came to.
        (True, ABORTED, {"unsent": True, "downgraded": True}),
        (True, 7, {"unsent": True, "downgraded": True}),
        # Lost on one of its own: that is an attempt.
        (False, GOT_NOTHING, {}),
        (False, RECEIVE, {}),
        (False, REWIND, {}),
        # Not lost.
        (False, TIMED_OUT, {"reused": ALIVE}),
        (False, ABORTED, {"reused": ALIVE}),
        (False, 8, {"reused": ALIVE}),
        (False, 23, {"reused": ALIVE}),
        # Never had a connection.
        (True, 7, {"name": None, "starved": True}),
        (False, 7, {"name": None}),
        (False, 35, {"name": None}),
    ],
)
def test_what_goes_out_again(again: bool, code: int, known: dict[str, object]) -> None:
    one = sending(**known)
    assert goes_again(code, one, 0, 0, "retry") is again
    unsent = bool(known.get("unsent") or known.get("starved"))
    assert goes_again(code, one, 0, 0, "fail") is (again and unsent)
    assert goes_again(code, one, 1, 1, "retry") is (again and unsent), "what was read, once more"
    if known.get("refused"):
        assert goes_again(code, one, 4, 0, "retry") and not goes_again(code, one, 5, 0, "retry")
        return
    assert goes_again(code, one, 49, 0, "retry") is again
    assert goes_again(code, one, 50, 0, "retry") is False


@pytest.mark.parametrize(("code", "starved"), [(7, True), (27, True), (28, False), (35, False)])
def test_without_a_descriptor_no_connection_is_made(
    monkeypatch: pytest.MonkeyPatch, code: int, starved: bool
) -> None:
    for left in (False, True):
        monkeypatch.setattr("engine.transport.sending.none_left", lambda left=left: left)
        for name in (None, ("127.0.0.1", 1)):
            one, refused = sending(name=name), sending(name=name)
            one.failed(code)
            refused.failed(code, errno.ECONNREFUSED)
            assert one.starved is (starved and left and name is None)
            assert not refused.starved, "the system had a word of the network"


def test_who_refuses_is_asked_again_at_once_twice_and_then_later_and_later() -> None:
    refused, lost = sending(refused=True), sending(reused=ALIVE)
    assert [repeat_wait(refused, n, 1.0) for n in range(5)] == [0, 0, 0.05, 0.1, 0.2]
    assert [repeat_wait(refused, n, 0.0) for n in range(5)] == [0, 0, 0.025, 0.05, 0.1]
    assert [repeat_wait(lost, n, 1.0) for n in range(5)] == [0] * 5


@each_case(
    "words",
    [
        b"HTTP/2 stream 3 reset by server (error 0xd HTTP_1_1_REQUIRED)",
        b"HTTP/2 stream 3 reset by curl (error 0xd HTTP_1_1_REQUIRED)",  # of a GOAWAY
        b"HTTP/2 stream 0 was not closed cleanly: HTTP_1_1_REQUIRED (err 13)",
    ],
)
def test_only_libcurls_words_of_a_stream_tell_that_http_1_1_is_wanted(words: bytes) -> None:
    one = sending()
    one.hear(pycurl.INFOTYPE_HEADER_OUT, words)
    one.hear(pycurl.INFOTYPE_TEXT, b"[HTTP/2] [1] [x-note: " + words + b"]")
    one.hear(pycurl.INFOTYPE_TEXT, b"[HTTP/2] [1] [x-note: refused by server]")
    one.failed(92)
    assert (one.downgraded, one.refused, one.out) == (False, False, True)
    one.hear(pycurl.INFOTYPE_TEXT, words)
    one.failed(92)
    assert (one.downgraded, one.refused, one.out) == (True, False, False)


def test_no_second_request_of_libcurls_own_goes_out_for_one_that_was_answered() -> None:
    for known, answered, heard, goes in (
        ({}, False, [], True),  # a GET whose connection had died
        ({"downgraded": True}, False, [], False),
        ({}, True, [], False),
        ({}, False, [b"HTTP/2 200"], False),
    ):
        first, again = sending(**known), ("127.0.0.1", 2)
        first.name = None
        assert first.look(("127.0.0.1", 1), heard, answered) == pycurl.PREREQFUNC_OK
        assert (first.look(again, heard, answered) == pycurl.PREREQFUNC_OK) is goes
        assert (first.name == again) is goes


def test_only_libcurls_words_tell_a_refused_stream() -> None:
    one = sending()
    one.hear(pycurl.INFOTYPE_HEADER_OUT, b"refused by server")
    one.hear(pycurl.INFOTYPE_DATA_IN, b"HTTP/2 stream 5 refused by server")
    one.hear(pycurl.INFOTYPE_TEXT, b"Connection died, retrying a fresh connect (retry count: 1)")
    one.failed(56)
    assert (one.refused, one.unsent, one.out) == (False, False, True)
    for words in (
        b"HTTP/2 stream 5 refused by server, try again on a new connection",
        b"REFUSED_STREAM, retrying a fresh connect",
    ):
        one = sending()
        one.hear(pycurl.INFOTYPE_TEXT, words)
        one.failed(56)
        assert (one.refused, one.unsent, one.out) == (True, True, False)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_server_that_wants_a_client_certificate_has_read_nothing(
    tmp_path: Path, streamed: bool
) -> None:
    certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    refused = []

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as peer:
                try:
                    peer.do_handshake()
                except ssl.SSLError:
                    refused.append(peer)
                peer.shutdown(socket.SHUT_WR)
                while socket.socket.recv(peer, 65536):
                    pass  # closed with bytes unread, it would take the alert back

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with Multi(ca_file=str(tmp_path / "ca.pem")) as multi:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
            client = engine.Client(multi, base_url=url, api_key="k", retry=Retry(base_delay=0))
            done = (client.stream if streamed else client.request)("m", "hi").result()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    assert done.error is not None and done.error.phase == "tls"
    assert "certificate of the client" in str(done.error)
    assert (len(refused), done.attempts, done.possibly_billed) == (1, 1, 0)
