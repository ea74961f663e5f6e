"""Observed: what is noted of one question while it is asked, and told when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, Protocol

import msgspec

from engine.answering.accumulate import Accumulator
from engine.asking.rendered import Rendered
from engine.completion import Completion, Status
from engine.errors import EngineError
from engine.events import Event
from engine.request import HttpRequest, is_secret_name, shown_url
from engine.response import Timing
from engine.telemetry import hooks
from engine.telemetry.told import Asked, Attempt
from engine.telemetry.unfinished import Unfinished
from engine.wire.headers import Head
from engine.wire.redaction import clean_bytes, redact, secrets_of

__all__ = ["Observed", "asked_of", "observed", "tell_retry"]


Read = Callable[[bytes], list[Event]]


class Clock(Protocol):
    """What knows the time: seconds of time.monotonic."""

    now: float


class Observed:
    """Notes one question for `engine.telemetry`: only numbers while the engine is at work, so that
    no handler of the user's runs in between."""

    __slots__ = ("_asked", "_attempts", "_begun", "_chunks", "_head_told", "_note", "_over")

    def __init__(self, rendered: Rendered) -> None:
        self._asked = asked_of(rendered)
        self._begun: Unfinished | None = None
        self._over: list[tuple[Status, EngineError | None]] = []
        self._attempts: list[Attempt] = []
        self._chunks: list[float] = []
        self._head_told = False
        self._note: Callable[[Callable[[], None]], None] | None = None

    def begin(self, note: Callable[[Callable[[], None]], None], accumulator: Accumulator) -> None:
        """`note` has a function called where the user's code may run; what was handed over is in
        `accumulator`."""
        asked, attempts, chunks, over = self._asked, self._attempts, self._chunks, self._over
        so_far = partial(_so_far, asked, attempts, accumulator, over)
        self._begun = Unfinished(
            partial(hooks.abandoned, hooks.current(), asked, so_far, attempts, chunks)
        )
        if hooks.wants_heads():
            self._note = note

    def began(self, number: int, http: HttpRequest) -> None:
        """An attempt begins."""
        self._attempts.append(Attempt(number, monotonic()))
        self._head_told = False
        if self._note is not None:
            self._note(lambda: _tell_request(http))

    def came(self, now: float) -> None:
        """Events came of a read."""
        self._chunks.append(now)

    def reading(self, read: Read, clock: Clock) -> Read:
        """`read`, whose events are noted as `came`."""

        def noted(data: bytes) -> list[Event]:
            events = read(data)
            if events:
                self._chunks.append(clock.now)
            return events

        return noted

    def answered(self, http: HttpRequest, head: Head) -> None:
        """The head of the response is there, perhaps not for the first time."""
        if self._attempts:
            self._attempts[-1].http_status = head.status
        if self._note is not None and not self._head_told:
            self._head_told = True
            self._note(lambda: _tell_response(http, head))

    def failed(self, error: EngineError, head: Head | None, delay: float | None) -> None:
        """The attempt failed; the next one begins in `delay` seconds."""
        attempt = self._attempts[-1] if self._attempts else None
        if attempt is not None and attempt.ended is None:
            attempt.ended, attempt.error, attempt.delay = monotonic(), error, delay
            attempt.http_status = head.status if head is not None else None

    def over(self, status: Status, error: EngineError | None) -> None:
        """It is over; nobody was handed the end yet."""
        self._over[:] = [(status, error)]

    def ended(self, completion: Completion) -> None:
        """It is over: tell."""
        for attempt in self._attempts[-1:]:
            if attempt.ended is None:
                attempt.ended, attempt.error = monotonic(), completion.error
                attempt.http_status = completion.http_status
        if self._begun is not None and self._begun.over():
            hooks.ended(self._asked, completion, self._attempts, self._chunks)


def _so_far(
    asked: Asked,
    attempts: list[Attempt],
    accumulator: Accumulator,
    over: list[tuple[Status, EngineError | None]],
) -> Completion:
    """How it ended, or, where it did not, how far it had come: cancelled for no error."""
    (status, error) = over[0] if over else ("cancelled", None)
    message = accumulator.message(asked.provider)
    usage = accumulator.usage
    return Completion(
        status=status,
        message=message,
        messages=[message],
        finish_reason=None,
        finish_reason_raw=None,
        usage=msgspec.structs.replace(usage, partial=True) if usage is not None else None,
        error=error,
        http_status=attempts[-1].http_status if attempts else None,
        headers={},
        request_id=None,
        rate_limit=None,
        attempts=len(attempts),
        timing=Timing(total=monotonic() - asked.began),
        delivered=0,
    )


def asked_of(rendered: Rendered, operation: str | None = None) -> Asked:
    """What is told of the question `rendered`, which begins now; `operation` as in `Asked`."""
    body: Any = {}
    if hooks.wants_spans():
        try:
            body = msgspec.json.decode(rendered.http.body or b"{}")
        except msgspec.DecodeError:
            pass
    return Asked(
        provider=rendered.provider,
        model=rendered.model,
        format=rendered.dialect.name,
        host=rendered.http.peer,
        body=body if isinstance(body, dict) else {},
        streaming=rendered.streaming,
        began=monotonic(),
        context=hooks.context(),
        operation=operation,
    )


def observed(rendered: Rendered) -> Observed | None:
    """What notes the question `rendered`; None where nobody wants to know."""
    return Observed(rendered) if hooks.listens() else None


def _tell_request(http: HttpRequest) -> None:
    """The head of a request, and its body where that is wanted."""
    line = f"> {http.method} {shown_url(http.url)}"
    hooks.head(line, _without_keys(http, http.headers))
    if hooks.wants_bodies() and http.body:
        hooks.body(line, clean_bytes(http.body, secrets_of(http)))


def _tell_response(http: HttpRequest, head: Head) -> None:
    """The head of a response to `http`."""
    hooks.head(f"< {head.status} {shown_url(http.url)}", _without_keys(http, head.headers))


def tell_retry(rendered: Rendered, attempt: int, delay: float, error: EngineError) -> None:
    """Attempt number `attempt` is to come."""
    hooks.retried(rendered.http.peer, attempt, delay, error)


def _without_keys(http: HttpRequest, headers: Mapping[str, str]) -> dict[str, str]:
    secrets = secrets_of(http)
    return {
        name: "…"
        if is_secret_name(name) or name.lower() == "set-cookie"
        else redact(value, secrets)
        for name, value in headers.items()
    }
