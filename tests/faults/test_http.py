"""C2: what a server does wrong with status lines and headers."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from time import monotonic

import pytest

import engine
from engine.errors import Category
from tests.faults.case import (
    CANARY,
    GOOD,
    HEAD,
    TEXT,
    Case,
    answer,
    chunked,
    each,
    refusal,
    steps,
    suffer,
)
from tests.faults.server import CLOSE, KEEP, FaultServer, Step, play
from tests.server import Request

pytestmark = pytest.mark.slow

WELL = [chunked(GOOD), KEEP]
WHOLE = (
    b'{"id": "c1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", '
    b'"message": {"role": "assistant", "content": "All is well."}}]}'
)
CATEGORIES = {
    400: Category.INVALID_ARG,
    404: Category.NOT_FOUND,
    413: Category.INVALID_ARG,
    422: Category.INVALID_ARG,
    401: Category.AUTH,
    403: Category.AUTH,
}


def told_the_id(completion: engine.Completion, _: FaultServer) -> None:
    assert completion.error is not None
    assert completion.error.request_id == completion.request_id == "req-7"
    assert "because" in str(completion.error)


REFUSED = [
    Case(
        f"H0{1 if status not in (401, 403) else 2} {status}",
        steps(answer(f"{status} No", refusal(), "x-request-id: req-7\r\n"), KEEP),
        category=category,
        attempts=3,
        check=told_the_id,
    )
    for status, category in CATEGORIES.items()
]
TRIED_AGAIN = [
    Case(
        f"H{row} {status} then well",
        each([answer(f"{status} No", refusal()), KEEP], WELL),
        status="complete",
        text=TEXT,
        requests=2,
        attempts=3,
    )
    for row, statuses in {"03": (408, 409, 425), "10": (500, 502, 503, 504, 529)}.items()
    for status in statuses
] + [
    Case(
        f"H10 {status} for ever",
        steps(answer(f"{status} No", refusal()), KEEP),
        category=category,
        requests=3,
        attempts=3,
    )
    for status, category in {
        500: Category.SERVER,
        502: Category.SERVER,
        503: Category.SERVER,
        529: Category.SERVER,
        504: Category.TIMEOUT,
        408: Category.TIMEOUT,
    }.items()
]
QUOTAS = [
    Case(
        f"H08 {code}",
        steps(answer("429 No", refusal("You are out of credit", code=code)), KEEP),
        category=Category.QUOTA,
        attempts=3,
    )
    for code in ("insufficient_quota", "billing_hard_limit_reached")
]
WORD = [
    Case(
        "H09 x-should-retry: false on 500",
        steps(answer("500 No", refusal(), "x-should-retry: false\r\n"), KEEP),
        category=Category.SERVER,
        attempts=3,
    ),
    Case(
        "H09 x-should-retry: true on 400",
        each([answer("400 No", refusal(), "x-should-retry: true\r\n"), KEEP], WELL),
        status="complete",
        text=TEXT,
        requests=2,
        attempts=3,
    ),
]
# Values of Retry-After that nobody can obey: ignored, or given up on with the word.
NONSENSE = [
    Case(
        f"H07 Retry-After: {value}",
        each([answer("429 No", refusal(), f"Retry-After: {value}\r\n"), KEEP], WELL),
        status="complete",
        text=TEXT,
        requests=2,
        attempts=3,
    )
    for value in ("-1", "NaN", "soon", "", "1e-400")
] + [
    Case(
        f"H07 Retry-After: {value}",
        steps(answer("429 No", refusal(), f"Retry-After: {value}\r\n"), KEEP),
        category=Category.RATE_LIMIT,
        attempts=3,
    )
    for value in ("99999999999", "86400")
]
DATES = [
    Case(
        f"H06 {date}",
        each([answer("429 No", refusal(), f"Retry-After: {date}\r\n"), KEEP], WELL),
        status="complete",
        text=TEXT,
        requests=2,
        attempts=3,
    )
    for date in (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    )
] + [
    Case(
        "H06 year 9999",
        steps(answer("429 No", refusal(), "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n"), KEEP),
        category=Category.RATE_LIMIT,
        attempts=3,
    )
]
PAGE = b"<html><title>Sorry</title>" + b"x" * 10_000_000
BODIES = [
    Case(
        f"H12 {name}",
        steps(answer("500 Oops", body, headers, kind), CLOSE),
        category=Category.SERVER,
        check=lambda completion, _: bounded(completion),
    )
    for name, body, headers, kind in (
        ("10 MB of HTML", PAGE, "", "text/html"),
        ("gzip", gzip.compress(refusal()), "Content-Encoding: gzip\r\n", "application/json"),
        ("bad UTF-8", b'{"error": {"message": "\xff\xfe"}}', "", "application/json"),
        ("nothing", b"", "", "application/json"),
    )
]


def bounded(completion: engine.Completion) -> None:
    assert completion.error is not None
    assert len(str(completion.error)) < 2_000
    assert len(completion.error.detail or "") <= 64 * 1024


ODD = [
    Case(
        "H14 a login page with 200",
        steps(answer("200 OK", b"<!doctype html><p>log in", "", "text/html"), KEEP),
        category=Category.PROTOCOL,
        says="web page",
        attempts=3,
    ),
    Case(
        "H15 204",
        steps(b"HTTP/1.1 204 No Content\r\n\r\n", KEEP),
        status="truncated",
        category=Category.TRUNCATED,
    ),
    Case(
        "H15 an empty 200",
        steps(answer("200 OK", b"", "", "text/event-stream"), KEEP),
        status="truncated",
        category=Category.TRUNCATED,
    ),
    Case(
        "H16 JSON where a stream was asked",
        steps(answer("200 OK", WHOLE), KEEP),
        status="complete",
        text=TEXT,
    ),
    Case(
        "H17 a flood of 1xx",
        steps(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000, *WELL),
        status="complete",
        text=TEXT,
    ),
    Case(
        "H18 a header of 200 KB",
        steps(HEAD + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\n", CLOSE),
        category=Category.PROTOCOL,
    ),
    Case(
        "H18 5,000 headers",
        steps(
            HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 80) for n in range(5_000)) + b"\r\n", CLOSE
        ),
        category=Category.PROTOCOL,
    ),
    *(
        Case(f"H19 {name}", steps(head, CLOSE), category=Category.PROTOCOL, requests=None)
        for name, head in (
            ("lengths that differ", HEAD + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello"),
            ("a length of words", HEAD + b"Content-Length: many\r\n\r\n"),
            ("a negative length", HEAD + b"Content-Length: -5\r\n\r\n"),
            ("NUL", HEAD + b"X: a\0b\r\n\r\n"),
            ("no colon", HEAD + b"what is this\r\n\r\n"),
        )
    ),
    Case("H20 HTTP/0.9", steps(b"hello there\r\n", CLOSE), category=Category.PROTOCOL),
    Case("H20 an SSH banner", steps(b"SSH-2.0-OpenSSH_9\r\n", CLOSE), category=Category.PROTOCOL),
    Case(
        "H21 101",
        steps(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", CLOSE),
        category=Category.PROTOCOL,
    ),
]


@pytest.mark.parametrize(
    "case",
    REFUSED + TRIED_AGAIN + QUOTAS + WORD + NONSENSE + DATES + BODIES + ODD,
    ids=str,
)
def test_of_the_head(case: Case) -> None:
    suffer(case)


@pytest.mark.parametrize(
    ("header", "least"),
    [
        pytest.param("Retry-After: 1", 1.0, id="H04 Retry-After"),
        pytest.param("retry-after-ms: 300", 0.3, id="H05 retry-after-ms"),
    ],
)
def test_nobody_asks_while_the_server_wants_rest(header: str, least: float) -> None:
    asked: list[float] = []

    def script(_: Request) -> Iterator[Step]:
        asked.append(monotonic())
        if len(asked) == 1:
            yield answer("429 No", refusal(), f"{header}\r\n")
        else:
            yield chunked(GOOD)
        yield KEEP

    with play(script) as server, engine.Multi() as multi:
        client = engine.Client(multi, dialect="chat", base_url=server.url, api_key=CANARY)
        first = client.stream("m", "hi")
        while not asked:
            multi.poll()
        while multi.statistics().backing_off == 0:
            multi.poll(0.01)
        later = [client.stream("m", "hi") for _ in range(9)]
        multi.run()
    assert [s.completion and s.completion.status for s in (first, *later)] == ["complete"] * 10
    assert len(asked) == 11
    # Within a tenth, as the clock of the server's own thread sees it.
    assert all(when - asked[0] >= least * 0.9 for when in asked[1:])


def test_h11_a_storm_of_503s_costs_a_tenth_more_and_ends() -> None:
    """H11."""
    with play(steps(answer("503 No", refusal()), KEEP)) as server, engine.Multi() as multi:
        client = engine.Client(
            multi,
            dialect="chat",
            base_url=server.url,
            api_key=CANARY,
            retry=engine.Retry(base_delay=0.001, max_delay=0.001),
        )
        streams = [client.stream("m", "hi") for _ in range(1000)]
        multi.run()
        assert {s.completion and s.completion.error.category for s in streams} == {Category.SERVER}
        assert len(server.requests) <= 1.1 * 1000 + 10


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_h13_a_redirect_is_told_and_no_key_follows_it(status: int) -> None:
    """H13."""
    with play(steps(*WELL)) as target:
        location = f"Location: {target.url}/elsewhere\r\n"
        suffer(
            Case(
                "H13",
                steps(answer(f"{status} Moved", b"", location), KEEP),
                category=Category.PROTOCOL,
            )
        )
        assert target.connections == 0


@pytest.mark.parametrize("reads", [False, True], ids=["unread", "read"])
def test_h22_a_pooled_connection_that_dies_costs_one_answer(reads: bool) -> None:
    """H22."""
    answered: list[str] = []

    def script(request: Request) -> Iterator[Step]:
        if request.path != "/v1/chat/completions":
            return
        answered.append(request.headers.get("idempotency-key", ""))
        if len(answered) == 2 and reads:
            yield CLOSE
        yield chunked(GOOD)
        yield KEEP if reads else CLOSE

    with play(script) as server, engine.Multi() as multi:
        client = engine.Client(
            multi,
            dialect="chat",
            base_url=f"{server.url}/v1",
            api_key=CANARY,
            retry=engine.Retry(max_attempts=1),
        )
        completions = [client.stream("m", "hi").result() for _ in range(2)]
    assert [completion.status for completion in completions] == ["complete"] * 2
    assert len(answered) == (3 if reads else 2)
    assert completions[1].possibly_billed == (1 if reads else 0)
    if reads:
        assert answered[1] == answered[2] != answered[0]
