"""HTTP header lines and the values in them that say how long to wait."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern

import msgspec

from engine.response import Limit, RateLimit
from engine.wire.redaction import clean_headers

__all__ = [
    "Head",
    "header_words",
    "parse_duration",
    "parse_head",
    "parse_rate_limit",
    "parse_reset",
    "parse_retry_after",
    "read_head",
    "request_id",
]


class Head(msgspec.Struct, eq=False, gc=False):
    """The last response head among the header lines libcurl handed over.

    Attributes:
        status: the status line's number.
        headers: names in lower case; repeated ones are joined by ``", "`` (RFC 9110, 5.2).
        complete: the blank line that ends the head was there.
        quiet: it is known that neither an id of the request nor a limit of rate is in it.
    """

    status: int
    headers: dict[str, str]
    complete: bool
    quiet: bool = False


# A server that gives answers no ids writes the same head for a second, until its date is another.
_known_heads: dict[tuple[tuple[bytes, ...], tuple[str, ...]], Head] = {}
_MOST_HEADS = 16


def read_head(lines: list[bytes], secrets: tuple[str, ...]) -> Head | None:
    """As `parse_head`, once the head is whole, and without the `secrets` that it echoes."""
    key = tuple(lines), secrets
    known = _known_heads.get(key)
    if known is not None:
        return Head(known.status, known.headers.copy(), True, True)
    head = parse_head(lines)
    if head is None or not head.complete:
        return None
    head.headers = clean_headers(head.headers, secrets)
    head.quiet = not any(_speaking(tuple(head.headers)))
    if head.quiet:
        if len(_known_heads) >= _MOST_HEADS:
            _known_heads.clear()
        _known_heads[key] = Head(head.status, head.headers.copy(), True)
    return head


def parse_head(lines: list[bytes]) -> Head | None:
    """The last head in `lines`: a proxy's own, informational (1xx) ones and trailers are not it.

    None where no final status line came.
    """
    head = _plain_head(lines)
    if head is not None:
        return head
    for line in lines:
        if line[:5] == b"HTTP/":
            parts = line.split(None, 2)
            number = parts[1] if len(parts) > 1 else b""
            head = Head(int(number) if number.isdigit() else 0, {}, False)
        elif head is None or head.complete:
            continue
        elif line in (b"\r\n", b"\n"):
            head.complete = True
        else:
            name, _, value = line.decode("latin-1").partition(":")
            key, text = intern(name.strip().lower()), value.strip(" \t\r\n")
            before = head.headers.get(key)
            head.headers[key] = text if before is None else f"{before}, {text}"
    return head if head is not None and head.status >= 200 else None


def _plain_head(lines: list[bytes]) -> Head | None:
    """The head in `lines` where they are one status line, fields that are all of a different name,
    and a blank line, as nearly always; else None."""
    if len(lines) < 2 or lines[-1] != b"\r\n":
        return None
    status = _status(lines[0]) if len(lines[0]) < _LONG else 0
    if status < 200:
        return None
    fields = lines[1:-1]
    headers = dict([_field(line) if len(line) < _LONG else _split(line) for line in fields])
    if len(headers) != len(fields) or "" in headers:
        return None  # names that come twice; a blank line, which ends it; another head
    return Head(status, headers, True)


# Bytes of a line that is not remembered, as an id or a cookie may be.
_LONG = 160


def _split(line: bytes) -> tuple[str, str]:
    """Name and value of a field; without a name, what is none."""
    if line[:5] == b"HTTP/":
        return "", ""
    name, _, value = line.decode("latin-1").partition(":")
    return intern(name.strip().lower()), value.strip(" \t\r\n")


# A server writes the same lines again and again, all but a few: to find one is a tenth of the work.
_field = lru_cache(maxsize=256)(_split)


@lru_cache(maxsize=16)
def _status(line: bytes) -> int:
    number = line.split(None, 2)[1:2] if line[:5] == b"HTTP/" else []
    return int(number[0]) if number and number[0].isdigit() else 0


def header_words(headers: Mapping[str, str], name: str) -> list[str]:
    """The words of the header `name` in lower case (they mean the same in any), without parameters;
    nothing where it is not there. One that came twice has two."""
    value = headers.get(name)
    if not value:
        return []
    return [part.partition(";")[0].strip().lower() for part in value.split(",")]


# The provider's own id of the request, or its gateway's.
_REQUEST_IDS = (
    *("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id"),
    *("x-goog-request-id", "x-oai-request-id", "x-generation-id", "inference-id", "requestid"),
    *("x-requestid", "x-litellm-call-id", "x-kong-request-id", "fly-request-id"),
)
# Where nothing better is there: ids of the provider's tracing, or of the network in front of it.
_TRACE_IDS = (
    *("mistral-correlation-id", "x-correlation-id", "x-ds-trace-id", "x-debug-trace-id"),
    *("x-trace-id", "trace-id", "traceresponse", "traceparent", "x-cloud-trace-context"),
    *("x-amz-cf-id", "cf-ray", "x-vercel-id", "x-railway-request-id"),
)
_IDS = frozenset((*_REQUEST_IDS, *_TRACE_IDS))
# How all others end: x-databricks-request-id, nvcf-reqid, x-tt-logid, x-siliconcloud-trace-id …
_ID_ENDS = (
    *("request-id", "requestid", "request_id", "reqid", "call-id", "log-id", "-logid"),
    *("trace-id", "transaction-id", "correlation-id", "helicone-id"),
)


def request_id(headers: Mapping[str, str], told: str | None = None) -> str | None:
    """The id to name to the provider's support desk; None where there is none.

    Args:
        headers: names in lower case.
        told: what the body of an error calls the request, or None.
    """
    own, traces, _ = _speaking(tuple(headers))
    if not (own or traces):
        return told
    trace = next((headers[name] for name in traces if headers[name]), None)
    return next((headers[name] for name in own if headers[name]), None) or told or trace


@lru_cache(maxsize=32)  # of one server mostly the same
def _speaking(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Of `names` those that tell an id of the request, of a trace, and the rate limit; the better
    ones first."""
    found = frozenset(names)
    own = [name for name in _REQUEST_IDS if name in found]
    own += [name for name in names if name.endswith(_ID_ENDS) and name not in _IDS]
    traces = [name for name in _TRACE_IDS if name in found]
    limits = [name for name in names if "ratelimit-" in name]
    return tuple(own), tuple(traces), tuple(limits)


