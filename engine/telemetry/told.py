"""What is told of a question: plain data, noted while it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import EngineError

__all__ = ["Asked", "Attempt"]


class Attempt(msgspec.Struct):
    """One attempt at a question: when it began and ended (seconds of time.monotonic), what came of
    it, and how long the next one waited."""

    number: int
    began: float
    ended: float | None = None
    http_status: int | None = None
    error: EngineError | None = None
    delay: float | None = None


class Asked(msgspec.Struct, frozen=True):
    """What is told of a question.

    Attributes:
        provider, model: whom it goes to.
        format: name of the dialect.
        host: whom the request is sent to, for people.
        body: what is sent, decoded; empty where nobody wants spans.
        streaming: a stream was asked for.
        began: when (seconds of time.monotonic).
        context: OpenTelemetry's at that moment, or None.
        operation: what is asked for where it is no question; None: the format tells.
    """

    provider: str
    model: str
    format: str
    host: str
    body: Mapping[str, Any]
    streaming: bool
    began: float
    context: Any = None
    operation: str | None = None
