"""What an agent says while it runs, in this order:

    run        iteration* (answer complete | error)
    iteration  (token | thought)* (tool_start* tool_end*)

- ``token``: a piece of what the model says, as it says it. ``data`` is ``"thought"`` where it
  belongs to a thought, else None. The tokens without it, joined, are the text of the turn.
- ``thought``: a whole thought, as soon as it is recognised as one; ``content`` is its text.
- ``tool_start``: the model asks for a call, whole and valid; ``content`` is the tool's name,
  ``data`` the `ToolCall`. Comes before the approval and before the tool runs.
- ``tool_end``: exactly one for each ``tool_start``, unless the run ends before; ``content`` is what
  the model is given, ``data`` the `ToolResult`, ``error`` why the call failed. Parallel calls
  start in the order the model asked for them and end in the order they end.
- ``answer``: the final answer; ``data`` is its value where a `result_type` was asked for.
- ``complete`` or ``error``: the last event, exactly one, with the `AgentResult` as ``data``. A
  cancelled run ends with ``error`` too, of category CANCELLED.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.errors import EngineError

__all__ = ["EVENT_TYPES", "AgentEvent", "EventType"]

EventType = Literal["token", "thought", "tool_start", "tool_end", "answer", "complete", "error"]
EVENT_TYPES: tuple[EventType, ...] = (
    *("token", "thought", "tool_start", "tool_end", "answer", "complete", "error"),
)


class AgentEvent(msgspec.Struct, frozen=True):
    """One thing that happened; the module says which types there are and in which order.

    Attributes:
        type: what happened.
        content: its text.
        data: what belongs to it, by type.
        error: what went wrong, or None.
        timestamp: seconds since 1970.
        iteration: number of the model's turn, from 1; 0 before the first.
    """

    type: EventType
    content: str
    data: Any
    error: EngineError | None
    timestamp: float
    iteration: int
