"""One turn of a model, read: what it says, what it wants. No socket, no clock.

A `Turn` is made for each request, fed its events, and asked at the end what to do. There is one
for models that call tools natively (here), and one for text (`engine.agents.react`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from engine.agents.history import delivered
from engine.agents.text_calls import TextCalls
from engine.agents.tools.tool import FunctionTool
from engine.completion import Completion
from engine.errors import Category, EngineError, ProviderError
from engine.events import (
    Done,
    Event,
    ModelUpdate,
    Ping,
    RefusalDelta,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStart,
    UsageUpdate,
)
from engine.messages import (
    FinishReason,
    Message,
    PartialToolCall,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

__all__ = [
    "CARRIES_OUT",
    "Decision",
    "FunctionTurn",
    "Said",
    "TextCallTurn",
    "Turn",
    "ending_error",
]


class Said(msgspec.Struct, frozen=True, gc=False):
    """A piece of what the model says: a ``token`` (`thought`: of a thought), or a whole
    ``thought``."""

    type: Literal["token", "thought"]
    text: str
    thought: bool = False


class Decision(msgspec.Struct, frozen=True):
    """What follows from a turn; without calls, answer, correction and error: ask again.

    Attributes:
        messages: what the conversation remembers of it.
        said: what was recognised only at the end.
        calls: what the model wants called: whole and valid.
        answer: its final answer.
        correction: what to tell it, because what it said cannot be used.
        error: why the run cannot go on.
        empty: nothing was said that could be used: neither an answer nor a call.
    """

    messages: list[Message] = []
    said: list[Said] = []
    calls: list[ToolCall] = []
    answer: str | None = None
    correction: str | None = None
    error: EngineError | None = None
    empty: bool = False


class Turn(Protocol):
    """Reads one answer.

    Attributes:
        over: all that counts was said; the rest of the answer need not come.
        silent: the kinds of events that would say nothing now, and need not be read.
        thoughts: whole thoughts so far.
    """

    over: bool
    silent: frozenset[type]
    thoughts: Sequence[str]

    def read(self, event: Event) -> Sequence[Said]:
        """What `event` says."""

    def end(self, completion: Completion) -> Decision:
        """What to do; called once, after the last event."""


# What an answer is made of that its provider does not say more about.
_USUAL: Final = frozenset({Text, Thinking, ToolCall})
_USUAL_ENDS: Final = (FinishReason.STOP, FinishReason.TOOL_USE)

# The rest may say something: what is not known here, too.
_SILENT: Final = frozenset(
    {Start, ModelUpdate, ToolCallStart, ToolCallDelta, ToolCallDone, UsageUpdate, Ping, Done}
)
_SILENT_IN_A_THOUGHT: Final = frozenset({UsageUpdate, Ping})


class FunctionTurn:
    """A turn of a model that calls tools by its provider's protocol."""

    def __init__(self) -> None:
        self.over = False
        self.silent: frozenset[type] = _SILENT
        self.thoughts: Sequence[str] = ()
        self._thinking: list[str] | None = None  # pieces of a thought

    def read(self, event: Event) -> Sequence[Said]:
        kind = type(event)  # the unions that `isinstance` takes cost more than all else here
        if kind is TextDelta or kind is RefusalDelta:
            token = Said("token", event.text)  # type: ignore[union-attr]
            return (*self._whole_thought(), token) if self._thinking else (token,)
        if kind is ThinkingDelta:
            if self._thinking is None:
                self._thinking, self.silent = [], _SILENT_IN_A_THOUGHT
            self._thinking.append(event.text)  # type: ignore[union-attr]
            return (Said("token", event.text, True),)  # type: ignore[union-attr]
        if self._thinking and kind not in _SILENT_IN_A_THOUGHT:
            return self._whole_thought()
        return ()

    def end(self, completion: Completion) -> Decision:
        said = [*self._whole_thought()] if self._thinking else []
        message = completion.message
        if (
            completion.error is None
            and completion.finish_reason in _USUAL_ENDS
            and _USUAL.issuperset(map(type, message.parts))
            and (calls := message.tool_calls)
        ):
            return Decision([message], said, calls)
        return self._end_of(completion, message, said)

    def _end_of(self, completion: Completion, message: Message, said: list[Said]) -> Decision:
        error = completion.error or ending_error(completion)
        if error is not None:
            return Decision(delivered(message), said, error=error)
        calls: list[PartialToolCall | ToolCall] = [
            part for part in message.parts if isinstance(part, PartialToolCall | ToolCall)
        ]
        whole = completion.finish_reason in CARRIES_OUT
        if calls and not (whole and len(message.tool_calls) == len(calls)):
            # One that did not come whole voids the others: they were meant together.
            cut = completion.finish_reason is FinishReason.LENGTH
            return Decision(_without_calls(message), said, correction=_broken(calls, cut))
        if calls or completion.finish_reason is FinishReason.PAUSE:
            return Decision([message], said, message.tool_calls)
        kept = delivered(message)
        return Decision(kept, said, answer=message.text if kept else None, empty=not kept)

    def _whole_thought(self) -> tuple[Said, ...]:
        thought = "".join(self._thinking or ())
        self._thinking, self.silent = None, _SILENT
        if not thought.strip():
            return ()
        self.thoughts = (*self.thoughts, thought)
        return (Said("thought", thought),)


