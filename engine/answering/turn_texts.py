"""The text of a turn, for `Multi.on_turn`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.events import TextDelta

__all__ = ["note_texts"]


def note_texts(texts: dict[Any, list[str]] | None, face: object, items: Iterable[object]) -> None:
    """Add the first choice's text among `items`, which `face` has handed over, to `texts`; None:
    nobody asks any more."""
    if texts is None:
        return
    pieces = [item.text for item in items if type(item) is TextDelta and not item.choice]
    if any(pieces):
        texts.setdefault(face, []).extend(pieces)
