"""The server of faults does what its scripts say."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
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


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


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


@pytest.mark.parametrize("end", [KEEP, STALL])
def test_a_pause_that_is_over_before_it_is_looked_at_is_none(end: Action) -> None:
    """The thread of the server may stand still between the two, on a machine with much to do."""
    steps: list[Step] = [b"one", 0.0, b"two", 0.0, end]
    with (
        play(lambda _: iter(steps)) as server,
        ask(server.url) as connection,
        ask(server.url) as other,
    ):
        for each in (connection, other):  # the second after what the first left behind
            assert each.recv(3) + each.recv(3) == b"onetwo"
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.setblocking(True)
        connection.sendall(_GET)
        assert end is STALL or connection.recv(3) == b"one"


def test_a_script_that_fails_is_told_at_the_next_use_and_keeps_nobody_waiting() -> None:
    def mistaken(_: Request) -> Iterator[Step]:
        yield b"one"
        raise LookupError("a mistake of mine")

    with pytest.raises(LookupError, match="a mistake of mine"), play(mistaken) as server:
        url = server.url
        with ask(url) as connection, pytest.raises(ConnectionResetError):
            everything(connection)
        with pytest.raises(ConnectionRefusedError):
            ask(url)
        for use in (lambda: server.url, server.kill_all):
            with pytest.raises(RuntimeError, match="thread of this server") as told:
                use()
            assert isinstance(told.value.__cause__, LookupError)


def test_who_left_in_the_middle_of_a_step_does_not_end_the_server() -> None:
    waiting, gone = threading.Event(), threading.Event()

    def half(_: Request) -> Iterator[Step]:
        yield b"one"
        yield 0.001
        waiting.set()
        gone.wait(10)
        yield SHUT

    with play(half) as server:
        connection = ask(server.url)
        assert connection.recv(3) == b"one"
        assert waiting.wait(10)
        reset(connection)
        gone.set()
        with ask(server.url) as other:
            assert everything(other) == b"one"


def test_who_left_before_it_was_accepted_does_not_end_the_server() -> None:
    begun, gone = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        gone.wait(10)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with play(lambda _: iter([CLOSE]), tls) as server:
        server._calls.append(held)
        server._ring.send(b"!")
        assert begun.wait(10)
        host, _, port = server.url.removeprefix("https://").partition(":")
        connection = socket.create_connection((host, int(port)))
        connection.sendall(b"x")
        reset(connection)
        gone.set()
        server.kill_all()
    assert server.connections == 1


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
