"""Preamble: what says who answers, held back until there is content, so that another attempt
repeats nothing."""

from __future__ import annotations

from engine.events import Event, Ping, Start, UsageUpdate

__all__ = ["Preamble"]


class Preamble:
    """The beginning of one answer.

    Attributes:
        held: what came of it and was not handed over.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: list[Event] = []

    def sift(self, events: list[Event]) -> tuple[list[Event], bool]:
        """What of `events` may be handed over now, with what was held before it; and whether
        there is content in it. Pings are never held: they say that somebody is at work."""
        for position, event in enumerate(events):
            kind = type(event)
            if kind is Start or kind is UsageUpdate:
                self.held.append(event)
            elif kind is not Ping:
                held, self.held = self.held, []
                pings = [e for e in events[:position] if type(e) is Ping]
                return [*held, *pings, *events[position:]], True
        return [event for event in events if type(event) is Ping], False
