"""A character that a provider cuts in two: a surrogate pair whose halves come in two deltas.

Reported of servers that cut text at UTF-16 units. `engine.wire.json` reads such a half as a private
character; here it waits for the other half, and becomes U+FFFD where that does not come.
"""

from __future__ import annotations

import re
from typing import Any, Final

from engine.events import (
    Event,
    Ping,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageUpdate,
)
from engine.wire.json import HALF_BASE

__all__ = ["NO_HALVES", "Halves", "joined"]

_HIGH: Final = f"[{chr(HALF_BASE)}-{chr(HALF_BASE + 0x3FF)}]"
_LOW: Final = f"[{chr(HALF_BASE + 0x400)}-{chr(HALF_BASE + 0x7FF)}]"
_PAIR: Final = re.compile(f"({_HIGH})({_LOW})")
_LONE: Final = re.compile(f"{_HIGH}|{_LOW}")
_ENDS_OPEN: Final = re.compile(f"{_HIGH}$")

_FIELDS: Final[dict[type[Event], str]] = {
    TextDelta: "text",
    ThinkingDelta: "text",
    RefusalDelta: "text",
    ToolCallDelta: "arguments",
}


def joined(text: str) -> str:
    """`text` with each two halves as one character, and U+FFFD for each that is alone."""
    return _LONE.sub("\ufffd", _PAIR.sub(_character, text))


def _character(pair: re.Match[str]) -> str:
    high, low = (ord(half) - HALF_BASE + 0xD800 for half in pair.groups())
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


class Halves:
    """The halves that wait, by block.

    Attributes:
        open: whether one waits: then each further event must go through `mend`.
    """

    __slots__ = ("_waiting", "open")

    def __init__(self) -> None:
        self._waiting: dict[tuple[type[Event], int, int], str] = {}
        self.open: bool = False

    def mend(self, events: list[Event], since: int) -> None:
        """Put right what stands in `events` from the place `since` on."""
        mended: list[Event] = []
        for event in events[since:]:
            kind = type(event)
            field = _FIELDS.get(kind)
            if field is None:
                if self._waiting and kind is not Ping and kind is not UsageUpdate:
                    mended += self.give_up()
                mended.append(event)
                continue
            mended += self._text(event, kind, field)
        events[since:] = mended
        self.open = bool(self._waiting)

    def give_up(self) -> list[Event]:
        """The other halves do not come: the events that say so."""
        self.open = False
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, {}
        return [_event(*key, "\ufffd") for key in waiting]

    def _text(self, event: Any, kind: type[Event], field: str) -> list[Event]:
        key = (kind, event.choice, event.index)
        others = {k: half for k, half in self._waiting.items() if k != key and k[1] == key[1]}
        for other in others:
            del self._waiting[other]
        given_up = [_event(*other, "\ufffd") for other in others]
        text = self._waiting.pop(key, "") + getattr(event, field)
        if _ENDS_OPEN.search(text):
            self._waiting[key] = text[-1]
            text = text[:-1]
        text = joined(text)
        return [*given_up, _event(*key, text)] if text else given_up


NO_HALVES: Final = Halves()
"""Those of all answers of which none came yet. Nothing is ever put into it."""


def _event(kind: Any, choice: int, index: int, text: str) -> Event:
    event: Event = kind(text, index, choice)
    return event
