"""Who begins to listen when it is over already: told of how it ended, once, whatever ended it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import engine
from engine.answering.listeners import LISTENED
from engine.errors import ConfigError
from engine.loops.asyncio import AsyncClient
from tests.faults.server import CLOSE, Step, play
from tests.server import DONE, Request

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PIECE = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
LAST = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
ENDS = {
    "complete": PLAIN + PIECE + LAST + DONE,
    "truncated": PLAIN + PIECE,
    "error": b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n",
    "cancelled": PLAIN + PIECE,
}
TOLD = {
    "complete": {"message", "final_message", "end"},
    "truncated": {"error", "end"},
    "error": {"error", "end"},
    "cancelled": {"abort", "end"},
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    def script(request: Request) -> Iterator[Step]:
        yield ENDS[request.path.split("/")[1]]
        yield CLOSE

    with play(script) as server:
        yield server.url


def listen(stream: Any, how: str) -> list[tuple[str, Any]]:
    """What is called of listeners to each name there is."""
    heard: list[tuple[str, Any]] = []
    for name in LISTENED:
        getattr(stream, how)(name, lambda *given, name=name: heard.append((name, given)))
    return heard


def check(heard: list[tuple[str, Any]], status: str, stream: Any) -> None:
    assert {name for name, _ in heard} == TOLD[status]
    assert len(heard) == len(TOLD[status])
    completion = stream.completion
    for name, given in heard:
        assert given[-1] is stream
        if "message" in name:
            assert given[0] == completion.message
        elif name != "end":
            assert given[0] is completion.error


@pytest.mark.parametrize("how", ["on", "once"])
@pytest.mark.parametrize("when", ["after", "in on_done", "in a listener"])
@pytest.mark.parametrize("status", ENDS)
def test_who_asks_late_is_told_how_it_ended(url: str, status: str, when: str, how: str) -> None:
    heard: list[list[tuple[str, Any]]] = []

    def late(*_: object) -> None:
        heard.append(listen(stream, how))

    with engine.Client(base_url=f"{url}/{status}", api_key="k", retry=None) as client:
        stream = client.stream("m", "q", on_done=late if when == "in on_done" else None)
        if when == "in a listener":
            stream.on("end", late)
        if status == "cancelled":
            stream.once("text", stream.cancel)
        assert stream.result().status == status
        if when == "after":
            late()
        (first,) = heard
        check(first, status, stream)
        client.multi.run()
        assert len(first) == len(TOLD[status]), "and not once more"


@pytest.mark.parametrize("status", ENDS)
def test_so_it_is_where_a_host_loop_drives_it(url: str, status: str) -> None:
    async def main() -> None:
        async with AsyncClient(base_url=f"{url}/{status}", api_key="k", retry=None) as client:
            stream = client.stream("m", "q")
            if status == "cancelled":
                stream.once("text", stream.cancel)
            completion = await stream
            assert completion.status == status
            heard = listen(stream, "on")
            check(heard, status, stream._stream)
            assert await stream is completion
            read = [event async for event in stream]
            assert read == list(stream._stream.events())
            assert read

    asyncio.run(main())


def test_what_a_late_listener_raises_is_raised_where_it_asks(url: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with engine.Client(base_url=f"{url}/complete", api_key="k") as client:
        stream = client.stream("m", "q")
        stream.result()
        with pytest.raises(ZeroDivisionError):
            stream.on("end", fail)
        with pytest.raises(ConfigError):
            stream.on("tokens", print)  # type: ignore[call-overload]
        with pytest.raises(ConfigError):
            stream.on("end", 5)  # type: ignore[call-overload]
        client.multi.run()
