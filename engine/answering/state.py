"""How far a question got: the states of its attempts, and the moves between them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["LEGAL_MOVES", "State"]


class State(StrEnum):
    """How far the question got."""

    WAITING = "waiting"
    ASKING = "asking"
    FLOWING = "flowing"
    LINGERING = "lingering"
    OVER = "over"


# The whole life of a question; anything else is a bug of the engine.
LEGAL_MOVES: Final[dict[State, frozenset[State]]] = {
    # In the queue, or until the next attempt: what still comes belongs to one that was given up.
    State.WAITING: frozenset({State.ASKING, State.OVER}),
    # No content yet: what says who answers is held back, so that another attempt repeats nothing.
    State.ASKING: frozenset({State.WAITING, State.FLOWING, State.OVER}),
    # Content was handed over: it is this answer or none, unless the user chose to have the rest of
    # it asked for, or the whole again: Retry(reconnect=, restart=).
    State.FLOWING: frozenset({State.LINGERING, State.WAITING, State.OVER}),
    # The end marker came; the server may take a moment to close.
    State.LINGERING: frozenset({State.OVER}),
    State.OVER: frozenset(),
}
