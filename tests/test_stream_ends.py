"""How a stream ends at its edges: after `Done`, under pings, with several choices, and while the
loop over it does nothing; and what of its client is sent and shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import engine
from engine import events
from engine.errors import ConfigError, DeadlineError, MisuseError
from engine.request import merged_headers
from engine.stream import STOP
from tests.cases import each_case
from tests.server import DONE, HEALTHY, OK_SSE, Peer, chat, serve
from tests.steady import at_some_pace

TEXT = "".join(HEALTHY)


def linger(peer: Peer) -> None:
    """A whole answer, all at once, by a server that does not end the response."""
    peer.send(OK_SSE)
    peer.chunk(b"".join(chat(*HEALTHY)))
    peer.wait_closed()


@pytest.fixture
def client(multi: engine.Multi) -> Iterator[engine.Client]:
    with serve(linger) as server:
        yield engine.Client(multi, base_url=server.url, api_key="k")


# -- an answer in one piece ---------------------------------------------------------------------

WHOLE = json.dumps(
    {"choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]}
).encode()
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@each_case(
    ("head", "whole"),
    [
        (b"Connection: close\r\n\r\n", True),
        (b"Connection: close\r\n\r\n", False),
        (b"Content-Length: %d\r\n\r\n" % (len(WHOLE) + 9), True),
        (b"Content-Length: %d\r\n\r\n" % (len(WHOLE) + 9), False),
    ],
)
def test_an_answer_in_one_piece_is_whole_with_its_last_brace(head: bytes, whole: bool) -> None:
    """Where it is not, it is asked for again, as a stream is that was cut before it began."""

    def answer(peer: Peer) -> None:
        first = len(server.requests) == 1
        peer.send(JSON_HEAD + head + (WHOLE[:-20] if first and not whole else WHOLE))
        peer.socket.close()

    retry = engine.Retry(base_delay=0.001, max_delay=0.001)
    with serve(answer) as server, engine.Client(base_url=server.url, retry=retry) as client:
        completion = client.request("m", "hi").result()
    assert (completion.status, completion.text) == ("complete", TEXT)
    assert completion.attempts == (1 if whole else 2)


# -- after Done --------------------------------------------------------------------------------


def stop(stream: engine.Stream) -> object:
    return STOP


def cancel(stream: engine.Stream) -> object:
    return stream.cancel()


@pytest.mark.parametrize("end", [stop, cancel])
def test_what_ends_a_stream_at_done_comes_too_late(
    client: engine.Client, end: Callable[[engine.Stream], object]
) -> None:
    stream = client.stream(
        "m", "hi", on_event=lambda e, s: end(s) if type(e) is events.Done else None
    )
    completion = stream.result()
    assert (completion.status, completion.error, completion.text) == ("complete", None, TEXT)
    assert completion.finish_reason is engine.FinishReason.STOP


def test_a_loop_may_cancel_at_done(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    for event in stream:
        if type(event) is events.Done:
            stream.cancel()
    assert stream.result().status == "complete"


def test_before_done_is_handed_over_a_cancel_cancels(client: engine.Client) -> None:
    stream = client.stream("m", "hi", on_text=lambda d: STOP if d == HEALTHY[-1] else None)
    completion = stream.result()
    assert (completion.status, completion.text) == ("cancelled", TEXT)


# -- pings -------------------------------------------------------------------------------------


def message_event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


STARTED = message_event("message_start", message={"id": "c", "model": "m", "usage": {}})
SPOKE = message_event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
) + message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})


@pytest.mark.parametrize("before", [STARTED, STARTED + SPOKE], ids=["before", "after"])
def test_pings_are_no_content(before: bytes) -> None:
    at_some_pace(lambda pace: pings_are_no_content(before, pace))


def pings_are_no_content(before: bytes, pace: float) -> None:
    over = threading.Event()

    def pings(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(before)
        for _ in range(150):  # ten times the limit: then the answer is only cut off
            if over.wait(0.02 * pace):
                return
            peer.chunk(message_event("ping"))

    # Signs of life prolong the wait for the first content, up to `content`.
    limits = {"connect": None, "first_event": 0.1 * pace, "idle": None, "content": 0.3 * pace}
    with serve(pings) as server, engine.Multi() as multi:
        client = engine.Client(
            multi,
            dialect="messages",
            base_url=server.url,
            timeouts=engine.Timeouts(**limits),
            retry=engine.Retry(max_attempts=1),
        )
        seen: list[events.Event] = []
        completion = client.stream("m", "hi", max_tokens=5, on_event=seen.append).result()
        over.set()
    assert isinstance(completion.error, DeadlineError) and completion.error.phase == "content"
    assert any(type(event) is events.Ping for event in seen)


# -- several choices ---------------------------------------------------------------------------


def two_choices(peer: Peer) -> None:
    def chunk(choice: int, content: str | None, finish: str | None = None) -> bytes:
        delta = {} if content is None else {"content": content}
        choices = [{"index": choice, "delta": delta, "finish_reason": finish}]
        return b"data: %s\n\n" % json.dumps({"id": "c", "choices": choices}).encode()

    words = [chunk(0, "Yes"), chunk(1, "No"), chunk(1, ", never."), chunk(0, ", always.")]
    peer.stream([*words, chunk(0, None, "stop"), chunk(1, None, "stop"), DONE])


def test_text_is_that_of_the_first_choice(multi: engine.Multi) -> None:
    texts: list[str] = []
    heard: list[tuple[str, str]] = []
    told: list[events.Event] = []
    with serve(two_choices) as server:
        client = engine.Client(multi, base_url=server.url)
        asked: dict[str, Any] = {"extra_body": {"n": 2}}
        stream = client.stream("m", "hi", on_text=lambda d: texts.append(d), **asked)
        stream.on("text", lambda delta, snapshot: heard.append((delta, snapshot)))
        stream.on("event", lambda event: told.append(event))
        completion = stream.result()
        pulled = list(client.stream("m", "hi", **asked).text_deltas())
    assert texts == pulled == ["Yes", ", always."]
    assert heard == [("Yes", "Yes"), (", always.", "Yes, always.")]
    assert sum(type(event) is events.TextDelta for event in told) == 4
    assert [m.text for m in completion.messages] == ["Yes, always.", "No, never."]


# -- a loop that is suspended ------------------------------------------------------------------


@pytest.mark.timeout(60)
@pytest.mark.parametrize("drive", [engine.Multi.run, engine.Multi.poll])
def test_to_wait_for_a_suspended_loop_is_a_mistake(
    client: engine.Client, drive: Callable[[engine.Multi], object]
) -> None:
    stream = client.stream("m", "hi")
    loop = iter(stream)
    next(loop)
    with pytest.raises(MisuseError, match="waits for a reader"):
        for _ in range(1000):  # a poll at a time: the first ones end the response
            drive(client.multi)
    assert client.multi.poll(0) == 1
    assert len(list(loop)) == 4
    assert stream.result().status == "complete"


@pytest.mark.timeout(60)
def test_beside_a_suspended_loop_others_go_on(client: engine.Client) -> None:
    suspended = client.stream("m", "hi")
    loop = iter(suspended)
    next(loop)
    other = client.stream("m", "hi")
    assert other.result().text == TEXT
    assert len(list(loop)) == 4


# -- the client --------------------------------------------------------------------------------


def test_later_headers_replace_earlier_ones_in_any_case() -> None:
    merged = merged_headers({"Authorization": "a", "X": "1"}, {}, {"authorization": "b", "y": "2"})
    assert merged == {"authorization": "b", "X": "1", "y": "2"}


def test_each_header_is_sent_once(multi: engine.Multi) -> None:
    client = engine.Client(
        multi, base_url="http://127.0.0.1:1", api_key="k", headers={"AUTHORIZATION": "Bearer mine"}
    )
    headers = {"authorization": "Bearer its", "content-TYPE": "application/json; x=1"}
    sent = client.stream("m", "hi", extra_headers=headers)._attempts._transfer.request.headers
    assert len({name.lower() for name in sent}) == len(sent)
    assert headers.items() <= sent.items()


def test_a_query_is_not_shown(multi: engine.Multi) -> None:
    client = engine.Client(multi, base_url="http://127.0.0.1:1/v1?key=s3cret")
    shown = repr(client)
    assert "http://127.0.0.1:1/v1" in shown and "s3cret" not in shown


def test_an_address_with_a_fragment_is_refused(multi: engine.Multi) -> None:
    with pytest.raises(ConfigError, match=r"^base_url holds a '#'"):
        engine.Client(multi, base_url="http://127.0.0.1:1/v1#frag")
