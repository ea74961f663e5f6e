"""The emulator as a peer on a socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection

import pytest

import engine.emulator.connection
from engine.emulator.server import Server
from engine.emulator.settings import Settings
from tests.emulator.asking import post, serving

CHAT = "/v1/chat/completions"
BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Settings(tokens=5)) as running:
        yield running


def connect(server: Server) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.settimeout(10)
    return sock


def request(body: dict[str, object], version: str = "1.1", extra: str = "") -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/{version}\r\nHost: x\r\n{extra}Content-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = bytearray()
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return bytes(data)


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def test_a_stream_is_chunked_and_the_connection_stays(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(3):
        connection.request("POST", CHAT, json.dumps({**BODY, "stream": True}))
        response = connection.getresponse()
        assert response.getheader("transfer-encoding") == "chunked"
        assert response.getheader("content-type") == "text/event-stream; charset=utf-8"
        assert response.getheader("x-request-id", "").startswith("req_")
        assert response.read().endswith(b"data: [DONE]\n\n")
        connection.request("POST", CHAT, json.dumps(BODY))
        response = connection.getresponse()
        body = response.read()
        assert int(response.getheader("content-length", "0")) == len(body)
    connection.close()


def test_requests_sent_ahead_are_answered_in_their_order(server: Server) -> None:
    with connect(server) as sock:
        bodies = [{**BODY, "model": f"m{n}", "stream": n % 2 == 0} for n in range(20)]
        sock.sendall(b"".join(request(body) for body in bodies))
        data = b""
        while data.count(b"HTTP/1.1 200") < 20 or not data.rstrip().endswith((b"}", b"0")):
            data += sock.recv(65536)
    places = [data.index(b'"model":"m%d"' % n) for n in range(20)]
    assert places == sorted(places)


def test_a_request_in_single_bytes_is_read(server: Server) -> None:
    with connect(server) as sock:
        for byte in request({**BODY, "stream": True}):
            sock.send(bytes([byte]))
        assert b"[DONE]" in read_until(sock, b"0\r\n\r\n")


def test_http_1_0_has_no_chunks_and_ends_with_the_connection(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(request({**BODY, "stream": True}, version="1.0"))
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body.startswith(b"data: {") and body.endswith(b"[DONE]\n\n")


def test_a_client_may_ask_before_it_sends_the_body(server: Server) -> None:
    whole = request({**BODY}, extra="Expect: 100-continue\r\nConnection: close\r\n")
    head, end, body = whole.partition(b"\r\n\r\n")
    with connect(server) as sock:
        sock.sendall(head + end)
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert read_all(sock).startswith(b"HTTP/1.1 200")


def test_head_has_no_body(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(2):
        connection.request("HEAD", "/v1/models")
        response = connection.getresponse()
        assert (response.status, response.read()) == (404, b"")
    connection.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000,
    ],
)
def test_what_is_not_http_is_refused_and_closed(server: Server, data: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(data)
        try:
            answer = read_all(sock)
        except ConnectionResetError:
            answer = b"HTTP/1.1 4"  # it closed with bytes of ours unread
    assert answer.startswith(b"HTTP/1.1 4")
    assert post(server, CHAT, BODY)[0] == 200


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("error", ["cut", "reset", "drop"])
def test_the_connection_ends_as_asked(server: Server, error: str, stream: bool) -> None:
    with connect(server) as sock:
        sock.sendall(request({**BODY, "model": error, "stream": stream}))
        data = b""
        try:
            while piece := sock.recv(65536):
                data += piece
            was_reset = False
        except ConnectionResetError:
            was_reset = True
    assert was_reset is (error == "reset")
    assert not data.endswith(b"0\r\n\r\n")
    if error == "drop":
        assert data == b""
    elif not stream and not was_reset:
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert 0 < len(body) < length


def test_a_stall_is_silence_on_an_open_connection(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(request({**BODY, "model": "stall", "stream": True}))
        data = read_until(sock, b"\n\n\r\n")
        assert data.count(b"data: ") == 4  # the role, and three tokens
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_a_stream_keeps_its_pace(server: Server) -> None:
    model = "demo-ttft=0.1-tps=50-tokens=11"
    with connect(server) as sock:
        started = time.monotonic()
        sock.sendall(request({**BODY, "model": model, "stream": True}))
        assert b"data:" not in read_until(sock, b"\r\n\r\n")
        head = time.monotonic() - started
        read_until(sock, b"\n\n\r\n")
        first = time.monotonic() - started
        read_until(sock, b"0\r\n\r\n")
        last = time.monotonic() - started
    # Never early; how late it is depends on the machine.
    assert head < 0.1 <= first
    assert last >= 0.1 + 11 * 0.02


@pytest.mark.parametrize("model", ["demo-tokens=30000", "cut-tokens=40000-after=30000"])
def test_a_reader_that_stops_is_waited_for_and_loses_nothing(server: Server, model: str) -> None:
    # 8 MB: the server's socket holds 4 MB at most, and this one next to nothing.
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.settimeout(30)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(request({**BODY, "model": model, "stream": True}))
        first = sock.recv(1)
        # The others are served meanwhile. Each takes two turns of the loop at least, and a stream
        # has 64 KiB a turn: after these it has come to its end, or to the end of the buffers.
        for _ in range(80):
            assert post(server, CHAT, BODY)[0] == 200
        data = first + (read_all(sock) if "cut" in model else read_until(sock, b"0\r\n\r\n"))
    assert data.count(b'"content":') == 30_001  # and the role
    assert data.count(b"[DONE]") == ("cut" not in model)


def test_a_connection_closes_only_when_all_is_sent(server: Server) -> None:
    # 5 MB in one piece, more than the socket takes at once.
    body = {**BODY, "model": "demo-tokens=700000"}
    with connect(server) as sock:
        sock.sendall(request(body, extra="Connection: close\r\n"))
        head, _, body_sent = read_all(sock).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(body_sent) == length > 4 * 1024 * 1024


def test_a_client_that_leaves_is_forgotten(server: Server) -> None:
    sock = connect(server)
    sock.sendall(request({**BODY, "model": "demo-tokens=100000-tps=10", "stream": True}))
    sock.recv(1)
    assert "1 connections" in repr(server)
    sock.close()
    deadline = time.monotonic() + 10
    while "0 connections" not in repr(server) and time.monotonic() < deadline:
        post(server, CHAT, BODY)
    assert "0 connections" in repr(server)


def test_a_body_over_the_limit_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.emulator.connection, "_MOST_BODY_BYTES", 1000)
    with connect(server) as sock:
        sock.sendall(request({**BODY, "padding": "x" * 2000}))
        assert b"longer than 1000 bytes" in read_all(sock)


def test_requests_ahead_of_their_turn_have_a_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(server) as sock:
        sock.sendall(request({**BODY, "model": "stall", "stream": True}))
        read_until(sock, b"\n\n\r\n")
        monkeypatch.setattr(engine.emulator.connection, "_MOST_BODY_BYTES", 1000)
        sock.sendall(request(BODY) * 10)
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""
