"""What all pieces of text of a stream have in common, and the texts of many at once.

The events of one stream say the same before each text (who answers, where it belongs) and behind
it, but perhaps for a string there that hides how long the text is. Where a read brings many, what
is the same is compared and cut off, and the texts alone are decoded: a third of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from engine.wire.json import UNREADABLE

__all__ = ["Template", "template_of"]

_STRING: Final = rb'(?:[^"\\]|\\.)*'
_PADDED: Final = re.compile(rb'(.*":")%b("\}+)' % _STRING, re.DOTALL)
_TEXT: Final = re.compile(_STRING, re.DOTALL)
_PROBES: Final = ((b"a", b""), (b"", b"b"))

# What is put between two texts, and between a text and the string of its event. No string has a tab
# that is not escaped, so it tells these quotes from those that come.
_NEXT: Final = b'"\t,"'
_NEXT_EVENT: Final = b'"\t,null,"'
_ENDS_ESCAPED: Final = b'\\"\t'
_ESCAPED: Final = re.compile(rb'(?<!\\)(?:\\\\)*\\"\t')

_decode: Final = msgspec.json.Decoder(list[str]).decode
_decode_padded: Final = msgspec.json.Decoder(list[str | None]).decode


class Template(NamedTuple):
    """What the data of such an event is, beside its text.

    Attributes:
        beginning: what stands before the text.
        middle: what stands between the text and another string; empty where there is none.
        end: what stands behind that, or behind the text.
    """

    beginning: bytes
    middle: bytes
    end: bytes

    def texts(self, cores: list[bytes]) -> list[str]:
        """The texts of events, of which `cores` are what stands between `beginning` and `end`;
        empty where one is not as the template says.

        Each is proved to be, by the number of strings. Each quote put between them ends one or
        begins one. Any further quote that is not escaped would make them more.
        """
        if not self.middle:
            joined = _NEXT.join(cores)
        else:
            parts = _NEXT_EVENT.join(cores).split(self.middle)
            if len(parts) != len(cores) + 1:
                return []
            joined = _NEXT.join(parts)
        if _ENDS_ESCAPED in joined and _ESCAPED.search(joined):
            return []
        try:
            if not self.middle:
                texts = _decode(b'["%b"]' % joined)
                return texts if len(texts) == len(cores) else []
            strings: list[Any] = _decode_padded(b'["%b"]' % joined)
        except UNREADABLE:
            return []
        # A text, a string, null: so there is no middle too many in one event, and none in another.
        alternate = strings[2::3].count(None) == len(cores) - 1
        return strings[::3] if alternate and len(strings) == 3 * len(cores) - 1 else []


def template_of(
    data: bytes, before: re.Pattern[bytes], text_of: Callable[[bytes], str | None]
) -> Template | None:
    """The template that `data` follows; None where it is no piece of text, or says more.

    Args:
        data: the data of an event.
        before: matches what ends where the text begins.
        text_of: the text of an event that is a piece of text and nothing else, whatever other
            strings are in it; else it gives None or raises one of `UNREADABLE`.
    """
    begun = before.search(data)
    text = begun and _TEXT.match(data, begun.end())
    if not begun or not text or b"\t" in data:
        return None
    beginning, rest = data[: begun.end()], data[text.end() :]
    padded = _PADDED.fullmatch(rest)
    middle, end = padded.groups() if padded else (b"", rest)
    try:
        for word, padding in _PROBES:
            filled = beginning + word + (middle and middle + padding) + end
            if text_of(filled) != word.decode():
                return None
    except UNREADABLE:
        return None
    return Template(beginning, middle, end)
