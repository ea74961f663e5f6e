"""The client: it joins a question to a `Multi`, its own or one that is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import engine
from engine.errors import MisuseError
from tests.cases import each_case
from tests.server import HEALTHY, Peer, chat, serve


def answered(peer: Peer) -> None:
    if json.loads(peer.request.body).get("stream"):
        peer.stream(chat(*HEALTHY))
    else:
        message = {"role": "assistant", "content": "".join(HEALTHY)}
        whole = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        peer.json(json.dumps(whole).encode())


def test_a_stream_and_a_request_give_the_same_text(multi: engine.Multi) -> None:
    with serve(answered) as server:
        client = engine.Client(multi, base_url=server.url)
        texts = [ask("m", "hi").result().text for ask in (client.stream, client.request)]
        streamed = [json.loads(request.body).get("stream", False) for request in server.requests]
    assert texts == ["".join(HEALTHY)] * 2
    assert streamed == [True, False]


@each_case("name", ["streaming", "stream", "rendered", "question", "messages"])
def test_an_argument_there_is_not_is_named_as_it_was_written(name: str) -> None:
    with engine.Client(base_url="http://127.0.0.1:9") as client:
        asks: list[Callable[..., object]] = [client.stream, client.request]
        for ask in asks:
            with pytest.raises(TypeError, match=f"^unexpected keyword argument '{name}'"):
                ask("m", "hi", **{name: True})


def test_nothing_is_sent_before_somebody_drives(multi: engine.Multi) -> None:
    with serve(answered) as server:
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
        assert (stream.completion, server.connections, len(multi)) == (None, 0, 1)
        stream.cancel()


def test_its_own_multi_is_closed_with_it_and_a_given_one_is_not(multi: engine.Multi) -> None:
    with engine.Client(base_url="http://127.0.0.1:9/v1") as own:
        pass
    with pytest.raises(MisuseError):
        own.stream("m", "hi")
    with engine.Client(multi, base_url="http://127.0.0.1:9/v1") as given:
        pass
    given.stream("m", "hi").cancel()


def test_callbacks_and_user_data_are_the_streams(multi: engine.Multi) -> None:
    told: list[Any] = []
    with serve(answered) as server:
        stream = engine.Client(multi, base_url=server.url).stream(
            "m", "hi", on_text=told.append, on_done=lambda c: told.append(c.status), user_data=5
        )
        stream.result()
    assert told == [*HEALTHY, "complete"]
    assert stream.user_data == 5


def test_what_is_printed_of_it_holds_no_key() -> None:
    with engine.Client(base_url="https://h.example/v1?key=canary-1", api_key="canary-2") as client:
        assert "canary" not in repr(client)
        assert "h.example" in repr(client)


def test_its_settings_are_read_once(multi: engine.Multi) -> None:
    headers = {"X-A": "first"}
    with serve(answered) as server:
        client = engine.Client(multi, base_url=server.url, headers=headers)
        headers["X-A"] = "second"
        client.stream("m", "hi").result()
    assert server.requests[0].headers["x-a"] == "first"
