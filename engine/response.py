"""What came back over HTTP: status, headers, timing, rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.errors import EngineError

__all__ = ["HttpResponse", "Limit", "RateLimit", "Timing"]


class Timing(msgspec.Struct, frozen=True, gc=False):
    """Where the time went: seconds since the request was made, each None where not reached.

    `dns`, `connect` and `tls` are ends of these phases in the last attempt, counted from that
    attempt's beginning; on a reused connection they are 0.0.

    Attributes:
        queued: seconds spent waiting for a free slot or a retry before the last attempt began.
        dns: host name resolved.
        connect: TCP connection made.
        tls: TLS handshake done; 0.0 for plain http.
        first_byte: first byte of the response, of the last attempt.
        first_event: first content came.
        last_event: last content came.
        total: everything done.
        reused: the connection had served another request before.
        http_version: ``"1.1"``, ``"2"``, ``"3"``, or None.
    """

    queued: float | None = None
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    first_event: float | None = None
    last_event: float | None = None
    total: float | None = None
    reused: bool = False
    http_version: str | None = None


class Limit(msgspec.Struct, frozen=True, gc=False):
    """One bucket of a provider's rate limit; `reset` is seconds until it is full again."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


class RateLimit(msgspec.Struct, frozen=True, gc=False):
    """What the response headers say of the provider's limits, of `requests`, and of `tokens` in
    all, `input_tokens` and `output_tokens`; None where they say nothing."""

    requests: Limit | None = None
    tokens: Limit | None = None
    input_tokens: Limit | None = None
    output_tokens: Limit | None = None


class HttpResponse(msgspec.Struct, frozen=True):
    """The outcome of a plain HTTP request (`Multi.add`).

    Attributes:
        status: ``"complete"``, ``"truncated"``, ``"cancelled"`` or ``"error"``.
        http_status: the status line's number, or None where no response came.
        headers: names in lower case; values that came several times are joined by ``", "``.
        body: the bytes, unless ``on_data`` took them.
        error: why it is not complete, or None.
        timing: where the time went.
        possibly_billed: requests that the server may have read and that got no head of an answer.
    """

    status: Literal["complete", "truncated", "cancelled", "error"]
    http_status: int | None
    headers: Mapping[str, str]
    body: bytes
    error: EngineError | None
    timing: Timing
    possibly_billed: int = 0

    def __repr__(self) -> str:
        # Headers may echo a key, and the body is the user's.
        return (
            f"HttpResponse({self.status}, {self.http_status}, {len(self.headers)} headers, "
            f"{len(self.body)} bytes, error={self.error!r})"
        )
