"""HTTP header lines and the values in them that say how long to wait."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from sys import intern

from engine.response import Limit, RateLimit

__all__ = [
    "Head",
    "parse_duration",
    "parse_head",
    "parse_rate_limit",
    "parse_reset",
    "parse_retry_after",
    "request_id",
]


class Head:
    """The last response head among the header lines libcurl handed over.

    Attributes:
        status: the status line's number.
        headers: names in lower case; repeated ones are joined by ``", "`` (RFC 9110, 5.2).
        complete: the blank line that ends the head was there.
    """

    __slots__ = ("complete", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], complete: bool) -> None:
        self.status: int = status
        self.headers: dict[str, str] = headers
        self.complete: bool = complete


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


# Names in lower case, by how servers write them: the same few again and again.
_NAMES: dict[str, str] = {}
_MOST_NAMES = 1024


def _plain_head(lines: list[bytes]) -> Head | None:
    """The head in `lines` where they are one status line, fields that are all of a different name,
    and a blank line, as nearly always; else None."""
    if len(lines) < 2 or lines[-1] != b"\r\n" or lines[0][:5] != b"HTTP/":
        return None
    number = lines[0].split(None, 2)[1:2]
    if not number or not number[0].isdigit() or int(number[0]) < 200:
        return None
    text = b"".join(lines[1:-1])
    if text[:5] == b"HTTP/" or b"\nHTTP/" in text:
        return None  # another head
    fields = [field.partition(":") for field in text.decode("latin-1").split("\r\n")]
    headers = {
        _NAMES.get(name) or _lower(name): value.strip(" \t\r\n") for name, _, value in fields[:-1]
    }
    if not len(headers) == len(fields) - 1 == len(lines) - 2 or "" in headers:
        return None  # names that come twice; lines of another end; a blank one, which ends it
    return Head(int(number[0]), headers, True)


def _lower(name: str) -> str:
    lower = intern(name.strip().lower())
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[name] = lower
    return lower


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
    own = trace = None
    if not _IDS.isdisjoint(headers):
        own = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)
        trace = next((headers[name] for name in _TRACE_IDS if headers.get(name)), None)
    if own is None:
        others = (name for name in headers if name.endswith(_ID_ENDS) and name not in _IDS)
        own = next((headers[name] for name in others if headers[name]), None)
    return own or told or trace


# A wait that is longer than a day is a mistake of the server or of its clock.
_MAX_WAIT = 86400.0


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds the server asks to wait, or None. `now` is for tests; None: this moment.

    ``retry-after-ms`` (OpenAI, Azure) is finer than ``Retry-After``, which holds seconds or an
    HTTP date in one of three forms (RFC 9110, 10.2.3 and 5.6.7). Negative, endless and unreadable
    values are no answer; a date in the past is no wait. Azure was seen to send 0 ms beside 1 s:
    then the coarser one holds.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    value = headers.get("retry-after", "").strip()
    if milliseconds or (milliseconds is not None and not value):
        return min(milliseconds / 1000, _MAX_WAIT)
    seconds = _number(value)
    if seconds is not None:
        return min(seconds, _MAX_WAIT)
    if not value or value[0] in "+-.0123456789":
        return None
    try:
        from email.utils import parsedate_to_datetime  # 5 ms, for the few who send a date

        when = parsedate_to_datetime(value)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        wait = (when - (now or datetime.now(UTC))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, 0.0), _MAX_WAIT)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) and number >= 0 else None


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|d|h|m|s)")


def parse_duration(text: str, now: datetime | None = None) -> float | None:
    """Seconds of ``6m0s``, ``1s``, ``250ms``, ``17``, or until an RFC 3339 time or a Unix time in
    seconds or milliseconds (OpenRouter); None if neither."""
    text = text.strip()
    plain = _number(text)
    if plain is not None:
        if plain < _UNIX_TIME:
            return plain
        when = plain / 1000 if plain >= 1000 * _UNIX_TIME else plain
        return max(when - (now or datetime.now(UTC)).timestamp(), 0.0)
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)


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
    for name in [name for name in headers if "ratelimit-" in name]:
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
