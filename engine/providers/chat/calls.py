"""Which tool call a piece of a Chat Completions stream belongs to.

Servers agree on little here: the index may be missing, stuck at 0, or rise with each piece; an id
may come once, with each piece, or be another each time; a name may come late, in pieces, or again
and again. What tells pieces of one call from the next is whether the arguments so far are whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.providers.chat.chunk import ToolCallPiece
from engine.providers.tool_calls import Calls, OpenCall

__all__ = ["call_of", "gemini_seal", "is_told_again"]


def call_of(
    piece: ToolCallPiece,
    name: str,
    arguments: str,
    calls: Calls,
    by_index: dict[int, OpenCall],
    earlier: Sequence[ToolCallPiece],
) -> OpenCall | None:
    """The open call that `piece` goes on with; None: it begins another one.

    Args:
        piece: what came.
        name: its name, or an empty string.
        arguments: its arguments as JSON text.
        calls: the calls of the choice.
        by_index: those whose provider numbers them.
        earlier: what came before `piece` in the same array.
    """
    numbered = by_index.get(piece.index) if piece.index is not None else None
    call = numbered or _by_id(piece, name, calls) or _unnumbered(piece, name, arguments, calls)
    if call is None or not name:
        return call
    whole = call.is_whole()
    if piece.id and call.said != piece.id:
        # Cerebras: an index that comes again with another id is another call; others make up an
        # id for each piece and repeat the name.
        return call if name == call.name and not whole else None if call.name else call
    if whole and (arguments or name != call.name):  # each comes whole, all under one index or id
        return _repeated(piece, name, arguments, calls, earlier)
    return call


def _repeated(
    piece: ToolCallPiece,
    name: str,
    arguments: str,
    calls: Calls,
    earlier: Sequence[ToolCallPiece],
) -> OpenCall | None:
    """The call that `piece` tells once more. An array that says the same some times over tells of
    as many calls: the first of its entries is of the first equal call, and what is left is new."""
    equal = [
        call
        for call in calls.opened
        if call.said == piece.id and call.arguments == arguments and call.name in ("", name)
    ]
    before = _times_said(piece, earlier)
    return equal[before] if before < len(equal) and equal[before].is_whole() else None


def _times_said(piece: ToolCallPiece, earlier: Sequence[ToolCallPiece]) -> int:
    """How often the same was said in this array. Where calls are numbered, what comes again after
    another one begins a second telling."""
    said = (piece.id, piece.index, piece.function, piece.custom)
    times = 0
    for other in reversed(earlier):
        if (other.id, other.index, other.function, other.custom) == said:
            times += 1
        elif piece.index is not None:
            break
    return times


def is_told_again(piece: ToolCallPiece, arguments: str, call: OpenCall) -> bool:
    """Whether `piece` only tells the `call` it goes on with once more: the same id and the same
    whole arguments. Carried out it would be done twice."""
    return piece.id == call.said and arguments == call.arguments and call.is_whole()


def _by_id(piece: ToolCallPiece, name: str, calls: Calls) -> OpenCall | None:
    """By id, where the index is missing or wrong. A whole call that names itself again under
    another index is another call."""
    found = next((call for call in calls.opened if piece.id and call.id == piece.id), None)
    if found is not None and name and piece.index is not None and found.is_whole():
        return None
    return found


def _unnumbered(piece: ToolCallPiece, name: str, arguments: str, calls: Calls) -> OpenCall | None:
    """The last call, for a piece that says nothing of where it belongs, if it can take it."""
    last = calls.opened[-1] if calls.opened else None
    if last is None or (piece.id and not (arguments and not name)):
        return None
    if piece.index is None:
        return last if name or not last.is_whole() else None
    if name:
        return None  # an index of its own, and a name: the next call
    # Nebius, Cerebras: the index rises with each piece. Were more than one call open, it could be
    # of any of them.
    waiting = [call for call in calls.opened if not call.is_whole()]
    return last if waiting == [last] else None


def gemini_seal(extra: dict[str, Any]) -> str | None:
    """The thought signature in a piece's ``extra_content``, or None:
    https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"."""
    google = extra.get("google")
    seal = google.get("thought_signature") if isinstance(google, dict) else None
    return seal if isinstance(seal, str) else None
