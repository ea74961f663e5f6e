"""Succession: what is asked next, seen by the server and by who listens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import engine
from engine import events
from engine.errors import ConfigError
from tests.faults.server import CLOSE, Step, play
from tests.server import Request, chat, chat_chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WHOLE = HEAD + b"".join(chat("All ", "is ", "well."))
CUT = HEAD + chat_chunk("Half")
MARKED = HEAD + b"id: 1\n" + chat_chunk("Half ") + b"id: 2\n" + chat_chunk("of ")
REST = HEAD + b"id: 3\n" + b"".join(chat("it."))
OVERLOADED = CUT + b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'

Answers = tuple[bytes, ...]


def ask(answers: Answers, **retry: Any) -> tuple[engine.Completion, list[Any], list[Request]]:
    left = [*answers]

    def script(_: Request) -> Iterable[Step]:
        yield left.pop(0) if len(left) > 1 else left[0]
        yield CLOSE

    given = {"base_delay": 0.0, "max_delay": 0.0} | retry
    heard: list[Any] = []
    with (
        play(script) as server,
        engine.Client(base_url=server.url, api_key="k", retry=engine.Retry(**given)) as client,
    ):
        done = client.stream("m", "hi", on_event=heard.append).result()
    return done, heard, server.requests


@pytest.mark.parametrize(
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
    _, heard, _ = ask((MARKED + b"retry: 30\nid: 2\n" + chat_chunk("all "), REST), reconnect=True)
    (scheduled,) = [event for event in heard if isinstance(event, events.RetryScheduled)]
    assert scheduled.delay == 0.03


@pytest.mark.parametrize("name", ["reconnect", "restart"])
def test_both_are_a_yes_or_a_no(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        engine.Retry(**{name: 3})  # type: ignore[arg-type]
