"""When to try again: a pure function of what happened."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Literal

import msgspec

from engine.errors import Category, ConfigError, EngineError

__all__ = ["Retry", "Sent", "how_sent", "retry_delay"]


class Sent(StrEnum):
    """What is known of a request whose attempt failed."""

    UNSENT = "unsent"
    """Nobody read it: no connection was made, a pooled one was dead before a byte left, or the
    HTTP/2 server refused the stream without looking at it."""
    REFUSED = "refused"
    """The server answered, with a status or an error inside the stream: its word counts."""
    UNKNOWN = "unknown"
    """It went out and no answer came, or the answer broke off: it may have been read and billed."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a request is tried.

    The numbers are those of the official SDKs (openai-python 3.x: 0.5 s doubling to 8 s, waits the
    server asks for honoured up to 120 s); the budget is that of Google's SRE book (chapter 21) and
    Finagle: a tenth.

    What was never sent costs nothing (a pooled connection that had died, an HTTP/2 stream that was
    refused) and is sent again at once; it is no attempt, and not counted here. A server that goes
    on refusing is given up to 0.2 s between; after five times in all a refusal is an attempt that
    failed.

    Attributes:
        max_attempts: tries in all, the first included; 1 turns retrying off.
        base_delay: seconds; the first wait is at most this, each next one at most twice the last.
        max_delay: seconds; no wait of our own choice is longer.
        max_retry_after: seconds; where the server asks for a longer wait, the error is reported at
            once, with its ``retry_after``.
        unknown: what becomes of a request that went out and was lost, so that the server may have
            read it and billed for it: ``"retry"``, under the same Idempotency-Key, or ``"fail"``.
        budget: retries for each request to the same base URL, key and model, in the last minute;
            a storm of failures then costs so much more, and not ``max_attempts`` times as much.
            None: no bound. Waits that a rate limit asks for are the gate's and take nothing.
        budget_min: retries a minute that there are in any case.
        reconnect: whether a stream that breaks off in mid-answer is gone on with at its place,
            without loss or repetition, where the server keeps one: Responses with ``background``
            (by their ``sequence_number``), Interactions with ``store`` (by their ``event_id``), and
            streams whose events have an ``id`` (by ``Last-Event-ID``). `max_attempts` then counts
            connections in a row that brought nothing; a wait that a stream asks for (``retry:``) is
            cut to `max_retry_after`; a 204 ends the asking. Elsewhere the stream is truncated, as
            ever.
        restart: whether an answer that breaks off, and cannot be gone on with, is asked for again
            from its beginning. The event ``Restarted`` says that what came before is void. Each is
            a whole answer, and billed as one.
    """

    max_attempts: int = 3
    base_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 120.0
    unknown: Literal["retry", "fail"] = "retry"
    budget: float | None = 0.1
    budget_min: float = 10
    reconnect: bool = False
    restart: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise ConfigError("retry: max_attempts must be at least 1 (which never retries)")
        for name in ("base_delay", "max_delay", "max_retry_after"):
            value = getattr(self, name)
            if not _is_amount(value):
                raise ConfigError(f"retry: {name} must be 0 or more seconds, not {value!r}")
        if self.unknown not in ("retry", "fail"):
            raise ConfigError(f"retry: unknown must be 'retry' or 'fail', not {self.unknown!r}")
        if self.budget is not None and not _is_amount(self.budget):
            raise ConfigError(
                f"retry: budget must be 0 or more retries a request, or None, not {self.budget!r}"
            )
        if not _is_amount(self.budget_min):
            raise ConfigError(
                f"retry: budget_min must be 0 or more retries, not {self.budget_min!r}"
            )

        for name in ("reconnect", "restart"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"retry: {name} must be True or False")


def _is_amount(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    )


def retry_delay(
    retry: Retry,
    attempt: int,
    error: EngineError,
    delivered: bool,
    dice: float | None = None,
    *,
    sent: Sent = Sent.REFUSED,
    budget_left: bool = True,
) -> float | None:
    """Seconds until the next attempt, or None to give up.

    Args:
        retry: the policy.
        attempt: number of the attempt that failed, from 1.
        error: why it failed.
        delivered: whether content was handed over; a second try would repeat it, so never then.
        dice: 0 ≤ dice < 1, for tests; None throws it. Waits are spread from 0 to their bound (full
            jitter), so that a thousand clients do not come back at once.
        sent: whether the server may have read the request.
        budget_left: whether the retry budget has one left.
    """
    if delivered or not error.retryable or attempt >= retry.max_attempts or not budget_left:
        return None
    if sent is Sent.UNKNOWN and retry.unknown == "fail":
        return None
    if error.phase == "resolve" and attempt >= 2:
        return None  # a name that is unknown twice stays unknown
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= retry.max_retry_after else None
    # A server's 408 and 504, and its word inside a stream, are of this category too; they name no
    # phase. Where our own clock ran out the wait has been long enough.
    if error.category is Category.TIMEOUT and error.http_status is None and error.phase is not None:
        return 0.0
    bound = min(retry.max_delay, retry.base_delay * 2.0 ** min(attempt - 1, 32))
    return bound * (random.random() if dice is None else dice)


def how_sent(out: bool, answered: bool, error: EngineError) -> Sent:
    """What is known of an attempt that ended for `error`: whether the request was `out`, and
    whether a head of an answer came."""
    if not out:
        return Sent.UNSENT
    if not answered:
        return Sent.UNKNOWN
    # It had begun to answer: either it said why it does not go on, or it was cut off.
    ours = error.category is Category.TIMEOUT and error.phase is not None
    lost = ours or error.category in (Category.NETWORK, Category.TRUNCATED)
    return Sent.UNKNOWN if lost else Sent.REFUSED
