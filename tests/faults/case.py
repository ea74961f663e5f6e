"""One fault and what must come of it, run beside healthy siblings."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import engine
from engine.errors import Category, EngineError
from tests.faults.server import FaultServer, Script, Step, play
from tests.faults.siblings import beside, siblings
from tests.server import DONE, OK_SSE, Request, chat, chat_chunk

CANARY = "sk-canary-0123456789abcdef"
"""The key every request of a case carries; it must appear in no text."""

WORDS = ("All ", "is ", "well.")
TEXT = "".join(WORDS)
GOOD = chat(*WORDS)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
UNTIL_CLOSE = HEAD + b"Connection: close\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of the transfer coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(pieces: Iterable[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    """A whole chunked answer."""
    return OK_SSE + b"".join(map(chunk, pieces)) + end


def answer(
    status: str, body: bytes = b"", headers: str = "", kind: str = "application/json"
) -> bytes:
    """A whole answer with a length."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def refusal(message: str = "because", **more: Any) -> bytes:
    """The body of an error as OpenAI writes it."""
    return json.dumps({"error": {"message": message, **more}}).encode()


def steps(*given: Step) -> Script:
    """A script that does the same for every request."""
    return lambda _: iter(given)


def each(*scripts: Iterable[Step]) -> Script:
    """The first request gets the first script, and so on; the last one serves all that follow."""
    left = [list(script) for script in scripts]
    return lambda _: iter(left.pop(0) if len(left) > 1 else left[0])


@dataclass(frozen=True)
class Case:
    """A row of the matrix, or one of its variants.

    Attributes:
        row: its id and a word: the id of the test.
        script: what the server does.
        status: how the stream must end.
        category: of the error; None where the stream is complete.
        text: what must have been delivered; None: anything.
        requests: how many the server must have seen; None: not asked.
        says: words the error's message must hold.
        attempts: ``max_attempts``.
        client, stream: more arguments of `Client` and `Client.stream`.
        timeouts: see `engine.Timeouts`.
    """

    row: str
    script: Script
    status: str = "error"
    category: Category | None = None
    text: str | None = ""
    requests: int | None = 1
    says: str = ""
    attempts: int = 1
    timeouts: dict[str, float | None] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    check: Callable[[engine.Completion, FaultServer], object] | None = None

    def __str__(self) -> str:
        return self.row


def suffer(case: Case, tls: ssl.SSLContext | None = None, **multi_options: Any) -> None:
    """Run `case` beside siblings and see that all ended as they must."""
    asked: list[Request] = []

    def script(request: Request) -> Iterable[Step]:
        asked.append(request)
        return case.script(request)

    heard: list[str] = []
    told: list[engine.Completion] = []
    with engine.Multi(**multi_options) as multi, play(beside(script), tls) as server:
        limits = engine.Timeouts(**{"total": 20.0, **case.timeouts})
        client = engine.Client(
            multi,
            **{
                "dialect": "chat",
                "base_url": server.url,
                "api_key": CANARY,
                "timeouts": limits,
                "retry": engine.Retry(max_attempts=case.attempts, base_delay=0.001),
                **case.client,
            },
        )
        with siblings(multi, server.url):
            stream = client.stream(
                "m",
                "hi",
                on_text=lambda delta, _: heard.append(delta),
                on_done=lambda completion, _: told.append(completion),
            )
            while not told:
                multi.poll()
        for _ in range(3):
            multi.poll(0)
        judge(case, told, heard, asked)
        assert CANARY not in f"{stream!r} {multi!r} {client!r}"
        if case.check is not None:
            case.check(told[0], server)


def judge(
    case: Case, told: list[engine.Completion], heard: list[str], asked: list[Request]
) -> None:
    """One completion; it tells the truth, and one true sentence where it failed."""
    (completion,) = told
    assert completion.status == case.status, f"{completion.status}: {completion.error}"
    assert "".join(heard) == completion.text
    if case.text is not None:
        assert completion.text == case.text
    if case.requests is not None:
        assert len(asked) == case.requests
    error = completion.error
    if case.status == "complete":
        assert error is None
        return
    assert isinstance(error, EngineError)
    assert error.category is case.category, f"{error.category}: {error}"
    assert len(str(error)) > 20, "an error says what happened and what to do next"
    assert case.says.lower() in str(error).lower(), str(error)
    shown = f"{error} {error!r} {error.detail} {completion!r}"
    while error is not None:
        shown += f"{error!r}"
        error = error.__cause__  # type: ignore[assignment]
    assert CANARY not in shown


__all__ = [
    "CANARY",
    "DONE",
    "GOOD",
    "HEAD",
    "OK_SSE",
    "TEXT",
    "UNTIL_CLOSE",
    "WORDS",
    "Case",
    "answer",
    "chat",
    "chat_chunk",
    "chunk",
    "chunked",
    "each",
    "judge",
    "refusal",
    "steps",
    "suffer",
]
