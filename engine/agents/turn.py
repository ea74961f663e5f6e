"""One turn of a model, read: what it says, what it wants. No socket, no clock.

A `Turn` is made for each request, fed its events, and asked at the end what to do. There is one
for models that call tools natively (here), and one for text (`engine.agents.react`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from engine.completion import Completion
from engine.errors import Category, EngineError, ProviderError
from engine.events import Event, Ping, RefusalDelta, TextDelta, ThinkingDelta, UsageUpdate
from engine.messages import (
    FinishReason,
    Message,
    PartialToolCall,
    Refusal,
    ToolCall,
)

__all__ = ["Decision", "FunctionTurn", "Said", "Turn", "refusal_error"]


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
    """

    messages: list[Message] = []
    said: list[Said] = []
    calls: list[ToolCall] = []
    answer: str | None = None
    correction: str | None = None
    error: EngineError | None = None


class Turn(Protocol):
    """Reads one answer.

    Attributes:
        over: all that counts was said; the rest of the answer need not come.
        thoughts: whole thoughts so far.
    """

    over: bool
    thoughts: list[str]

    def read(self, event: Event) -> Sequence[Said]:
        """What `event` says."""

    def end(self, completion: Completion) -> Decision:
        """What to do; called once, after the last event."""


class FunctionTurn:
    """A turn of a model that calls tools by its provider's protocol."""

    def __init__(self) -> None:
        self.over = False
        self.thoughts: list[str] = []
        self._thinking: list[str] = []

    def read(self, event: Event) -> Sequence[Said]:
        if isinstance(event, ThinkingDelta):
            self._thinking.append(event.text)
            return (Said("token", event.text, True),)
        if isinstance(event, Ping | UsageUpdate):
            return ()
        said = self._whole_thought() if self._thinking else ()
        if isinstance(event, TextDelta | RefusalDelta):
            return (*said, Said("token", event.text))
        return said

    def end(self, completion: Completion) -> Decision:
        said = list(self._whole_thought())
        error = completion.error or refusal_error(completion)
        if error is not None:
            return Decision(said=said, error=error)
        message = completion.message
        broken = [part for part in message.parts if isinstance(part, PartialToolCall)]
        kept = [part for part in message.parts if not isinstance(part, PartialToolCall)]
        messages = [msgspec.structs.replace(message, parts=kept)] if kept else []
        calls = message.tool_calls
        if broken:
            cut = completion.finish_reason is FinishReason.LENGTH
            return Decision(messages, said, calls, correction=_broken(broken, cut))
        if calls or completion.finish_reason is FinishReason.PAUSE:
            return Decision(messages, said, calls)
        return Decision(messages, said, answer=message.text)

    def _whole_thought(self) -> tuple[Said, ...]:
        thought = "".join(self._thinking)
        self._thinking.clear()
        if not thought.strip():
            return ()
        self.thoughts.append(thought)
        return (Said("thought", thought),)


def refusal_error(completion: Completion) -> ProviderError | None:
    """The error of an answer that is a refusal, or that a filter ended; else None."""
    message = completion.message
    refused = any(isinstance(part, Refusal) for part in message.parts)
    if refused or completion.finish_reason is FinishReason.REFUSAL:
        words = message.refusal or message.text or "it gives no reason"
        code, what = "refusal", f"the model refused: {words}"
    elif completion.finish_reason is FinishReason.CONTENT_FILTER:
        code, what = "content_filter", "the provider's content filter ended the answer"
    else:
        return None
    return ProviderError(f"{what}; ask in other words", category=Category.CONTENT_FILTER, code=code)


def _broken(calls: Sequence[PartialToolCall], cut: bool) -> str:
    names = ", ".join(call.name for call in calls)
    why = "the answer reached its limit of tokens" if cut else "they are not valid JSON"
    return (
        f"Your last answer called {names} with arguments that did not arrive whole: {why}. It was "
        "not carried out. Call it again, with shorter arguments if need be."
    )
