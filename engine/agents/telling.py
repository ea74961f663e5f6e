"""What a run says of itself: events, in the order in which its steps are taken."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

from engine.agents.callbacks import RunCallbacks
from engine.agents.event import AgentEvent, DetailType, EventType
from engine.agents.result import AgentResult
from engine.agents.turn import Said
from engine.answering.delivery import Delivery
from engine.errors import EngineError
from engine.telemetry.hooks import Span

__all__ = ["Telling"]


class Telling:
    """Posts events of one run.

    Attributes:
        delivery: where they go, and the steps between them.
        iteration: number of the model's turn that they belong to.
        span: what the run's questions and calls belong to; None: nobody wants to know.
    """

    __slots__ = ("_callbacks", "delivery", "iteration", "span")

    def __init__(
        self,
        delivery: Delivery[AgentEvent, AgentResult],
        callbacks: RunCallbacks,
        span: Span | None,
    ) -> None:
        self.iteration: int = 0
        self.span: Span | None = span
        self._callbacks = callbacks
        self.delivery: Delivery[AgentEvent, AgentResult] = delivery

    @property
    def face(self) -> Any:
        """The run, as long as it is told of."""
        return self._callbacks.face

    def wants(self, *types: DetailType) -> bool:
        """Whether anybody asked for details of one of `types`."""
        callbacks = self._callbacks
        return callbacks.detailed and any(map(callbacks.wants, types))

    def emit(
        self, type: EventType, content: str, data: Any = None, error: EngineError | None = None
    ) -> None:
        """An event."""
        self.delivery.post([AgentEvent(type, content, data, error, time(), self.iteration)])

    def say(self, said: Sequence[Said]) -> None:
        """What the model says."""
        for each in said:
            self.emit(each.type, each.text, "thought" if each.thought else None)

    def detail(
        self,
        type: DetailType,
        content: str,
        data: Any,
        error: EngineError | None = None,
        path: tuple[str, ...] = (),
    ) -> None:
        """A detail; nothing where nobody asked for such."""
        if self._callbacks.detailed and self._callbacks.wants(type):
            self.delivery.post(
                [AgentEvent(type, content, data, error, time(), self.iteration, path)]
            )