class TextCallTurn(FunctionTurn):
    """A turn of a model whose server may leave its calls in the text."""

    def __init__(self, tools: Mapping[str, FunctionTool]) -> None:
        super().__init__()
        self._texts = TextCalls(tools)

    def read(self, event: Event) -> Sequence[Said]:
        if not isinstance(event, TextDelta):
            return super().read(event)
        said = self._texts.feed(event.text)
        return (*self._whole_thought(), *((Said("token", said),) if said else ()))

    def end(self, completion: Completion) -> Decision:
        rest, calls = self._texts.finish()
        decision = super().end(completion)
        said = [*decision.said, Said("token", rest)] if rest else decision.said
        decision = msgspec.structs.replace(decision, said=said)
        if decision.answer is None or not (calls or self._texts.broken):
            return decision
        message = completion.message
        if self._texts.broken is not None or completion.finish_reason not in CARRIES_OUT:
            correction = (
                "Your last answer held a call that is not whole. Nothing was carried out. Write it "
                "again, as one whole JSON object."
            )
            return Decision([message], said, correction=correction)
        spoken = message.text.removesuffix(self._texts.written).rstrip()
        kept = [part for part in message.parts if not isinstance(part, Text)]
        parts = [*kept, *([Text(spoken)] if spoken else []), *calls]
        return Decision([msgspec.structs.replace(message, parts=parts)], said, calls)


# A turn that ended by itself; one that something else cut asks for nothing (invariant 11).
CARRIES_OUT: Final = frozenset({FinishReason.STOP, FinishReason.TOOL_USE, FinishReason.PAUSE})


def ending_error(completion: Completion) -> ProviderError | None:
    """The error of an answer that is a refusal, or that a filter or a failure ended; else None."""
    message = completion.message
    refused = any(isinstance(part, Refusal) for part in message.parts)
    category = Category.CONTENT_FILTER
    if refused or completion.finish_reason is FinishReason.REFUSAL:
        words = message.refusal or message.text or "it gives no reason"
        code, what = "refusal", f"the model refused: {words}; ask in other words"
    elif completion.finish_reason is FinishReason.CONTENT_FILTER:
        code = "content_filter"
        what = "the provider's content filter ended the answer; ask in other words"
    elif completion.finish_reason is FinishReason.ERROR and not _is_broken(message):
        category, code = Category.SERVER, "error"
        what = f"the provider ended the answer with {completion.finish_reason_raw!r}; ask again"
    else:
        return None
    return ProviderError(what, category=category, code=code)


def _is_broken(message: Message) -> bool:
    """Whether the turn failed by a call that did not come whole: which the model can be told."""
    return any(isinstance(part, PartialToolCall) for part in message.parts)


def _without_calls(message: Message) -> list[Message]:
    parts = [part for part in message.parts if not isinstance(part, ToolCall)]
    return delivered(msgspec.structs.replace(message, parts=parts))


def _broken(calls: Sequence[PartialToolCall | ToolCall], cut: bool) -> str:
    names = ", ".join(call.name or "a tool without a name" for call in calls)
    why = "the answer reached its limit of tokens" if cut else "they are not valid JSON"
    if all(isinstance(call, ToolCall) for call in calls) and not cut:
        why = "the answer was cut"
    return (
        f"Your last answer called {names} with arguments that did not arrive whole: {why}. Nothing "
        "was carried out. Call again, with shorter arguments if need be."
    )
