"""A request that a server refuses for one thing it does not know is asked once more without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import engine
from engine.asking.rendered import mended_request
from engine.errors import Category, ProviderError
from engine.request import HttpRequest
from tests.server import Peer, serve

NO_STREAM = b'{"error": {"message": "stream is not supported", "type": "invalid_request_error"}}'

# The whole answer "Hi" in each format, and what of the address or body asked for a stream.
WHOLE: dict[str, Any] = {
    "chat": {"id": "c", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]},
    "completions": {"id": "c", "choices": [{"text": "Hi", "finish_reason": "stop"}]},
    "responses": {
        "id": "r",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
    },
    "messages": {
        "id": "m",
        "type": "message",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
    },
    "gemini": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]},
    "ollama": {"message": {"content": "Hi"}, "done": True, "done_reason": "stop"},
    "cohere": {
        "id": "c",
        "message": {"content": [{"type": "text", "text": "Hi"}]},
        "finish_reason": "COMPLETE",
    },
}


@pytest.mark.parametrize("dialect", WHOLE)
def test_a_server_that_cannot_stream_is_asked_for_the_whole(
    multi: engine.Multi, dialect: str
) -> None:
    def once(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.json(NO_STREAM, "400 Bad Request")
        else:
            peer.json(json.dumps(WHOLE[dialect]).encode())

    with serve(once) as server:
        client = engine.Client(multi, base_url=server.url, dialect=dialect)
        told: list[str] = []
        completion = client.stream("m", "hi", on_text=told.append).result()
        first, second = server.requests
    assert completion.status == "complete", completion.error
    assert told == ["Hi"]
    streamed = dict.fromkeys(["stream", "stream_options"])
    asked, again = json.loads(first.body), json.loads(second.body)
    assert {k: v for k, v in asked.items() if k not in streamed} == {
        k: v for k, v in again.items() if k not in streamed
    }
    assert not again.get("stream") and "stream_options" not in again
    assert ("stream" in first.path.lower()) != asked.get("stream", False)
    assert "stream" not in second.path.lower()
    assert second.headers["accept"] == "application/json"


def test_a_server_that_says_so_twice_is_believed(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.json(NO_STREAM, "400 Bad Request")) as server:
        client = engine.Client(multi, base_url=server.url)
        completion = client.stream("m", "hi").result()
        assert len(server.requests) == 2
    assert completion.error is not None
    assert completion.error.category is Category.INVALID_ARG


def test_what_cannot_be_mended_is_sent_once() -> None:
    http = HttpRequest("POST", "https://x/v1/chat/completions", {}, b'{"model": "m"}')

    def refused(status: int, words: str) -> ProviderError:
        return ProviderError(words, category=Category.INVALID_ARG, http_status=status)

    assert mended_request(http, refused(400, "stream is not supported")) is None  # was not asked
    assert mended_request(http, refused(500, "stream is not supported")) is None
    assert mended_request(http, refused(404, "no such model")) is None
    assert mended_request(HttpRequest("GET", "https://x"), refused(400, "seed: unknown")) is None
