"""C3 over HTTP/2: streams that are reset or refused, connections that say goodbye or die."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import engine
from engine.errors import Category
from tests.faults.case import GOOD, TEXT, WORDS, steps
from tests.faults.h2_server import ErrorCodes, H2Peer, H2Server, play_h2
from tests.faults.server import CLOSE, play
from tests.faults.siblings import beside, siblings

pytestmark = pytest.mark.slow

CANARY = "sk-canary-0123456789abcdef"


def ask(
    server: H2Server, count: int, attempts: int = 1, **limits: float
) -> list[engine.Completion]:
    """The completions of `count` streams begun at once, beside healthy ones elsewhere."""
    with (
        engine.Multi(ca_file=server.ca_file) as multi,
        play(beside(steps(CLOSE))) as healthy,
        siblings(multi, healthy.url),
    ):
        client = engine.Client(
            multi,
            dialect="chat",
            base_url=server.url,
            api_key=CANARY,
            timeouts=engine.Timeouts(**{"total": 30.0, **limits}),
            retry=engine.Retry(max_attempts=attempts, base_delay=0.001),
        )
        streams = [client.stream("m", "hi") for _ in range(count)]
        while any(stream.completion is None for stream in streams):
            multi.poll()
    completions = [stream.result() for stream in streams]
    assert CANARY not in repr(completions)
    return completions


def well(peer: H2Peer) -> None:
    peer.answer(GOOD)


def test_f08_streams_that_are_reset_cost_the_others_on_their_connection_nothing(
    tmp_path: Path,
) -> None:
    """F08."""

    def handle(peer: H2Peer) -> None:
        if "bad" in peer.headers[":path"]:
            peer.reset(ErrorCodes.INTERNAL_ERROR)
        else:
            well(peer)

    with (
        play_h2(handle, tmp_path, {3: 200}) as server,
        engine.Multi(ca_file=server.ca_file) as multi,
    ):

        def ask_for(path: str, count: int) -> list[engine.Completion]:
            url, retry = f"{server.url}/{path}", engine.Retry(max_attempts=1)
            client = engine.Client(multi, dialect="chat", base_url=url, api_key="k", retry=retry)
            streams = [client.stream("m", "hi") for _ in range(count)]
            multi.run()
            return [stream.result() for stream in streams]

        for resets in (1, 1, 1, 40):
            assert {c.text for c in ask_for("good", 20)} == {TEXT}
            assert {c.possibly_billed for c in ask_for("bad", resets)} == {1}
        assert {c.text for c in ask_for("good", 20)} == {TEXT}
        assert server.connections == 1


@pytest.mark.parametrize("code", [c for c in ErrorCodes if c is not ErrorCodes.REFUSED_STREAM])
def test_f08_a_stream_that_is_reset_before_its_head(tmp_path: Path, code: ErrorCodes) -> None:
    """F08."""
    with play_h2(lambda peer: peer.reset(code), tmp_path) as server:
        (completion,) = ask(server, 1)
    assert completion.status == "error"
    assert completion.error is not None
    assert completion.error.category in (Category.NETWORK, Category.SERVER, Category.PROTOCOL)


@pytest.mark.parametrize("code", list(ErrorCodes))
def test_f08_a_stream_that_is_reset_in_the_middle(tmp_path: Path, code: ErrorCodes) -> None:
    """F08."""

    def handle(peer: H2Peer) -> None:
        peer.head()
        peer.data(GOOD[0])
        peer.reset(code)

    with play_h2(handle, tmp_path) as server:
        (completion,) = ask(server, 1, attempts=3)
        assert server.requests == 1
    assert completion.status == "truncated", completion.error
    assert completion.text == WORDS[0]


def test_f08_a_refused_stream_costs_nothing(tmp_path: Path) -> None:
    """F08."""

    def handle(peer: H2Peer) -> None:
        if peer.number < 3:
            peer.reset(ErrorCodes.REFUSED_STREAM)
        else:
            well(peer)

    with play_h2(handle, tmp_path) as server:
        (completion,) = ask(server, 1)
    assert (completion.status, completion.text) == ("complete", TEXT), completion.error
    assert completion.attempts == 1
    assert completion.possibly_billed == 0


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_f10_a_limit_of_streams_is_learned(tmp_path: Path, limit: int) -> None:
    """F10."""
    with play_h2(well, tmp_path, {3: limit}) as server:
        completions = ask(server, 200)
        assert {c.status for c in completions} == {"complete"}
        assert {c.attempts for c in completions} == {1}
        assert server.requests == 200


def test_f09_goodbye_leaves_what_was_not_read_to_another_connection(tmp_path: Path) -> None:
    """F09: the streams above the last one of GOAWAY were not read."""

    said_goodbye: list[object] = []

    def handle(peer: H2Peer) -> None:
        if peer.number == 0:
            well(peer)
            peer.goaway(last=peer.stream)
            peer.kill()
            said_goodbye.append(peer.connection)
        elif peer.connection in said_goodbye:
            return  # never answered: it came after the goodbye
        else:
            well(peer)

    with play_h2(handle, tmp_path) as server:
        completions = ask(server, 20)
    assert {str(c.error) for c in completions} == {"None"}


def test_f09_a_goodbye_that_is_said_twice_costs_no_stream(tmp_path: Path) -> None:
    """F09: first of no stream in particular, then of the last that was read (RFC 9113, 6.8)."""

    def handle(peer: H2Peer) -> None:
        if peer.on_connection == 0:
            peer.goaway(last=2**31 - 1)
        well(peer)
        if peer.on_connection == 0:
            peer.goaway(last=peer.stream)

    with play_h2(handle, tmp_path) as server:
        completions = ask(server, 10)
    assert {c.status for c in completions} == {"complete"}
    assert sum(c.possibly_billed for c in completions) == 0


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize(
    "code",
    [
        ErrorCodes.NO_ERROR,
        ErrorCodes.ENHANCE_YOUR_CALM,
        ErrorCodes.HTTP_1_1_REQUIRED,
        ErrorCodes.INTERNAL_ERROR,
        ErrorCodes.REFUSED_STREAM,
    ],
    ids=lambda code: code.name,
)
def test_f09_goodbye_before_anything_was_read_is_bounded(
    tmp_path: Path, code: ErrorCodes, always: bool
) -> None:
    """F09: whatever reason it gives, the next connection is asked, and not for ever."""

    def handle(peer: H2Peer) -> None:
        if always or peer.number == 0:
            peer.goaway(last=0, code=code)
            peer.kill()
        else:
            well(peer)

    # Who wants HTTP/1.1 speaks it.
    handler1 = None if always else lambda peer: peer.answer(GOOD)
    with play_h2(handle, tmp_path, handler1=handler1) as server:
        completions = ask(server, 5, attempts=3)
        assert {c.status for c in completions} == {"error" if always else "complete"}
        # What was refused was not read, and is repeated five times before it counts.
        repeats = 5 if code is ErrorCodes.REFUSED_STREAM else 9
        assert server.requests <= 5 * (3 + repeats)


def test_f09_goodbye_in_the_middle_of_a_stream_that_goes_on(tmp_path: Path) -> None:
    """F09: what is below the last stream is still answered."""

    def handle(peer: H2Peer) -> None:
        peer.head()
        peer.data(GOOD[0])
        peer.goaway(last=peer.stream)
        for piece in GOOD[1:]:
            peer.data(piece, end=piece is GOOD[-1])

    with play_h2(handle, tmp_path) as server:
        for _ in range(3):
            (completion,) = ask(server, 1)
            assert (completion.status, completion.text) == ("complete", TEXT), completion.error


def test_f11_connections_killed_under_a_hundred_begun_streams(tmp_path: Path) -> None:
    """F11."""
    begun: set[int] = set()

    def handle(peer: H2Peer) -> None:
        peer.head()
        peer.data(GOOD[0])
        begun.add(peer.number)

    with (
        play_h2(handle, tmp_path, {3: 200}) as server,
        engine.Multi(ca_file=server.ca_file) as multi,
    ):
        client = engine.Client(multi, dialect="chat", base_url=server.url, api_key=CANARY)
        streams = [client.stream("m", "hi") for _ in range(100)]
        while not all(stream.text for stream in streams):
            multi.poll()
        server.kill_all()
        multi.run()
    assert len(begun) == server.requests == 100
    endings = [(s.result().status, s.text) for s in streams]
    assert set(endings) == {("truncated", WORDS[0])}


def test_f12_a_flood_of_pings_ends_in_the_idle_limit(tmp_path: Path) -> None:
    """F12."""

    def handle(peer: H2Peer) -> None:
        peer.head()
        peer.data(GOOD[0])
        peer.connection.flush()
        frame = (8).to_bytes(3, "big") + b"\x06\x00" + bytes(4) + b"12345678"
        for _ in range(4000):  # until the client has left
            peer.connection.send(frame)
            time.sleep(0.005)

    before = time.thread_time()
    with play_h2(handle, tmp_path) as server:
        (completion,) = ask(server, 1, idle=0.4)
    assert time.thread_time() - before < 2
    assert completion.error is not None
    assert completion.error.category is Category.TIMEOUT
    assert completion.text == WORDS[0]


def test_f13_enhance_your_calm_is_an_overload_and_bounded(tmp_path: Path) -> None:
    """F13."""

    def handle(peer: H2Peer) -> None:
        peer.goaway(last=0, code=ErrorCodes.ENHANCE_YOUR_CALM)
        peer.kill()

    with play_h2(handle, tmp_path) as server:
        completions = ask(server, 10, attempts=3)
        assert server.requests <= 60
        assert server.connections <= 60
    assert {c.status for c in completions} == {"error"}
    for completion in completions:
        assert completion.error is not None
        assert completion.error.category in (Category.SERVER, Category.NETWORK)
