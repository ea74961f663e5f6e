"""The states of a run."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["LEGAL_MOVES", "RunState"]


class RunState(StrEnum):
    """What a run is doing."""

    STARTING = "starting"
    SUMMARISING = "summarising"
    ASKING = "asking"
    CALLING = "calling"
    DONE = "done"


# The whole life of a run; anything else is a bug of the engine.
LEGAL_MOVES: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.STARTING: frozenset(
        {RunState.SUMMARISING, RunState.ASKING, RunState.CALLING, RunState.DONE}
    ),
    RunState.SUMMARISING: frozenset({RunState.SUMMARISING, RunState.ASKING, RunState.DONE}),
    RunState.ASKING: frozenset(
        {RunState.SUMMARISING, RunState.ASKING, RunState.CALLING, RunState.DONE}
    ),
    RunState.CALLING: frozenset({RunState.SUMMARISING, RunState.ASKING, RunState.DONE}),
    RunState.DONE: frozenset(),
}
