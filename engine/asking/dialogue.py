"""A dialogue: messages that are asked again and again, with more at their end each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engine.messages import Message

__all__ = ["Dialogue", "Known"]

# Bytes of a message that is remembered; what checks a longer one costs less than to send it.
_LONGEST: Final = 64 * 1024
_encode_lines: Final = msgspec.json.Encoder().encode_lines
_UNWRITABLE: Final = (TypeError, ValueError, OverflowError, RecursionError)


class Known:
    """What of a dialogue was checked and rendered before, so that each turn has that to do for its
    new messages only.

    A message is known by all that it says, in bytes: whoever changes one between two turns, in
    whatever depth, has another.

    Attributes:
        rendered: see `ModelRequest.rendered`.
    """

    __slots__ = ("_checked", "_long", "rendered")

    def __init__(self) -> None:
        self._checked: dict[bytes, Message] = {}
        self._long: bool = False  # one of the messages is
        self.rendered: dict[Any, Any] = {}

    def find_all(self, messages: list[Message]) -> tuple[list[bytes], list[Message | None]] | None:
        """`find` of each of `messages`, at once; None where two say the same, or one is no message,
        cannot be written, or is long."""
        if self._long or {*map(type, messages)} != {Message}:
            return None
        try:
            written = _encode_lines(messages).split(b"\n")
        except _UNWRITABLE:
            return None
        del written[-1]  # nothing follows the last end of a line
        # One that is long is mostly there in the next turn as well, and is not written twice then.
        self._long = max(map(len, written)) > _LONGEST
        count = len(messages)
        if self._long or count != len(written) or len({*written}) < count:
            return None
        return written, [*map(self._checked.get, written)]

    def find(self, message: object) -> tuple[bytes, Message | None]:
        """What it says, in bytes; and the message that was checked and says the same, or None.
        No bytes: it is no message, or cannot be written, or is long."""
        if type(message) is not Message:
            return b"", None
        try:
            written = msgspec.json.encode(message)
        except _UNWRITABLE:
            return b"", None
        if len(written) > _LONGEST:
            return b"", None
        return written, self._checked.get(written)

    def keep(self, written: bytes, checked: Message) -> None:
        """`checked` is what says `written`; nobody changes it."""
        if written:
            self._checked.setdefault(written, checked)


class Dialogue(list[Message]):
    """The messages of one turn.

    Args:
        messages: all of them.
        known: the same in each turn.
    """

    __slots__ = ("known",)

    def __init__(self, messages: Iterable[Message], known: Known) -> None:
        super().__init__(messages)
        self.known: Known = known
