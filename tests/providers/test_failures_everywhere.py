"""A failure inside a stream is told as such in every format: first or after text, in any clothes,
with or without its blank line."""

from __future__ import annotations

import json

import pytest

from engine.errors import Category
from tests.cases import each_case
from tests.providers.streams import (
    added,
    block,
    candidate,
    chunk,
    data,
    encoded,
    gemini,
    line,
    lines,
    named,
    read,
    responses,
    step,
)

_TEXT = {"content": {"text": "par"}}
_SAID = {
    "responses": [
        added({"type": "message", "id": "m", "content": []}, output_index=0),
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": "par",
        },
    ],
    "messages": block(
        0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "par"}, stopped=False
    ),
    "interactions": step(
        0, {"type": "model_output"}, {"type": "text", "text": "par"}, stopped=False
    ),
    "cohere": [{"type": "content-delta", "index": 0, "delta": {"message": _TEXT}}],
}
_HEADS = {
    "messages": {"type": "message_start", "message": {"id": "m", "model": "c", "content": []}},
    "interactions": {"event_type": "interaction.created", "interaction": {"id": "v"}},
    "cohere": {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}},
}
BEGUN = {
    "chat": data(chunk(content="par")),
    "completions": data({"id": "c", "choices": [{"index": 0, "text": "par"}]}),
    "responses": responses(*_SAID["responses"]).rpartition(b"event: ")[0],
    "messages": named(_HEADS["messages"], *_SAID["messages"]),
    "gemini": gemini(candidate({"text": "par"})),
    "interactions": named(_HEADS["interactions"], *_SAID["interactions"]),
    "cohere": named(_HEADS["cohere"], *_SAID["cohere"]),
}
LINES = {
    "ollama": lines(line("par")),
    "ollama-generate": lines({"model": "q", "response": "par", "done": False}),
}

INNER = {"message": "Boom", "type": "server_error", "code": 503}
ERROR = {"error": INNER}
_E, _I = encoded(ERROR), encoded(INNER)

CLOTHES = {
    "an event": b"data: %s\n\n" % _E,
    "its blank line missing": b"data: %s\n" % _E,
    "its end missing": b"data: %s" % _E,
    "lines that end in CR LF": b"data: %s\r\n\r\n" % _E,
    "an event of that name": b"event: error\ndata: %s\n\n" % _E,
    "an event of that name, bare": b"event: error\ndata: %s\n\n" % _I,
    "an event of that name, a message alone": b'event: error\ndata: {"message": "Boom"}\n\n',
    "API Management's": b'data: {"statusCode": 500, "message": "Boom"}\n\n',
    "an event of that name, its end missing": b"event: error\ndata: %s" % _I,
    "an event of that name, words": b"event: error\ndata: Boom\n\n",
    "an event of that name, words, its end missing": b"event: error\ndata: Boom",
    "a field": b"error: %s\n\n" % _I,
    "a field, wrapped": b"error: %s\n\n" % _E,
    "a field, its end missing": b"error: %s" % _I,
    "a field, then the marker": b"error: %s\n\ndata: [DONE]\n\n" % _I,
    "a field, words": b"error:Boom\n",
    "a bare line": _E + b"\n",
    "a bare line, its end missing": _E,
    "a bare line after a comment": b": keep-alive\n\n%s\n" % _E,
    "bare lines": json.dumps(ERROR, indent=2).encode() + b"\n",
    "a text": b'data: {"error": "Boom"}\n\n',
    "no code": b'data: {"error": {"message": "Boom"}}\n\n',
    "an object that is an error": b'data: {"object": "error", "message": "Boom", "code": 500}\n\n',
    "an event that is an error": b'data: {"type": "error", "error": {"message": "Boom"}}\n\n',
    "a list": b"data: [%s]\n\n" % _E,
    "several errors": b'data: {"errors": [{"message": "Boom", "code": 7009}]}\n\n',
    "detail": b'data: {"detail": "Boom"}\n\n',
    "a number and words": b'data: {"code": 50001, "msg": "Boom"}\n\n',
    "beside no choices": b"data: %s\n\n" % encoded({"id": "x", "choices": [], **ERROR}),
}


@each_case("clothes", CLOTHES)
@each_case("dialect", BEGUN)
def test_a_failure_is_told_first_and_after_text(dialect: str, clothes: str) -> None:
    for begun, text in ((b"", ""), (BEGUN[dialect], "par")):
        reading = read(dialect, begun + CLOTHES[clothes])
        assert (reading.status, reading.text) == ("error", text)
        assert reading.error is not None
        assert reading.error.category is Category.SERVER
        assert reading.error.retryable
        assert reading.error.message.startswith("provider: Boom")


@each_case("dialect", BEGUN)
def test_a_failure_of_another_make_is_shown_as_it_came(dialect: str) -> None:
    told = '{"err": {"what": "Boom"}}'
    reading = read(dialect, BEGUN[dialect] + f"event: error\ndata: {told}\n\n".encode())
    assert reading.error is not None
    assert reading.error.message.startswith(f"provider: {told} (")


@pytest.mark.parametrize("dialect", LINES)
def test_a_failure_is_told_among_lines(dialect: str) -> None:
    for told in (_E, _E + b"\n", b'{"error": "Boom"}\n', b"data: %s\n\n" % _E, b"error: %s\n" % _I):
        for begun, text in ((b"", ""), (LINES[dialect], "par")):
            reading = read(dialect, begun + told)
            assert (reading.status, reading.text) == ("error", text), told
            assert reading.error is not None
            assert reading.error.message.startswith("provider: Boom")


@each_case("dialect", [*BEGUN, *LINES])
def test_a_failure_is_told_where_the_answer_should_have_come_whole(dialect: str) -> None:
    for body in (ERROR, [ERROR], {"error": "Boom"}, {"code": 50001, "msg": "Boom", "data": None}):
        for streaming in (True, False):
            reading = read(
                dialect, encoded(body), content_type="application/json", streaming=streaming
            )
            assert reading.status == "error", body
            assert reading.error is not None
            assert "Boom" in reading.error.message, body
            assert reading.error.category is Category.SERVER


@each_case("dialect", BEGUN)
def test_an_error_that_was_cut_is_no_answer(dialect: str) -> None:
    for cut in (b'data: {"error": {"mess', b"event: error\ndata: {", b"event: err"):
        reading = read(dialect, BEGUN[dialect] + cut)
        assert reading.status in ("truncated", "error")
        assert reading.text == "par"
