"""Preamble: what says who answers, held back until there is content, so that another attempt
repeats nothing."""

from __future__ import annotations

from typing import Final

import msgspec

from engine.events import Event, ModelUpdate, Ping, Start, TextDelta, Unknown, UsageUpdate

__all__ = ["Preamble", "is_content"]

# What says who answers, what it costs, that somebody is at work: no word of the answer.
_SIGNS: Final = frozenset({Start, ModelUpdate, UsageUpdate, Unknown, Ping})


def is_content(event: Event) -> bool:
    """Whether `event` is part of the answer."""
    kind = type(event)
    if kind is TextDelta:
        return bool(event.text)  # type: ignore[union-attr]
    return kind not in _SIGNS


class Preamble(msgspec.Struct, eq=False):
    """The beginning of one answer.

    Attributes:
        held: what came of it and was not handed over.
    """

    held: list[Event] = []

    def sift(self, events: list[Event]) -> tuple[list[Event], bool]:
        """What of `events` may be handed over now, with what was held before it; and whether
        there is content in it. Pings are never held: they say that somebody is at work."""
        pings: list[Event] = []
        for position, event in enumerate(events):
            if is_content(event):
                held, self.held = self.held, []
                if not pings and len(held) == position:  # nothing came before these
                    return events, True
                return [*held, *pings, *events[position:]], True
            (pings if type(event) is Ping else self.held).append(event)
        return pings, False
