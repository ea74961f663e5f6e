"""Values in headers that say how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from time import thread_time

from hypothesis import example, given
from hypothesis import strategies as st

from engine.wire.headers import (
    _MOST_HEADS,
    _known_heads,
    parse_duration,
    parse_head,
    parse_rate_limit,
    parse_reset,
    parse_retry_after,
    read_head,
    request_id,
)
from engine.wire.redaction import clean_headers
from tests.cases import each_case

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@each_case(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after-ms": "300", "retry-after": "7"}, 0.3),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        # The three forms of RFC 9110, 5.6.7.
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT"}, 30.0),
        ({"retry-after": "Friday, 02-Jan-26 03:04:35 GMT"}, 30.0),
        ({"retry-after": "Fri Jan  2 03:04:35 2026"}, 30.0),
        ({"retry-after": "Fri, 02 Jan 2025 03:04:35 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 86400.0),
        ({"retry-after": "99999999999"}, 86400.0),
        *(({"retry-after": bad}, None) for bad in ("-1", "NaN", "1e309", "soon", "", "inf", "1,5")),
        ({"retry-after": "Fri, 99 Foo 2026 99:99:99 GMT"}, None),
        # A moment where a wait belongs; a duration; what came twice, in one form or in two.
        ({"retry-after": f"{NOW.timestamp() + 2:.0f}"}, 2.0),
        ({"retry-after": f"{NOW.timestamp() + 2:.0f}000"}, 2.0),
        ({"retry-after-ms": f"{NOW.timestamp() + 2:.0f}000"}, 2.0),
        ({"retry-after": f"{NOW.timestamp() - 2:.0f}"}, 0.0),
        ({"retry-after": "2026-01-02T03:04:07Z"}, 2.0),
        ({"retry-after": "2026-01-02T04:04:07+01:00"}, 2.0),
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": "1M 30 S"}, 90.0),
        ({"retry-after-ms": "2s"}, 2.0),
        ({"retry-after": "7, 7"}, 7.0),
        ({"retry-after": "7, 9, soon"}, 9.0),
        ({"retry-after-ms": "300, 500", "retry-after": "1, 1"}, 0.5),
        (
            {"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT, Friday, 02-Jan-26 03:04:39 GMT, 7"},
            34.0,
        ),
        *(({"retry-after": bad}, None) for bad in ("1_0", "0x1", "9" * 5000, "s", "1;x", "-7, -9")),
    ],
)
def test_retry_after_is_seconds_a_date_or_nothing(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert parse_retry_after(headers, NOW) == seconds


@each_case("unit", ["9", "1s", "1 d", "Mon, ", "1, ", "a"])
def test_what_is_long_is_read_in_a_time_that_grows_with_its_length(unit: str) -> None:
    def seconds(length: int) -> float:
        headers = {"retry-after": (unit * length)[:length]}
        begun = thread_time()
        parse_retry_after(headers, NOW)
        return thread_time() - begun

    small, large = (min(seconds(length) for _ in range(3)) for length in (1000, 16_000))
    # Sixteen times the length: linear is 16, each digit tried again at every other 256.
    assert large < 64 * small + 0.01


@each_case(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1s", 1.0),
        ("250ms", 0.25),
        ("1h2m3.5s", 3723.5),
        ("17", 17.0),
        ("2026-01-02T03:04:15Z", 10.0),
        ("2026-01-02T03:04:15", 10.0),
        ("2025-01-02T03:04:15+00:00", 0.0),
        (str(int(NOW.timestamp()) + 20), 20.0),
        (str(int(NOW.timestamp() + 20) * 1000), 20.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("5s, 7s", 7.0),
        ("1s later", None),
        ("later 1s", None),
        ("1_0s", None),
        ("", None),
        ("-3", None),
    ],
)
def test_a_duration_is_read_in_each_form(text: str, seconds: float | None) -> None:
    assert parse_duration(text, NOW) == seconds


def test_rate_limits_of_each_vendor_land_in_the_same_buckets() -> None:
    openai = parse_rate_limit(
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-limit-tokens": "200000",
        }
    )
    assert openai is not None
    assert openai.requests is not None
    assert openai.tokens is not None
    assert (openai.requests.limit, openai.requests.remaining) == (500, 499)
    assert openai.requests.reset == 0.12
    assert (openai.tokens.limit, openai.tokens.remaining) == (200000, None)
    anthropic = parse_rate_limit({"anthropic-ratelimit-input-tokens-remaining": "7"})
    assert anthropic is not None
    assert anthropic.input_tokens is not None
    assert anthropic.input_tokens.remaining == 7
    for name in ("req-minute", "requests-day"):
        other = parse_rate_limit({f"x-ratelimit-remaining-{name}": "3"})
        assert other is not None
        assert other.requests is not None
        assert other.requests.remaining == 3
    assert parse_rate_limit({"x-ratelimit-over-limit": "no", "date": "x"}) is None


def test_a_reset_counts_only_where_a_bucket_is_empty() -> None:
    assert parse_reset({}) is None
    full = {"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6m0s"}
    assert parse_reset(full) is None
    empty = {**full, "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s"}
    assert parse_reset(empty) == 2.0
    past = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1754667660000"}
    assert parse_reset(past) is None


def test_the_last_head_counts_without_informational_ones_and_trailers() -> None:
    head = parse_head(
        [
            b"HTTP/1.1 103 Early Hints\r\n",
            b"\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"X-One: a\r\n",
            b"x-one: b\r\n",
            b"\r\n",
            b"X-Trailer: late\r\n",
        ]
    )
    assert head is not None
    assert (head.status, head.headers, head.complete) == (200, {"x-one": "a, b"}, True)
    assert parse_head([b"HTTP/1.1 100 Continue\r\n", b"\r\n"]) is None
    assert parse_head([]) is None
    cut = parse_head([b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"])
    assert cut is not None
    assert not cut.complete


_NAME = st.sampled_from(["Date", "date", "X-A", "x-b", " odd name\t", "", "ETag", "HTTP/1.1"])
_VALUE = st.text(st.characters(min_codepoint=9, max_codepoint=255, exclude_characters="\r\n"))
_FIELD = st.builds(lambda n, sep, v, end: f"{n}{sep}{v}{end}".encode("latin-1"),
                   _NAME, st.sampled_from([":", ": ", ""]), _VALUE,
                   st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", ""]))  # fmt: skip


@example(b"HTTP/1.1 200 OK\r\n", [b"HTTP/1.1: a\r\n"], b"\r\n")
@example(b"HTTP/1.1 200 OK\r\n", [b"A: b\r\n", b"HTTP/1.1 503 c\r\n"], b"\r\n")
@example(b"HTTP/1.1 200 OK\r\n", [b"\r\n", b"A: b\r\n"], b"\r\n")
@example(b"HTTP/1.1 200 OK\r\n", [b"A: b\r\n", b"a: c\r\n"], b"\r\n")
@given(
    st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/2 503\r\n", b"HTTP/1.1 99\r\n", b"HTTP/1.1\r\n",
                     b"HTTP/1.1  204  x\r\n", b"HTTP/1.1 2x0 OK\r\n", b"http/1.1 200\r\n"]),
    st.lists(_FIELD, max_size=6),
    st.sampled_from([b"\r\n", b"\n", b""]),
)  # fmt: skip
def test_a_plain_head_is_what_one_line_after_another_gives(
    status: bytes, fields: list[bytes], end: bytes
) -> None:
    lines = [status, *fields, *([end] if end else [])]
    head = parse_head(lines)
    # One of an interim answer before it, and it is read line by line.
    other = parse_head([b"HTTP/1.1 100 Continue\r\n", b"\r\n", *lines])
    if other is None:
        assert head is None
    else:
        assert head is not None
        told = (head.status, head.headers, head.complete)
        assert told == (other.status, other.headers, other.complete)


HEAD = [b"HTTP/1.1 200 OK\r\n", b"Date: now\r\n", b"Server: a\r\n", b"\r\n"]


@each_case(
    ("lines", "quiet"),
    [
        (HEAD, True),
        ([*HEAD[:2], b"Date: then\r\n", b"\r\n"], True),
        ([b"HTTP/1.1 100 Continue\r\n", b"\r\n", *HEAD], True),
        ([*HEAD[:2], b"X-Request-Id: 1\r\n", b"\r\n"], False),
        ([*HEAD[:2], b"CF-Ray: 1\r\n", b"\r\n"], False),
        ([*HEAD[:2], b"X-RateLimit-Remaining-Requests: 1\r\n", b"\r\n"], False),
        ([*HEAD[:2], b"X: the word is sesame-open\r\n", b"\r\n"], True),
    ],
)
def test_a_head_that_came_before_is_read_as_at_first(lines: list[bytes], quiet: bool) -> None:
    for secrets in (), ("sesame-open",), ():
        for _ in range(3):
            head, plain = read_head(lines, secrets), parse_head(lines)
            assert head is not None and plain is not None
            told = (head.status, head.headers, head.complete, head.quiet)
            expected = clean_headers(plain.headers, secrets)
            assert told == (plain.status, expected, True, quiet)
            if quiet:  # what is not looked for is not there
                assert request_id(head.headers) is parse_rate_limit(head.headers) is None
            head.headers["date"] = head.headers["mine"] = "changed"  # whom it was given to may


def test_a_head_is_read_once_it_is_whole() -> None:
    assert read_head([], ()) is read_head(HEAD[:-1], ()) is None
    assert read_head([b"HTTP/1.1 100 Continue\r\n", b"\r\n"], ()) is None
    assert read_head(HEAD, ()) is not None


def test_no_more_heads_are_remembered_than_a_few() -> None:
    for number in range(100):
        read_head([*HEAD[:2], b"Server: %d\r\n" % number, b"\r\n"], ())
    assert len(_known_heads) <= _MOST_HEADS


@each_case(
    ("headers", "told", "id"),
    [
        ({}, None, None),
        ({"date": "now"}, "told", "told"),
        ({"cf-ray": "trace"}, None, "trace"),
        ({"cf-ray": "trace"}, "told", "told"),
        ({"cf-ray": "trace", "x-request-id": "own"}, "told", "own"),
        ({"cf-ray": "", "x-request-id": ""}, None, None),
    ],
)
def test_the_id_is_the_servers_own_else_what_was_told_else_that_of_a_trace(
    headers: dict[str, str], told: str | None, id: str | None
) -> None:
    assert request_id(headers, told) == id
