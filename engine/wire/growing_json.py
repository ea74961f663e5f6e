"""JSON that is still arriving, decoded as it comes: a look at it costs what is new."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from engine.wire.json import UNREADABLE

__all__ = ["GrowingJson"]

_SPACE: Final = " \t\n\r"
_PLAIN: Final = re.compile(r'[^"\\]+')
_SCALAR: Final = re.compile(r"[^\s,\]}]*")
_ESCAPES: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}


class GrowingJson:
    """One JSON value, fed in pieces.

    For display only. A string that is cut is shown as far as it came; a key without its value, and
    a number or word that may still go on, are left out. What cannot be JSON ends it: `value` then
    stays what it was.
    """

    __slots__ = ("_key", "_pending", "_pieces", "_places", "_root", "_state", "_string")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._pending = ""  # an escape, number or word that may still go on
        self._places: list[dict[str, Any] | list[Any]] = []  # the open objects and lists
        self._root: Any = None
        self._key: str | None = None  # the member that comes next
        self._string: list[str] | None = None  # pieces of the string that is open
        self._state = "value"  # what may come: value, key, colon, after, string, keystring, end

    @property
    def text(self) -> str:
        """What was fed."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def value(self) -> Any:
        """What can be told so far; None where nothing can. Objects and lists are the same ones at
        each look, and grow."""
        if self._state == "string" and self._string is not None:
            self._string = ["".join(self._string)]
            self._put(self._string[0], replace=True)
        return self._root

    def feed(self, text: str) -> None:
        """The next piece."""
        self._pieces.append(text)
        text, place = self._pending + text, 0
        self._pending = ""
        while place < len(text) and self._state != "end":
            if self._string is not None:
                place = self._in_string(text, place)
            elif text[place] in _SPACE:
                place += 1
            else:
                place = self._step(text, place)

    def _step(self, text: str, place: int) -> int:
        character, state = text[place], self._state
        if state in ("value", "first") and character not in "]}":
            return self._begin_value(text, place)
        if state in ("key", "firstkey") and character == '"':
            self._string, self._state = [], "keystring"
        elif state == "colon" and character == ":":
            self._state = "value"
        elif state == "after" and character == ",":
            self._state = "key" if isinstance(self._places[-1], dict) else "value"
        elif self._closes(character):
            self._places.pop()
            self._state = "after" if self._places else "end"
        else:
            self._state = "end"
        return place + 1

    def _closes(self, character: str) -> bool:
        if not self._places or self._state not in ("after", "first", "firstkey"):
            return False
        return character == ("}" if isinstance(self._places[-1], dict) else "]")

    def _begin_value(self, text: str, place: int) -> int:
        character = text[place]
        if character == '"':
            self._put("")
            self._string, self._state = [], "string"
            return place + 1
        if character in "{[":
            opened: dict[str, Any] | list[Any] = {} if character == "{" else []
            self._put(opened)
            self._places.append(opened)
            self._state = "firstkey" if character == "{" else "first"
            return place + 1
        match = _SCALAR.match(text, place)
        end = match.end() if match is not None else place
        if end == len(text):
            self._pending = text[place:]
            return end
        try:
            self._put(msgspec.json.decode(text[place:end]))
        except UNREADABLE:
            self._state = "end"
            return len(text)
        self._state = "after" if self._places else "end"
        return end

    def _in_string(self, text: str, place: int) -> int:
        assert self._string is not None
        plain = _PLAIN.match(text, place)
        if plain is not None:
            self._string.append(plain[0])
            return plain.end()
        if text[place] == '"':
            self._end_string()
            return place + 1
        return self._escape(text, place)

    def _end_string(self) -> None:
        assert self._string is not None
        whole = "".join(self._string)
        if self._state == "keystring":
            self._key, self._state = whole, "colon"
        else:
            self._put(whole, replace=True)
            self._state = "after" if self._places else "end"
        self._string = None

    def _escape(self, text: str, place: int) -> int:
        """The escape at `place`; one that is not whole waits."""
        assert self._string is not None
        if text[place + 1 : place + 2] != "u":
            if place + 1 == len(text):
                self._pending = text[place:]
                return len(text)
            self._string.append(_ESCAPES.get(text[place + 1], ""))
            return place + 2
        length = 6
        if text[place + 2 : place + 3] in ("d", "D") and text[place + 3 : place + 4] in "89abAB":
            length = 12  # the two halves of a surrogate pair are one character
            if len(text) >= place + 8 and text[place + 6 : place + 8] != "\\u":
                length = 6
        if len(text) < place + length:
            self._pending = text[place:]
            return len(text)
        try:
            self._string.append(msgspec.json.decode(f'"{text[place : place + length]}"'))
        except UNREADABLE:
            self._string.append("\ufffd")
        return place + length

    def _put(self, value: Any, replace: bool = False) -> None:
        if not self._places:
            self._root = value
            return
        place = self._places[-1]
        if isinstance(place, dict):
            assert self._key is not None
            place[self._key] = value
        elif replace:
            place[-1] = value
        else:
            place.append(value)
