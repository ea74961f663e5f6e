"""Which tool call a piece of a Chat Completions stream belongs to."""

from __future__ import annotations

from typing import Any

from engine.providers.chat.chunk import ToolCallPiece
from engine.providers.tool_calls import OpenCall

__all__ = ["gemini_seal", "open_call"]


def open_call(
    piece: ToolCallPiece,
    arguments: str | None,
    calls: list[OpenCall],
    by_index: dict[int, OpenCall],
) -> OpenCall | None:
    """The call that `piece` goes on with: by index where it has one, else by id, else the last.
    None: it begins another call.

    Args:
        piece: what came.
        arguments: its arguments as JSON text.
        calls: the open calls of the choice, in order.
        by_index: those whose provider numbers them.
    """
    if piece.index is not None:
        call = by_index.get(piece.index)
    elif piece.id:
        return next((call for call in calls if call.id == piece.id), None)
    else:
        call = calls[-1] if calls else None
    name = piece.function.name if piece.function is not None else None
    if call is None or not name:
        return call
    if piece.id:  # Cerebras: an index that comes again with another id is another call
        return call if call.id == piece.id else None
    # Without an id: some repeat the name with each piece, others send each call whole.
    again = name == call.name and not (arguments and call.is_whole())
    return call if again else None


def gemini_seal(extra: dict[str, Any]) -> str | None:
    """The thought signature in a piece's ``extra_content``, or None:
    https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"."""
    google = extra.get("google")
    seal = google.get("thought_signature") if isinstance(google, dict) else None
    return seal if isinstance(seal, str) else None
