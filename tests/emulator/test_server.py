"""Thousands of streams at once on one thread, through the engine's own client."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time

import pytest

import engine
import engine.emulator
from engine.emulator.server import Server
from engine.emulator.settings import Settings
from engine.errors import ConfigError
from tests.emulator.asking import post, serving
from tests.volume import examples

BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
def test_thousands_of_streams_are_open_at_once_and_whole() -> None:
    count = examples(2000)
    with engine.emulator.start(tokens=10) as emulator:
        client = engine.Client(base_url=emulator.base_url)
        texts = [0] * count

        def on_text(_: str, stream: engine.Stream) -> None:
            texts[stream.user_data] += 1

        # Each gives three tokens and goes silent: when all have, all are open.
        for number in range(count):
            client.stream("emulator/stall", "Hi", on_text=on_text, user_data=number)
        while min(texts) < 3:
            assert client.multi.poll(30) == count
        streams = [client.stream("emulator/demo", f"Question {n % 100}") for n in range(count // 2)]
        while any(stream.completion is None for stream in streams):
            client.multi.poll(30)
        client.multi.cancel_all()
        client.multi.run()
        completions = [stream.completion for stream in streams]
        client.close()
    assert {c.status if c else None for c in completions} == {"complete"}
    assert texts == [3] * count
    said = [c.message.text for c in completions if c]
    assert len(set(said)) == 100
    assert said[:100] * (count // 200) == said
    assert all(c.usage is not None and c.usage.output_tokens == 10 for c in completions if c)


def test_stop_is_for_any_thread_and_closes_every_connection() -> None:
    server = Server(settings=Settings())
    thread = threading.Thread(target=server.serve)
    thread.start()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(10)
        post(server, "/v1/chat/completions", BODY)
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
        assert sock.recv(1) == b""
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_the_end_of_a_pipe_stops_it() -> None:
    read, write = os.pipe()
    server = Server()
    server.stop_at_eof(read)
    thread = threading.Thread(target=server.serve)
    thread.start()
    os.close(write)
    thread.join(10)
    os.close(read)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_told() -> None:
    with serving() as server, pytest.raises(ConfigError, match=rf"{server.port}.*another port"):
        Server(port=server.port)
    with pytest.raises(ConfigError, match="99999"):
        Server(port=99999)


def test_a_mistake_of_ours_ends_one_connection_and_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:

        def fail(request: object) -> None:
            raise ZeroDivisionError("a mistake")

        good = server.respond
        monkeypatch.setattr(server, "respond", fail)
        with pytest.raises(ConnectionError):
            post(server, "/v1/chat/completions", BODY)
        monkeypatch.setattr(server, "respond", good)
        assert post(server, "/v1/chat/completions", BODY)[0] == 200
    assert "a mistake" in capsys.readouterr().err


def test_out_of_descriptors_it_waits_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        refused: list[float] = []

        class Exhausted:
            def __init__(self, listener: socket.socket) -> None:
                self._listener = listener

            def accept(self) -> object:
                if len(refused) < 2:
                    refused.append(time.monotonic())
                    raise OSError(24, "Too many open files")
                return self._listener.accept()

            def fileno(self) -> int:
                return self._listener.fileno()

            def close(self) -> None:
                self._listener.close()

        # The loop takes the listener from the attribute at each turn.
        monkeypatch.setattr(server, "_listener", Exhausted(server._listener))
        assert post(server, "/v1/chat/completions", BODY)[0] == 200
    assert len(refused) == 2
    assert refused[1] - refused[0] >= 0.09  # it did not spin


def test_ipv6_has_brackets_in_its_url() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = Server(host="::1")
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    server.stop()
    server.serve()
    assert server.url == f"http://[::1]:{server.port}"
