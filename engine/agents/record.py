"""The record of a run: what was said, done and paid."""

from __future__ import annotations

from collections.abc import Sequence

from engine.agents.asked import Asked
from engine.agents.history import call_ids, closed, delivered, with_own_ids
from engine.agents.limits import Limits, Pricing, estimated_tokens
from engine.agents.plan import has_pictures
from engine.agents.result import Step, ToolStep, sum_usage
from engine.agents.saved import SavedRun, repeats
from engine.agents.tools.execution import Execution
from engine.messages import Message, ToolCall, ToolResult, Usage

__all__ = ["Record"]


class Record:
    """Keeps the messages, the trace and the spending of one run, whatever ends it.

    Args:
        saved: where it begins, and where all is kept.
        before: what was said in earlier runs.

    Attributes:
        pictures: a result of a tool among the messages is more than text.
    """

    def __init__(self, saved: SavedRun, before: Sequence[Message], price: Pricing | None) -> None:
        self.saved = saved
        self._price = price
        messages = [*before, *saved.messages]
        self.pictures: bool = any(map(has_pictures, messages))
        self._ids = call_ids(messages)
        for each in saved.calls:
            self._ids.add(each.call.id)
            self._note(each.result)

    def said(
        self, messages: Sequence[Message], calls: Sequence[ToolCall]
    ) -> tuple[list[Message], list[ToolCall]]:
        """What a turn said, with ids of calls that nothing else in the conversation has."""
        return with_own_ids(messages, calls, self._ids)

    def turn(self, asked: Asked, error: str | None) -> Step:
        """A turn is over."""
        step = asked.step(self.saved.iteration, error)
        self.saved.trace.append(step)
        if step.usage is not None:
            self.spend(step.usage)
        return step

    def cut(self, asked: Asked, error: str) -> Step:
        """A turn was ended in the middle: what came of it stays."""
        step = self.turn(asked, error)
        messages, _ = self.said(delivered(step.message), [])
        self.saved.messages += messages
        return step

    def call(self, execution: Execution, result: ToolResult) -> None:
        """A call has its result."""
        if execution.usage is not None:
            self.spend(execution.usage)
        self._note(result)
        self.saved.trace[-1].tools.append(
            ToolStep(execution.call, result.content, result.is_error, execution.seconds)
        )

    def _note(self, result: ToolResult | None) -> None:
        self.pictures = self.pictures or (result is not None and bool(result.parts))

    def spend(self, usage: Usage) -> None:
        """Tokens were used."""
        spent = self.saved.spent
        spent.usage = sum_usage(spent.usage, usage)
        if self._price is not None:
            spent.cost = (spent.cost or 0.0) + self._price.cost(usage)

    def too_many_calls(self, calls: Sequence[ToolCall], limits: Limits) -> str | None:
        """Count `calls`; the name of the limit that they pass, or None."""
        saved = self.saved
        saved.called = True
        saved.spent.tool_calls += len(calls)
        if limits.tool_calls is not None and saved.spent.tool_calls > limits.tool_calls:
            return "tool_calls"
        most = repeats(saved.identical, calls)
        if limits.identical_calls is not None and most >= limits.identical_calls:
            return "identical_calls"
        return None

    def too_dear(self, limits: Limits, coming: Sequence[Message] = ()) -> str | None:
        """The name of the limit that was passed, or None; `coming` is read, and paid for, in the
        next turn."""
        if limits.total_tokens is None and limits.cost is None:
            return None
        # To count them costs as much as the look at all other limits.
        tokens = estimated_tokens(coming) if coming and limits.total_tokens is not None else 0
        return self.saved.spent.exceeded(limits, tokens)

    def close(self) -> None:
        """Give each call that has no result one."""
        self.saved.messages = closed(self.saved.messages)
