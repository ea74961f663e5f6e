"""HTTP/2 servers that refuse streams, or want HTTP/1.1 for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine import Category, HttpRequest, Multi, Retry
from engine.transport import sending
from engine.transport.driver import Driver
from engine.transport.timers import Timer
from tests.batch.support import answer as whole_answer
from tests.batch.support import openai_row, run_batch
from tests.faults.case import GOOD, TEXT, WORDS
from tests.faults.h2_server import ErrorCodes, H1Peer, H2Peer, play_h2

REQUIRED, REFUSED = ErrorCodes.HTTP_1_1_REQUIRED, ErrorCodes.REFUSED_STREAM


def reset(peer: H2Peer) -> None:
    peer.reset(REQUIRED)


def goaway(peer: H2Peer) -> None:
    peer.goaway(last=0, code=REQUIRED)


def after_an_answer(peer: H2Peer) -> None:
    if peer.number == 0:
        well(peer)
    else:
        peer.reset(REQUIRED)


def well(peer: H1Peer | H2Peer) -> None:
    if b'"stream":true' in getattr(peer, "body", b'"stream":true'):
        peer.answer(GOOD)
    else:
        peer.answer([whole_answer(TEXT)])


def streamed(multi: Multi, url: str, many: int = 1) -> list[engine.Completion]:
    client = engine.Client(multi, dialect="chat", base_url=url, retry=Retry(max_attempts=1))
    begun = [client.stream("m", "hi") for _ in range(many)]
    multi.run()
    return [stream.result() for stream in begun]


def whole(multi: Multi, url: str) -> list[engine.Completion]:
    client = engine.Client(multi, dialect="chat", base_url=url, retry=Retry(max_attempts=1))
    return [client.request("m", "hi").result()]


def assert_well(completions: list[engine.Completion]) -> None:
    for done in completions:
        assert (done.status, done.text) == ("complete", TEXT), done.error
        assert (done.attempts, done.possibly_billed) == (1, 0)


@pytest.mark.parametrize("ask", [streamed, whole])
@pytest.mark.parametrize("refuse", [reset, goaway, after_an_answer])
def test_who_wants_http_1_1_is_asked_by_it_at_once_and_from_then_on(
    tmp_path: Path,
    refuse: Callable[[H2Peer], None],
    ask: Callable[[Multi, str], list[engine.Completion]],
) -> None:
    with (
        play_h2(refuse, tmp_path, handler1=well) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        before = 1 if refuse is after_an_answer else 0
        assert_well(streamed(multi, server.url, before))
        for more in range(3):
            completions = ask(multi, server.url)
            assert_well(completions)
            assert [done.timing.http_version for done in completions] == ["1.1"]
            assert (server.requests1, server.requests) == (1 + more, before + 1 + 1 + more)
        assert len(set(server.keys)) == before + 3, "the same key, asked again"


@pytest.mark.parametrize("many", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_a_burst_at_who_wants_http_1_1_is_asked_again_once(tmp_path: Path, many: int) -> None:
    with (
        play_h2(reset, tmp_path, {3: 200}, handler1=well) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        assert_well(streamed(multi, server.url, many))
        assert server.requests1 == many
        assert len(set(server.keys)) == many and server.requests <= 2 * many
        before = server.requests
        assert_well(streamed(multi, server.url, many))
        assert server.requests == before + many


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_plain_request_is_asked_again_with_its_body(tmp_path: Path, method: str) -> None:
    bodies = []

    def echo(peer: H1Peer) -> None:
        bodies.append(peer.body)
        peer.answer([b"echo"])

    body = None if method == "GET" else b"x" * 50_000
    with (
        play_h2(reset, tmp_path, handler1=echo) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        exchanges = [multi.add(HttpRequest(method, server.url, {}, body)) for _ in range(3)]
        multi.run()
    for exchange in exchanges:
        response = exchange.response
        assert response is not None and response.error is None
        assert (response.http_status, response.body) == (200, b"echo")
    assert bodies == [body or b""] * 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_rows_are_asked_again(
    tmp_path: Path, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(peer: H1Peer) -> None:
        peer.answer(GOOD if stream else [whole_answer(TEXT)])

    rows = [openai_row(str(number), "hi") for number in range(4)]
    with play_h2(reset, tmp_path, handler1=answer) as server:
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        summary = run_batch(rows, tmp_path / "out.jsonl", server, stream=stream)  # type: ignore[arg-type]
        assert (summary.done, summary.exit_code) == (4, 0)
        assert server.requests1 == 4


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("served", [False, True], ids=["new", "reused"])
def test_in_the_middle_of_an_answer_it_is_cut_off_and_nothing_else_goes_on_with_it(
    tmp_path: Path, method: str, served: bool
) -> None:
    def cut(peer: H2Peer) -> None:
        if served and peer.number == 0:
            well(peer)
            return
        peer.head()
        peer.data(GOOD[0])
        peer.reset(REQUIRED)

    with (
        play_h2(cut, tmp_path, handler1=well) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        if served:
            assert_well(streamed(multi, server.url))
        exchange = multi.add(HttpRequest(method, server.url))
        multi.run()
        response = exchange.response
        assert response is not None and response.error is not None
        assert (response.error.category, response.body) == (Category.TRUNCATED, GOOD[0])
        (done,) = streamed(multi, server.url)
        assert (done.status, done.text, done.possibly_billed) == ("truncated", WORDS[0], 0)
        assert server.requests1 == 0


@pytest.mark.parametrize("many", [3, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("served", [False, True], ids=["new", "reused"])
def test_who_refuses_all_is_asked_a_few_times_and_told_of_as_overloaded(
    tmp_path: Path, many: int, served: bool
) -> None:
    def refuse(peer: H2Peer) -> None:
        if served and peer.number == 0:
            well(peer)
        else:
            peer.reset(REFUSED)

    with (
        play_h2(refuse, tmp_path) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        if served:
            assert_well(streamed(multi, server.url))
        for done in streamed(multi, server.url, many):
            assert done.error is not None
            assert (done.status, done.attempts, done.possibly_billed) == ("error", 1, 0)
            assert done.error.category is Category.SERVER and done.error.retryable
            assert "refused" in str(done.error) and "may have reached" not in str(done.error)
        assert server.requests == served + many * 6
        assert len(set(server.keys)) == served + many


def test_refused_on_a_connection_that_served_costs_nothing(tmp_path: Path) -> None:
    def refuse(peer: H2Peer) -> None:
        if peer.number == 1:
            # The client has done all it does before the answer.
            asleep.wait()
            peer.reset(REFUSED)
        else:
            well(peer)

    asleep = threading.Event()
    with (
        play_h2(refuse, tmp_path) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        assert_well(streamed(multi, server.url))
        stream = engine.Client(multi, dialect="chat", base_url=server.url).stream("m", "hi")
        while server.requests < 2:
            multi.poll(0.01)
        multi.poll(0)
        asleep.set()
        assert_well([stream.result()])


def test_one_that_is_cancelled_while_it_waits_to_go_out_again_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[Callable[[], None]] = []
    call_later = Driver.call_later

    def note(driver: Driver, delay: float, call: Callable[[], None]) -> Timer:
        if delay > 10:
            waiting.append(call)
        return call_later(driver, delay, call)

    monkeypatch.setattr(Driver, "call_later", note)
    monkeypatch.setattr(sending, "_REFUSED_WAIT", 60.0)
    with (
        play_h2(lambda peer: peer.reset(REFUSED), tmp_path) as server,
        Multi(ca_file=server.ca_file) as multi,
    ):
        stream = engine.Client(multi, dialect="chat", base_url=server.url).stream("m", "hi")
        while not waiting:
            multi.poll(0.05)
        assert (multi.statistics().queued, server.requests) == (1, 3)
        stream.cancel()
        multi.run()
        for call in waiting:
            call()  # as if the time were over
        assert [lane.in_flight for lane in multi._driver.lanes._lanes.values()] == [0]
