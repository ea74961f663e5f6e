"""The pollers: one descriptor for all, level-triggered, deaf to stale numbers."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from engine.errors import ResourceError
from engine.transport.poller import (
    BATCH,
    IN,
    OUT,
    PEER_LEFT,
    PEER_SPOKE,
    Poller,
    SelectPoller,
    new_poller,
)


@pytest.fixture(params=["platform", "select"])
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    made = new_poller() if request.param == "platform" else SelectPoller()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def ready(poller: Poller) -> dict[int, int]:
    """What is ready now, in libcurl's terms."""
    found: dict[int, int] = {}
    for fd, events in poller.poll(0):
        found[fd] = found.get(fd, 0) | poller.masks[events & 63]
    return found


def test_what_is_merely_readable_is_told_by_one_number(poller: Poller) -> None:
    assert poller.masks[IN] == IN  # a turn looks for it before it looks anything up
    near, far = socket.socketpair()
    with near, far:
        far.send(b"x")
        poller.watch(near.fileno(), IN)
        assert poller.poll(0) == [(near.fileno(), IN)]


@pytest.mark.skipif(sys.platform != "linux", reason="others do not watch what rests")
def test_what_rests_tells_that_its_peer_spoke_and_that_it_left() -> None:
    poller = new_poller()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with near, far:
        fd = near.fileno()
        poller.watch(fd, IN)
        poller.rest(fd)
        assert poller.poll(0) == []
        far.send(b"x")
        assert poller.poll(5) == [(fd, PEER_SPOKE)]
        poller.rest(fd, spoken=True)
        assert poller.poll(0) == []
        far.shutdown(socket.SHUT_WR)
        assert poller.poll(5) == [(fd, PEER_LEFT)]
        poller.rest(fd)
        assert poller.poll(0) == [(fd, PEER_LEFT | PEER_SPOKE)]
    poller.close()


def test_what_is_ready_is_told_until_it_is_read(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    poller.watch(near.fileno(), IN)
    assert ready(poller) == {}
    far.send(b"x")
    for _ in range(2):
        assert ready(poller) == {near.fileno(): IN}
    near.recv(1)
    assert ready(poller) == {}


def test_the_mask_can_be_changed_and_taken_back(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    far.send(b"x")
    poller.watch(near.fileno(), OUT)
    assert ready(poller) == {near.fileno(): OUT}
    poller.watch(near.fileno(), IN | OUT)
    assert ready(poller) == {near.fileno(): IN | OUT}
    poller.unwatch(near.fileno())
    assert ready(poller) == {}


def test_a_closed_descriptor_is_no_error(poller: Poller) -> None:
    near, far = socket.socketpair()
    number = near.fileno()
    poller.watch(number, IN)
    near.close()
    far.close()
    poller.unwatch(number)
    poller.unwatch(number)
    assert ready(poller) == {}


def test_its_own_descriptor_tells_select_that_something_is_ready(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    poller = new_poller()
    poller.watch(near.fileno(), IN)
    assert poller.fdset() == ([poller.fileno()], [], [])
    assert select.select([poller.fileno()], [], [], 0)[0] == []
    far.send(b"x")
    assert select.select([poller.fileno()], [], [], 0)[0] == [poller.fileno()]
    poller.close()


def test_more_than_one_batch_is_told_bit_by_bit_and_nobody_starves() -> None:
    poller = new_poller()
    eventfds = [os.eventfd(1) for _ in range(BATCH + 100)]
    try:
        for fd in eventfds:
            poller.watch(fd, IN)
        seen: set[int] = set()
        for _ in range(20):
            batch = list(poller.poll(0))
            assert len(batch) <= BATCH
            seen.update(fd for fd, _ in batch)
        assert seen == set(eventfds)
    finally:
        poller.close()
        for fd in eventfds:
            os.close(fd)


def test_without_such_a_descriptor_the_sockets_themselves_are_given() -> None:
    poller = SelectPoller()
    poller.watch(5, IN)
    poller.watch(6, OUT)
    assert poller.fdset() == ([5], [6], [5, 6])
    with pytest.raises(ResourceError, match="fdset"):
        poller.fileno()


def test_a_number_select_cannot_take_is_an_error_and_not_dropped() -> None:
    poller = SelectPoller()
    poller.watch(1024, IN)
    with pytest.raises(ResourceError, match="1024"):
        poller.fdset()
