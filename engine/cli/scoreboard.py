"""What the demonstration counts."""

from __future__ import annotations

import sys
from collections import Counter
from time import monotonic, process_time

from engine.cli.neutral import one_line
from engine.completion import Completion
from engine.events import Event, Start, TextDelta
from engine.stream import Stream

__all__ = ["Scoreboard"]


class Scoreboard:
    """Counts the events and the ends of `wanted` streams.

    Attributes:
        wanted: how many streams there are to be.
        streams: all of them, in the order they were begun.
        open, complete, failed, cancelled: how many are, or ended, so.
        events, tokens: so far; the tokens of a stream are known when it has ended: the provider's
            count, or, without one, the pieces of text that came.
        display_cpu: CPU seconds spent on showing, which the report leaves out.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.streams: list[Stream] = []
        self.complete: int = 0
        self.failed: int = 0
        self.cancelled: int = 0
        self.events: int = 0
        self.tokens: int = 0
        self.display_cpu: float = 0.0
        self._first_tokens: list[float] = []
        self._pieces: Counter[int] = Counter()  # of text, by the id of the stream
        self._errors: Counter[str] = Counter()  # by category
        self._examples: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        """The clocks start now."""
        self._began = self._ended = monotonic()
        self._cpu = process_time()

    @property
    def open(self) -> int:
        """Streams begun and not ended."""
        return len(self.streams) - self.complete - self.failed - self.cancelled

    @property
    def seconds(self) -> float:
        """Since the beginning; once the last stream has ended, until then."""
        return (monotonic() if self.open else self._ended) - self._began

    @property
    def events_per_second(self) -> float:
        """Since the beginning."""
        return self.events / max(self.seconds, 1e-9)

    def on_event(self, event: Event, stream: Stream) -> None:
        """For `Client.stream`, whose ``user_data`` is the moment of the call."""
        self.events += 1
        if type(event) is TextDelta:
            self._pieces[id(stream)] += 1
        elif type(event) is Start:  # comes with the first content
            self._first_tokens.append(monotonic() - stream.user_data)

    def on_done(self, completion: Completion, stream: Stream) -> None:
        """For `Client.stream`."""
        self._ended = monotonic()
        if completion.status == "complete":
            self.complete += 1
        elif completion.status == "cancelled":
            self.cancelled += 1
        else:
            self.failed += 1
            error = completion.error
            category = error.category if error is not None else completion.status
            self._errors[category] += 1
            self._examples.setdefault(category, one_line(str(error)))
        usage, pieces = completion.usage, self._pieces.pop(id(stream), 0)
        told = usage.output_tokens if usage is not None else None
        self.tokens += told if told is not None else pieces

    def first_token(self, percent: float) -> float | None:
        """Seconds from the call of `Client.stream` to the first token, of the stream that is slower
        than `percent` of those that have one; None where none has."""
        if not self._first_tokens:
            return None
        ordered = sorted(self._first_tokens)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]

    def report(self) -> str:
        """What was measured, a line each."""
        cpu = process_time() - self._cpu - self.display_cpu
        p50, p99 = self.first_token(50), self.first_token(99)
        rate = self.tokens / max(self.seconds, 1e-9)
        lines = [
            ("streams", f"{self.complete:,} of {self.wanted:,} complete in {self.seconds:.1f} s"),
            ("events", f"{self.events:,} ({self.events_per_second:,.0f} a second)"),
            ("tokens", f"{self.tokens:,} ({rate:,.0f} a second)"),
            ("client CPU", f"{cpu / max(self.events, 1) * 1e6:.1f} µs an event"),
        ]
        if p50 is not None and p99 is not None:
            lines.insert(3, ("first token", f"p50 {p50:.3f} s, p99 {p99:.3f} s"))
        memory = _peak_memory()
        if memory is not None:
            lines.append(("peak memory", f"{memory / 1e6:.0f} MB"))
        if self.cancelled:
            lines.append(("cancelled", f"{self.cancelled:,}, what they said so far is counted"))
        for category, count in self._errors.most_common():
            lines.append(("failed", f"{count:,} × {category}, such as: {self._examples[category]}"))
        return "\n".join(f"{name:12} {value}" for name, value in lines)


def _peak_memory() -> float | None:
    """The most bytes this process has held in memory; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None  # Windows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
