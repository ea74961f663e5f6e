"""C4: event streams and NDJSON as they come off the wire, over sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from engine.errors import Category
from tests.faults.case import (
    DONE,
    GOOD,
    OK_SSE,
    TEXT,
    Case,
    chat_chunk,
    chunk,
    chunked,
    steps,
    suffer,
)
from tests.faults.server import CLOSE, KEEP, Step
from tests.server import Request

pytestmark = pytest.mark.slow

BODY = b"".join(GOOD)
WELL = {"status": "complete", "text": TEXT}
NDJSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
OLLAMA = {"dialect": "ollama", "api_key": None}


def bytewise(body: bytes) -> list[Step]:
    return [OK_SSE, *(chunk(body[i : i + 1]) for i in range(len(body))), b"0\r\n\r\n", KEEP]


def event(text: str, finish: str | None = None) -> bytes:
    return chat_chunk(text, finish)


def data(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def ollama(text: str, done: bool = False) -> bytes:
    line: dict[str, object] = {
        "model": "m",
        "message": {"role": "assistant", "content": text},
        "done": done,
    }
    if done:
        line["done_reason"] = "stop"
    return json.dumps(line).encode() + b"\n"


def flood(line: bytes, megabytes: int) -> Callable[[Request], Iterator[Step]]:
    """Megabytes of `line`, and then the answer."""
    piece = chunk(line * (65536 // len(line)))

    def script(_: Request) -> Iterator[Step]:
        yield OK_SSE
        for _piece in range(megabytes * 16):
            yield piece
        yield b"".join(map(chunk, GOOD)) + b"0\r\n\r\n"
        yield KEEP

    return script


def endless_line(_: Request) -> Iterator[Step]:
    yield OK_SSE + chunk(b"data: {")
    while True:
        yield chunk(b"x" * 65536)


ODD_TEXT = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
CASES = [
    Case("S01 byte by byte", steps(*bytewise(BODY)), **WELL),
    *(
        Case(f"S02 {name}", steps(chunked([BODY.replace(b"\n", end)]), KEEP), **WELL)
        for name, end in (("CR", b"\r"), ("LF", b"\n"), ("CRLF", b"\r\n"))
    ),
    Case("S02 CR|LF in two reads", steps(*bytewise(BODY.replace(b"\n", b"\r\n"))), **WELL),
    Case(
        "S02 mixed",
        steps(chunked([GOOD[0].replace(b"\n", b"\r"), GOOD[1], *GOOD[2:]]), KEEP),
        **WELL,
    ),
    Case("S03 a BOM", steps(chunked([b"\xef\xbb\xbf" + BODY]), KEEP), **WELL),
    Case("S03 a BOM in pieces", steps(*bytewise(b"\xef\xbb\xbf" + BODY)), **WELL),
    Case("S04 comments", steps(chunked([b": hello\n", b":\n\n", *GOOD]), KEEP), **WELL),
    Case("S04 a flood of comments", flood(b": still at work\n", 8), **WELL),
    Case("S04 a flood of blank lines", flood(b"\n", 8), **WELL),
    Case("S05 no space", steps(chunked([BODY.replace(b"data: ", b"data:")]), KEEP), **WELL),
    Case(
        "S05 one event's data over several lines",
        steps(chunked([BODY.replace(b'"choices"', b'\ndata: "choices"')]), KEEP),
        **WELL,
    ),
    Case("S05 empty data", steps(chunked([b"data\n\n", b"data:\n\n", *GOOD]), KEEP), **WELL),
    Case(
        "S06 odd ids and retries",
        steps(chunked([b"id: a\0b\nretry: soon\nretry: 10\n\n", *GOOD]), KEEP),
        **WELL,
    ),
    Case(
        "S07 separators that are none of ours",
        steps(
            chunked(
                [
                    data(json.dumps(json.loads(event(ODD_TEXT)[6:]), ensure_ascii=False).encode()),
                    *GOOD[3:],
                ]
            ),
            KEEP,
        ),
        status="complete",
        text=ODD_TEXT,
    ),
    Case(
        "S08 bad UTF-8",
        steps(chunked([event("aXb").replace(b"X", b"\xff"), *GOOD[3:]]), KEEP),
        status="complete",
        text="a\ufffdb",
    ),
    Case(
        "S08 half a pair",
        steps(chunked([event("a\ud83d"), *GOOD[3:]]), KEEP),
        status="complete",
        text="a\ufffd",
    ),
    Case(
        "S08 a pair over two deltas",
        steps(chunked([event("a\ud83d"), event("\ude00b"), *GOOD[3:]]), KEEP),
        status="complete",
        text="a\U0001f600b",
    ),
    Case(
        "S09 the last event without its blank line",
        steps(chunked([*GOOD[:3], GOOD[3].rstrip(b"\n")]), KEEP),
        status="complete",
        text=TEXT,
    ),
    Case(
        "S09 the last line of NDJSON without its end",
        steps(NDJSON + ollama("hi") + ollama("", True).rstrip(b"\n"), CLOSE),
        status="complete",
        text="hi",
        client=OLLAMA,
    ),
    Case(
        "S10 an event of 8 MB",
        steps(chunked([event("x" * (8 << 20)), *GOOD[3:]]), KEEP),
        status="complete",
        text="x" * (8 << 20),
    ),
    Case(
        "S11 a line that never ends",
        endless_line,
        category=Category.PROTOCOL,
        says="max_event_bytes",
    ),
    Case(
        "S12 NDJSON with blank lines and CRLF",
        steps(
            NDJSON + b"\r\n" + ollama("hi").replace(b"\n", b"\r\n\r\n") + ollama("", True), CLOSE
        ),
        status="complete",
        text="hi",
        client=OLLAMA,
    ),
    Case(
        "S12 two objects in one line",
        steps(NDJSON + ollama("hi").strip() + ollama(" you") + ollama("", True), CLOSE),
        category=Category.PROTOCOL,
        client=OLLAMA,
        text=None,
    ),
    Case("S13 more after [DONE]", steps(chunked([*GOOD, b"data: what?\n\n"]), KEEP), **WELL),
    Case("S13 no [DONE]", steps(chunked(GOOD[:4]), KEEP), **WELL),
    Case("S13 no finish reason", steps(chunked([*GOOD[:3], DONE]), KEEP), **WELL),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_the_records(case: Case) -> None:
    suffer(case)
