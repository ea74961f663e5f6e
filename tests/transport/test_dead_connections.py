"""Servers that close the connection after an answer, or die of a request: what was not sent costs
nothing, what may have been read is asked once more under the same key, and said.

llama.cpp's server announces ``Keep-Alive: timeout=5, max=100`` and closes after each answer that it
streamed.
"""

from __future__ import annotations

import json
import select
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

import engine
from engine import Category, HttpRequest, Multi, Retry
from engine.batch import Batch, Options
from engine.transport.multi import driver_of
from engine.transport.transfer import Transfer
from tests.server import OK_SSE, Peer, chat, serve
from tests.servers.certificate import certify
from tests.steady import advance
from tests.transport.asking import ONCE, TEXT, asking, keys, whole
from tests.volume import every

ROWS = 60 // every(3)


def closing(after: float = 0.0) -> Callable[[Peer], None]:
    """Answers, and closes so many seconds later, reading nothing."""

    def handle(peer: Peer) -> None:
        whole(peer)
        if after:
            sleep(after)
        peer.keep_open = False

    return handle


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("certificates")
    certify(home)
    return home


def ask_in_turn(client: engine.Client, times: int, gap: float, *, whole: bool = False) -> None:
    """One question after another; each is answered at the first attempt."""
    for number in range(times):
        ask = client.request if whole else client.stream
        done = ask("m", "hi").result()
        assert done.status == "complete", (number, done.error)
        assert (done.text, done.attempts) == (TEXT, 1)
        if gap:
            sleep(gap)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("gap", [0, 0.0005, 0.002, 0.05])
def test_a_server_that_closes_after_each_answer(gap: float, secure: bool, certified: Path) -> None:
    with asking(closing(), certified if secure else None) as (client, server):
        ask_in_turn(client, 10, gap)
        ask_in_turn(client, 5, gap, whole=True)
        assert len(server.requests) == 15
        assert len(set(keys(server))) == 15


def say(words: bytes) -> Callable[[Peer], None]:
    return lambda peer: peer.send(words)


def close_notify(peer: Peer) -> None:
    """TLS's own end, and TCP goes on."""
    assert isinstance(peer.socket, ssl.SSLSocket)
    peer.socket.setblocking(False)  # it is not waited for the client's
    with suppress(ssl.SSLError):
        peer.socket.unwrap()


UNASKED = b"HTTP/1.1 %b\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n%b\r\n%b"
STALE = b"".join(chat("Another's ", "answer."))
SAID = {
    "408": say(UNASKED % (b"408 Request Time-out", 5, b"Connection: close\r\n", b"idle\n")),
    "400": say(UNASKED % (b"400 Bad Request", 0, b"", b"")),
    "an answer": say(UNASKED % (b"200 OK", len(STALE), b"", STALE)),
    "an empty line": say(b"\r\n"),
}


@pytest.mark.parametrize(
    ("said", "secure"),
    [
        *(pytest.param(said, False, id=f"{said}-plain") for said in SAID),
        *(pytest.param(said, True, id=f"{said}-tls") for said in [*SAID, "close_notify"]),
    ],
)
@pytest.mark.parametrize("driven", [False, True], ids=["at rest", "driven"])
def test_what_a_server_says_unasked_is_nobodys_answer(
    said: str, secure: bool, driven: bool, certified: Path
) -> None:
    def handle(peer: Peer) -> None:
        whole(peer)
        rests.acquire(timeout=10)
        SAID.get(said, close_notify)(peer)
        here.release()
        over.wait(10)  # it forgets to close
        peer.keep_open = False

    rests, here, over = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    with asking(handle, certified if secure else None) as (client, server):
        for number in range(5):
            done = client.stream("m", "hi").result()
            assert (done.status, done.text, done.possibly_billed) == ("complete", TEXT, 0), number
            rests.release()
            assert here.acquire(timeout=10)
            if driven:
                client.multi.poll(0.01)
        assert len(server.requests) == 5
        over.set()


