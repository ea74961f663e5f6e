"""The server of faults does what its scripts say."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

import engine
from tests.faults.server import CLOSE, KEEP, RESET, SHUT, STALL, Action, Step, play
from tests.faults.siblings import beside, siblings
from tests.server import Request

_GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


def ask(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(_GET)
    return connection


def everything(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(4096):
        data += piece
    return data


@pytest.mark.parametrize("end", [CLOSE, SHUT])
def test_bytes_and_pauses_come_in_order(end: Action) -> None:
    steps: list[Step] = [b"one ", 0.01, b"two", end]
    with play(lambda _: iter(steps)) as server, ask(server.url) as connection:
        assert everything(connection) == b"one two"
    assert [request.path for request in server.requests] == ["/x"]


def test_a_reset_is_a_reset() -> None:
    with (
        play(lambda _: iter([b"one", RESET])) as server,
        ask(server.url) as connection,
        pytest.raises(ConnectionResetError),
    ):
        everything(connection)


def test_a_connection_is_kept_for_the_next_request() -> None:
    with play(lambda _: iter([b"answer ", KEEP])) as server, ask(server.url) as connection:
        assert connection.recv(100) == b"answer "
        connection.sendall(_GET + _GET)
        received = b""
        while len(received) < 14:
            received += connection.recv(14)
        assert received == b"answer answer "
    assert server.connections == 1
    assert len(server.requests) == 3


def test_who_leaves_is_noted() -> None:
    with play(lambda _: iter([b"one", STALL])) as server:
        with ask(server.url) as connection:
            assert connection.recv(3) == b"one"
        while not server.left:
            pass
    assert server.left[0][0] == "/x"


def test_an_endless_answer_waits_for_its_reader() -> None:
    def endless(_: Request) -> Iterator[Step]:
        while True:
            yield b"x" * 65536

    with play(endless) as server, ask(server.url) as connection:
        assert connection.recv(10) == b"x" * 10
        with ask(server.url) as other:  # and others are served meanwhile
            assert other.recv(10) == b"x" * 10
        assert server.bytes_sent["/x"] < 64 << 20


def test_to_kill_all_resets_all() -> None:
    with play(lambda _: iter([b"one", STALL])) as server, ask(server.url) as connection:
        assert connection.recv(3) == b"one"
        server.kill_all()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_siblings_are_checked_to_the_byte(multi: engine.Multi) -> None:
    with play(beside(lambda _: iter([CLOSE]))) as server, siblings(multi, server.url):
        pass
    assert len(server.requests) == 20


def test_a_sibling_that_is_hurt_is_noticed(multi: engine.Multi) -> None:
    def hurt(request: Request) -> Iterator[Step]:
        script = beside(lambda _: iter([CLOSE]))(request)
        for n, step in enumerate(script):
            if request.path.startswith("/sibling/s7/") and n == 30:
                break
            yield step

    with (
        play(hurt) as server,
        pytest.raises(AssertionError, match="s7"),
        siblings(multi, server.url),
    ):
        pass
