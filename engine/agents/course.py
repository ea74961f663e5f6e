"""The course of a run: the state machine that asks the model, calls tools, and asks again."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Any, Final, Literal

import msgspec

from engine.agents.asked import Asked, Asking
from engine.agents.callbacks import RunCallbacks
from engine.agents.calls import Calls
from engine.agents.conversation import Conversation
from engine.agents.event import AgentEvent
from engine.agents.history import closed
from engine.agents.limits import limit_error
from engine.agents.memory import own_words
from engine.agents.plan import Plan
from engine.agents.recap import Recap
from engine.agents.record import Record
from engine.agents.result import AgentResult
from engine.agents.saved import SavedRun
from engine.agents.state import LEGAL_MOVES, RunState
from engine.agents.summing import SummaryWanted, Summing
from engine.agents.telling import Telling
from engine.agents.turn import Decision
from engine.answering.delivery import Delivery
from engine.completion import Completion
from engine.errors import CallbackError, CancelledError, Category, EngineError, describe
from engine.events import RetryScheduled
from engine.messages import Message, ToolCall
from engine.telemetry.hooks import Span, inside
from engine.transport.multi import driver_of

__all__ = ["Course"]


_EMPTY: Final = (
    "Your last answer was empty. Go on: call a tool, or give your answer to the question."
)


class Course:
    """What happens in one run, step by step; each step is taken after what was said before it was
    handed over. All methods belong to the thread of the `Multi`.

    Args:
        plan: what to do.
        conversation: what it begins from and reports to.
        callbacks: who is told.
        saved: where it begins: its question, or what an earlier process exported.
        span: what its questions and calls belong to; None: nobody wants to know.
    """

    def __init__(
        self,
        plan: Plan,
        conversation: Conversation,
        callbacks: RunCallbacks,
        saved: SavedRun,
        span: Span | None = None,
    ) -> None:
        multi = plan.client.multi
        self.delivery: Delivery[AgentEvent, AgentResult] = Delivery(multi, self, callbacks, Recap())
        self.state: RunState = RunState.STARTING
        self.saved = saved
        self.result: AgentResult | None = None
        self._plan = plan
        self._conversation = conversation
        self._record = Record(saved, conversation.messages, plan.price)
        self._telling = Telling(self.delivery, callbacks, span)
        self._began = monotonic()
        self._asking = Asking(plan, self._telling, saved, conversation, self._heard)
        self._asked: Asked | None = None
        self._summing: Summing | None = None
        self._sums = True  # summaries are asked for
        self._calls: Calls | None = None
        self._correction: str | None = None
        self._timer = None
        driver = driver_of(multi)
        driver.hold(self.delivery)
        if plan.limits.seconds is not None:
            self._timer = driver.call_later(plan.limits.seconds, self._time_over)

    def begin(self) -> None:
        """Take the first step, when the conversation is free."""
        self._conversation.enter(self, partial(self.delivery.step, self._begin))

    # -- asking --------------------------------------------------------------------------------

    def _begin(self) -> None:
        saved = self.saved
        if self.state is RunState.DONE:
            return
        if saved.calls:
            opened, saved.calls = saved.calls, []
            self._move(RunState.CALLING)
            self._calls = self._made([each.call for each in opened])
            self._calls.go_on(opened)
            return
        saved.messages = closed(saved.messages)
        self._sum_up(self._conversation.summary_wanted())

    def _sum_up(self, wanted: SummaryWanted | None) -> None:
        """Have a summary made first, if one is wanted."""
        if wanted is None or not self._sums:
            self._ask_now()
            return
        self._move(RunState.SUMMARISING)
        with inside(self._telling.span):
            then = partial(self.delivery.step, self._summed_up)
            self._summing = Summing(self._plan, wanted, then)

    def _summed_up(self) -> None:
        summing, self._summing = self._summing, None
        if self.state is RunState.DONE or summing is None or summing.completion is None:
            return
        if (usage := summing.usage) is not None:
            self._record.spend(usage)
        completion = summing.completion
        over = self._record.too_dear(self._plan.limits)
        if completion.error is not None:
            self._end("error", completion.error)
        elif over is not None:
            self._end("error", limit_error(over, self._plan.limits))
        else:
            # An empty one stands for nothing: all is shown then, and no other is asked for.
            self._sums = bool(completion.text.strip())
            if self._sums:
                summing.wanted.keep(completion.text)
            self._ask()

    def _ask(self) -> None:
        """The next turn of the model."""
        if not self._may_ask():
            self._end("error", limit_error("iterations", self._plan.limits))
        elif self.saved.iteration and self._conversation.remembers:
            self._sum_up(self._conversation.summary_wanted_within(self.saved))
        else:
            self._ask_now()

    def _ask_now(self) -> None:
        saved = self.saved
        self._move(RunState.ASKING)
        saved.iteration += 1
        saved.spent.iterations = self._telling.iteration = saved.iteration
        self._telling.detail("turn_start", self._plan.model, None)
        # ConfigError and the like end the run: see `failed`.
        pictures = self._record.pictures
        if (span := self._telling.span) is None:
            self._asked = self._asking.ask(pictures=pictures)
        else:
            with inside(span):
                self._asked = self._asking.ask(pictures=pictures)

    def _may_ask(self) -> bool:
        most = self._plan.limits.iterations
        return most is None or self.saved.iteration < most

    # -- what follows from a turn --------------------------------------------------------------

    def _heard(self) -> None:
        asked = self._asked
        if self.state is RunState.DONE or asked is None or asked.completion is None:
            return
        completion, self._asked = asked.completion, None
        decision = asked.turn.end(completion)
        if decision.said:
            self._telling.say(decision.said)
        messages, calls = self._record.said(decision.messages, decision.calls)
        error = decision.error.message if decision.error else decision.correction
        step = self._record.turn(asked, error)
        reason = step.finish_reason
        self._telling.detail("turn_end", reason.value if reason is not None else "", step)
        if decision.error is not None and self._is_cut(completion):
            self._ask_again(completion)
        else:
            self.saved.messages += messages
            self._follow(decision, calls)

    def _follow(self, decision: Decision, calls: list[ToolCall]) -> None:
        over = self._record.too_dear(self._plan.limits)
        if decision.error is not None:
            self._end("error", decision.error)
        elif decision.empty:
            self._empty()
        elif decision.answer is not None:
            self._answer(decision.answer)
        elif over is not None:
            self._calls = self._made(calls)
            self._end("error", limit_error(over, self._plan.limits))
        else:
            self.saved.empty = False
            self._correction = decision.correction
            if calls:
                self._call(calls)
            else:
                self._called()

    def _is_cut(self, completion: Completion) -> bool:
        """Whether the turn was cut and is worth asking for again: once, and before any tool ran."""
        cut, saved = completion.status == "truncated", self.saved
        return cut and not saved.ran and not saved.retried and self._may_ask()

    def _ask_again(self, completion: Completion) -> None:
        self.saved.retried = True
        error = completion.error
        if error is not None:
            self._telling.detail("retry", error.message, RetryScheduled(2, 0.0, error), error)
        self._ask()

    def _empty(self) -> None:
        if self.saved.empty:
            problem = (
                "the model said nothing twice: neither an answer nor a call; look at the trace"
            )
            error = EngineError(problem, category=Category.PROTOCOL, code="empty_answer")
            self._end("error", error)
            return
        self.saved.empty = True
        self._correction = _EMPTY
        self._called()

    def _answer(self, text: str) -> None:
        """The final answer, if it has the type it should have."""
        value: Any = None
        if self._plan.answer_type is not None:
            try:
                value = self._plan.answer_type.decode(text)
            except EngineError as error:
                self._correct(error)
                return
        self._telling.emit("answer", text, value)
        self._end("complete", None, text, value)

    def _correct(self, error: EngineError) -> None:
        self.saved.corrections += 1
        if self.saved.corrections > self._plan.result_retries:
            self._end("error", error)
            return
        self.saved.trace[-1].error = error.message
        self._correction = (
            f"Your last answer does not fit: {error.__cause__}. Answer again, with the JSON and "
            "nothing else."
        )
        self._called()

    # -- calling -------------------------------------------------------------------------------

    def _call(self, calls: list[ToolCall]) -> None:
        self._calls = self._made(calls)
        over = self._record.too_many_calls(calls, self._plan.limits)
        if over is not None:
            self._end("error", limit_error(over, self._plan.limits))
            return
        self._move(RunState.CALLING)
        self._calls.begin()

    def _made(self, calls: list[ToolCall]) -> Calls:
        return Calls(self._plan, self._record, self._telling, calls, self._called)

    def approve(self, id: str, allowed: object) -> None:
        """Who was asked answers; nothing where nobody waits for it."""
        if self._calls is not None:
            self._calls.approve(id, allowed)

    def _called(self) -> None:
        """Tell the model what came of its calls, and ask again."""
        if self.state is RunState.DONE:
            return
        said: list[Message] = []
        if self._calls is not None:
            said.append(self._plan.idiom.results(self._calls.results()))
        if self._correction is not None:
            said.append(own_words(self._correction))
        self._calls, self._correction = None, None
        self.saved.messages += said
        over = self._record.too_dear(self._plan.limits, said)
        if over is not None:
            self._end("error", limit_error(over, self._plan.limits))
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
        if self._timer is not None:
            self._timer.cancel()
        self._asking.forget()
        if error is not None:
            self._leave(error)
        saved = self.saved
        self.result = AgentResult(
            status=status,
            answer=answer,
            value=value,
            error=error,
            messages=list(saved.messages),
            trace=saved.trace,
            usage=saved.spent.usage,
            cost=saved.spent.cost,
            finish_reason=saved.trace[-1].finish_reason if saved.trace else None,
            seconds=monotonic() - self._began,
        )
        self._conversation.ended(self, self.result)
        if error is None:
            self._telling.emit("complete", answer, self.result)
        else:
            self._telling.emit("error", error.message, self.result, error)
        self.delivery.finish()

    def _leave(self, error: EngineError) -> None:
        """End what is open, and keep what came of it."""
        summing, self._summing = self._summing, None
        if summing is not None:
            if (usage := summing.usage) is not None:
                self._record.spend(usage)
            summing.cancel()
        asked, self._asked = self._asked, None
        if asked is not None:
            step = self._record.cut(asked, error.message)
            self._telling.detail("turn_end", "", step)
            asked.cancel()
        calls, self._calls = self._calls, None
        if calls is not None and (results := calls.cancel()):
            self.saved.messages.append(self._plan.idiom.results(results))
        self._record.close()

    def cancel(self) -> None:
        """End it now; what was not handed over is dropped."""
        self._end_now("cancelled", CancelledError("the run was cancelled"))

    def failed(self, error: Exception) -> None:
        """A step, or a callback, raised."""
        if not isinstance(error, EngineError):
            failure = CallbackError(f"a step of the run raised {describe(error)}")
            failure.__cause__ = error
            error = failure
        result = self.result
        if result is not None and result.status == "complete" and self.delivery.completion is None:
            # The callback of the last event: there is no other to tell it by.
            self.result = msgspec.structs.replace(result, status="error", error=error)
        self._end_now("error", error)

    def interrupted(self) -> None:
        """KeyboardInterrupt or the like came in the middle of a step."""
        self._end_now("cancelled", CancelledError("the run was interrupted"))

    def conclude(self) -> AgentResult:
        """How it ended."""
        assert self.result is not None
        return self.result

    def hold_back(self, why: str) -> None:
        """A reader is far behind: the steps wait for who is furthest ahead by themselves."""

    def go_on(self, why: str) -> None:
        """It has caught up."""

    def export(self) -> SavedRun:
        """Where it is now, to be kept: see `AgentRun.export`."""
        saved = msgspec.structs.replace(self.saved)
        if self._asked is not None:
            saved.iteration -= 1  # the turn will be asked for again
        if self._calls is not None:
            saved.calls = self._calls.export()
        else:
            saved.messages = closed(saved.messages)
        return saved

    # ------------------------------------------------------------------------------------------

    def _end_now(self, status: Literal["cancelled", "error"], error: EngineError) -> None:
        if self.state is not RunState.DONE:
            self.delivery.drop()
            self._end(status, error)
        # The last event waits for nobody: who reads takes it when it wants to.
        self.delivery.let_go()

    def _time_over(self) -> None:
        # A timer runs with signals held: what may call the user's code waits until after it.
        error = limit_error("seconds", self._plan.limits)
        self._plan.client.multi.call_soon(lambda: self._end_now("error", error))

    def _move(self, to: RunState) -> None:
        assert to in LEGAL_MOVES[self.state], f"{self.state} → {to}"
        self.state = to
