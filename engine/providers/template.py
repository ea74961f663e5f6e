"""What all pieces of text of a stream have in common, and the texts of many at once.

The events of one stream say the same before each text (who answers, where it belongs) and behind
it, but perhaps for a string there that hides how long the text is. Where a read brings many, what
is the same is compared and cut off, and the texts alone are decoded: a third of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from engine.wire.json import UNREADABLE

__all__ = ["Template", "template_of"]

_STRING: Final = rb'(?:[^"\\]|\\.)*'
_TEXT: Final = re.compile(_STRING, re.DOTALL)
_PADDED: Final = re.compile(rb'(.{,150}":")[0-9A-Za-z]*("\}+)', re.DOTALL)
# Bytes of an event: of longer ones a read has few, and to match a text takes 80 bytes for each.
_LONGEST: Final = 4096
_PROBES: Final = ((b"a", b""), (b"", b"b"))

# What is put between two texts. No string has a tab that is not escaped, so it tells these quotes
# from those that come; and so it tells where a text has left its quote escaped.
_NEXT: Final = b'"\t,"'
_ENDS_ESCAPED: Final = b'\\"\t,'
_ESCAPED: Final = re.compile(rb'(?<!\\)(?:\\\\)*\\"\t,')

_decode: Final = msgspec.json.Decoder(list[str]).decode


class Template(NamedTuple):
    """What the data of such an event is, beside its text.

    Attributes:
        beginning: what stands before the text.
        middle: what stands between the text and a string of letters; empty where there is none.
        end: what stands behind that, or behind the text.
    """

    beginning: bytes
    middle: bytes
    end: bytes

    def texts(self, cores: list[bytes]) -> list[str]:
        """The texts of events, of which `cores` are what stands between `beginning` and `end`;
        empty where one is not as the template says.

        What is left of a core is proved to be one string, by the number of strings: each quote put
        between them ends one and begins another, and any further quote makes them more, but for an
        escaped one.
        """
        if self.middle:
            lines = b"\n".join(cores) + b"\n"  # none has a line end
            joined, count = _padding(self.middle).subn(_NEXT, lines)
            if count != len(cores):
                return []
            joined = joined[: -len(_NEXT)]
        else:
            joined = _NEXT.join(cores)
        if _ENDS_ESCAPED in joined and _ESCAPED.search(joined):
            return []
        try:
            texts = _decode(b'["%b"]' % joined)
        except UNREADABLE:
            return []
        return texts if len(texts) == len(cores) else []


@lru_cache(64)
def _padding(middle: bytes) -> re.Pattern[bytes]:
    """The same for all streams of a provider: to make it takes 200 µs."""
    return re.compile(re.escape(middle) + rb"[0-9A-Za-z]*\n")


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
    if len(data) > _LONGEST:
        return None
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
