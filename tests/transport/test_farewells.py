"""A 408 that a server says for want of a request, just as one goes out to it, answers nothing: the
request is sent once more, on a connection of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Category, HttpRequest, Retry
from engine.agents import FunctionAgent
from engine.batch import Batch, Options
from engine.transport import sending
from tests.cases import each_case
from tests.server import Peer
from tests.servers.certificate import certify
from tests.transport.asking import TEXT, asking, keys, whole

HEAD = b"HTTP/1.1 408 Request Time-out\r\n"
CLOSE = b"Connection: close\r\n"
FAREWELLS = {
    "empty": HEAD + CLOSE + b"Content-Length: 0\r\n\r\n",
    "words": HEAD + CLOSE + b"Content-Length: 5\r\nContent-Type: text/html\r\n\r\nidle\n",
    "no length": HEAD + CLOSE + b"\r\nidle\n",
    "shorter than told": HEAD + CLOSE + b"Content-Length: 9\r\n\r\nidle\n",
    "in capitals": HEAD + b"CONNECTION: Close\r\nContent-Length: 0\r\n\r\n",
    "of 1.0": HEAD.replace(b"1.1", b"1.0") + CLOSE + b"\r\n",
}


def parting(words: bytes, numbers: Callable[[int], bool]) -> Callable[[Peer], None]:
    """Says `words` and closes instead of an answer to the requests with these `numbers`, from 1."""

    def handle(peer: Peer) -> None:
        if numbers(len(peer.server.requests)):
            peer.send(words)
            peer.keep_open = False
        else:
            whole(peer)

    return handle


@each_case("words", FAREWELLS.values(), ids=FAREWELLS)
@each_case("streamed", [True, False], ids=["streamed", "whole"])
@each_case("unknown", ["retry", "fail"])
def test_the_request_is_sent_once_more(words: bytes, streamed: bool, unknown: str) -> None:
    retry = Retry(max_attempts=1, unknown=unknown)  # type: ignore[arg-type]
    with asking(parting(words, lambda number: number == 2), retry=retry) as (client, server):
        ask = client.stream if streamed else client.request
        for _ in range(2):
            done = ask("m", "hi").result()
            assert (done.status, done.text) == ("complete", TEXT), done.error
            assert (done.attempts, done.possibly_billed) == (1, 0)
        first, *others = keys(server)
        assert len(others) == 2 and len({first, *others}) == 2
        assert server.connections == 2


def test_under_tls_too(tmp_path: Path) -> None:
    certify(tmp_path)
    with asking(parting(FAREWELLS["words"], lambda n: n == 2), tls=tmp_path) as (client, server):
        for _ in range(2):
            assert client.stream("m", "hi").result().text == TEXT
        assert len(server.requests) == 3


@pytest.mark.parametrize("piecewise", [True, False])
def test_plain_requests_too_and_they_are_shown_nothing_of_it(piecewise: bool) -> None:
    with asking(parting(FAREWELLS["words"], lambda number: number == 2)) as (client, server):
        for _ in range(2):
            pieces: list[bytes] = []
            exchange = client.multi.add(
                HttpRequest("POST", server.url, body=b"x"),
                on_data=(lambda piece, _: pieces.append(piece)) if piecewise else None,  # noqa: B023
            )
            client.multi.run()
            response = exchange.response
            assert response is not None and response.http_status == 200, response
            assert b"idle" not in b"".join(pieces) + response.body
            assert response.possibly_billed == 0
        assert len(server.requests) == 3 and len(set(keys(server))) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_rows_of_a_batch_too(stream: bool, tmp_path: Path) -> None:
    input, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    input.write_text("".join(json.dumps({"id": f"{n}", "prompt": "x"}) + "\n" for n in range(12)))
    with asking(parting(FAREWELLS["words"], lambda number: number % 3 == 2)) as (client, server):
        options = Options(model="m", base_url=server.url, api_key="k", stream=stream,
                          concurrency=1, max_attempts=1)  # fmt: skip
        batch = Batch(client.multi, input, output, options)
        batch.start()
        client.multi.run()
        summary = batch.summary
        assert summary is not None and (summary.done, summary.requests) == (12, 12)


def test_agents_too() -> None:
    with asking(parting(FAREWELLS["words"], lambda number: number == 2)) as (client, server):
        for _ in range(2):
            assert FunctionAgent(client, "m").run("hi").text == TEXT
        assert len(server.requests) == 3


def test_a_server_that_says_so_for_ever_sees_it_twice() -> None:
    with asking(parting(FAREWELLS["words"], lambda number: number > 1)) as (client, server):
        client.stream("m", "hi").result()
        done = client.stream("m", "hi").result()
        assert done.error is not None and done.error.category is Category.TIMEOUT
        assert (done.error.http_status, done.attempts, len(server.requests)) == (408, 1, 3)
        assert "idle" in str(done.error)


def test_one_that_says_so_again_and_again_is_given_fresh_connections() -> None:
    """Each on a connection that had served; after two in a row none is used again for a while."""
    seen: set[object] = set()

    def handle(peer: Peer) -> None:
        if peer.socket in seen:
            peer.send(FAREWELLS["empty"])
            peer.keep_open = False
        else:
            seen.add(peer.socket)
            whole(peer)

    with asking(handle) as (client, server):
        for _ in range(10):
            done = client.stream("m", "hi").result()
            assert (done.status, done.attempts) == ("complete", 1)
        assert len(server.requests) == 12


def stay(status: int, more: bytes, number: int = 2) -> tuple[bytes, int, int]:
    return b"HTTP/1.1 %d No\r\n%bContent-Length: 0\r\n\r\n" % (status, more), number, status


@each_case(
    ("words", "number", "status"),
    [
        stay(408, CLOSE, number=1),  # on a fresh connection: it is its answer
        stay(408, b""),  # the server goes on with the connection
        stay(408, b"Connection: keep-alive\r\n"),
        *(stay(status, CLOSE) for status in (400, 409, 425, 429, 500, 503, 504)),
    ],
)
def test_any_other_word_is_the_answer(words: bytes, number: int, status: int) -> None:
    with asking(parting(words, lambda n: n == number)) as (client, server):
        for _ in range(number):
            done = client.stream("m", "hi").result()
        assert done.error is not None and done.error.http_status == status
        assert len(server.requests) == number


def test_one_that_took_its_time_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_AT_ONCE", 0.0)
    with asking(parting(FAREWELLS["words"], lambda number: number == 2)) as (client, server):
        client.stream("m", "hi").result()
        done = client.stream("m", "hi").result()
        assert done.error is not None and done.error.http_status == 408
        assert len(server.requests) == 2
