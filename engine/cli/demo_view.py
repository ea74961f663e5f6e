"""The demonstration, while it runs: a live table, or a line a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from time import monotonic, process_time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from engine.cli.neutral import one_line
from engine.cli.scoreboard import Scoreboard
from engine.stream import Stream

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["View", "live_view", "plain_view"]

_LIVE_SECONDS: Final = 0.125
_PLAIN_SECONDS: Final = 1.0
_SAMPLES: Final = 8


class View:
    """Shows a scoreboard every so often, and keeps its own CPU time out of the measurement.

    Args:
        board: what to show.
        interval: seconds between two pictures.
        draw: draws one.
        screen: held while the view is open.
    """

    def __init__(
        self,
        board: Scoreboard,
        interval: float,
        draw: Callable[[], object],
        screen: AbstractContextManager[Any],
    ) -> None:
        self._board = board
        self._interval = interval
        self._draw = draw
        self._screen = screen
        self._due = monotonic() + interval

    def __enter__(self) -> View:
        self._screen.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show()
        self._screen.__exit__(kind, error, trace)

    def update(self) -> None:
        """Draw, if it is time to."""
        if monotonic() >= self._due:
            self._show()
            self._due = monotonic() + self._interval

    def _show(self) -> None:
        before = process_time()
        self._draw()
        self._board.display_cpu += process_time() - before


def plain_view(board: Scoreboard, out: TextIO) -> View:
    """A line a second."""

    def draw() -> None:
        print(
            f"{board.seconds:5.1f} s  {board.open:,} open  {board.complete:,} complete  "
            f"{board.failed + board.cancelled:,} failed  {board.events:,} events",
            file=out,
            flush=True,
        )

    return View(board, _PLAIN_SECONDS, draw, nullcontext())


def live_view(board: Scoreboard, console: Console) -> View:
    """A table of the counts and of what some of the streams are saying."""
    from rich.live import Live

    # Without auto_refresh there is no thread: the loop of the demonstration draws.
    live = Live(console=console, auto_refresh=False, transient=False)
    return View(board, _LIVE_SECONDS, lambda: live.update(_picture(board), refresh=True), live)


def _picture(board: Scoreboard) -> RenderableType:
    from rich.columns import Columns
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    p50 = board.first_token(50)
    counts = Columns(  # as many in a line as it holds
        [
            Text.assemble((value, "bold"), f" {name}")
            for value, name in (
                (f"{board.open:,}", "open"),
                (f"{board.complete:,}", "complete"),
                (f"{board.failed + board.cancelled:,}", "failed"),
                (f"{board.events:,}", "events"),
                (f"{board.events_per_second:,.0f}", "events/s"),
                ("…" if p50 is None else f"{p50:.2f} s", "to the first token"),
            )
        ],
        padding=(0, 3),
    )
    samples = Table.grid(padding=(0, 1), expand=True)
    samples.add_column(justify="right", style="cyan", no_wrap=True)
    samples.add_column(no_wrap=True, ratio=1)
    for number in _sampled(len(board.streams)):
        samples.add_row(f"{number + 1}", Text(_tail(board.streams[number]), overflow="crop"))
    ended = board.complete + board.failed + board.cancelled
    return Group(samples, counts, ProgressBar(total=board.wanted, completed=ended))


def _sampled(streams: int) -> list[int]:
    """Some of so many streams, evenly spread."""
    shown = min(streams, _SAMPLES)
    return [index * streams // shown for index in range(shown)]


def _tail(stream: Stream) -> str:
    """The last words. The line grows by eight and then begins later: text that moves at every
    token cannot be read."""
    words = one_line(stream.text).split(" ")
    return " ".join(words[-(len(words) % 8 + 4) :])
