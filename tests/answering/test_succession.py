"""Succession: what is asked next, seen by the server and by who listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from threading import Event
from typing import Any

import pytest

import engine
from engine import events
from engine.errors import Category, ConfigError
from engine.loops.asyncio import AsyncClient
from tests.cases import each_case
from tests.faults.server import CLOSE, STALL, Step, play
from tests.server import Peer, Request, chat, chat_chunk, serve
from tests.steady import advance

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WHOLE = HEAD + b"".join(chat("All ", "is ", "well."))
CUT = HEAD + chat_chunk("Half")
MARKED = HEAD + b"id: 1\n" + chat_chunk("Half ") + b"id: 2\n" + chat_chunk("of ")
REST = HEAD + b"id: 3\n" + b"".join(chat("it."))
OVERLOADED = CUT + b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'

Answers = tuple[bytes, ...]


def ask(
    answers: Answers, given: dict[str, Any] | None = None, **retry: Any
) -> tuple[engine.Completion, list[Any], list[Request]]:
    left = [*answers]
    more = given or {}
    dialect, reads = more.pop("dialect", "chat"), more.pop("reads", False)

    def script(_: Request) -> Iterable[Step]:
        yield left.pop(0) if len(left) > 1 else left[0]
        yield CLOSE

    retrying = engine.Retry(**({"base_delay": 0.0, "max_delay": 0.0} | retry))
    heard: list[Any] = []
    with play(script) as server:
        at = {"base_url": server.url, "dialect": dialect, "api_key": "k", "retry": retrying}
        if reads:
            return asyncio.run(_read(at, more, heard)), heard, server.requests
        with engine.Client(**at) as client:
            done = client.stream("m", "hi", on_event=heard.append, **more).result()
    return done, heard, server.requests


async def _read(at: dict[str, Any], more: dict[str, Any], heard: list[Any]) -> engine.Completion:
    async with AsyncClient(**at) as client:
        stream = client.stream("m", "hi", **more)
        async for event in stream:
            heard.append(event)
        return await stream


@each_case(
    ("answers", "retry", "status", "text", "attempts"),
    [
        ((CUT, WHOLE), {}, "truncated", "Half", 1),
        ((CUT, WHOLE), {"reconnect": True}, "truncated", "Half", 1),
        ((CUT, WHOLE), {"restart": True}, "complete", "All is well.", 2),
        ((CUT, CUT, WHOLE), {"restart": True}, "complete", "All is well.", 3),
        ((CUT, CUT, CUT, WHOLE), {"restart": True}, "truncated", "Half", 3),
        ((CUT, BUSY, WHOLE), {"restart": True}, "complete", "All is well.", 3),
        ((CUT, BUSY), {"restart": True}, "truncated", "Half", 3),
        ((CUT, GONE), {"restart": True}, "truncated", "Half", 2),
        ((CUT, WHOLE), {"restart": True, "budget": 0.0, "budget_min": 0}, "truncated", "Half", 1),
        ((CUT, WHOLE), {"restart": True, "unknown": "fail"}, "truncated", "Half", 1),
        ((OVERLOADED, WHOLE), {}, "error", "Half", 1),
        ((OVERLOADED, WHOLE), {"reconnect": True}, "error", "Half", 1),
        ((OVERLOADED, WHOLE), {"restart": True}, "complete", "All is well.", 2),
        ((MARKED, REST), {"reconnect": True}, "complete", "Half of it.", 2),
        ((MARKED, BUSY, REST), {"reconnect": True}, "complete", "Half of it.", 3),
        ((MARKED, BUSY), {"reconnect": True}, "truncated", "Half of ", 3),
        ((MARKED, GONE), {"reconnect": True}, "truncated", "Half of ", 2),
        ((MARKED, GONE, WHOLE), {"reconnect": True, "restart": True}, "complete",
         "All is well.", 3),
        ((MARKED, WHOLE), {"reconnect": True}, "truncated", "Half of ", 2),
        ((MARKED, REST), {"reconnect": True, "budget": 0.0, "budget_min": 0}, "truncated",
         "Half of ", 1),
        ((MARKED, REST), {"reconnect": True, "unknown": "fail"}, "complete", "Half of it.", 2),
        ((BUSY, MARKED, REST), {"reconnect": True}, "complete", "Half of it.", 3),
    ],
)  # fmt: skip
def test_what_comes_after_a_failure(
    answers: Answers, retry: dict[str, Any], status: str, text: str, attempts: int
) -> None:
    done, heard, requests = ask(answers, **retry)
    assert (done.status, done.text, done.attempts) == (status, text, attempts), done
    assert len(requests) == attempts
    restarts = [n for n, event in enumerate(heard) if isinstance(event, events.Restarted)]
    since = heard[restarts[-1] :] if restarts else heard
    assert "".join(e.text for e in since if isinstance(e, events.TextDelta)) == text
    assert sum(isinstance(event, events.RetryScheduled) for event in heard) == attempts - 1
    if status != "complete":
        assert done.error is not None and done.error is heard[-1].error


def test_a_restart_says_why_and_what_it_voids_is_gone() -> None:
    done, heard, _ = ask((CUT, WHOLE), restart=True)
    (restarted,) = [event for event in heard if isinstance(event, events.Restarted)]
    assert restarted.attempt == 2
    assert isinstance(restarted.error, engine.errors.TruncatedError)
    after = heard[heard.index(restarted) + 1]
    assert isinstance(after, events.Start)
    assert done.message.text == "All is well."


def test_who_reads_late_is_not_told_what_was_voided() -> None:
    answers = [CUT, WHOLE]

    def script(_: Request) -> Iterable[Step]:
        yield answers.pop(0)
        yield CLOSE

    retry = engine.Retry(base_delay=0.0, max_delay=0.0, restart=True)
    with (
        play(script) as server,
        engine.Client(base_url=server.url, api_key="k", retry=retry) as client,
    ):
        stream = client.stream("m", "hi", on_event=lambda event: None)
        stream.result()
        late = list(stream)
        snapshots: list[str] = []
        answers += [CUT, WHOLE]
        other = client.stream("m", "hi").on(
            "text", lambda _, snapshot, __: snapshots.append(snapshot)
        )
        other.result()
    assert "".join(e.text for e in late if isinstance(e, events.TextDelta)) == "All is well."
    assert snapshots == ["Half", "All ", "All is ", "All is well."]


def test_the_rest_is_asked_for_under_one_key_and_by_its_place() -> None:
    _, _, (first, second) = ask((MARKED, REST), reconnect=True)
    assert "last-event-id" not in first.headers
    assert second.headers["last-event-id"] == "2"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert (first.method, first.path, first.body) == (second.method, second.path, second.body)


def test_a_server_says_how_long_to_wait_for_it() -> None:
    later = b"retry: 30\nid: of\n" + chat_chunk("all ")
    _, heard, _ = ask((MARKED + later, REST), reconnect=True)
    (scheduled,) = [event for event in heard if isinstance(event, events.RetryScheduled)]
    assert scheduled.delay == 0.03


@pytest.mark.parametrize("name", ["reconnect", "restart"])
def test_both_are_a_yes_or_a_no(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        engine.Retry(**{name: 3})  # type: ignore[arg-type]


ABOUT = {"id": "resp_1", "model": "m", "status": "in_progress", "output": []}
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def step(number: int, kind: str, **more: Any) -> bytes:
    data = {"type": kind, "sequence_number": number} | more
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def word(number: int, text: str) -> bytes:
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    return step(number, "response.output_text.delta", delta=text, **place)


def ends(number: int, status: str = "completed") -> bytes:
    error = {"code": "server_error", "message": "boom"} if status == "failed" else None
    response = ABOUT | {"status": status, "error": error}
    return step(number, f"response.{status}", response=response)


ITEM = {"type": "message", "id": "i", "role": "assistant", "content": []}
BEGUN = HEAD + step(0, "response.created", response=ABOUT)
SAID = BEGUN + step(1, "response.output_item.added", output_index=0, item=ITEM) + word(2, "Half ")
TEXT = [{"type": "output_text", "text": "Half of it."}]
IN_ONE_PIECE = json.dumps(
    ABOUT | {"object": "response", "status": "completed", "output": [ITEM | {"content": TEXT}]}
).encode()
PIECE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


@each_case("ending", ["callback", "async"])
@each_case(
    ("answers", "restart", "status", "text", "attempts"),
    [
        ((SAID, HEAD + word(3, "of it.") + ends(4)), False, "complete", "Half of it.", 2),
        ((SAID + PING, HEAD + PING + word(3, "of it.") + ends(4)), False, "complete",
         "Half of it.", 2),
        ((SAID, HEAD + word(3, "of "), HEAD + word(3, "of ") + word(4, "it"),
          HEAD + word(5, ".") + word(4, "it") + word(5, ".") + ends(6)), False, "complete",
         "Half of it.", 4),
        ((SAID, HEAD + PING, HEAD + PING, HEAD + PING), False, "truncated", "Half ", 3),
        ((SAID, HEAD + word(4, "it.") + ends(5)), False, "truncated", "Half ", 2),
        ((SAID, HEAD + word(3, "of ") + word(5, ".") + ends(6)), False, "truncated", None, 2),
        ((SAID, HEAD + word(3, "of ") + word(5, ".") + ends(6), SAID + ends(3)), True, "complete",
         "Half ", 3),
        ((SAID, HEAD + ends(3, "failed"), SAID + ends(3)), False, "error", "Half ", 2),
        ((SAID, HEAD + word(3, "of ") + ends(4, "failed"), SAID + ends(3)), False, "error",
         "Half of ", 2),
        ((SAID, HEAD + ends(3, "failed"), SAID + ends(3)), True, "complete", "Half ", 3),
        ((SAID, PIECE + IN_ONE_PIECE), False, "truncated", "Half ", 2),
        ((SAID, PIECE + IN_ONE_PIECE, SAID + ends(3)), True, "complete", "Half ", 3),
        ((BEGUN, HEAD + SAID.removeprefix(BEGUN) + ends(3)), False, "complete", "Half ", 2),
        ((HEAD, SAID + ends(3)), False, "complete", "Half ", 2),
    ],
)  # fmt: skip
def test_an_answer_goes_on_by_its_numbers_or_is_told_to_be_cut(
    answers: Answers, restart: bool, status: str, text: str | None, attempts: int, ending: str
) -> None:
    given: dict[str, Any] = {"dialect": "responses", "extra_body": {"background": True}}
    given["reads"] = ending == "async"
    done, heard, requests = ask(answers, given, reconnect=True, restart=restart)
    assert (done.status, len(requests)) == (status, attempts), done
    restarts = [n for n, event in enumerate(heard) if isinstance(event, events.Restarted)]
    since = heard[restarts[-1] :] if restarts else heard
    assert "".join(e.text for e in since if isinstance(e, events.TextDelta)) == done.text
    assert done.text == text or (text is None and "Half of ".startswith(done.text))
    if status == "error":
        assert done.error is not None and done.error.message.endswith("try again later")
        assert "boom" in done.error.message


def test_a_failure_without_an_id_after_a_break_is_told() -> None:
    failed = HEAD + b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    done, _, requests = ask((MARKED, failed, REST), reconnect=True)
    assert (done.status, done.text, len(requests)) == ("error", "Half of ", 2)
    assert done.error is not None and "overloaded" in done.error.message


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_time_that_runs_out_before_another_attempt_tells_why_the_last_one_failed(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch, status: str, streamed: bool
) -> None:
    def refuse(peer: Peer) -> None:
        peer.json(b'{"error":{"message":"slow down"}}', status, "Retry-After: 50\r\n")

    with serve(refuse) as server:
        limits = engine.Timeouts(total=3000)
        retry = engine.Retry(max_attempts=3, max_retry_after=3600)
        client = engine.Client(multi, base_url=server.url, timeouts=limits, retry=retry)
        scheduled: list[events.Event] = []
        ask = client.stream if streamed else client.request
        stream = ask("m", "hi", on_event=scheduled.append)
        while not any(isinstance(event, events.RetryScheduled) for event in scheduled):
            multi.poll(0.1)
        with monkeypatch.context() as later:
            advance(later, 3001)
            completion = stream.result()
    error = completion.error
    assert error is not None and error.category is Category.TIMEOUT
    assert "timeouts.total" in str(error) and "slow down" in str(error)
    assert isinstance(error.__cause__, engine.EngineError)
    assert error.__cause__.http_status == int(status[:3])


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((MARKED,), "ended the answer with no end marker"),
        ((BUSY, MARKED), "ended the answer with no end marker"),
        ((MARKED, BUSY), "HTTP 503"),
        ((MARKED, HEAD), "ended the answer with no end marker"),
        ((BUSY, MARKED, BUSY), "HTTP 503"),
        ((BUSY,), "HTTP 503"),
        ((), None),
    ],
)
def test_a_time_that_runs_out_tells_why_the_attempt_just_before_failed(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch, answers: Answers, why: str | None
) -> None:
    """Whether it was refused or broke off, and whatever came of those before it."""
    left, silent = [*answers], Event()

    def script(_: Request) -> Iterable[Step]:
        if not left:
            silent.set()
            yield STALL
        yield left.pop(0)
        yield CLOSE

    retry = engine.Retry(max_attempts=9, base_delay=0.0, max_delay=0.0, reconnect=True)
    limits = engine.Timeouts(total=3000, connect=9000, first_event=9000, idle=9000, content=9000)
    with play(script) as server:
        at = {"base_url": server.url, "api_key": "k", "retry": retry, "timeouts": limits}
        stream = engine.Client(multi, **at).stream("m", "hi")
        while not silent.is_set():
            multi.poll(0.1)
        with monkeypatch.context() as later:
            advance(later, 3001)
            done = stream.result()
    assert done.error is not None and done.error.category is Category.TIMEOUT
    assert (done.status, done.text) == ("error", "Half of " if MARKED in answers else "")
    assert ("the attempt before failed" in str(done.error)) is (why is not None)
    assert (why or "None") in str(done.error.__cause__)
    assert str(done.error).count("HTTP 503") == (why == "HTTP 503")
