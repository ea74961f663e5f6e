"""One answer, shown as it comes."""

from __future__ import annotations

from typing import TextIO

from engine.cli.console import dim, is_terminal
from engine.cli.neutral import neutralise, one_line
from engine.events import Event, RefusalDelta, RetryScheduled, TextDelta, ThinkingDelta

__all__ = ["AnswerView"]


class AnswerView:
    """Writes the answer to `out`: neutralised where that is a terminal, as it came elsewhere. What
    is no answer (reasoning, retries) goes to `notes`, and only where that is a terminal.

    Args:
        out: for the answer.
        notes: for the rest.
        color: show the rest fainter.
    """

    def __init__(self, out: TextIO, notes: TextIO, color: bool) -> None:
        self._out = out
        self._notes = notes if is_terminal(notes) else None
        self._color = color
        self._on_terminal = is_terminal(out)
        self._unfinished: list[TextIO] = []  # streams whose last line has no end yet

    def show(self, event: Event) -> None:
        """Write what `event` brings, at once."""
        if isinstance(event, TextDelta | RefusalDelta):
            if event.choice == 0:
                text = neutralise(event.text) if self._on_terminal else event.text
                self._write(self._out, text, ends_line=event.text.endswith("\n"))
        elif isinstance(event, ThinkingDelta):
            if event.choice == 0:
                self._note(neutralise(event.text))
        elif isinstance(event, RetryScheduled):
            self._note(f"again in {event.delay:.1f} s: {one_line(str(event.error))}\n")

    def end(self) -> None:
        """The answer is over: end its last line."""
        for stream in self._unfinished:
            stream.write("\n")
            stream.flush()
        self._unfinished = []

    def _note(self, text: str) -> None:
        if self._notes is not None:
            self._write(self._notes, dim(text, self._color), ends_line=text.endswith("\n"))

    def _write(self, stream: TextIO, text: str, ends_line: bool) -> None:
        if not text:
            return
        if self._on_terminal and stream not in self._unfinished:
            self.end()  # both are on one screen: the other's line ends before this one begins
        stream.write(text)
        stream.flush()
        if not ends_line:
            self._unfinished = [*(s for s in self._unfinished if s is not stream), stream]
        elif stream in self._unfinished:
            self._unfinished.remove(stream)
