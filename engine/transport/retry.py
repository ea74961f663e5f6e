"""When to try again: a pure function of what happened."""

from __future__ import annotations

import random

import msgspec

from engine.errors import Category, ConfigError, EngineError

__all__ = ["Retry", "retry_delay"]


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a request is tried.

    The numbers are those of the official SDKs (openai-python 3.x: 0.5 s doubling to 8 s, waits the
    server asks for honoured up to 120 s).

    Attributes:
        max_attempts: tries in all, the first included; 1 turns retrying off.
        base_delay: seconds; the first wait is at most this, each next one at most twice the last.
        max_delay: seconds; no wait of our own choice is longer.
        max_retry_after: seconds; where the server asks for a longer wait, the error is reported at
            once, with its ``retry_after``.
    """

    max_attempts: int = 3
    base_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 120.0

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise ConfigError("retry: max_attempts must be at least 1 (which never retries)")
        for name in ("base_delay", "max_delay", "max_retry_after"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise ConfigError(f"retry: {name} must be 0 or more seconds, not {value!r}")


def retry_delay(
    retry: Retry, attempt: int, error: EngineError, delivered: bool, dice: float | None = None
) -> float | None:
    """Seconds until the next attempt, or None to give up.

    Args:
        retry: the policy.
        attempt: number of the attempt that failed, from 1.
        error: why it failed.
        delivered: whether content was handed over; a second try would repeat it, so never then.
        dice: 0 ≤ dice < 1, for tests; None throws it. Waits are spread from 0 to their bound (full
            jitter), so that a thousand clients do not come back at once.
    """
    if delivered or not error.retryable or attempt >= retry.max_attempts:
        return None
    if error.phase == "resolve" and attempt >= 2:
        return None  # a name that is unknown twice stays unknown
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= retry.max_retry_after else None
    if error.category is Category.TIMEOUT and error.phase != "total":
        return 0.0  # the wait has been long enough
    bound = min(retry.max_delay, retry.base_delay * 2.0 ** min(attempt - 1, 32))
    return bound * (random.random() if dice is None else dice)
