"""One HTML file that tells how a batch went: no script, no network, plots as inline SVG."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from engine.batch.pacing.meter import Histogram, Meter, edge
from engine.batch.showing.progress import summary_lines
from engine.batch.showing.summary import Summary
from engine.batch.showing.words import amount, duration, round_top
from engine.errors import ConfigError, ResourceError

__all__ = ["check_report", "render_report", "write_report"]

_WIDTH: Final = 720
_HEIGHT: Final = 180
_LEFT: Final = 56
_TOP: Final = 8
_WIDE: Final = _WIDTH - _LEFT - 8
_TALL: Final = _HEIGHT - _TOP - 24

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --one: #2f6fdf; --two: #d9822b; --bad: #c0392b; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 760px; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
svg { width: 100%; height: auto; } text { font: 11px system-ui, sans-serif; fill: currentColor; }
.grid { stroke: var(--line); } .one { fill: var(--one); } .two { fill: var(--two); }
.bad { fill: var(--bad); }
td, th { padding: .15rem 1rem .15rem 0; text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child, .why { text-align: left; } p { margin: .2rem 0; }
"""


def check_report(path: str | os.PathLike[str]) -> None:
    """Whether `write_report` could write there; to be known before anything is asked.

    Raises:
        ConfigError: it could not.
    """
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise ConfigError(f"the report {os.fspath(path)} cannot be written; give another place")


def write_report(path: str | os.PathLike[str], summary: Summary, meter: Meter) -> None:
    """Write the page.

    Raises:
        ResourceError: the disk refused.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(render_report(summary, meter))
    except OSError as error:
        raise ResourceError(
            f"the report {os.fspath(path)} cannot be written: {error.strerror}", retryable=False
        ) from error


def render_report(summary: Summary, meter: Meter) -> str:
    """The page."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in summary_lines(summary))
    parts = [
        "<h1>Batch</h1>",
        lines,
        _throughput(meter),
        _concurrency(meter),
        _distribution("Time to the first token", meter.ttft, "needs --stream"),
        _distribution("Time between tokens (mean of a row)", meter.itl, "needs --stream"),
        _distribution("Time of a request", meter.e2e, "no request was answered"),
        _errors(summary),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/><title>Batch</title>'
        f"<style>{_STYLE}</style></head>\n<body>{''.join(parts)}</body></html>\n"
    )


def _throughput(meter: Meter) -> str:
    rates = [span.answers / meter.span for span in meter.spans]
    bad = [(span.failures + span.refused) / meter.span for span in meter.spans]
    tokens = sum(span.tokens for span in meter.spans)
    seconds = meter.span * len(meter.spans) or 1.0
    words = f"blue: answers a second, red: refused and failed; {tokens / seconds:.0f} tokens/s"
    bars = [(rates, "one"), (bad, "bad")]
    return _section("Throughput", words, _plot(bars, meter.span * len(rates), _clock))


def _concurrency(meter: Meter) -> str:
    limits = [float(span.limit) for span in meter.spans]
    plot = _plot([(limits, "two")], meter.span * len(limits), _clock)
    return _section("Concurrency limit", "requests that might be in flight", plot)


def _distribution(title: str, histogram: Histogram, without: str) -> str:
    if not histogram.count:
        return _section(title, f"not measured: {without}", "")
    used = [place for place, count in enumerate(histogram.counts) if count]
    first, last = max(used[0] - 1, 0), used[-1] + 2
    counts = [float(count) for count in histogram.counts[first:last]]
    marks = ((f"p{part:g}", histogram.quantile(part / 100)) for part in (50, 90, 99))
    words = ", ".join(f"{name} {_seconds(value)}" for name, value in marks if value is not None)
    plot = _plot([(counts, "one")], len(counts), lambda place: _seconds(edge(first + place)))
    return _section(title, words, plot)


def _errors(summary: Summary) -> str:
    if not summary.errors:
        return _section("Errors", "no row failed", "")
    ranked = sorted(summary.errors.items(), key=lambda item: -item[1])
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{count}</td>"
        f'<td class="why">{escape(summary.reasons.get(name, ""))}</td></tr>'
        for name, count in ranked
    )
    head = '<tr><th>category</th><th>rows</th><th class="why">the first of them</th></tr>'
    table = f"<table>{head}{rows}</table>"
    return _section("Errors", "rows that failed for good, by category", table)


def _section(title: str, words: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(words)}</p>{content}"


def _plot(
    series: Sequence[tuple[Sequence[float], str]], width: float, label: Callable[[float], str]
) -> str:
    """Bars of equal width, one series before the other; `label` names a place from 0 to `width`."""
    top = max((value for values, _ in series for value in values), default=0.0)
    top = round_top(top)
    bars = "".join(_bars(values, kind, top) for values, kind in series)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"{_grid(top)}{bars}{_labels(width, label)}</svg>"
    )


def _grid(top: float) -> str:
    parts = []
    for part in (0.0, 0.5, 1.0):
        y = _TOP + _TALL * (1 - part)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{amount(top * part)}</text>'
        )
    return "".join(parts)


def _bars(values: Sequence[float], kind: str, top: float) -> str:
    step = _WIDE / max(len(values), 1)
    return "".join(
        f'<rect class="{kind}" x="{_LEFT + place * step:.2f}" '
        f'y="{_TOP + _TALL * (1 - value / top):.2f}" '
        f'width="{max(step * 0.9, 0.5):.2f}" height="{_TALL * value / top:.2f}"/>'
        for place, value in enumerate(values)
        if value > 0
    )


def _labels(width: float, label: Callable[[float], str]) -> str:
    parts = []
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if part == 0 else "end" if part == 1 else "middle"
        parts.append(
            f'<text x="{_LEFT + _WIDE * part:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">'
            f"{escape(label(width * part))}</text>"
        )
    return "".join(parts)


def _clock(seconds: float) -> str:
    return "0" if not seconds else duration(seconds)


def _seconds(value: float) -> str:
    return duration(value) if value >= 1 else f"{amount(value * 1000)} ms"
