"""The life of a transfer, as a table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["LEGAL_MOVES", "State"]


class State(StrEnum):
    """Where a transfer is."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    BACKOFF = "backing off"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Anything else is a bug of the engine. Back to the queue without a wait: what was not sent, or may
# not have been read, is sent again.
LEGAL_MOVES: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.CONNECTING, State.BACKOFF, State.FAILED, State.CANCELLED}),
    State.CONNECTING: frozenset(
        {State.STREAMING, State.QUEUED, State.BACKOFF, State.DONE, State.FAILED, State.CANCELLED}
    ),
    State.STREAMING: frozenset(
        {State.QUEUED, State.BACKOFF, State.DONE, State.FAILED, State.CANCELLED}
    ),
    State.BACKOFF: frozenset({State.QUEUED, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
