"""What is measured while a batch runs; bounded, however long it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from engine.errors import Category
from engine.messages import FinishReason

if TYPE_CHECKING:
    from engine.batch.outcome import Outcome

__all__ = ["Histogram", "Meter", "Span"]

_BINS_A_DECADE: Final = 20
_LEAST: Final = 1e-4  # seconds; everything below is one bin
_BINS: Final = 8 * _BINS_A_DECADE
_MOST_SPANS: Final = 240
# Why answers end that are not whole; what a model ends with a tool's call, or a refusal, is.
_PARTIAL: Final = (FinishReason.LENGTH, FinishReason.CONTENT_FILTER)


class Histogram:
    """Durations from 0.1 ms to hours, in bins 12 % wide."""

    def __init__(self) -> None:
        self.counts: list[int] = [0] * _BINS
        self.count: int = 0

    def add(self, seconds: float) -> None:
        """Count one."""
        place = int(math.log10(max(seconds, _LEAST) / _LEAST) * _BINS_A_DECADE)
        self.counts[min(place, _BINS - 1)] += 1
        self.count += 1

    def quantile(self, part: float) -> float | None:
        """Seconds below which `part` (0 to 1) of them are, to the width of a bin; None: of none."""
        left = part * self.count
        for place, count in enumerate(self.counts):
            left -= count
            if count and left <= 0:
                return edge(place + 0.5)
        return None

    def median(self) -> float | None:
        """The middle one, or None."""
        return self.quantile(0.5)


def edge(place: float) -> float:
    """Seconds at the lower end of bin `place`."""
    return float(_LEAST * 10 ** (place / _BINS_A_DECADE))


class Span(msgspec.Struct):
    """What ended in one piece of the time."""

    answers: int = 0
    failures: int = 0
    refused: int = 0
    tokens: int = 0
    limit: int = 0


class Meter:
    """Counts outcomes.

    Attributes:
        done, failed: rows that were settled.
        requests: attempts that ended.
        unanswered: attempts that were sent and brought no whole answer.
        errors: failed rows by category.
        reasons: the first row's words, by category.
        partial: rows that were answered, but not to the end, by finish reason.
        ttft, itl, e2e: seconds to the first token, between tokens (mean of a row), of a request.
        spans: the time, in pieces of `span` seconds from the start; they double in length when
            there are too many.
    """

    def __init__(self, now: float) -> None:
        self.done: int = 0
        self.failed: int = 0
        self.requests: int = 0
        self.unanswered: int = 0
        self.input_tokens: int = 0
        self.output_tokens: int = 0
        self.errors: dict[str, int] = {}
        self.reasons: dict[str, str] = {}
        self.partial: dict[str, int] = {}
        self.ttft: Histogram = Histogram()
        self.itl: Histogram = Histogram()
        self.e2e: Histogram = Histogram()
        self.span: float = 0.5
        self.spans: list[Span] = []
        self._start = now
        self._last = now

    def seconds(self, now: float) -> float:
        """Seconds since the start."""
        return now - self._start

    def ended(self, now: float, outcome: Outcome, limit: int) -> None:
        """An attempt ended."""
        self.requests += 1
        span = self._span(now)
        span.limit = limit
        usage = outcome.usage
        if usage is not None:
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
            span.tokens += usage.output_tokens or 0
        if outcome.error is None:
            span.answers += 1
            for histogram, name in self._timed:
                if name in outcome.timing:
                    histogram.add(outcome.timing[name] / 1000)
        elif outcome.error.category is Category.RATE_LIMIT:
            span.refused += 1
        else:
            span.failures += 1

    def answered(self, finish_reason: FinishReason | None) -> None:
        """A row has an answer."""
        self.done += 1
        if finish_reason is not None and finish_reason in _PARTIAL:
            name = finish_reason.value
            self.partial[name] = self.partial.get(name, 0) + 1

    def fail(self, category: Category, why: str) -> None:
        """A row failed for good."""
        self.failed += 1
        self.reasons.setdefault(category.value, why)
        self.errors[category.value] = self.errors.get(category.value, 0) + 1

    @property
    def _timed(self) -> tuple[tuple[Histogram, str], ...]:
        return (self.ttft, "ttft_ms"), (self.itl, "itl_ms"), (self.e2e, "e2e_ms")

    def _span(self, now: float) -> Span:
        place = int((now - self._start) / self.span)
        while place >= _MOST_SPANS:
            self.span *= 2
            place //= 2
            spans = self.spans + [Span()] * (len(self.spans) % 2)
            self.spans = [_joined(*spans[n : n + 2]) for n in range(0, len(spans), 2)]
        while place >= len(self.spans):
            self.spans.append(Span(limit=self.spans[-1].limit if self.spans else 0))
        return self.spans[place]


def _joined(one: Span, two: Span) -> Span:
    return Span(
        one.answers + two.answers,
        one.failures + two.failures,
        one.refused + two.refused,
        one.tokens + two.tokens,
        two.limit or one.limit,
    )
