"""A run of an agent: the state machine that asks the model, calls tools, and asks again."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from engine.agents.delivery import Delivery, OnAgentDone, OnAgentEvent
from engine.agents.limits import Spent, estimated_usage, limit_error
from engine.agents.result import AgentResult, Step, ToolStep, sum_usage
from engine.agents.tools.execution import Execution
from engine.agents.tools.tool import ToolContext
from engine.agents.turn import Said, Turn
from engine.asking.schema import decode_answer
from engine.completion import Completion
from engine.errors import CallbackError, CancelledError, EngineError, describe
from engine.events import Event
from engine.messages import FinishReason, Message, ToolCall, Usage
from engine.stream import STOP, Stream

if TYPE_CHECKING:
    from engine.agents.agent import Agent

__all__ = ["LEGAL_MOVES", "AgentRun", "RunState"]


class RunState(StrEnum):
    """What a run is doing."""

    STARTING = "starting"
    SUMMARISING = "summarising"
    ASKING = "asking"
    CALLING = "calling"
    DONE = "done"


# The whole life of a run; anything else is a bug of the engine.
LEGAL_MOVES: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.STARTING: frozenset({RunState.SUMMARISING, RunState.ASKING, RunState.DONE}),
    RunState.SUMMARISING: frozenset({RunState.ASKING, RunState.DONE}),
    RunState.ASKING: frozenset({RunState.ASKING, RunState.CALLING, RunState.DONE}),
    RunState.CALLING: frozenset({RunState.ASKING, RunState.DONE}),
    RunState.DONE: frozenset(),
}


class AgentRun(Delivery):
    """One task of an agent: made by `Agent.run_stream`. Use it with callbacks, in any loop; as an
    iterator; or by `result`. All methods belong to the thread of the `Multi`.

    Attributes:
        agent: whose run it is.
        state: what it is doing.
        messages: the conversation of this run so far, its question first.
        trace: every turn so far.
        spent: turns, calls, tokens and cost so far.
    """

    def __init__(
        self,
        agent: Agent,
        question: list[Message],
        *,
        on_event: OnAgentEvent | None = None,
        on_done: OnAgentDone | None = None,
        user_data: Any = None,
    ) -> None:
        super().__init__(agent.client.multi, on_event, on_done, user_data)
        self.agent = agent
        self.state = RunState.STARTING
        self.messages = question
        self.trace: list[Step] = []
        self.spent = Spent(cost=None if agent.price is None else 0.0)
        self._before: list[Message] = []  # what the model is shown of the conversation so far
        self._began = self._asked = monotonic()
        self._turn: Turn | None = None
        self._stream: Stream | None = None
        self._calls: list[Execution] = []
        self._waiting: dict[str, Execution] = {}  # for an approval, by the id of the call
        self._correction: str | None = None
        self._corrections = 0
        self._timer = None
        if agent.limits.seconds is not None:
            self._timer = self._driver.call_later(agent.limits.seconds, self._time_over)
        self._open(self._begin)

    def __repr__(self) -> str:
        return f"<AgentRun {self.state.value} {self.iteration} turns {self.spent.tool_calls} calls>"

    # -- for the user --------------------------------------------------------------------------

    def cancel(self) -> None:
        """End it now, from anywhere: the stream and the tools are cancelled, what was not handed
        over is dropped, and the last event is an ``error`` of category CANCELLED. Idempotent."""
        self._driver.check_thread("cancel")
        self._end_now("cancelled", CancelledError("the run was cancelled"))

    def approve(self, id: str, allowed: bool | str = True) -> None:
        """Answer for the call `id`, whose approval was left open (`Agent.approve` gave None).
        Nothing where nobody waits for it.

        Args:
            allowed: True; False; or why not, for the model to read.
        """
        execution = self._waiting.pop(id, None)
        if execution is not None:
            self._post(lambda: self._approved(execution, allowed))

    # -- asking --------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.state is RunState.DONE:
            return
        request = self.agent.summary_request()
        if request is None:
            self._before = self.agent.recall()
            self._ask()
            return
        self._move(RunState.SUMMARISING)
        model, text, system = request
        self._asked = monotonic()
        self._stream = self.agent.client.stream(
            model, text, system=system, on_done=self._hear_summary
        )

    def _hear_summary(self, completion: Completion, stream: Stream) -> None:
        if self._stream is stream:
            self._stream = None
            self._post(lambda: self._summarised(completion))

    def _summarised(self, completion: Completion) -> None:
        if self.state is RunState.DONE:
            return
        self._spend(completion.usage or Usage())
        if completion.error is not None:
            self._end("error", completion.error)
            return
        self.agent.summarised(completion.text)
        self._before = self.agent.recall()
        self._ask()

    def _ask(self) -> None:
        """The next turn of the model."""
        limits = self.agent.limits
        if limits.iterations is not None and self.iteration >= limits.iterations:
            self._end("error", limit_error("iterations", limits))
            return
        self._move(RunState.ASKING)
        self.iteration += 1
        self.spent.iterations = self.iteration
        self._turn = self.agent.turn()
        self._asked = monotonic()
        # ConfigError and the like end the run: see `_failed`.
        self._stream = self.agent.client.stream(
            self.agent.model,
            [*self._before, *self.messages],
            system=self.agent.instructions(),
            on_event=self._hear,
            on_done=self._heard,
            **self.agent.request_options(),
        )

    def _hear(self, event: Event, stream: Stream) -> object:
        turn = self._turn
        if turn is None or self._stream is not stream:
            return STOP
        self._say(turn.read(event))
        return STOP if turn.over else None

    def _heard(self, completion: Completion, stream: Stream) -> None:
        if self._stream is stream:
            self._stream = None
            self._post(lambda: self._decide(completion))

    def _say(self, said: Sequence[Said]) -> None:
        for each in said:
            data = "thought" if each.thought else None
            self._emit(each.type, each.text, data)

    def _decide(self, completion: Completion) -> None:
        """What follows from the turn."""
        turn = self._turn
        if self.state is RunState.DONE or turn is None:
            return
        decision = turn.end(completion)
        self._say(decision.said)
        usage = completion.usage
        if usage is None or usage.output_tokens is None:
            usage = estimated_usage([*self._before, *self.messages], completion.message)
        self._spend(usage)
        self.trace.append(
            Step(
                iteration=self.iteration,
                message=completion.message,
                thoughts=list(turn.thoughts),
                finish_reason=completion.finish_reason,
                usage=completion.usage,
                seconds=monotonic() - self._asked,
                error=decision.error.message if decision.error else decision.correction,
            )
        )
        self.messages += decision.messages
        over = self.spent.exceeded(self.agent.limits)
        if decision.error is not None:
            self._end("error", decision.error)
        elif decision.answer is not None:
            self._answer(decision.answer)
        elif over is not None:
            self._end("error", limit_error(over, self.agent.limits))
        else:
            self._correction = decision.correction
            self._go_on(decision.calls)

    def _go_on(self, calls: list[ToolCall]) -> None:
        if calls:
            self._call(calls)
        else:
            self._called()

    def _answer(self, text: str) -> None:
        """The final answer, if it has the type it should have."""
        value: Any = None
        if self.agent.result_type is not None:
            try:
                value = decode_answer(text, self.agent.result_type)
            except EngineError as error:
                self._corrections += 1
                if self._corrections > self.agent.result_retries:
                    self._end("error", error)
                    return
                self.trace[-1].error = error.message
                self._correction = (
                    f"Your last answer does not fit: {error.__cause__}. Answer again, with the "
                    "JSON and nothing else."
                )
                self._called()
                return
        self._emit("answer", text, value)
        self._end("complete", None, text, value)

    # -- calling -------------------------------------------------------------------------------

    def _call(self, calls: list[ToolCall]) -> None:
        """Carry out what the model asks for: all of it at once."""
        limits = self.agent.limits
        self.spent.tool_calls += len(calls)
        if limits.tool_calls is not None and self.spent.tool_calls > limits.tool_calls:
            self._end("error", limit_error("tool_calls", limits))
            return
        self._move(RunState.CALLING)
        self._calls = []
        for call in calls:
            context = ToolContext(self._multi, self.agent.client, self, call)
            execution = Execution(self.agent.tools, context, self._call_ended)
            self._calls.append(execution)
        for execution in self._calls:
            self._emit("tool_start", execution.call.name, execution.call)
            self._post(lambda execution=execution: self._start(execution))  # type: ignore[misc]

    def _start(self, execution: Execution) -> None:
        approve = self.agent.approve
        tool = execution.tool
        if self.state is RunState.DONE:
            return
        if approve is None or tool is None or not tool.approve:
            execution.start()
            return
        # Before the question: the answer may come while it is asked.
        self._waiting[execution.call.id] = execution
        allowed = approve(execution.call, self)
        if allowed is not None and self._waiting.pop(execution.call.id, None) is not None:
            self._approved(execution, allowed)

    def _approved(self, execution: Execution, allowed: bool | str) -> None:
        if self.state is RunState.DONE:
            return
        if allowed is True:
            execution.start()
        else:
            execution.refuse(allowed or "the user said no")

    def _call_ended(self, execution: Execution) -> None:
        result = execution.result
        if self.state is not RunState.CALLING or result is None:
            return
        if execution.usage is not None:
            self._spend(execution.usage)
        self.trace[-1].tools.append(
            ToolStep(execution.call, result.content, result.is_error, execution.seconds)
        )
        self._emit("tool_end", result.content, result, execution.error)
        if all(each.result is not None for each in self._calls):
            self._post(self._called)

    def _called(self) -> None:
        """Tell the model what came of its calls, and ask again."""
        if self.state is RunState.DONE:
            return
        results = [each.result for each in self._calls if each.result is not None]
        if results:
            self.messages.append(self.agent.results(results))
        if self._correction is not None:
            self.messages.append(Message.user(self._correction))
        self._calls, self._correction = [], None
        over = self.spent.exceeded(self.agent.limits)
        if over is not None:
            self._end("error", limit_error(over, self.agent.limits))
        else:
            self._ask()

    # -- the end -------------------------------------------------------------------------------

    def _end(
        self,
        status: Literal["complete", "cancelled", "error"],
        error: EngineError | None,
        answer: str = "",
        value: Any = None,
    ) -> None:
        if self.state is RunState.DONE:
            return
        self._move(RunState.DONE)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()
        for execution in self._calls:
            execution.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._result = AgentResult(
            status=status,
            answer=answer,
            value=value,
            error=error,
            messages=list(self.messages),
            trace=self.trace,
            usage=self.spent.usage,
            cost=self.spent.cost,
            finish_reason=self._finish_reason(),
            seconds=monotonic() - self._began,
        )
        self.agent.ended(self, self._result)
        if error is None:
            self._emit("complete", answer, self._result)
        else:
            self._emit("error", error.message, self._result, error)

    def _end_now(self, status: Literal["cancelled", "error"], error: EngineError) -> None:
        """`_end`, without what was not handed over yet."""
        if self.state is not RunState.DONE:
            self._queue.clear()
            self._end(status, error)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, EngineError):
            failure = CallbackError(f"a step of the run raised {describe(error)}")
            failure.__cause__ = error
            error = failure
        result = self._result
        if result is not None and result.status == "complete" and self.completion is None:
            # The callback of the last event: there is no other to tell it by.
            self._result = msgspec.structs.replace(result, status="error", error=error)
        self._end_now("error", error)

    def _interrupted(self) -> None:
        self._end_now("cancelled", CancelledError("the run was interrupted"))

    def _time_over(self) -> None:
        # A timer runs with signals held: what may call the user's code waits until after it.
        error = limit_error("seconds", self.agent.limits)
        self._multi.call_soon(lambda: self._end_now("error", error))

    # ------------------------------------------------------------------------------------------

    def _finish_reason(self) -> FinishReason | None:
        return self.trace[-1].finish_reason if self.trace else None

    def _spend(self, usage: Usage) -> None:
        spent = self.spent
        spent.usage = sum_usage(spent.usage, usage)
        if self.agent.price is not None:
            spent.cost = (spent.cost or 0.0) + self.agent.price.cost(usage)

    def _move(self, to: RunState) -> None:
        assert to in LEGAL_MOVES[self.state], f"{self.state} → {to}"
        self.state = to
