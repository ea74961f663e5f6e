"""Servers that send without end, and very many at once: no turn gets long, nobody else notices.

Turns are measured in CPU of this thread, garbage collections apart.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from time import monotonic, thread_time

import pytest

import engine
from engine import HttpRequest, Multi
from tests.faults.server import STALL, Script, Step, play
from tests.faults.siblings import beside, siblings
from tests.server import OK_SSE, Request, chat, chat_chunk
from tests.transport.meter import metered
from tests.transport.paced import raise_file_limit

TURN = 0.005
GZIP = OK_SSE.replace(b"Transfer-Encoding: chunked", b"Content-Encoding: gzip")


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def endless(block: bytes) -> Script:
    """`block`, again and again, after one event."""

    def script(_: Request) -> Iterator[Step]:
        yield OK_SSE
        yield chunked(chat_chunk("begin"))
        whole = chunked(block)
        while True:
            yield whole

    return script


def packed(block: bytes) -> Script:
    """The same as gzip, which makes of each read a thousand times as much."""

    def script(_: Request) -> Iterator[Step]:
        packer = zlib.compressobj(9, wbits=31)
        yield GZIP
        yield packer.compress(chat_chunk("begin")) + packer.flush(zlib.Z_SYNC_FLUSH)
        while True:
            yield packer.compress(block * 64) + packer.flush(zlib.Z_SYNC_FLUSH)

    return script


SMALL = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n' * 1000
COMMENTS = b": keep-alive\n" * 5000
FLOODS = {
    "small deltas": endless(SMALL),
    "large deltas": endless(chat_chunk("y" * 60_000) * 4),
    "comments": endless(COMMENTS),
    "comments and blank lines": endless(b": ping\n\n" * 8000),
    "blank lines": endless(b"\n" * 60_000),
    "blank lines, CR LF": endless(b"\r\n" * 30_000),
    "one endless comment": endless(b": " + b"z" * 60_000),
    "fields that mean nothing": endless(b"x: y\n" * 10_000),
    "pings": endless(b"event: ping\ndata: {}\n\n" * 2000),
    "gzip of comments": packed(COMMENTS),
    "gzip of small deltas": packed(SMALL),
}
FAST = {"small deltas", "comments", "gzip of comments"}


def flooded(script: Script, total: float, start: Callable[..., object], bound: float) -> None:
    """A flood that ends by its ``total``, beside twenty siblings."""
    # The least of three: what else runs on the machine makes a turn dearer, never cheaper.
    longest = [longest_turn_of_flood(script, total, start)]
    while min(longest) > bound and len(longest) < 3:
        longest.append(longest_turn_of_flood(script, total, start))
    assert min(longest) <= bound, f"{[f'{each * 1e3:.1f} ms' for each in longest]}"


def longest_turn_of_flood(script: Script, total: float, start: Callable[..., object]) -> float:
    """Seconds of CPU of the longest turn."""
    with (
        play(beside(script)) as server,
        Multi(turn_seconds=TURN) as multi,
        metered(multi) as meter,
        siblings(multi, server.url),
    ):
        ended: list[float] = []
        begun = monotonic()
        start(multi, server.url, total, lambda *_: ended.append(thread_time()))
        while monotonic() < begun + total:
            meter.turn()
        due = thread_time()
        while not ended:
            meter.turn()
        assert ended[0] - due < 0.1, "CPU between the deadline and the end"
        return max(meter.perform, meter.info_read)


def stream(multi: Multi, url: str, total: float, done: Callable[..., None]) -> object:
    client = engine.Client(
        multi,
        dialect="chat",
        base_url=f"{url}/flood",
        api_key="k",
        timeouts=engine.Timeouts(total=total),
        max_event_bytes=1 << 30,
        retry=engine.Retry(max_attempts=1),
    )
    return client.stream("m", "hi", on_text=lambda delta: None, on_done=done)


def exchange(multi: Multi, url: str, total: float, done: Callable[..., None]) -> object:
    request = HttpRequest("GET", f"{url}/flood")
    limits = engine.Timeouts(total=total)
    return multi.add(request, on_data=lambda piece, x: None, on_done=done, timeouts=limits)


@pytest.mark.parametrize(
    ("name", "total"),
    [
        pytest.param(
            name,
            total,
            marks=() if total < 1 and name in FAST else pytest.mark.slow,
        )
        for name in FLOODS
        for total in (0.3, 1.0)
    ],
)
def test_an_endless_answer_makes_no_turn_long(name: str, total: float) -> None:
    flooded(FLOODS[name], total, stream, 3 * TURN)


@pytest.mark.parametrize(
    "name", ["small deltas", pytest.param("gzip of comments", marks=pytest.mark.slow)]
)
def test_an_endless_body_makes_no_turn_long(name: str) -> None:
    flooded(FLOODS[name], 0.3, exchange, 3 * TURN)


def test_a_reader_gets_every_byte_of_a_flood_that_ends() -> None:
    """Pauses of the flood's own transfer lose nothing: 4 MB in small gzip'd events."""
    pieces = [f"{n} " for n in range(20_000)]

    def script(_: Request) -> Iterator[Step]:
        packer = zlib.compressobj(9, wbits=31)
        yield GZIP
        yield packer.compress(b"".join(chat(*pieces))) + packer.flush()

    with play(script) as server, Multi(turn_seconds=0.001) as multi:
        client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="k")
        heard: list[str] = []
        stream = client.stream("m", "hi", on_text=heard.append)
        body: list[bytes] = []
        plain = multi.add(HttpRequest("GET", server.url), on_data=lambda b, x: body.append(b))
        assert stream.result().status == "complete"
        multi.run()
    assert heard == pieces and stream.text == "".join(pieces)
    assert b"".join(body) == b"".join(chat(*pieces))
    assert plain.response is not None and plain.response.status == "complete"


# -- very many at once ---------------------------------------------------------------------------


def begun(_: Request) -> Iterator[Step]:
    yield OK_SSE
    yield chunked(chat_chunk("begin"))
    yield STALL


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [3000, 9000])
def test_very_many_begin_and_are_cancelled_in_slices(count: int) -> None:
    if not raise_file_limit(2 * count + 500):
        pytest.skip("this process may not open so many files")
    # The least of three: what else runs on the machine makes a turn dearer, never cheaper.
    longest = [3 * TURN + 1.0]
    while len(longest) < 4 and min(longest) > 3 * TURN:
        longest.append(longest_turn_of_many(count))
    assert min(longest) <= 3 * TURN, f"{[f'{each * 1e3:.1f} ms' for each in longest[1:]]}"


def longest_turn_of_many(count: int) -> float:
    """Seconds of CPU of the longest turn while so many begin at once, and are cancelled."""
    limits = engine.Timeouts(connect=None, first_event=None, idle=None)
    with play(begun) as server, Multi(turn_seconds=TURN) as multi, metered(multi) as meter:
        client = engine.Client(
            multi, dialect="chat", base_url=server.url, api_key="k", timeouts=limits
        )
        done: list[str] = []
        for _ in range(count):
            client.stream("m", "hi", on_done=lambda c: done.append(c.status))
        while multi.statistics().streaming < count:
            meter.turn()
        begin = thread_time()
        multi.cancel_all()
        assert thread_time() - begin < 0.02, "it only marks"
        while len(multi):
            meter.turn()
        assert done == ["cancelled"] * count
        return max(meter.perform, meter.info_read)


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_very_many_whole_answers_at_once_end_in_slices(count: int) -> None:
    raise_file_limit(2 * count + 500)
    # The least of three, as above.
    longest = [longest_turn_of_whole(count)]
    while min(longest) > 3 * TURN and len(longest) < 3:
        longest.append(longest_turn_of_whole(count))
    assert min(longest) <= 3 * TURN, f"{[f'{each * 1e3:.1f} ms' for each in longest]}"


def longest_turn_of_whole(count: int) -> float:
    """Seconds of CPU of the longest turn while so many answers come whole at the same time."""
    gate = threading.Event()
    answer = b"".join(map(chunked, chat(*["word "] * 40))) + b"0\r\n\r\n"

    def script(_: Request) -> Iterator[Step]:
        yield OK_SSE
        while not gate.is_set():
            yield 0.02
        yield answer

    with play(script) as server, Multi(turn_seconds=TURN) as multi, metered(multi) as meter:
        client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="k")
        done: list[str] = []
        for _ in range(count):
            client.stream("m", "hi", on_text=lambda d: None, on_done=lambda c: done.append(c.text))
        while multi.statistics().streaming < count:
            multi.poll(0.01)
        gate.set()
        while any(sent < len(answer) for sent in server.bytes_sent.values()) or not done:
            meter.turn(0.01)
        while len(multi):
            meter.turn()
        assert done == ["word " * 40] * count
        return max(meter.perform, meter.info_read)
