"""A `Stream` from request to completion, over a real socket."""

from __future__ import annotations

import json

import engine
from engine import events
from tests.server import Peer, serve


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode() + b"\n\n"


HELLO = [chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"), b"data: [DONE]\n\n"]


def test_a_stream_gives_its_text_and_one_completion() -> None:
    with serve(lambda peer: peer.stream(HELLO)) as server:
        client = engine.Client(base_url=f"{server.url}/v1", api_key="k")
        seen: list[events.Event] = []
        done: list[engine.Completion] = []
        stream = client.stream(
            "m", "hi", on_event=lambda e, s: seen.append(e), on_done=lambda c, s: done.append(c)
        )
        completion = stream.result()
        client.close()
    assert completion.status == "complete", completion.error
    assert completion.message.text == stream.text == "Hello"
    assert done == [completion]
    assert [type(e) for e in seen] == [
        events.Start,
        events.TextDelta,
        events.TextDelta,
        events.Done,
    ]
    assert completion.delivered == 4


def test_a_refused_connection_is_a_network_error_with_advice() -> None:
    with serve(lambda peer: None) as server:
        url = server.url
    client = engine.Client(base_url=f"{url}/v1", retry=engine.Retry(max_attempts=1))
    completion = client.stream("m", "hi").result()
    assert completion.status == "error"
    assert completion.error is not None
    assert completion.error.category is engine.Category.NETWORK
    assert "check" in str(completion.error)


def test_bytes_that_end_before_the_marker_are_truncated_and_kept() -> None:
    def cut(peer: Peer) -> None:
        peer.stream(HELLO[:2])

    with serve(cut) as server:
        client = engine.Client(base_url=f"{server.url}/v1")
        completion = client.stream("m", "hi").result()
        client.close()
    assert completion.status == "truncated"
    assert completion.message.text == "Hello"
    assert completion.error is not None