def test_one_that_says_nothing_is_used_again_under_tls(certified: Path) -> None:
    """Session tickets come before the first answer."""
    with asking(whole, certified) as (client, server):
        for _ in range(5):
            assert client.stream("m", "hi").result().status == "complete"
            client.multi.poll(0.01)
        assert server.connections == 1


def test_the_number_of_what_was_no_connection_may_be_that_of_one(tmp_path: Path) -> None:
    """Each request on a unix socket leaves its number to the next connection."""
    path = str(tmp_path / "model.sock")
    with serve(closing(0.05)) as server, serve(whole, unix_socket=path), Multi() as multi:
        near = engine.Client(multi, base_url="http://localhost", unix_socket=path, retry=ONCE)
        burst = [near.stream("m", "hi") for _ in range(10)]
        multi.run()
        assert all(stream.completion.status == "complete" for stream in burst if stream.completion)
        client = engine.Client(multi, base_url=server.url, retry=ONCE)
        for _ in range(3):
            few = [client.stream("m", "hi") for _ in range(4)]
            multi.run()
            for stream in few:
                done = stream.completion
                assert done and (done.status, done.possibly_billed) == ("complete", 0)
            until = monotonic() + 10
            while connections(server.port, _ESTABLISHED) and monotonic() < until:
                sleep(0.01)  # the server closes, nothing is driven
        assert len(server.requests) == 12


