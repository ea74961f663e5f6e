"""Text of a model, made harmless for a terminal.

A terminal obeys what it is sent: ESC sequences move the cursor, set the title, write the clipboard
(OSC 52); CR and backspace rewrite what was read before; bidirectional controls show text in another
order than it has; zero-width characters hide some. Each of them is replaced by itself, whatever
stands beside it, so a sequence cut in two between two pieces of a stream is as harmless as a whole.
"""

from __future__ import annotations

from typing import Final

__all__ = ["neutralise", "one_line"]

_CONTROL_PICTURES: Final = 0x2400  # U+2400 SYMBOL FOR NULL … U+241F, in the order of C0
_INVISIBLE: Final = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x061C, 0x061C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200F),  # zero-width space and joiners, left-to-right and right-to-left marks
    (0x202A, 0x202E),  # bidirectional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidirectional isolates
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE007F),  # tags
)


def _table() -> dict[int, str]:
    table = {code: chr(_CONTROL_PICTURES + code) for code in range(0x20)}
    del table[ord("\n")], table[ord("\t")]
    table[ord("\r")] = ""  # of CR LF the LF remains
    table[0x7F] = "\u2421"
    table.update(dict.fromkeys(range(0x80, 0xA0), "\ufffd"))  # C1: 0x9B alone begins a sequence
    table.update(dict.fromkeys(range(0xD800, 0xE000), "\ufffd"))  # lone surrogates: not encodable
    for first, last in _INVISIBLE:
        table.update(dict.fromkeys(range(first, last + 1), ""))
    return table


_TABLE: Final = _table()


def neutralise(text: str) -> str:
    """`text` with its control characters as pictures (␛) and without its invisible ones; line
    breaks and tabs stay. Piece by piece gives the same as all at once."""
    return text.translate(_TABLE)


def one_line(text: str) -> str:
    """`text`, neutralised, with every run of white space made one space."""
    return " ".join(neutralise(text).split())
