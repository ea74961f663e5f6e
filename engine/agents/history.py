"""Messages that providers accept: every call with one id and one result. All pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from engine.messages import (
    Message,
    Part,
    PartialToolCall,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

__all__ = ["NOT_CARRIED_OUT", "call_ids", "closed", "delivered", "with_own_ids"]

NOT_CARRIED_OUT: Final = "Error: the call was not carried out: the run ended before."


def call_ids(messages: Sequence[Message]) -> set[str]:
    """The ids of all calls in `messages`."""
    return {call.id for message in messages for call in message.tool_calls}


def with_own_ids(
    messages: Sequence[Message], calls: Sequence[ToolCall], taken: set[str]
) -> tuple[list[Message], list[ToolCall]]:
    """`messages` and `calls` of one turn, in which no id is empty, in `taken`, or there twice; the
    ids are then in `taken`. Servers number calls anew in each turn, or call all of them alike."""
    ids = {call.id for call in calls}
    if ids and len(ids) == len(calls) and "" not in ids and taken.isdisjoint(ids):
        taken |= ids
        return [*messages], [*calls]
    renamed = [_renamed(message, taken) for message in messages]
    spoken = [call for message in renamed for call in message.tool_calls]
    if spoken:
        return renamed, spoken if calls else []
    return renamed, [_own(call, taken) for call in calls]


def _renamed(message: Message, taken: set[str]) -> Message:
    if not message.tool_calls:
        return message
    parts = [_own(part, taken) if isinstance(part, ToolCall) else part for part in message.parts]
    return msgspec.structs.replace(message, parts=parts)


def _own(call: ToolCall, taken: set[str]) -> ToolCall:
    id, number = call.id, len(taken)
    while not id or id in taken:
        number += 1
        id = f"call_{number}"
    taken.add(id)
    return call if id == call.id else msgspec.structs.replace(call, id=id)


def delivered(message: Message) -> list[Message]:
    """What a conversation keeps of an answer, also of one that was cut: without the calls that
    did not come whole; nothing where only reasoning is left, which no provider takes alone."""
    parts = [part for part in message.parts if not isinstance(part, PartialToolCall)]
    if not any(map(_says_something, parts)):
        return []
    if len(parts) == len(message.parts):
        return [message]
    return [msgspec.structs.replace(message, parts=parts)]


def _says_something(part: Part) -> bool:
    if isinstance(part, Thinking | RedactedThinking):
        return False
    return bool(part.text.strip()) if isinstance(part, Text) else True


def closed(messages: Sequence[Message]) -> list[Message]:
    """`messages` with a result for each call that has none, right after those it has; a provider
    refuses a call without one (OpenAI: "An assistant message with 'tool_calls' must be followed by
    tool messages responding to each 'tool_call_id'"; Anthropic: "`tool_use` ids were found without
    `tool_result` blocks immediately after"). A result without a call, or a second one, is refused
    too (OpenAI: "messages with role 'tool' must be a response to a preceding message with
    'tool_calls'") and said in words."""
    if _PAIRED.isdisjoint([type(part) for message in messages for part in message.parts]):
        return [*messages]
    whole: list[Message] = []
    unanswered: list[ToolCall] = []
    strays: list[Part] = []
    for message in messages:
        parts = [part for part in message.parts if not isinstance(part, ToolResult)]
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        fitting = [part for part in results if _answers(part, unanswered)]
        strays += [Text(f"{_STRAY} {p.content}") for p in results if not _in(p, fitting)]
        if not fitting and (parts or not results):
            _close(whole, unanswered, strays)
        if len(fitting) < len(results):
            kept = [p for p in message.parts if not isinstance(p, ToolResult) or _in(p, fitting)]
            message = msgspec.structs.replace(message, parts=kept)
        if message.parts or not results:
            whole.append(message)
        unanswered += message.tool_calls
    _close(whole, unanswered, strays)
    return whole


_PAIRED: Final = frozenset({ToolCall, ToolResult})
_STRAY: Final = "The result of a call that is not in this conversation:"


def _in(part: ToolResult, parts: Sequence[ToolResult]) -> bool:
    return any(part is each for each in parts)


def _answers(result: ToolResult, unanswered: list[ToolCall]) -> bool:
    """Whether `result` is of one of `unanswered`, which it then is no more; one without an id is of
    the first of its name."""
    for call in unanswered:
        same = call.id == result.id
        if same or (not result.id and result.name in (None, call.name)):
            unanswered.remove(call)
            return True
    return False


def _close(whole: list[Message], unanswered: list[ToolCall], strays: list[Part]) -> None:
    if unanswered:
        _add_missing(whole, unanswered)
    if strays:
        whole.append(Message("user", strays[:]))
        strays.clear()


def _add_missing(whole: list[Message], unanswered: list[ToolCall]) -> None:
    missing = [ToolResult(call.id, NOT_CARRIED_OUT, call.name, True) for call in unanswered]
    unanswered.clear()
    last = whole[-1]
    place = max(
        (n for n, part in enumerate(last.parts, 1) if isinstance(part, ToolResult)), default=0
    )
    if place:
        # Among the results: Anthropic wants them before any text.
        parts = [*last.parts[:place], *missing, *last.parts[place:]]
        whole[-1] = msgspec.structs.replace(last, parts=parts)
    else:
        whole.append(Message.tool(*missing))
