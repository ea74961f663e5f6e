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

A user interface may want more. These *details* come only to who asks for them, by
``run.on(name, …)``, ``on_detail=``, or ``run.events(details=True)``, between the events above:

- ``turn_start``: the model is asked; ``content`` is its name.
- ``turn_end``: its answer is over; ``data`` is the `Step`, with what it cost.
- ``retry``: the request is tried again, or a cut turn is asked for again; ``data`` is the
  `RetryScheduled`, ``error`` why.
- ``arguments``: a piece of a call's arguments; ``data`` is the `PartialCall`, which can be looked
  at. Never act on it: a call is whole with its ``tool_start``.
- ``approval``: a call waits for `AgentRun.approve`; ``data`` is the `ToolCall`.
- ``partial``: a piece of an answer with a `result_type`; ``data`` is the JSON value as far as it
  has come by now.
- ``inner``: an event of an agent that is called as a tool; ``data`` is the event, ``path`` the
  names of the tools that lead to it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.errors import EngineError
from engine.wire.growing_json import GrowingJson

__all__ = ["DETAILS", "EVENT_TYPES", "AgentEvent", "DetailType", "EventType", "PartialCall"]

EventType = Literal["token", "thought", "tool_start", "tool_end", "answer", "complete", "error"]
EVENT_TYPES: tuple[EventType, ...] = (
    *("token", "thought", "tool_start", "tool_end", "answer", "complete", "error"),
)
DetailType = Literal["turn_start", "turn_end", "retry", "arguments", "approval", "partial", "inner"]
DETAILS: tuple[DetailType, ...] = (
    *("turn_start", "turn_end", "retry", "arguments", "approval", "partial", "inner"),
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
        path: of an ``inner`` event: the tools that lead to it, the outermost first.
    """

    type: EventType | DetailType
    content: str
    data: Any
    error: EngineError | None
    timestamp: float
    iteration: int
    path: tuple[str, ...] = ()


class PartialCall:
    """A call whose arguments still arrive.

    Attributes:
        id, name: the provider's; the name may come in pieces.
        index: the content block.
    """

    __slots__ = ("_json", "id", "index", "name")

    def __init__(self, id: str, name: str, index: int) -> None:
        self.id: str = id
        self.name: str = name
        self.index: int = index
        self._json = GrowingJson()

    def __repr__(self) -> str:
        return f"<PartialCall {self.name}({self.arguments})>"

    @property
    def arguments(self) -> str:
        """Their JSON text so far."""
        return self._json.text

    @property
    def value(self) -> Any:
        """What they say so far, decoded; None where nothing can be told yet. It grows with the
        next piece: copy what you keep."""
        return self._json.value

    def add(self, text: str) -> None:
        """The next piece."""
        self._json.feed(text)
