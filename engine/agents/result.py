"""How a run ended, and what was done on the way."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from engine.errors import EngineError
from engine.messages import FinishReason, Message, ToolCall, Usage

__all__ = ["AgentResult", "Step", "ToolStep", "sum_usage"]


class ToolStep(msgspec.Struct, frozen=True, gc=False):
    """One call of a tool.

    Attributes:
        call: what the model asked for.
        content: what it was given.
        is_error: the call failed, or was not allowed.
        seconds: from the start to the end of the call.
    """

    call: ToolCall
    content: str
    is_error: bool
    seconds: float


class Step(msgspec.Struct, gc=False):
    """One turn of the model and the calls it asked for.

    Attributes:
        iteration: its number, from 1.
        message: what the model said, as far as it came.
        thoughts: the thoughts in it.
        finish_reason: why the model stopped; None where its answer has no end.
        usage: tokens of the turn; an estimate (`partial`) where the provider did not say, or the
            turn ended before it could; None where nothing came and nothing is billed.
        seconds: from the request to the end of the answer.
        error: what was wrong with it, or None.
        tools: the calls, in the order they ended.
    """

    iteration: int
    message: Message
    thoughts: list[str]
    finish_reason: FinishReason | None
    usage: Usage | None
    seconds: float
    error: str | None = None
    tools: list[ToolStep] = []


class AgentResult(msgspec.Struct, frozen=True):
    """The end of a run.

    Attributes:
        status: ``complete`` only with a final answer; ``cancelled``; ``error`` for all else,
            limits too.
        answer: the final answer, or "".
        value: the answer as the `result_type` asked for, or None.
        error: why it is not complete, or None. A limit has its name as ``code``.
        messages: the conversation, from the first message sent to the last that came.
        trace: every step.
        usage: tokens of all turns together, those of agents called as tools too.
        cost: what they cost by the agent's `price`, or None without one.
        finish_reason: of the last turn.
        seconds: from the start to the end.
    """

    status: Literal["complete", "cancelled", "error"]
    answer: str
    value: Any
    error: EngineError | None
    messages: list[Message]
    trace: list[Step]
    usage: Usage
    cost: float | None
    finish_reason: FinishReason | None
    seconds: float

    @property
    def text(self) -> str:
        """The answer, by the name it has in a `Completion`."""
        return self.answer

    def raise_for_status(self) -> AgentResult:
        """Itself if complete.

        Raises:
            EngineError: why it is not.
        """
        if self.error is not None:
            raise self.error
        return self

    def export(self) -> dict[str, Any]:
        """All of it as dicts, lists, strings and numbers, ready for JSON."""
        return {
            "status": self.status,
            "answer": self.answer,
            "value": msgspec.to_builtins(self.value, enc_hook=_other),
            "error": None if self.error is None else self.error.message,
            "messages": msgspec.to_builtins(self.messages),
            "trace": msgspec.to_builtins(self.trace),
            "usage": msgspec.to_builtins(self.usage),
            "cost": self.cost,
            "finish_reason": self.finish_reason and self.finish_reason.value,
            "seconds": self.seconds,
        }


def _other(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic's
    return dump(mode="json") if dump is not None else repr(value)


def sum_usage(first: Usage, second: Usage) -> Usage:
    """Both together; what neither says stays None."""
    if first == _NONE:
        return second
    both = zip(msgspec.structs.astuple(first), msgspec.structs.astuple(second), strict=True)
    sums: list[Any] = [a if b is None else b if a is None else a + b for a, b in both]
    sums[_PARTIAL] = first.partial or second.partial
    return Usage(*sums)


_NONE: Final = Usage()
_PARTIAL: Final = Usage.__struct_fields__.index("partial")
