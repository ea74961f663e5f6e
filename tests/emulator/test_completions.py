"""The emulator's legacy completions, held against OpenAI's reference."""

from __future__ import annotations

from typing import Any

from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import ask, events_of, json_of

PATH = "/v1/completions"


def completions(**more: Any) -> dict[str, Any]:
    return {"model": "demo", "prompt": "Once upon a time", **more}


def test_a_stream_has_the_shape_of_the_reference() -> None:
    body = completions(stream=True, stream_options={"include_usage": True})
    *chunks, usage, marker = events_of(ask(PATH, body, settings=Settings(tokens=3)))
    assert marker == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 3 + ["stop"]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 7
    plain = events_of(ask(PATH, completions(stream=True), settings=Settings(tokens=3)))
    assert len(plain) == 5


def test_streamed_and_whole_are_the_same_answer() -> None:
    chunks = events_of(ask(PATH, completions(stream=True, n=2)))[:-1]
    whole = json_of(ask(PATH, completions(n=2)))
    for choice in whole["choices"]:
        pieces = [
            one["text"]
            for chunk in chunks
            for one in chunk["choices"]
            if one["index"] == choice["index"]
        ]
        assert "".join(pieces) == choice["text"]
    assert whole["choices"][0]["text"] != whole["choices"][1]["text"]


def test_limits_are_kept() -> None:
    assert json_of(ask(PATH, completions(max_tokens=2)))["choices"][0]["finish_reason"] == "length"
    text = json_of(ask(PATH, completions(stop="e")))["choices"][0]["text"]
    assert "e" not in text


@each_case("body", [completions(prompt=["a", "b"]), completions(n=0), {}])
def test_a_bad_request_is_told(body: Any) -> None:
    reply = ask(PATH, body)
    assert reply.status == 400
    assert json_of(reply)["error"]["type"] == "invalid_request_error"
