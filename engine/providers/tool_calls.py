"""Tool calls that arrive in pieces: one assembly for every format.

A call is handed over when nothing of it can be missing: at the format's own end-of-call marker
where its arguments are an object with something in it; else at the end of the stream, after a
finish that speaks of no cut, with no piece of a call left over that belongs nowhere. ``{}`` waits
for that end in every format, since it is also what a call looks like whose arguments were lost.
What is not handed over stays in the message as `PartialToolCall`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engine.events import Event, ToolCallDelta, ToolCallDone, ToolCallStart
from engine.messages import ToolCall
from engine.providers.call_ids import made_up_id
from engine.providers.finish import Finish
from engine.providers.halves import joined
from engine.wire.json import UNREADABLE, json_or_text, without_lone_escapes

__all__ = ["Calls", "OpenCall", "text_of_arguments", "text_of_raw"]

# What stands for no arguments: PHP's empty array, and Groq's null, beside the empty object.
_EMPTY: Final = frozenset({"", "{}", "[]", "null"})

_decode: Final = msgspec.json.Decoder().decode


def text_of_arguments(value: object) -> str:
    """Arguments that came whole, as the JSON text they are: some servers give the object, some its
    text; empty where there are none."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def text_of_raw(arguments: msgspec.Raw) -> str:
    """The same of arguments that were not decoded: an object stays the text it came in."""
    text = bytes(arguments).decode("utf-8", "replace")
    return text_of_arguments(json_or_text(text.encode())) if text[:1] in ('"', "n") else text


class OpenCall:
    """A call whose name or arguments are still arriving.

    Attributes:
        id: the provider's id, or one made up.
        said: the provider's id, even if an earlier call has it; where there is none, `id`.
        name: the tool, as far as it has come.
        index: the content block of its events.
        choice: the alternative it belongs to.
        signature: the provider's seal, or None.
        custom: the tool takes free text, not an object.
        extra: what else the provider says of it.
        done: it was handed over.
        broken: a piece of it was lost: it never will be.
        told: its beginning was told.
    """

    __slots__ = (
        *("_pieces", "told", "broken", "choice", "custom", "done", "extra", "id", "index", "name"),
        *("said", "signature"),
    )

    def __init__(self, id: str, name: str, index: int, choice: int = 0) -> None:
        self.id = id
        self.said: str = id
        self.name: str = name
        self.index = index
        self.choice = choice
        self.signature: str | None = None
        self.custom = False
        self.extra: dict[str, object] = {}
        self.done: bool = False
        self.broken = False
        self._pieces: list[str] = []
        self.told: bool = False

    def tell(self) -> list[Event]:
        """The events of what has come, where its beginning was not told yet."""
        if self.told:
            return []
        self.told = True
        events: list[Event] = [ToolCallStart(self.id, self.name, self.index, self.choice)]
        if self.arguments:
            events.append(ToolCallDelta(self.arguments, self.index, self.choice))
        return events

    def named(self, piece: str) -> list[Event]:
        """A piece of the name: the same again, more of it, or all of it so far."""
        if piece == self.name:
            return []
        self.name = piece if piece.startswith(self.name) else self.name + piece
        return [ToolCallStart(self.id, self.name, self.index, self.choice)] if self.told else []

    def add(self, arguments: str) -> list[Event]:
        """The events of a further piece of the arguments; none before its name has come."""
        if not arguments:
            return []
        self._pieces.append(arguments)
        if self.told:
            return [ToolCallDelta(arguments, self.index, self.choice)]
        return self.tell() if self.name else []

    def whole(self, text: str) -> list[Event]:
        """The events of the arguments told once more, whole: what had not come of them."""
        had = self.arguments
        if text.startswith(had):
            return self.add(text[len(had) :])
        if text.strip() not in _EMPTY:
            self._pieces = [text]
        return []

    def further(self, arguments: str) -> ToolCallDelta:
        """The event of a piece that follows others, of a call that was told."""
        self._pieces.append(arguments)
        return ToolCallDelta(arguments, self.index, self.choice)

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def is_whole(self) -> bool:
        """Whether the arguments so far are one whole object: a further piece would spoil it."""
        return self.arguments.strip().endswith("}") and _object(self.arguments) is not None

    def hand_over(self, text: str) -> list[Event]:
        """The event that the call is whole, with `text` as its arguments."""
        self.done = True
        call = ToolCall(self.id, self.name, text, self.signature, self.custom, self.extra)
        return [*self.tell(), ToolCallDone(call, self.index, self.choice)]


class Calls:
    """The calls of one choice.

    Args:
        choice: the alternative they belong to.

    Attributes:
        opened: all that began, in order.
        astray: something of a call could not be read or belonged nowhere.
    """

    __slots__ = ("_choice", "_ids", "astray", "opened")

    def __init__(self, choice: int = 0) -> None:
        self._choice = choice
        self._ids: set[str] | None = None  # of those opened; most answers open none
        self.opened: list[OpenCall] = []
        self.astray: bool = False

    @property
    def called(self) -> bool:
        """Whether one was handed over."""
        return bool(self.opened) and any(call.done for call in self.opened)

    @property
    def partial(self) -> bool:
        """Whether one was not, or never will be."""
        return self.astray or (bool(self.opened) and not all(call.done for call in self.opened))

    def open(self, id: str | None, name: str, index: int, seed: str = "") -> OpenCall:
        """A call begins.

        Args:
            id: the provider's; one that an earlier call has is not taken a second time.
            name: the tool, or what of it has come; may be empty.
            index: its content block.
            seed: what an id is made of where the provider gave none, see `made_up_id`.
        """
        ids = self._ids = self._ids or set()
        said = id
        if not id or id in ids:
            id = made_up_id(f"{seed}/{id or ''}", index)
        ids.add(id)
        call = OpenCall(id, name, index, self._choice)
        call.said = said or id
        self.opened.append(call)
        return call

    def mark(self, call: OpenCall, arguments: str | None = None) -> list[Event]:
        """The format's own end-of-call marker came.

        Args:
            call: the call.
            arguments: the whole arguments, where the marker repeats them.
        """
        text = call.arguments if arguments is None else arguments
        events = call.add(text) if not call.arguments else []
        if call.done or call.broken or not call.name:
            return events
        if call.custom:
            return events + call.hand_over(_as_json(text))
        if text.strip() in _EMPTY or _object(text) is None:
            return events
        return events + call.hand_over(_clean(text))

    def end(self, finish: Finish) -> list[Event]:
        """The stream ended: hand over what is whole, and tell what is not."""
        if not self.opened:
            return []
        nameless = any(not call.name and call.arguments for call in self.opened)
        whole = finish.normal and not self.astray and not nameless
        events: list[Event] = []
        for call in self.opened:
            text = call.arguments
            if whole and call.name and not (call.done or call.broken):
                if call.custom:
                    events += call.hand_over(_as_json(text))
                elif text.strip() in _EMPTY:
                    events += call.hand_over("{}" if text.strip() != "null" else text)
                elif _object(text) is not None:
                    events += call.hand_over(_clean(text))
            events += call.tell()
        return events


def _object(text: str) -> dict[str, object] | None:
    """The object that `text` is; None where it is none."""
    try:
        value = _decode(_clean(text))
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def _clean(text: str) -> str:
    return without_lone_escapes(joined(text))


def _as_json(text: str) -> str:
    return msgspec.json.encode(joined(text)).decode()
