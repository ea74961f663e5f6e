"""Conclusion: how a request ended, and what came before it, as one record."""

from __future__ import annotations

from functools import cache
from time import monotonic
from typing import Any

import msgspec

from engine.answering.accumulate import Accumulator
from engine.asking.schema import decode_answer
from engine.completion import Completion, LateCompletion, Status
from engine.errors import EngineError, ProtocolError
from engine.events import Done
from engine.messages import Message, Usage
from engine.response import Timing
from engine.wire.headers import Head, parse_rate_limit, request_id

__all__ = ["Ending", "completion_of"]


class Ending(msgspec.Struct, frozen=True):
    """What the last attempt knows of the end.

    Attributes:
        status: see `Completion`.
        error: why it is not complete.
        done: the last event of a complete answer.
        untold_usage: a count of tokens that no event told.
        metadata: what the provider said that has no name of ours.
        provider: who answered.
        head: of the last response.
        attempts: how often it was tried.
        timing: of the last attempt.
        created: when the request was made (seconds of time.monotonic).
        first_event, last_event: when content came first, and in which turn last, likewise.
        delivered: events handed over.
        answer_type: what the text is to be decoded into; None: nothing.
        possibly_billed: see `Completion`.
    """

    status: Status
    error: EngineError | None
    done: Done | None
    untold_usage: Usage | None
    metadata: dict[str, Any]
    provider: str
    head: Head | None
    attempts: int
    timing: Timing
    created: float
    first_event: float | None
    last_event: float | None
    delivered: int
    answer_type: type | None
    possibly_billed: int


def completion_of(ending: Ending, accumulator: Accumulator) -> Completion:
    """The record of `ending`, with what `accumulator` has."""
    status, error, parsed = ending.status, ending.error, None
    if status == "complete" and ending.answer_type is not None:
        try:
            parsed = _parsed(ending.answer_type, accumulator)
        except ProtocolError as failure:
            status, error = "error", failure
    done = finish_reason = finish_reason_raw = None
    if status == "complete" and (done := ending.done) is not None:
        finish_reason, finish_reason_raw = done.finish_reason, done.finish_reason_raw
    usage = (done.usage if done is not None else ending.untold_usage) or accumulator.usage
    if usage is not None and status != "complete":
        usage = msgspec.structs.replace(usage, partial=True)
    head = ending.head
    headers = head.headers if head is not None else {}
    quiet = head is None or head.quiet
    late = accumulator.long
    messages = [Message("assistant", [])] if late else _messages(ending.provider, accumulator)
    completion = Completion(  # in order of its fields: by name it takes four times as long
        status,
        messages[0],
        messages,
        finish_reason,
        finish_reason_raw,
        usage,
        error,
        head.status if head is not None else None,
        headers,
        None if quiet else request_id(headers),
        None if quiet else parse_rate_limit(headers),
        ending.attempts,
        _timing(ending),
        ending.delivered,
        parsed,
        accumulator.logprobs,
        ending.metadata,
        ending.possibly_billed,
    )
    return completion if not late else _late(completion, ending.provider, accumulator)


def _timing(ending: Ending) -> Timing:
    created, first, last = ending.created, ending.first_event, ending.last_event
    return msgspec.structs.replace(
        ending.timing,
        first_event=first and first - created,
        last_event=first and last and max(first, last) - created,
        total=monotonic() - created,
    )


def _late(completion: Completion, provider: str, accumulator: Accumulator) -> Completion:
    return LateCompletion(
        gather=cache(lambda: _messages(provider, accumulator)),
        **{name: getattr(completion, name) for name in Completion.__struct_fields__},
    )


def _messages(provider: str, accumulator: Accumulator) -> list[Message]:
    choices = accumulator.choices()
    if choices == 1:  # as nearly always
        return [accumulator.message(provider)]
    return [accumulator.message(provider, n) for n in range(choices)]


def _parsed(kind: type, accumulator: Accumulator) -> Any:
    """The answer in the type that was asked for.

    Raises:
        ProtocolError: it does not fit it.
    """
    text = accumulator.text()
    if not text and accumulator.message(None).tool_calls:
        return None  # it calls a tool first
    return decode_answer(text, kind)
