"""How one attempt at a row ended."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.errors import CancelledError, Category, EngineError
from engine.messages import FinishReason, Usage
from engine.response import RateLimit, Timing

__all__ = ["Outcome", "milliseconds", "request_id"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended.

    Attributes:
        error: why there is no answer; None: there is.
        body: what a good status came with, also where it is no whole answer: it may be paid.
        text: the answer's text.
        timing: milliseconds, as in the output row.
    """

    error: EngineError | None
    status: int | None = None
    request_id: str | None = None
    body: bytes | None = None
    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timing: dict[str, float] = {}
    rate_limit: RateLimit | None = None

    @property
    def cancelled(self) -> bool:
        return isinstance(self.error, CancelledError)

    @property
    def billed(self) -> bool:
        """Whether tokens may have been made for it that nobody counted: it was sent, and no
        refusal came back."""
        if self.usage is not None:
            return False
        if self.error is None or (self.status is not None and self.status < 300):
            return True
        unsent = self.error.phase in ("resolve", "connect", "tls", "queued")
        lost = (Category.TIMEOUT, Category.NETWORK, Category.TRUNCATED, Category.CANCELLED)
        return self.status is None and self.error.category in lost and not unsent


def milliseconds(timing: Timing) -> dict[str, float]:
    """The times of a request, as the output row has them."""
    times = {}
    if timing.queued is not None:
        times["queued_ms"] = round(timing.queued * 1000, 3)
    if timing.first_byte is not None:
        times["first_byte_ms"] = round(timing.first_byte * 1000, 3)
    if timing.total is not None:
        times["e2e_ms"] = round(timing.total * 1000, 3)
    return times


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's own id of a request."""
    return headers.get("x-request-id") or headers.get("request-id")
