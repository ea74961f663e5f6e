"""From an HTTP request to what is sent back, and when. No socket, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final

import msgspec

from engine.emulator.compose import compose, conversation_seed
from engine.emulator.contract import BadRequest, Dialect, Question, Request
from engine.emulator.routes import NotRouted, find_route, listing
from engine.emulator.script import scripted_error
from engine.emulator.settings import FAULTS, NAMES, Settings, split_model, with_settings

__all__ = ["Ending", "Reply", "Responder"]

_MOST_COUNTED: Final = 100_000  # conversations whose failures are counted

_HTML: Final = (
    b"<!doctype html><html><head><title>Welcome</title></head>"
    b"<body><h1>Please sign in to the network</h1></body></html>"
)


class Ending(Enum):
    """What happens to the connection when the steps of a reply are over."""

    DONE = "the body ends as it should"
    CUT = "the connection closes"
    RESET = "the connection is reset"
    STALL = "nothing more, for ever"


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response.

    Attributes:
        steps: a stream's body, a piece at a time; or a whole body.
        head: whether there is a response at all.
        delay: seconds before the first step; the head does not wait for a stream.
        interval: seconds from step to step.
    """

    status: int
    headers: list[tuple[str, str]]
    steps: Iterator[bytes] | bytes
    head: bool = True
    delay: float = 0.0
    interval: float = 0.0
    ending: Ending = Ending.DONE


class Responder:
    """Answers requests; keeps count of those that were to fail.

    Args:
        settings: where a request says nothing else.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failed: dict[str, int] = {}

    def respond(self, request: Request) -> Reply:
        """The reply to `request`. Never raises for what a client sent."""
        try:
            dialect, captured = find_route(request)
        except NotRouted as refusal:
            return _json_reply(refusal.status, refusal.body)
        if dialect is None:
            return _json_reply(200, listing(request))
        try:
            request = msgspec.structs.replace(request, captured=captured)
            question = dialect.question(request)
            name, settings = self._settings_of(request, question)
            error = scripted_error(question)
            if error is not None:
                settings = with_settings(settings, {"error": error, "times": "0"}, "script")
            if settings.error is not None and self._fails_now(question, name, settings):
                return _failure(dialect, question, name, settings)
            return _reply(dialect, question, name, settings)
        except (BadRequest, msgspec.ValidationError) as refusal:
            return _json_reply(400, dialect.error(400, f"Bad request: {refusal}"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as refusal:
            message = f"Bad request: the body is not JSON: {refusal}"
            return _json_reply(400, dialect.error(400, message))

    def _settings_of(self, request: Request, question: Question) -> tuple[str, Settings]:
        """The bare name of the model, and the settings of this request."""
        query = {name: value for name, value in request.query.items() if name in NAMES}
        prefix = "x-emulator-"
        headers = {
            name[len(prefix) :].replace("-", "_"): value
            for name, value in request.headers.items()
            if name.startswith(prefix)
        }
        name, model = split_model(question.model)
        settings = with_settings(self._settings, query, "query")
        settings = with_settings(settings, headers, "headers")
        settings = with_settings(settings, model, f"model {question.model!r}")
        if name in FAULTS or re.fullmatch(r"error-[45]\d\d", name):
            settings = msgspec.structs.replace(settings, error=name)
        return name, settings

    def _fails_now(self, question: Question, name: str, settings: Settings) -> bool:
        if not settings.times:
            return True
        key = f"{settings.error}\x1d{conversation_seed(question, name)}"
        count = self._failed.pop(key, 0)
        while len(self._failed) >= _MOST_COUNTED:
            self._failed.pop(next(iter(self._failed)))  # the one asked for longest ago
        self._failed[key] = count + 1
        return count < settings.times


def _reply(dialect: Dialect, question: Question, name: str, settings: Settings) -> Reply:
    answers = [compose(question, name, settings, n) for n in range(question.n)]
    if question.stream:
        return Reply(
            200,
            [("content-type", dialect.content_type(question)), ("cache-control", "no-cache")],
            dialect.stream(question, answers),
            delay=settings.ttft,
            interval=settings.interval,
        )
    tokens = max(answer.output_tokens for answer in answers)
    delay = settings.ttft + max(tokens - 1, 0) * settings.interval
    return _json_reply(200, dialect.whole(question, answers), delay=delay)


def _failure(dialect: Dialect, question: Question, name: str, settings: Settings) -> Reply:
    """The reply to a request that is to fail."""
    status, error = settings.error_status, settings.error
    if status is not None:
        message = f"The emulator was asked for status {status}."
        wait = settings.retry_after if status in (429, 503) else 0.0
        headers = [("retry-after", f"{wait:g}")] if wait else []
        return _json_reply(status, dialect.error(status, message, wait), headers, settings.ttft)
    if error == "drop":
        return Reply(0, [], b"", head=False, delay=settings.ttft, ending=Ending.CUT)
    if error == "html":
        return Reply(200, [("content-type", "text/html")], _HTML, delay=settings.ttft)
    good = _reply(dialect, question, name, settings)
    if isinstance(good.steps, bytes):
        return _whole_failure(dialect, question, good, error)
    steps = _faulty_steps(dialect, question, good.steps, settings)
    return msgspec.structs.replace(good, steps=steps, ending=_ENDINGS.get(error, Ending.DONE))


_ENDINGS: Final[dict[str | None, Ending]] = {
    "cut": Ending.CUT,
    "reset": Ending.RESET,
    "stall": Ending.STALL,
}


def _faulty_steps(
    dialect: Dialect, question: Question, steps: Iterator[bytes], settings: Settings
) -> Iterator[bytes]:
    """`steps` up to where they fail; those after it, where that is not the end."""
    error = settings.error
    after = 0 if error == "empty" else settings.after
    # One is held back: the last step has the end marker, and must not come before the failure.
    held = b""
    yielded = 0
    for step in steps:
        if held:
            yield held
            yielded += 1
        held = step
        if yielded == after:
            break
    if error == "instream-error":
        yield dialect.stream_error(question, yielded == 0)
    elif error == "malformed":
        yield dialect.malformed(question, yielded == 0)
        yield held
        yield from steps


def _whole_failure(dialect: Dialect, question: Question, good: Reply, error: str | None) -> Reply:
    """How an answer in one piece fails."""
    body = good.steps if isinstance(good.steps, bytes) else b""
    if error == "instream-error":
        body = msgspec.json.encode(dialect.error(500, "The emulator was asked to fail."))
    elif error in ("malformed", "end"):
        body = body[: len(body) // 2]
    elif error == "empty":
        body = b""
    return msgspec.structs.replace(good, steps=body, ending=_ENDINGS.get(error, Ending.DONE))


def _json_reply(
    status: int, body: Any, headers: Iterable[tuple[str, str]] = (), delay: float = 0.0
) -> Reply:
    json = ("content-type", "application/json")
    return Reply(status, [json, *headers], msgspec.json.encode(body), delay=delay)
