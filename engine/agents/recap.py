"""What a run said so far, for who begins to read late."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from engine.agents.event import AgentEvent

__all__ = ["Recap"]

# Tokens that are kept one by one at most.
_MOST_NEW: Final = 32
# Pieces of what is told whole by a later event; nobody wants them afterwards.
_PASSING: Final = ("arguments", "partial")


class Recap:
    """Keeps the events of a run, with the tokens that follow each other joined: see
    `engine.answering.contract.History`."""

    __slots__ = ("_joined", "_new")

    def __init__(self) -> None:
        self._new: list[AgentEvent] = []  # as they came: mostly nobody reads late
        self._joined: _Joined | None = None

    def extend(self, events: Iterable[AgentEvent]) -> None:
        """Take `events`, in order."""
        self._new.extend(events)
        if len(self._new) > _MOST_NEW:
            self._join()

    def events(self) -> list[AgentEvent]:
        """What was taken."""
        return self._join().whole()

    def fresh(self) -> Recap:
        """An empty one."""
        return Recap()

    def text(self) -> str:
        """None: a run is no answer of a model."""
        return ""

    def _join(self) -> _Joined:
        joined = self._joined = self._joined or _Joined()
        joined.extend(self._new)
        self._new = []
        return joined


class _Joined:
    """Events, of which those that follow each other and are tokens are one."""

    __slots__ = ("_events", "_pieces")

    def __init__(self) -> None:
        self._events: list[AgentEvent] = []
        self._pieces: list[str] = []  # of the last event, where it is a token

    def extend(self, events: Iterable[AgentEvent]) -> None:
        for event in events:
            if event.type == "token":
                last = self._events[-1] if self._events else None
                if last is None or last.type != "token" or not _same(last, event):
                    self._end()
                    self._events.append(event)
                self._pieces.append(event.content)
            elif event.type not in _PASSING:
                self._end()
                self._events.append(event)

    def whole(self) -> list[AgentEvent]:
        self._join()
        return self._events[:]

    def _join(self) -> None:
        if len(self._pieces) > 1:
            whole = "".join(self._pieces)
            self._events[-1] = msgspec.structs.replace(self._events[-1], content=whole)
            self._pieces = [whole]

    def _end(self) -> None:
        """The tokens at the end are followed by something else."""
        self._join()
        self._pieces = []


def _same(last: AgentEvent, event: AgentEvent) -> bool:
    return last.data == event.data and last.iteration == event.iteration
