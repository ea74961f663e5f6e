"""What a socket tells of its peer, before a request goes out on it and after it failed."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from engine.transport import connections as connections_module
from engine.transport.connections import Connections, Name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tcp_info is Linux's")


class Pair:
    """A connection, and both its ends."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as listener:
            self.ours = socket.create_connection(listener.getsockname()[:2])
            self.theirs, _ = listener.accept()
        self.name: Name = self.ours.getsockname()[:2]

    @property
    def fd(self) -> int:
        return self.ours.fileno()

    def hang_up(self) -> None:
        self.theirs.shutdown(socket.SHUT_WR)
        self.ours.recv(1)  # it is here

    def reset(self) -> None:
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.theirs.close()
        with pytest.raises(ConnectionResetError):
            self.ours.recv(1)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(request.param)
    yield pair
    pair.close()


def test_a_connection_that_never_rested_is_new(pair: Pair) -> None:
    assert Connections().given(pair.name) is None


def test_one_that_rested_is_asked_before_it_is_used(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    before = connections.given(pair.name)
    assert before is not None and not before.dead
    pair.hang_up()
    before = connections.given(pair.name)
    assert before is not None and before.dead


def test_one_in_use_is_no_longer_at_rest(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    connections.used(pair.fd)
    assert connections.given(pair.name) is None


def test_a_number_that_is_somebody_elses_now_says_nothing(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    other, number = Pair(), pair.fd
    other.hang_up()
    pair.ours.close()
    os.dup2(other.fd, number)
    assert connections.given(pair.name) is None
    os.close(number)
    other.close()


def test_an_end_in_order_with_nothing_acknowledged_was_never_read(pair: Pair) -> None:
    connections = Connections()
    pair.ours.sendall(b"first request")
    pair.theirs.recv(100)
    connections.rests(pair.fd)
    before = connections.given(pair.name)
    assert before is not None and before.acknowledged is not None
    pair.hang_up()
    connections.rests(pair.fd)
    assert connections.unread(pair.name, before)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that are looked at."""
    looked: list[int] = []
    look = connections_module._look
    monkeypatch.setattr(connections_module, "_look", lambda fd: looked.append(fd) or look(fd))
    return looked


def test_one_that_was_answered_on_is_known_and_not_looked_at(pair: Pair, looks: list[int]) -> None:
    connections, heard = Connections(), list[bytes]()
    connections.rests(pair.fd)
    connections.given(pair.name, heard)
    connections.used(pair.fd)
    heard.append(b"HTTP/1.1 200 OK")
    looks.clear()
    assert connections.rests(pair.fd) and not looks
    assert connections.at_rest(pair.fd) == pair.name
    assert connections.alive(pair.name)
    pair.hang_up()
    before = connections.given(pair.name)
    assert before is not None and before.dead


def test_one_that_was_not_answered_on_is_looked_at(pair: Pair, looks: list[int]) -> None:
    connections, heard = Connections(), list[bytes]()
    connections.rests(pair.fd)
    before = connections.given(pair.name, heard)
    connections.used(pair.fd)
    pair.hang_up()
    looks.clear()
    assert connections.rests(pair.fd) and looks
    assert before is not None and connections.unread(pair.name, before)


def test_the_number_of_one_that_was_answered_unseen_may_be_another(pair: Pair) -> None:
    connections, heard = Connections(), list[bytes]()
    connections.rests(pair.fd)
    connections.given(pair.name, heard)
    heard.append(b"HTTP/1.1 200 OK")  # and closed: libcurl never watched it
    other, number = Pair(), pair.fd
    pair.ours.close()
    os.dup2(other.fd, number)
    connections.used(number)
    assert connections.rests(number)
    assert connections.at_rest(number) == other.name
    os.close(number)
    other.close()


def test_an_end_after_something_was_acknowledged_may_have_been_read(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    before = connections.given(pair.name)
    assert before is not None
    pair.ours.sendall(b"request")
    assert pair.theirs.recv(100) == b"request"
    pair.hang_up()
    connections.rests(pair.fd)
    assert not connections.unread(pair.name, before)


def test_a_reset_proves_nothing(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    before = connections.given(pair.name)
    assert before is not None
    pair.reset()
    connections.rests(pair.fd)
    assert not connections.unread(pair.name, before)


@pytest.mark.parametrize("multiplexed", [False, True], ids=["one at a time", "HTTP/2"])
def test_one_whose_server_spoke_unasked_is_used_again_where_that_is_usual(
    pair: Pair, multiplexed: bool
) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    connections.spoke(pair.name)
    before = connections.given(pair.name, multiplexed=multiplexed)
    assert before is not None and before.dead is not multiplexed
    assert not connections.alive(pair.name)
    connections.used(pair.fd)
    connections.rests(pair.fd)  # it was read
    assert connections.alive(pair.name)


def test_those_that_spoke_and_are_gone_are_forgotten(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    connections.spoke(pair.name)
    for port in range(10_000):
        connections.spoke(("192.0.2.1", port))
    assert len(connections._spoke) < 1000
    before = connections.given(pair.name)
    assert before is not None and before.dead


def test_a_number_that_was_no_connections_may_be_one_later(pair: Pair) -> None:
    connections, (ours, theirs) = Connections(), socket.socketpair()
    assert not connections.rests(ours.fileno())
    assert not connections.rests(ours.fileno())
    os.dup2(pair.fd, ours.fileno())
    assert connections.given(pair.name) is None  # a new one
    assert connections.rests(ours.fileno())
    assert connections.at_rest(ours.fileno()) == pair.name
    ours.close()
    theirs.close()


def test_one_found_dead_is_dead_for_the_others_until_it_rests_again(pair: Pair) -> None:
    connections = Connections()
    connections.died(pair.name)
    connections.used(pair.fd)
    before = connections.given(pair.name)
    assert before is not None and before.dead
    connections.rests(pair.fd)
    before = connections.given(pair.name)
    assert before is not None and not before.dead


def test_what_is_no_tcp_socket_is_left_alone() -> None:
    one, two = socket.socketpair()
    connections = Connections()
    with one, two:
        connections.rests(one.fileno())
        connections.rests(one.fileno())
        connections.used(one.fileno())
    connections.rests(10_000)


def test_how_long_it_rested_is_known(pair: Pair) -> None:
    connections = Connections()
    connections.rests(pair.fd)
    before = connections.given(pair.name)
    assert before is not None and 0 <= before.rested < 5