# A wait that is longer than a day is a mistake of the server or of its clock.
_MAX_WAIT = 86400.0


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds the server asks to wait, or None. `now` is for tests; None: this moment.

    ``retry-after-ms`` (OpenAI, Azure) is finer than ``Retry-After``; both are read as
    `parse_duration` reads. Negative, endless and unreadable values are no answer; a moment in the
    past is no wait. Azure was seen to send 0 ms beside 1 s: then the coarser one holds.
    """
    fine = parse_duration(headers.get("retry-after-ms", ""), now, 0.001)
    value = headers.get("retry-after", "").strip()
    wait = fine if fine or (fine is not None and not value) else parse_duration(value, now)
    return None if wait is None else min(wait, _MAX_WAIT)


def _number(text: str | None) -> float | None:
    try:  # Python reads 1_0, and digits of other alphabets
        number = float(text) if text and text.isascii() and "_" not in text else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) and number >= 0 else None


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|us|µs|d|h|m|s)", re.ASCII)
# Tried at the beginning alone: to look for one at each of a thousand digits reads them all again.
_DURATIONS = re.compile(rf"(?:\s*{_DURATION.pattern})+\s*", re.ASCII)
# Between the values of a header that came more than once; one in a date comes before its day.
_BETWEEN = re.compile(r", (?!\d\d[ -][A-Za-z]{3}[ -])")


def parse_duration(text: str, now: datetime | None = None, unit: float = 1.0) -> float | None:
    """Seconds of ``6m0s``, ``1s``, ``250ms``, ``17``, or until an RFC 3339 time, an HTTP date in
    one of its three forms (RFC 9110, 5.6.7), or a Unix time in seconds or milliseconds
    (OpenRouter); None if neither. Of several values, ``7, 9``, the longest.

    Args:
        text: the value of a header or field.
        now: for tests; None: this moment.
        unit: seconds that a number alone counts.
    """
    waits = [_duration(value.strip(), now, unit) for value in _BETWEEN.split(text)]
    return max((wait for wait in waits if wait is not None), default=None)


def _duration(text: str, now: datetime | None, unit: float) -> float | None:
    plain = _number(text)
    if plain is not None:
        seconds = plain * unit
        if seconds < _UNIX_TIME:
            return seconds
        when = seconds / 1000 if seconds >= 1000 * _UNIX_TIME else seconds
        return max(when - (now or datetime.now(UTC)).timestamp(), 0.0)
    lowered = text.lower()
    if _DURATIONS.fullmatch(lowered):
        parts = _DURATION.findall(lowered)
        return sum(float(number) * _UNITS[name] for number, name in parts)
    moment = _moment(text)
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    """What an RFC 3339 time or an HTTP date names."""
    try:
        if not text[:1].isalpha():
            return datetime.fromisoformat(text)
        from email.utils import parsedate_to_datetime  # 5 ms, for the few who send a date

        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


# A number beyond is no wait but a moment: as seconds since 1970 it is in 2001, as a wait 31 years.
_UNIX_TIME = 1e9

_BUCKETS = {
    "": "requests",  # OpenRouter names none: x-ratelimit-limit
    "requests": "requests",
    "requests-day": "requests",  # Cerebras
    "req-minute": "requests",  # Mistral
    "tokens": "tokens",
    "tokens-minute": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
}


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """The limits in ``x-ratelimit-limit-requests`` … (OpenAI and those like it) or
    ``anthropic-ratelimit-requests-limit`` …; None where there are none."""
    found: dict[str, dict[str, str]] = {}
    for name in _speaking(tuple(headers))[2]:
        value = headers[name]
        if name.startswith("x-ratelimit-"):
            fact, _, bucket = name[12:].partition("-")
        elif name.startswith("anthropic-ratelimit-"):
            bucket, _, fact = name[20:].rpartition("-")
        else:
            continue
        if bucket in _BUCKETS:
            found.setdefault(_BUCKETS[bucket], {})[fact] = value
    if not found:
        return None
    return RateLimit(**{bucket: _limit(facts) for bucket, facts in found.items()})


def parse_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until every exhausted bucket of the rate limit is full again; None where none is
    exhausted, or its time is past."""
    rate_limit = parse_rate_limit(headers)
    if rate_limit is None:
        return None
    tokens = (rate_limit.tokens, rate_limit.input_tokens, rate_limit.output_tokens)
    buckets = (rate_limit.requests, *tokens)
    resets = [bucket.reset for bucket in buckets if bucket and bucket.remaining == 0]
    longest = max((reset for reset in resets if reset), default=None)
    return None if longest is None else min(longest, _MAX_WAIT)


def _limit(facts: Mapping[str, str]) -> Limit:
    def whole(name: str) -> int | None:
        number = _number(facts.get(name))
        return int(number) if number is not None else None

    reset = facts.get("reset")
    return Limit(whole("limit"), whole("remaining"), parse_duration(reset) if reset else None)
