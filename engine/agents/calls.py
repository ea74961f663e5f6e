"""The calls of one turn: each is approved or not, carried out or not, and has one result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.agents.event import AgentEvent
from engine.agents.history import NOT_CARRIED_OUT
from engine.agents.plan import Plan
from engine.agents.record import Record
from engine.agents.saved import OpenCall
from engine.agents.telling import Telling
from engine.agents.tools.execution import Execution
from engine.agents.tools.tool import FunctionTool
from engine.client import Client
from engine.errors import CallbackError, describe
from engine.messages import ToolCall, ToolResult
from engine.telemetry.hooks import inside

__all__ = ["Calls"]

_BEGUN: Final = (
    "Error: the call was begun, and the run ended before its result came; whether it had an effect "
    "is not known."
)


class Calls:
    """Carries out the calls of one turn, all of them at once.

    Args:
        calls: no two have the same id.
        then: called once, as a step, when each has its result.

    Attributes:
        tools, client, run, hears_agents: as a `Caller` has them.
    """

    __slots__ = ("_executions", "_open", "_over", "_plan", "_record", "_telling", "_then",
                 "_waiting", "client", "hears_agents", "run", "tools")  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        record: Record,
        telling: Telling,
        calls: Sequence[ToolCall],
        then: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._record = record
        self._telling = telling
        self._then = then
        self._over = False
        self._waiting: dict[str, Execution] = {}  # for an approval, by the id of the call
        self._open = len(calls)  # those without a result
        self.tools: Mapping[str, FunctionTool] = plan.tools
        self.client: Client = plan.client
        self.run: Any = telling.face
        self.hears_agents: bool = telling.wants("inner")
        self._executions = [Execution(call, self) for call in calls]

    def begin(self) -> None:
        """Announce each, and carry it out after that."""
        for execution in self._executions:
            self._announce(execution)

    def go_on(self, opened: Sequence[OpenCall]) -> None:
        """Go on with what another process began: what was done is not done again."""
        for execution, saved in zip(self._executions, opened, strict=True):
            if saved.result is not None or saved.begun:
                execution.settle(saved.result or _unfinished(saved.call, begun=True))
                self._open -= 1
            else:
                self._announce(execution)
        if not self._open:
            self._telling.delivery.step(self._then)

    def results(self) -> list[ToolResult]:
        """In the order of the calls, one for each; those that have none are told not to."""
        return [
            each.result or _unfinished(each.call, begun=each.begun) for each in self._executions
        ]

    def approve(self, id: str, allowed: object) -> None:
        """Answer for the call `id`; nothing where nobody waits for it."""
        execution = self._waiting.pop(id, None)
        if execution is not None:
            self._telling.delivery.step(lambda: self._decide(execution, allowed))

    def cancel(self) -> list[ToolResult]:
        """End what runs; the results of all, as `results` gives them."""
        self._over = True
        self._waiting.clear()
        results = self.results()
        for execution, result in zip(self._executions, results, strict=True):
            if execution.result is None:
                execution.cancel()
                self._record.call(execution, result)
        return results

    def export(self) -> list[OpenCall]:
        """As they are now."""
        return [OpenCall(each.call, each.begun, each.result) for each in self._executions]

    # -- for its executions ---------------------------------------------------------------------

    def take_up(self, execution: Execution) -> None:
        """Start it, or ask whether it may be."""
        tool, approve = execution.tool, self._plan.approve
        if self._over:
            return
        self._record.saved.ran = True
        if approve is None or tool is None or not tool.approve:
            self._carry_out(execution)
            return
        # Before the question: the answer may come while it is asked.
        call = execution.call
        self._waiting[call.id] = execution
        try:
            allowed = approve(call, self._telling.face)
        except Exception as error:
            raise CallbackError(
                f"approve raised {describe(error)}; the run was ended, and "
                f"{call.name} was not called"
            ) from error
        if allowed is None:
            if call.id in self._waiting:
                self._telling.detail("approval", call.name, call)
        elif self._waiting.pop(call.id, None) is not None:
            self._decide(execution, allowed)

    def ended(self, execution: Execution) -> None:
        """It has its result."""
        result = execution.result
        if self._over or result is None:
            return
        self._record.call(execution, result)
        self._telling.emit("tool_end", result.content, result, execution.error)
        self._open -= 1
        if not self._open:
            self._telling.delivery.step(self._then)

    def hear(self, name: str, event: AgentEvent) -> None:
        """An event of an agent that is called as the tool `name`."""
        told = event.data if event.type == "inner" else event
        self._telling.detail("inner", event.content, told, event.error, (name, *event.path))

    # ------------------------------------------------------------------------------------------

    def _announce(self, execution: Execution) -> None:
        self._telling.emit("tool_start", execution.call.name, execution.call)
        self._telling.delivery.step(execution.take_up)

    def _carry_out(self, execution: Execution, arguments: str | None = None) -> None:
        span = self._telling.span
        if span is None:
            execution.start(arguments)
            return
        with inside(span):
            execution.start(arguments)

    def _decide(self, execution: Execution, allowed: object) -> None:
        """Carry out what was allowed: True, or other arguments; else tell the model why not."""
        if self._over:
            return
        if allowed is True:
            self._carry_out(execution)
        elif isinstance(allowed, ToolCall):
            self._carry_out(execution, allowed.arguments)
        elif isinstance(allowed, Mapping):
            self._carry_out(execution, msgspec.json.encode(allowed).decode())
        else:
            refusal = allowed if isinstance(allowed, str) and allowed else "the user said no"
            execution.refuse(refusal)


def _unfinished(call: ToolCall, *, begun: bool) -> ToolResult:
    return ToolResult(call.id, _BEGUN if begun else NOT_CARRIED_OUT, call.name, True)
