"""What people see of a batch that runs: a table, lines, or JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, TextIO

import msgspec

from engine.batch.showing.summary import Progress, Summary
from engine.batch.showing.words import duration

__all__ = ["Mode", "View", "plain_line", "summary_lines", "view"]

Mode = Literal["auto", "rich", "plain", "json", "none"]

# Seconds between two looks, and between two lines.
_LOOK: Final = 0.25
_LINE: Final = 5.0
_JSON: Final = 1.0
# Characters of a reason in the summary.
_MOST_WORDS: Final = 200


class View(Protocol):
    """One way of showing."""

    def show(self, progress: Progress) -> None:
        """Called several times a second; shows it when it is time."""

    def say(self, sentence: str) -> None:
        """Show a sentence, once."""

    def close(self, summary: Summary | None) -> None:
        """The end; None: there is no summary."""


def view(mode: Mode, stream: TextIO) -> View:
    """The view `mode` asks for; ``auto``: a table on a terminal where rich is installed, else
    lines. Whoever asks for ``rich`` without it gets lines."""
    return _Steady(_chosen(mode, stream))


def _chosen(mode: Mode, stream: TextIO) -> View:
    if mode == "none":
        return _Silent()
    if mode == "json":
        return _Json(stream)
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    if mode == "rich" or (mode == "auto" and terminal):
        try:
            return _Table(stream)
        except ImportError:
            pass
    return _Plain(stream)


class _Silent:
    def show(self, progress: Progress) -> None:
        pass

    def say(self, sentence: str) -> None:
        pass

    def close(self, summary: Summary | None) -> None:
        pass


class _Steady:
    """Another view, until nobody looks at it any more: no batch ends for that."""

    def __init__(self, view: View) -> None:
        self._view = view

    def show(self, progress: Progress) -> None:
        with self:
            self._view.show(progress)

    def say(self, sentence: str) -> None:
        with self:
            self._view.say(sentence)

    def close(self, summary: Summary | None) -> None:
        with self:
            self._view.close(summary)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, OSError):
            self._view = _Silent()
        return isinstance(error, OSError)


class _Lines:
    """A line now and then."""

    def __init__(self, stream: TextIO, every: float) -> None:
        self._stream = stream
        self._every = every
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        begun = progress.in_flight or progress.waiting or progress.requests or progress.begun
        if progress.rows and begun and progress.seconds >= self._next:
            self._next = progress.seconds + self._every
            self._print(self.line(progress))

    def line(self, progress: Progress) -> str:
        raise NotImplementedError

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class _Plain(_Lines):
    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream, _LINE)

    def line(self, progress: Progress) -> str:
        return plain_line(progress)

    def say(self, sentence: str) -> None:
        self._print(f"batch: {sentence}")

    def close(self, summary: Summary | None) -> None:
        for line in summary_lines(summary) if summary is not None else ():
            self._print(line)


class _Json(_Lines):
    """For machines: ``progress``, ``notice`` and, last, ``summary`` objects."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream, _JSON)

    def line(self, progress: Progress) -> str:
        return _json("progress", _facts(progress))

    def say(self, sentence: str) -> None:
        self._print(_json("notice", {"text": sentence}))

    def close(self, summary: Summary | None) -> None:
        if summary is not None:
            facts = {
                **_facts(summary),
                "stopped": summary.stopped,
                "reason": summary.reason,
                "exit_code": summary.exit_code,
            }
            self._print(_json("summary", facts))


