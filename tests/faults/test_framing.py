"""C3: what breaks between the head and the end of a body over HTTP/1.1."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

import engine
from engine.errors import Category
from tests.faults.case import (
    GOOD,
    HEAD,
    OK_SSE,
    TEXT,
    UNTIL_CLOSE,
    WORDS,
    Case,
    chat_chunk,
    chunk,
    chunked,
    steps,
    suffer,
)
from tests.faults.server import CLOSE, KEEP, RESET, SHUT, STALL, Action, play

pytestmark = pytest.mark.slow

BODY = b"".join(GOOD)
UNFINISHED = GOOD[:3]
MARKER = BODY.index(b"\n\n", BODY.index(b'"stop"'))
"""How many bytes of the body make the answer complete: the last event may lack its blank line."""

GZIP = HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"


def sized(body: bytes, length: int | None = None) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def flushed(pieces: list[bytes]) -> list[bytes]:
    """Each piece as gzip bytes that can be read as soon as they come."""
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*packed, packer.flush()]


CUT = {"status": "truncated", "category": Category.TRUNCATED, "text": TEXT}

CASES = [
    Case(
        "F02 no last chunk after the marker",
        steps(chunked(GOOD, end=b""), CLOSE),
        status="complete",
        text=TEXT,
    ),
    Case("F03 no last chunk before the marker", steps(chunked(UNFINISHED, end=b""), CLOSE), **CUT),
    *(
        Case(
            f"F04 {name}",
            steps(chunked(UNFINISHED, end=b"") + bad, CLOSE),
            category=category,
            status=status,
            text=TEXT,
        )
        for name, bad, status, category in (
            ("bad size", b"zz\r\nhello\r\n", "error", Category.PROTOCOL),
            ("size too large", b"F" * 20 + b"\r\nhello\r\n", "error", Category.PROTOCOL),
            ("no CRLF after a chunk", b"5\r\nhelloXX5\r\n", "error", Category.PROTOCOL),
        )
    ),
    Case("F05 shorter than its length", steps(sized(b"".join(UNFINISHED), 9_999), CLOSE), **CUT),
    Case(
        "F05 marker, and shorter than its length",
        steps(sized(BODY, len(BODY) + 50), CLOSE),
        status="complete",
        text=TEXT,
    ),
    Case(
        "F05 longer than its length",
        steps(sized(BODY) + b"and more that nobody asked for", KEEP),
        status="complete",
        text=TEXT,
    ),
    *(
        Case(f"F06 {end.name}", steps(UNTIL_CLOSE + b"".join(UNFINISHED), end), **CUT)
        for end in (CLOSE, SHUT)
    ),
    Case(
        "F14 gzip, event by event",
        steps(GZIP, *flushed(GOOD), CLOSE),
        status="complete",
        text=TEXT,
        client={"headers": {"Accept-Encoding": "gzip"}},
    ),
    Case(
        "F14 gzip that is cut",
        steps(GZIP, *flushed(UNFINISHED)[:-1], CLOSE),
        client={"headers": {"Accept-Encoding": "gzip"}},
        **CUT,
    ),
    Case(
        "F14 gzip unasked",
        steps(GZIP, gzip.compress(BODY), CLOSE),
        status="complete",
        text=TEXT,
    ),
    Case(
        "F14 gzip that is none",
        steps(GZIP, b"this is no gzip at all", CLOSE),
        category=Category.PROTOCOL,
        client={"headers": {"Accept-Encoding": "gzip"}},
    ),
    Case(
        "F14 six codings on each other",
        steps(HEAD + b"Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip\r\n\r\nxx", CLOSE),
        category=Category.PROTOCOL,
        client={"headers": {"Accept-Encoding": "gzip"}},
    ),
    Case(
        "F14 a coding nobody knows",
        steps(HEAD + b"Content-Encoding: rot13\r\nConnection: close\r\n\r\nuryyb", CLOSE),
        category=Category.PROTOCOL,
    ),
    Case(
        "F14 a bomb of one line",
        lambda _: iter((GZIP, gzip.compress(b": " + b"x" * (100 << 20) + b"\n"), CLOSE)),
        category=Category.PROTOCOL,
        says="max_event_bytes",
        client={"headers": {"Accept-Encoding": "gzip"}},
    ),
    Case(
        "F14 a bomb of comments before the answer",
        lambda _: iter((GZIP, gzip.compress(b": still at work\n" * (2 << 20) + BODY), CLOSE)),
        status="complete",
        text=TEXT,
        client={"headers": {"Accept-Encoding": "gzip"}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_the_body(case: Case) -> None:
    suffer(case)


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["FIN", "RST"])
def test_f01_a_head_that_is_cut_at_any_byte_is_no_success(end: Action) -> None:
    """F01."""
    head = UNTIL_CLOSE
    streams = _cut_at(head, range(len(head)), end)
    for cut, completion in streams:
        assert completion.status in ("error", "truncated"), f"at {cut}"
        assert completion.text == ""
        assert completion.error is not None
        assert completion.error.category in (
            Category.NETWORK,
            Category.TRUNCATED,
            Category.PROTOCOL,
        ), f"at {cut}: {completion.error}"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_f07_a_reset_at_any_byte_keeps_what_came_and_tells_the_truth(framing: str) -> None:
    """F07."""
    whole = {
        "chunked": OK_SSE + b"".join(map(chunk, GOOD)),
        "length": sized(BODY),
        "close": UNTIL_CLOSE + BODY,
    }[framing]
    for cut, completion in _cut_at(whole, range(0, len(whole), 3), RESET):
        came = _body(whole[:cut], framing)
        assert (completion.status == "complete") <= (len(came) >= MARKER), f"at {cut}"
        assert completion.status != "cancelled"
        assert TEXT.startswith(completion.text)
        if completion.status != "complete":
            assert completion.error is not None
            assert completion.error.category in (Category.TRUNCATED, Category.NETWORK)


def _body(sent: bytes, framing: str) -> bytes:
    """The body in `sent`, the whole of a chunk or nothing of it for a lower bound of none."""
    body = sent.partition(b"\r\n\r\n")[2]
    if framing != "chunked":
        return body
    plain = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        if not size or not rest:
            break
        plain += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return plain


def _cut_at(whole: bytes, cuts: range, end: Action) -> list[tuple[int, engine.Completion]]:
    """How streams end whose answer is `whole` up to a byte, all at once."""
    with (
        play(lambda r: iter([whole[: int(r.path.split("/")[1])], end])) as server,
        engine.Multi() as multi,
    ):
        streams = []
        for cut in cuts:
            client = engine.Client(
                multi,
                dialect="chat",
                base_url=f"{server.url}/{cut}",
                api_key="key",
                retry=engine.Retry(max_attempts=1, unknown="fail"),
            )
            streams.append((cut, client.stream("m", "hi")))
        multi.run()
    return [(cut, stream.result()) for cut, stream in streams]


@pytest.mark.parametrize("seed", range(5))
def test_f07_pieces_pauses_and_a_cut_at_random_never_cost_a_sibling(seed: int) -> None:
    """F07."""
    rng = random.Random(seed)
    whole = OK_SSE + b"".join(map(chunk, GOOD))
    cut = rng.randrange(len(whole))
    pieces: list[bytes | float | Action] = []
    at = 0
    while at < cut:
        size = rng.randrange(1, 40)
        pieces += [whole[at : min(at + size, cut)], rng.random() / 200]
        at += size
    came = _body(whole[:cut], "chunked")
    complete = len(came) >= MARKER
    begun = cut >= len(OK_SSE)
    suffer(
        Case(
            "F07",
            steps(*pieces, CLOSE),
            status="complete" if complete else ("truncated" if begun else "error"),
            category=None if complete else (Category.TRUNCATED if begun else Category.NETWORK),
            text=None,
            requests=None,
        )
    )


def test_f05_a_connection_with_bytes_too_many_is_not_used_again() -> None:
    """F05."""
    script = steps(sized(BODY) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", KEEP)
    with play(script) as server, engine.Multi() as multi:
        client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="key")
        for _ in range(3):
            completion = client.stream("m", "hi").result()
            assert (completion.status, completion.text) == ("complete", TEXT)


def test_f14_gzip_is_given_on_event_by_event(multi: engine.Multi) -> None:
    """F14."""
    first, *rest = flushed([chat_chunk(WORDS[0]), b"".join(GOOD[1:])])
    with play(steps(GZIP, first, STALL)) as server:
        client = engine.Client(
            multi,
            dialect="chat",
            base_url=server.url,
            api_key="key",
            headers={"Accept-Encoding": "gzip"},
        )
        stream = client.stream("m", "hi", on_text=lambda _: None)
        while not stream.text:
            multi.poll()
        assert stream.text == WORDS[0]
        stream.cancel()
    assert rest
