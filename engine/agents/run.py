"""A run of an agent: what its user holds."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import msgspec

from engine.agents.callbacks import OnAgentDone, OnAgentEvent, RunCallbacks
from engine.agents.conversation import Conversation
from engine.agents.course import Course
from engine.agents.event import DETAILS, AgentEvent
from engine.agents.limits import Spent
from engine.agents.plan import Plan
from engine.agents.result import AgentResult, Step
from engine.agents.saved import SavedRun
from engine.agents.state import RunState
from engine.answering.listeners import Listener
from engine.answering.reader import Place, Reader
from engine.errors import MisuseError
from engine.messages import Message
from engine.telemetry.hooks import Span, agent_span
from engine.transport.multi import driver_of
from engine.transport.signals import SignalsHeld

__all__ = ["AgentRun", "Owner"]


class Owner(Protocol):
    """Whose run it is."""

    model: str


class _PlainPlace(Place[AgentEvent]):
    """A reader's place, for who wants no details."""

    __slots__ = ()

    def take(self) -> AgentEvent | None:
        while (event := super().take()) is not None and event.type in DETAILS:
            pass
        return event


class AgentRun:
    """One task of an agent: made by `Agent.run_stream`. Use it with callbacks, in any loop; as an
    iterator; or by `result`. All methods belong to the thread of the `Multi`.

    Attributes:
        agent: whose run it is.
        user_data: yours.
    """

    __slots__ = ("__weakref__", "_callbacks", "_course", "agent", "user_data")

    def __init__(
        self,
        agent: Owner,
        plan: Plan,
        conversation: Conversation,
        saved: SavedRun,
        *,
        on_event: OnAgentEvent | None = None,
        on_detail: OnAgentEvent | None = None,
        on_done: OnAgentDone | None = None,
        user_data: Any = None,
    ) -> None:
        self.agent: Owner = agent
        self.user_data: Any = user_data
        self._callbacks = RunCallbacks(self, self.cancel, on_event, on_detail, on_done)
        span = agent_span(plan.model, type(agent).__name__)
        if span is not None:
            self._callbacks.tell_first(partial(_end_span, span))
        with SignalsHeld():  # it is there as a whole, or not at all
            self._course = Course(plan, conversation, self._callbacks, saved, span)
            self._course.begin()

    def __repr__(self) -> str:
        calls = self.spent.tool_calls
        return f"<AgentRun {self.state.value} {self.iteration} turns {calls} calls>"

    # -- what it is doing ------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """What it is doing."""
        return self._course.state

    @property
    def iteration(self) -> int:
        """Number of the model's turn, from 1; 0 before the first."""
        return self._course.saved.iteration

    @property
    def messages(self) -> list[Message]:
        """The conversation of this run so far, its question first."""
        return self._course.saved.messages

    @property
    def trace(self) -> list[Step]:
        """Every turn so far."""
        return self._course.saved.trace

    @property
    def spent(self) -> Spent:
        """Turns, calls, tokens and cost so far."""
        return self._course.saved.spent

    @property
    def completion(self) -> AgentResult | None:
        """How it ended; None until `info_read` handed it over."""
        return self._course.delivery.completion

    def export(self) -> dict[str, Any]:
        """Where it is now, as dicts, lists, strings and numbers, ready for JSON: `Agent.resume`
        goes on from there, in another process too. A turn that is being said will be asked for
        again; an approval that is open will be asked for again; a call that is being carried out
        is not carried out twice: the model is told that nobody knows what came of it."""
        exported: dict[str, Any] = msgspec.to_builtins(self._course.export())
        return exported

    # -- what it is told -------------------------------------------------------------------------

    def cancel(self) -> None:
        """End it now, from anywhere: the stream and the tools are cancelled, what was not handed
        over is dropped, and the last event is an ``error`` of category CANCELLED. Idempotent."""
        driver_of(self._course.delivery.multi).check_thread("cancel")
        with SignalsHeld():
            self._course.cancel()

    def approve(self, id: str, allowed: object = True) -> None:
        """Answer for the call `id`, whose approval was left open (`Agent.approve` gave None).
        Nothing where nobody waits for it.

        Args:
            allowed: True; False; a string, why not, for the model to read; or the arguments to
                call it with instead, as a dict or a `ToolCall`.

        Raises:
            MisuseError: called from another thread; `Client.call_soon` brings it here.
        """
        driver_of(self._course.delivery.multi).check_thread("approve")
        self._course.approve(id, allowed)

    def on(self, name: str, listener: Listener) -> AgentRun:
        """Call `listener` at each ``event``, or each event of a type (``token``, ``thought``,
        ``tool_start``, …), or each ``detail``, or each detail of a type (``turn_start``,
        ``arguments``, …), with (event, run), in `perform`; at the ``end`` with (run,), in
        `info_read`. It may take fewer arguments; what returns `STOP` cancels the run, what raises
        ends it with an error.

        Where the run is over already, who listens to the ``end`` is called at once, in here; what
        it raises is raised here. To read the events that were, iterate.

        Returns:
            the run itself.

        Raises:
            ConfigError: there is nothing of that name.
        """
        self._callbacks.add(name, listener, self)
        return self

    def once(self, name: str, listener: Listener) -> AgentRun:
        """`on`, for the next time only."""
        self._callbacks.add(name, listener, self, once=True)
        return self

    def off(self, name: str, listener: Listener) -> AgentRun:
        """Undo `on` or `once`; nothing where it was not on."""
        self._callbacks.remove(name, listener)
        return self

    # -- driving ---------------------------------------------------------------------------------

    def __iter__(self) -> Reader[AgentEvent]:
        """The events from the beginning, driving the `Multi` while none waits; nothing is raised
        for how it ends. To leave the loop before the end cancels the run, unless another reader
        or a callback takes its events.

        Raises:
            MisuseError: called from a callback.
        """
        return self.events()

    def events(self, *, details: bool = False, cancel: bool = True) -> Reader[AgentEvent]:
        """The events, as by iteration.

        Args:
            details: with those that only a user interface wants, from now on: see
                `engine.agents.event`.
            cancel: False: to leave it cancels nothing.

        Raises:
            MisuseError: called from a callback.
        """
        driver = driver_of(self._course.delivery.multi)
        driver.check_thread("a reader")
        if driver.running is not None:
            raise MisuseError(
                f"a run cannot be iterated in a callback of {driver.running}(); use its "
                "callbacks, or return it from a tool to have it waited for"
            )
        if details:
            self._callbacks.read_details()
            return Reader(Place(self._course.delivery, cancel=cancel))
        return Reader(_PlainPlace(self._course.delivery, cancel=cancel))

    def _leave(self) -> None:
        """Whoever owned it left; nothing where somebody else reads it or is told of it."""
        delivery = self._course.delivery
        if not delivery.is_read:
            delivery.leave()

    def result(self) -> AgentResult:
        """Drive the `Multi` until the run is over. Never raises for how it ended: see ``status``,
        or call `AgentResult.raise_for_status`.

        Raises:
            MisuseError: called from a callback.
        """
        return self._course.delivery.result()


def _end_span(span: Span, result: AgentResult) -> None:
    span.end(result.error, result.usage)