class _Table:
    """rich's live table, drawn when it is asked to: no thread."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        class Steady(Console):
            def on_broken_pipe(self) -> None:
                raise  # rich itself ends the program

        self._console = Steady(file=stream, highlight=False)
        self._live: Any = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        if progress.seconds >= self._next:
            self._next = progress.seconds + _LOOK
            self._live.update(_table(progress, self._console.width), refresh=True)

    def say(self, sentence: str) -> None:
        from rich.text import Text

        # Not by the options of print(): they would apply to the table below, too.
        self._console.print(Text(sentence, "yellow"))

    def close(self, summary: Summary | None) -> None:
        self._live.stop()
        for line in summary_lines(summary) if summary is not None else ():
            self._console.print(line, markup=False)


def _table(progress: Progress, width: int) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    cells = [Text.assemble((name, "dim"), " ", text) for name, text in _cells(progress)]
    # In a narrow window cells stand below one another rather than be cut.
    beside = max(min(width // 24, 4), 1)
    for start in range(0, len(cells), beside):
        table.add_row(*cells[start : start + beside])
    settled = progress.done + progress.failed
    bar = Table.grid(expand=True)  # a bar alone ends without a line break
    bar.add_row(ProgressBar(total=progress.rows or 1, completed=settled))
    return Group(bar, table)


def _cells(progress: Progress) -> list[tuple[str, str]]:
    cells = [
        ("done", f"{progress.done}/{progress.rows}"),
        ("failed", str(progress.failed)),
        ("in flight", f"{progress.in_flight} of {progress.limit}"),
        ("waiting", str(progress.waiting)),
        ("tokens/s", f"{_rate(progress):.0f}"),
        ("429s", str(progress.refused)),
        ("first token", duration(progress.ttft)),
        ("ETA", duration(progress.eta)),
    ]
    if progress.cost:
        cells.append(("cost", f"${progress.cost:.4f}"))
    if progress.held:
        cells.append(("held", duration(progress.held)))
    return cells


def plain_line(progress: Progress) -> str:
    """One line for a log."""
    parts = [
        f"{progress.done}/{progress.rows} done",
        f"{progress.failed} failed",
        f"{progress.in_flight} in flight (limit {progress.limit})",
        f"{_rate(progress):.0f} tokens/s",
        f"{progress.refused} refused (429)",
    ]
    if progress.ttft is not None:
        parts.append(f"first token {duration(progress.ttft)}")
    if progress.cost:
        parts.append(f"${progress.cost:.4f}")
    if progress.held:
        parts.append(f"held for {duration(progress.held)}")
    parts.append(f"ETA {duration(progress.eta)}")
    return ", ".join(parts)


def summary_lines(summary: Summary) -> list[str]:
    """What it came to, in a few lines: first how it ended, then why rows failed, then the rest.
    Where nothing could be asked that is all there is to say: how many rows there are is not known
    then."""
    if summary.stopped == "error" and not (summary.requests or summary.done or summary.failed):
        return [f"nothing was asked: {summary.reason}"]
    settled = summary.done + summary.failed - summary.begun
    speed = settled / summary.seconds if summary.seconds else 0.0
    lines = [
        f"{summary.done} of {summary.rows} rows done, {summary.failed} failed, {summary.left} left"
    ]
    if summary.reason is not None:
        lines.append(f"stopped: {summary.reason}")
    for name, count in sorted(summary.errors.items(), key=lambda item: -item[1]):
        why = summary.reasons.get(name)
        lines.append(f"failed: {count} {name}" + (f", the first: {_short(why)}" if why else ""))
    for name, count in sorted(summary.partial.items(), key=lambda item: -item[1]):
        lines.append(
            f"done, but not whole: {count} {name}, {_PARTIAL.get(name, 'see their lines')}"
        )
    lines.append(
        f"{settled} in {duration(summary.seconds)} ({speed:.1f} rows/s), {summary.requests} "
        f"requests, {summary.refused} of them refused (429)"
    )
    if summary.unanswered:
        lines.append(f"{summary.unanswered} brought no whole answer, and may be billed as well")
    lines.append(
        f"{summary.input_tokens} tokens in, {summary.output_tokens} out"
        + (f", ${summary.cost:.4f} so far" if summary.cost else "")
    )
    return lines


_PARTIAL: Final = {
    "LENGTH": "cut off at their limit of tokens (--max-tokens; reasoning counts)",
    "CONTENT_FILTER": "held back by the provider's filter",
}


def _short(words: str) -> str:
    """The beginning of what a server or a library said, on one line."""
    text = " ".join(words.split())
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}…"


def _rate(progress: Progress) -> float:
    return progress.output_tokens / progress.seconds if progress.seconds else 0.0


def _facts(progress: Progress) -> dict[str, Any]:
    names = Progress.__struct_fields__
    return {**{name: getattr(progress, name) for name in names}, "eta": progress.eta}


_encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode


def _json(kind: str, facts: dict[str, Any]) -> str:
    return _encode({"event": kind, **facts}).decode()
