"""Thinking that a server leaves in the text, between ``<think>`` and ``</think>``."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import msgspec

from engine.events import Done, Event, StreamError, TextDelta, ThinkingDelta

__all__ = ["ThinkTags"]

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


class _Split:
    """The text of one choice.

    Attributes:
        state: ``before`` the first letter, ``within`` the thinking, ``after`` it (blank lines are
            left out), ``over``: the rest is text as it comes.
        held: what may be the beginning of a tag, and the event it came in.
    """

    __slots__ = ("held", "held_event", "state")

    def __init__(self) -> None:
        self.state = "before"
        self.held = ""
        self.held_event: TextDelta | None = None


class ThinkTags:
    """Splits the text of one answer into thinking and text.

    Only what begins the text is thinking: a tag further on may be what the model writes about. The
    thinking has the number of the block it came in; those of all after it rise by one.
    """

    __slots__ = ("_blocks", "_splits")

    def __init__(self) -> None:
        self._splits: dict[int, _Split] = {}  # by choice
        self._blocks: list[int] = []  # that were split, in order

    def split(self, events: list[Event], *, last: bool = False) -> list[Event]:
        """`events`, with the thinking apart.

        Args:
            events: the next of the answer.
            last: nothing follows.
        """
        out: list[Event] = []
        for event in events:
            if type(event) is TextDelta:
                self._text(event, out)
                continue
            if type(event) in (Done, StreamError):
                self._let_go(out)
            out.append(self._moved(event))
        if last:
            self._let_go(out)
        return out

    def _text(self, event: TextDelta, out: list[Event]) -> None:
        split = self._splits.setdefault(event.choice, _Split())
        text, split.held = split.held + event.text, ""
        if split.state == "before":
            text = self._beginning(split, text, event)
        if split.state == "within":
            text = self._thinking(split, text, event, out)
        if split.state == "after":
            text = text.lstrip("\n")
            if text:
                split.state = "over"
        if text and split.state == "over":
            out.append(self._moved(TextDelta(text, event.index, event.choice), within=True))

    def _beginning(self, split: _Split, text: str, event: TextDelta) -> str:
        """Whether thinking begins; what is left to look at."""
        start = text.lstrip()
        if start.startswith(_OPEN):
            split.state = "within"
            self._blocks = sorted({*self._blocks, event.index})
            return start.removeprefix(_OPEN)
        if _OPEN.startswith(start):
            split.held, split.held_event = text, event
            return ""
        split.state = "over"
        return text

    def _thinking(self, split: _Split, text: str, event: TextDelta, out: list[Event]) -> str:
        """Tell what of `text` is thinking; what is left of it."""
        thought, closed, rest = text.partition(_CLOSE)
        if closed:
            split.state = "after"
        else:
            kept = _overlap(text)
            thought, split.held = text[: len(text) - kept], text[len(text) - kept :]
            split.held_event = event
        if thought:
            place = self._moved(TextDelta(thought, event.index, event.choice)).index
            out.append(ThinkingDelta(thought, place, event.choice))
        return rest

    def _let_go(self, out: list[Event]) -> None:
        """What was held for a tag is none."""
        for split in self._splits.values():
            event, text = split.held_event, split.held
            split.held = ""
            if not text or event is None:
                continue
            moved = self._moved(TextDelta(text, event.index, event.choice))
            if split.state == "within":
                out.append(ThinkingDelta(text, moved.index, event.choice))
            else:
                out.append(moved)

    def _moved(self, event: Event, *, within: bool = False) -> Event:
        """`event` with the number its block has now; `within` a block that may have been split."""
        by = bisect_left(self._blocks, event.index + within)
        return msgspec.structs.replace(event, index=event.index + by) if by else event


def _overlap(text: str) -> int:
    """How many letters at the end of `text` may be the beginning of the closing tag."""
    sizes = range(min(len(_CLOSE) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(_CLOSE[:size])), 0)
