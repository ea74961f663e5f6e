"""Hosts behind TLS that come back with another protocol: what is known of them is what their
connections say now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import engine
from engine import Multi, Retry
from tests.faults.case import GOOD, TEXT
from tests.faults.h2_server import H1Peer, H2Peer, H2Server, play_h2


class Host:
    """A server of both protocols, whose answers over HTTP/1.1 wait for `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.mute = False

    def answer(self, peer: H2Peer) -> None:
        if not self.mute:
            peer.answer(GOOD)

    def answer1(self, peer: H1Peer) -> None:
        self.go.wait()
        peer.answer(GOOD)


@contextmanager
def host_of_both(home: Path, limit: int) -> Iterator[tuple[Host, H2Server, Multi, engine.Client]]:
    host = Host()
    with play_h2(host.answer, home, handler1=host.answer1) as server:
        try:
            with Multi(max_host_connections=limit, ca_file=server.ca_file) as multi:
                retry = Retry(max_attempts=1)
                yield host, server, multi, engine.Client(multi, base_url=server.url, retry=retry)
        finally:
            host.go.set()


def while_it_rests(host: Host, server: H2Server, client: engine.Client) -> list[engine.Stream]:
    server.kill_all()
    return []


def under_requests(host: Host, server: H2Server, client: engine.Client) -> list[engine.Stream]:
    host.mute, before = True, server.requests
    streams = [client.stream("m", "hi") for _ in range(10)]
    while server.requests < before + 10:
        client.multi.poll(0.05)
    server.kill_all()
    return streams


Leave = Callable[[Host, H2Server, engine.Client], list[engine.Stream]]


@pytest.mark.parametrize("leave", [while_it_rests, under_requests])
def test_what_comes_back_with_http_1_1_is_given_as_many_as_it_has_connections(
    tmp_path: Path, leave: Leave
) -> None:
    with host_of_both(tmp_path, 2) as (host, server, multi, client):
        for _ in range(2):
            assert client.stream("m", "hi").result().timing.http_version == "2"
        server.offer("http/1.1")
        streams = leave(host, server, client)
        streams = streams or [client.stream("m", "hi") for _ in range(10)]
        while server.requests1 < 2 or multi.statistics().streaming != 2:
            multi.poll(0.05)
        counts = multi.statistics()
        # The others wait in our queue, and not inside libcurl under the limit of a connection.
        assert (counts.queued, counts.streaming, counts.connecting) == (8, 2, 0)
        host.go.set()
        done = [stream.result() for stream in streams]
        assert {(each.status, each.text) for each in done} == {("complete", TEXT)}
        assert {each.timing.http_version for each in done} == {"1.1"}


def test_what_comes_back_with_http2_shares_a_connection_again(tmp_path: Path) -> None:
    with host_of_both(tmp_path, 1) as (host, server, multi, client):
        host.go.set()
        server.offer("http/1.1")
        assert client.stream("m", "hi").result().timing.http_version == "1.1"
        server.offer("h2")
        server.kill_all()
        host.mute, before = True, server.requests
        streams = [client.stream("m", "hi") for _ in range(10)]
        while server.requests < before + 10:
            multi.poll(0.05)
        assert server.connections == 2
        server.kill_all()
        for stream in streams:
            stream.cancel()
        multi.run()
