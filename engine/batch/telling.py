"""What OpenTelemetry is told of rows that are asked for whole answers: a span each time one is
asked, as a stream has. Told where the batch runs, also of rows that are asked elsewhere.

Nothing is read twice unless somebody listens: a row costs less than what telling of it does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TypeVar

from msgspec.structs import replace

from engine.answering.accumulate import Accumulator
from engine.answering.observed import asked_of
from engine.asking.rendered import Rendered
from engine.batch.attempt import OnEnd, ReadOutcome
from engine.batch.outcome import Outcome
from engine.completion import Completion, Status
from engine.errors import TruncatedError
from engine.events import Done
from engine.messages import Message, Text
from engine.response import Timing
from engine.telemetry import hooks
from engine.telemetry.told import Asked, Attempt
from engine.telemetry.unfinished import Unfinished
from engine.transport.deadlines import Timeouts

__all__ = ["telling"]

Begun = TypeVar("Begun")
SendBy = Callable[[Rendered, Timeouts, str | None, OnEnd], Begun]


def telling(send_by: SendBy[Begun]) -> SendBy[Begun]:
    """`send_by`, and a span of each request that has none of its own."""

    def told(rendered: Rendered, timeouts: Timeouts, path: str | None, on_end: OnEnd) -> Begun:
        if hooks.wants_spans() and not rendered.streaming:
            on_end = _with_span(rendered, path, on_end)
        return send_by(rendered, timeouts, path, on_end)

    return told


def _with_span(rendered: Rendered, path: str | None, on_end: OnEnd) -> OnEnd:
    known = path is None
    operation = None if path is None else path.rstrip("/").rpartition("/")[2]
    asked = asked_of(rendered, operation)
    attempt = Attempt(1, asked.began)
    whole = rendered if known else None
    begun = Unfinished(
        partial(hooks.abandoned, hooks.current(), asked, _nothing, [attempt], (), quietly=True)
    )

    def ended(read: ReadOutcome) -> None:
        attempt.ended = monotonic()
        on_end(lambda: _tell(asked, attempt, read(), whole, begun))

    return ended


def _tell(
    asked: Asked, attempt: Attempt, outcome: Outcome, rendered: Rendered | None, begun: Unfinished
) -> Outcome:
    attempt.error, attempt.http_status = outcome.error, outcome.status
    if begun.over():
        hooks.ended_quietly(asked, lambda: _completion(outcome, rendered), [attempt])
    return outcome


def _nothing() -> Completion:
    """What is known of a row that nobody took to its end."""
    return replace(_completion(Outcome(error=None), None), status="cancelled")


def _completion(outcome: Outcome, rendered: Rendered | None) -> Completion:
    """`outcome` with what the body has beside the text, where its format is known."""
    message = Message("assistant", [Text(outcome.text)] if outcome.text else [])
    raw = None
    if rendered is not None and outcome.body is not None and outcome.error is None:
        events = rendered.dialect.parse_answer(outcome.body)
        whole = Accumulator()
        whole.extend(events)
        message = whole.message(rendered.provider)
        raw = next((each.finish_reason_raw for each in events if isinstance(each, Done)), None)
    return Completion(
        status=_status(outcome),
        message=message,
        messages=[message],
        finish_reason=outcome.finish_reason,
        finish_reason_raw=raw or outcome.finish_reason,
        usage=outcome.usage,
        error=outcome.error,
        http_status=outcome.status,
        headers={},
        request_id=outcome.request_id,
        rate_limit=outcome.rate_limit,
        attempts=1,
        timing=Timing(),
        delivered=0,
    )


def _status(outcome: Outcome) -> Status:
    if outcome.error is None:
        return "complete"
    if outcome.cancelled:
        return "cancelled"
    return "truncated" if isinstance(outcome.error, TruncatedError) else "error"
