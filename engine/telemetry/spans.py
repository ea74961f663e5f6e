"""Spans and metrics, written to OpenTelemetry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from engine.completion import Completion
from engine.errors import Category, ConfigError, EngineError
from engine.telemetry.attributes import (
    attempt_attributes,
    common_attributes,
    content_attributes,
    ending_attributes,
    error_type,
    request_attributes,
)
from engine.telemetry.told import Asked, Attempt

__all__ = ["ABANDONED", "Spans"]

ABANDONED: Final = "abandoned"
"""The ``error.type`` of what nobody took to its end."""

# The boundaries that the conventions ask for.
_SECONDS: Final = [0.01 * 2**n for n in range(14)]
_CHUNK_SECONDS: Final = [0.001, 0.0025, 0.005, *(0.01 * 2**n for n in range(10))]
_TOKENS: Final = [float(4**n) for n in range(14)]


class Spans:
    """What writes spans and metrics."""

    def __init__(self, tracers: Any, meters: Any, content: bool) -> None:
        try:
            from opentelemetry import context, metrics, trace
        except ImportError as error:
            raise ConfigError(
                "telemetry needs OpenTelemetry: pip install 'streamengine[otel]'"
            ) from error
        self.context: Any = context
        self.trace: Any = trace
        self.content = content
        self.tracer: Any = trace.get_tracer("engine", tracer_provider=tracers)
        meter = metrics.get_meter("engine", meter_provider=meters)

        def histogram(name: str, unit: str, bounds: Sequence[float], what: str) -> Any:
            return meter.create_histogram(
                name, unit, what, explicit_bucket_boundaries_advisory=bounds
            )

        client = "gen_ai.client."
        self._tokens = histogram(f"{client}token.usage", "{token}", _TOKENS, "Tokens used.")
        client += "operation."
        self._duration = histogram(f"{client}duration", "s", _SECONDS, "From question to end.")
        self._to_first = histogram(
            f"{client}time_to_first_chunk", "s", _SECONDS, "From question to first chunk."
        )
        self._per_chunk = histogram(
            f"{client}time_per_output_chunk", "s", _CHUNK_SECONDS, "From chunk to chunk."
        )

    def question(
        self,
        asked: Asked,
        done: Completion,
        attempts: Sequence[Attempt],
        chunks: Sequence[float],
        *,
        kind: str | None = None,
        when: float | None = None,
    ) -> None:
        """Tell of a question that is over since `when` (seconds of time.monotonic; None: now);
        `kind` is the ``error.type`` where there is none by its error."""
        common = common_attributes(asked, done)
        span = self.tracer.start_span(
            f"{common['gen_ai.operation.name']} {asked.model}",
            context=asked.context,
            kind=self.trace.SpanKind.CLIENT,
            attributes=common | request_attributes(asked),
            start_time=self.nanoseconds(asked.began),
        )
        for attempt in attempts:
            ended = attempt.ended if attempt.ended is not None else (when or time.monotonic())
            span.add_event("attempt", attempt_attributes(attempt, ended), self.nanoseconds(ended))
        span.set_attributes(ending_attributes(done))
        if self.content:
            span.set_attributes(content_attributes(asked, done))
        if kind is not None:
            self.abandon(span)
        self.fail(span, done.error)
        seconds = (when or time.monotonic()) - asked.began
        kind = error_type(done.error) if done.error is not None else kind
        self._measure(asked, done, chunks, common, {"error.type": kind} if kind else {}, seconds)
        span.end(None if when is None else self.nanoseconds(when))

    def _measure(
        self,
        asked: Asked,
        done: Completion,
        chunks: Sequence[float],
        common: dict[str, Any],
        failed: dict[str, Any],
        seconds: float,
    ) -> None:
        measured = common | failed
        self._duration.record(seconds, measured)
        if asked.streaming and chunks:
            self._to_first.record(chunks[0] - asked.began, measured)
            for before, now in pairwise(chunks):
                self._per_chunk.record(now - before, measured)
        usage = done.usage
        for kind in ("input", "output"):
            tokens = getattr(usage, f"{kind}_tokens", None)
            if tokens is not None:
                self._tokens.record(tokens, common | {"gen_ai.token.type": kind})

    def nanoseconds(self, when: float) -> int:
        """`when` (seconds of time.monotonic) on the clock of spans."""
        return int((when + time.time() - time.monotonic()) * 1e9)

    def abandon(self, span: Any) -> None:
        """Say that nobody took what `span` is of to its end."""
        span.set_attributes({"error.type": ABANDONED, "engine.status": ABANDONED})
        span.set_status(self.trace.StatusCode.ERROR, "dropped before its end was taken")

    def fail(self, span: Any, error: EngineError | None, *, say: bool = True) -> None:
        """Say why `span` failed, in words too where `say`; to cancel is no failure."""
        if error is None:
            return
        span.set_attribute("error.type", error_type(error))
        if error.category is not Category.CANCELLED:
            span.set_status(self.trace.StatusCode.ERROR, error.message if say else None)