@pytest.mark.parametrize("text", ["", "All "])
def test_what_breaks_off_after_its_head_was_read_and_is_not_repeated(text: str) -> None:
    def handle(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            whole(peer)
            return
        peer.send(OK_SSE)
        if text:
            peer.chunk(chat(text)[0])
        heard.wait(10)
        peer.reset()

    heard = threading.Event()
    with asking(handle) as (client, server):
        assert client.stream("m", "hi").result().status == "complete"
        stream = client.stream("m", "hi")
        while stream._attempts._transfer.head is None or stream.text != text:
            client.multi.poll(0.01)
        heard.set()
        done = stream.result()
        assert done.timing.reused
        assert (done.status, done.text) == ("truncated", text)
        assert (done.attempts, len(server.requests)) == (1, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("times", "gap"),
    [(200, 0), (200, 0.0005), (200, 0.002), (100, 0.05), (30, 0.3), (10, 1.0), (5, 2.0)],
)
def test_the_same_for_longer(times: int, gap: float, secure: bool, certified: Path) -> None:
    with asking(closing(), certified if secure else None) as (client, server):
        ask_in_turn(client, times, gap)
        assert len(server.requests) == times


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_after_bursts(secure: bool, certified: Path) -> None:
    with asking(closing(), certified if secure else None) as (client, server):
        for _ in range(3):
            burst = [client.stream("m", "hi") for _ in range(20)]
            client.multi.run()
            assert [s.completion and s.completion.status for s in burst] == ["complete"] * 20
            ask_in_turn(client, 3, 0.0)
        assert len(server.requests) == 69


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("rows", "at_once", "stream"), [(ROWS, 1, True), (ROWS, ROWS // 3, True), (ROWS, 4, False)]
)
def test_rows_of_a_batch_cost_a_request_each(
    rows: int, at_once: int, stream: bool, secure: bool, certified: Path, tmp_path: Path
) -> None:
    with asking(closing(), certified if secure else None) as (client, server):
        asked = [{"id": f"r{n}", "prompt": f"Say {n}"} for n in range(rows)]
        input, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        input.write_text("".join(json.dumps(row) + "\n" for row in asked))
        options = Options(
            model="m",
            base_url=server.url,
            api_key="k",
            stream=stream,
            concurrency=at_once,
            max_attempts=1,
        )
        batch = Batch(client.multi, input, output, options)
        batch.start()
        client.multi.run()
        summary = batch.summary
        assert summary is not None and (summary.done, summary.requests) == (rows, rows)
        assert len(output.read_text().splitlines()) == rows
        assert len(set(keys(server))) == rows == len(server.requests)


def test_plain_requests_too() -> None:
    with asking(closing()) as (client, server):
        for _ in range(10):
            exchange = client.multi.add(HttpRequest("POST", server.url, body=b"x"))
            client.multi.run()
            assert exchange.response is not None
            assert exchange.response.status == "complete", exchange.response.error
            sleep(0.001)
        assert len(server.requests) == 10


@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
def test_a_server_that_closes_a_moment_later_is_left_with_no_connection_to_close(
    whole: bool,
) -> None:
    """Nothing tells such a close from the death of a request that was read; so its first connection
    is watched for a moment before it is used again."""
    with asking(closing(after=0.002)) as (client, server):
        ask_in_turn(client, 60, 0, whole=whole)
        assert len(server.requests) == server.connections == 60
        assert len(set(keys(server))) == 60


def test_one_that_keeps_its_connections_after_whole_answers_alone_is_found_out() -> None:
    """llama.cpp's server closes after those that it streamed, whatever it announces."""

    def handle(peer: Peer) -> None:
        whole(peer)
        if b'"stream":true' in peer.request.body:
            sleep(0.002)
            peer.keep_open = False

    with asking(handle) as (client, server):
        ask_in_turn(client, 20, 0, whole=True)
        assert server.connections == 1
        ask_in_turn(client, 20, 0)
        assert len(server.requests) == 40
        assert server.connections == 20


class Dying:
    """Answers the first request; reads others and closes without a word, `times` of them."""

    def __init__(self, times: float) -> None:
        self.left = times
        self._answered = False

    def __call__(self, peer: Peer) -> None:
        if not self._answered or self.left <= 0:
            self._answered = True
            whole(peer)
        else:
            self.left -= 1


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_request_that_was_read_and_lost_is_asked_once_more_and_said(streamed: bool) -> None:
    with asking(Dying(1)) as (client, server):
        ask = client.stream if streamed else client.request
        first = ask("m", "hi").result()
        done = ask("m", "hi").result()
        assert (first.possibly_billed, first.status) == (0, "complete")
        assert (done.status, done.attempts, done.possibly_billed) == ("complete", 1, 1)
        first_key, *others = keys(server)
        assert len(others) == 2 and len(set(others)) == 1 and first_key not in others


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_server_that_always_dies_sees_it_twice(streamed: bool) -> None:
    with asking(Dying(99)) as (client, server):
        ask = client.stream if streamed else client.request
        ask("m", "hi").result()
        done = ask("m", "hi").result()
        assert done.error is not None and done.error.category is Category.NETWORK
        assert (done.status, done.attempts, done.possibly_billed) == ("error", 1, 2)
        assert len(set(keys(server)[1:])) == 1 and len(server.requests) == 3


def test_the_same_for_plain_requests() -> None:
    with asking(Dying(1)) as (client, server):
        for _ in range(2):
            exchange = client.multi.add(HttpRequest("POST", server.url, body=b"x"))
            client.multi.run()
            assert exchange.response is not None and exchange.response.status == "complete"
        assert len(server.requests) == 3
        assert len(set(keys(server)[1:])) == 1


@pytest.mark.parametrize("early", [True, False], ids=["while it waits", "afterwards"])
def test_a_deadline_may_strike_while_a_request_waits_to_go_out_again(
    early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the queue twice then, and goes out once."""
    die = threading.Event()

    def handle(peer: Peer) -> None:
        if len(server.requests) == 2:
            die.wait(10)
        else:
            whole(peer)

    with asking(handle) as (client, server):
        multi = client.multi
        assert client.stream("m", "hi").result().status == "complete"
        limits = engine.Timeouts(first_event=600)
        quick = engine.Client(
            multi, base_url=server.url, retry=Retry(max_attempts=2), timeouts=limits
        )
        stream = quick.stream("m", "hi")
        while len(server.requests) < 2:
            multi.poll(0.01)
        admission = driver_of(multi).hosts._admission
        host, struck, wanted = server.url.removesuffix("/v1"), [], []

        def strike(transfer: Transfer, error: engine.EngineError) -> None:
            struck.append(error)
            fail(transfer, error)
            if early:
                admission.let_go(host)

        fail = Transfer.fail_attempt
        monkeypatch.setattr(Transfer, "fail_attempt", strike)
        admission.hold(host, lambda: wanted.append(host))
        die.set()
        while not wanted:
            multi.poll(0.01)
        advance(monkeypatch, 700)
        while not struck:
            multi.poll(0.01)
        multi.poll(0.01)
        admission.let_go(host)
        done = stream.result()
        assert (done.status, done.attempts, done.possibly_billed) == ("complete", 2, 1)
        assert len(server.requests) == 3
        assert [client.stream("m", "hi").result().status for _ in range(3)] == ["complete"] * 3


def test_who_would_rather_lose_an_answer_than_pay_twice_says_so() -> None:
    with asking(Dying(1), retry=Retry(unknown="fail")) as (client, server):
        client.stream("m", "hi").result()
        done = client.stream("m", "hi").result()
        assert (done.status, done.attempts, done.possibly_billed) == ("error", 1, 1)
        assert len(server.requests) == 2


def test_but_what_was_never_sent_is_sent_all_the_same() -> None:
    with asking(closing(), retry=Retry(unknown="fail")) as (client, server):
        ask_in_turn(client, 10, 0.002)
        assert len(server.requests) == 10


def test_a_fresh_connection_that_dies_is_an_attempt() -> None:
    with asking(lambda peer: None, retry=Retry(max_attempts=2, base_delay=0.001)) as (
        client,
        server,
    ):
        done = client.stream("m", "hi").result()
        assert (done.attempts, done.possibly_billed) == (2, 2)
        assert len(server.requests) == 2 and len(set(keys(server))) == 1


def test_a_key_of_ones_own_is_kept() -> None:
    with asking(Dying(1)) as (client, server):
        for _ in range(2):
            client.stream("m", "hi", extra_headers={"idempotency-key": "mine"}).result()
        assert keys(server) == ["mine"] * 3


def test_a_get_has_no_key() -> None:
    with asking(closing()) as (client, server):
        client.multi.add(HttpRequest("GET", server.url))
        client.multi.run()
        assert "idempotency-key" not in server.requests[0].headers


def test_a_cancelled_request_that_was_out_may_have_been_billed() -> None:
    read = threading.Event()

    def handle(peer: Peer) -> None:
        read.set()
        peer.wait_closed()

    with asking(handle) as (client, _):
        stream = client.stream("m", "hi")
        while not read.is_set():
            client.multi.poll(0.01)
        stream.cancel()
        assert stream.result().possibly_billed == 1
        unsent = client.stream("m", "hi")
        unsent.cancel()
        assert unsent.result().possibly_billed == 0


def test_a_cancelled_request_closes_its_connection() -> None:
    gone = threading.Event()

    def handle(peer: Peer) -> None:
        peer.wait_closed()
        gone.set()

    with asking(handle) as (client, server):
        request = client.request("m", "hi")
        while not server.requests:
            client.multi.poll(0.01)
        request.cancel()
        until = monotonic() + 5
        while not gone.is_set() and monotonic() < until:
            client.multi.poll(0.01)
        assert gone.is_set()


def test_connections_that_the_server_closed_do_not_pile_up_while_nothing_is_asked() -> None:
    with asking(closing(after=0.05)) as (client, server):
        burst = [client.stream("m", "hi") for _ in range(20)]
        client.multi.run()
        assert all(s.completion and s.completion.status == "complete" for s in burst)
        until = monotonic() + 10
        while connections(server.port, _ESTABLISHED) and monotonic() < until:
            sleep(0.01)  # the server takes its time
        while monotonic() < until and (
            connections(server.port, _CLOSE_WAIT) or client.multi.timeout() is not None
        ):
            client.multi.poll(0.1)  # nothing is open: it returns at once
            wait = client.multi.timeout()
            if wait is None and not connections(server.port, _CLOSE_WAIT):
                break  # that was the last of it, and nobody will say more
            select.select([client.multi], [], [], wait)
            client.multi.perform()
        assert connections(server.port, _CLOSE_WAIT) == 0
        assert client.multi.timeout() is None


_ESTABLISHED, _CLOSE_WAIT = "01", "08"


def connections(port: int, state: str) -> int:
    """Our connections to `port` in that state of net/tcp_states.h."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == state for row in rows)
