"""What is odd beside the text ends no answer, in every format; what is none of the format is told
as such; and a character that comes in halves is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from engine.errors import Category
from engine.events import Unknown
from tests.cases import each_case
from tests.providers.streams import (
    JSON,
    added,
    block,
    candidate,
    chunk,
    data,
    encoded,
    line,
    lines,
    named,
    read,
    step,
)


@dataclass
class Answer:
    """The records of an answer: before its text, of a piece of its text, and after it."""

    before: list[JSON]
    piece: Any
    after: list[JSON]
    named: bool = True
    marker: bool = False

    def framed(self, records: list[JSON]) -> bytes:
        return named(*records) if self.named else data(*records)

    def body(self, *texts: str, odd: bytes = b"", at: int = 0) -> bytes:
        """With `odd` before the piece of text `at`; behind all of them where `at` is one more."""
        said = [self.framed([self.piece(text)]) for text in texts]
        said.insert(at, odd)
        end = b"data: [DONE]\n\n" if self.marker else b""
        return self.framed(self.before) + b"".join(said) + self.framed(self.after) + end


_ITEM = {"type": "message", "id": "m", "content": []}
_HEAD = {"id": "r", "model": "m"}


def _completion(text: str, finish: str | None = None) -> JSON:
    return {"id": "c", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}


ANSWERS = {
    "chat": Answer(
        [chunk(role="assistant", content="")],
        lambda t: chunk(content=t),
        [chunk("stop")],
        False,
        True,
    ),
    "completions": Answer([_completion("")], _completion, [_completion("", "stop")], False, True),
    "gemini": Answer(
        [candidate()], lambda t: candidate({"text": t}), [candidate(finish="STOP")], False
    ),
    "responses": Answer(
        [{"type": "response.created", "response": _HEAD}, added(_ITEM, output_index=0)],
        lambda t: {"type": "response.output_text.delta", "output_index": 0, "delta": t},
        [{"type": "response.completed", "response": {**_HEAD, "status": "completed"}}],
    ),
    "messages": Answer(
        [
            {"type": "message_start", "message": {**_HEAD, "content": []}},
            block(0, {"type": "text", "text": ""})[0],
        ],
        lambda t: block(0, {}, {"type": "text_delta", "text": t})[1],
        [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ],
    ),
    "interactions": Answer(
        [
            {"event_type": "interaction.created", "interaction": _HEAD},
            step(0, {"type": "model_output"})[0],
        ],
        lambda t: step(0, {}, {"type": "text", "text": t})[1],
        [{"event_type": "interaction.completed", "interaction": {**_HEAD, "status": "completed"}}],
    ),
    "cohere": Answer(
        [{"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}],
        lambda t: {
            "type": "content-delta",
            "index": 0,
            "delta": {"message": {"content": {"text": t}}},
        },
        [{"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}],
    ),
}

ODD = [
    *(b"data:\n\n", b"data: \n\n", b"data: null\n\n", b"data: []\n\n", b"data: {}\n\n"),
    *(b"data: ping\n\n", b"data: 5\n\n", b'data: "x"\n\n', b"data: NaN\n\n", b"data: OK\n\n"),
    *(b'data: {"type": "ping"}\n\n', b"event: ping\ndata: 2026-01-01\n\n", b"event: x\n\n"),
    *(b'data: {"foo": 1}\n\n', b'data: {"type": "of.tomorrow", "a": [1]}\n\n', b"id: 5\n\n"),
    *(b'data: {"choices": null}\n\n', b'data: {"choices": [null]}\n\n', b": x\n\n", b":\n\n"),
    *(b'data: {"candidates": [null]}\n\n', b'data: {"candidates": []}\n\n', b"retry: 5\n\n"),
]


@each_case("dialect", ANSWERS)
def test_odd_records_end_no_answer_wherever_they_come(dialect: str) -> None:
    answer = ANSWERS[dialect]
    first, second = (answer.framed([answer.piece(text)]) for text in "ab")
    last = answer.framed(answer.after)
    for odd in ODD:
        parts = (odd, answer.framed(answer.before), odd, first, odd, second, odd, last, odd)
        reading = read(dialect, b"".join(parts))
        assert (reading.status, reading.text) == ("complete", "ab"), odd


@each_case("dialect", ANSWERS)
def test_what_is_odd_keeps_its_words(dialect: str) -> None:
    reading = read(dialect, ANSWERS[dialect].body("a", odd=b'data: {"foo": "words"}\n\n'))
    told = [event for event in reading.events if type(event) is Unknown]
    assert "words" in repr(told)


@each_case("dialect", ANSWERS)
def test_json_that_is_cut_may_have_held_a_word(dialect: str) -> None:
    cut = b'data: {"choices": [{"ind\n\n'
    reading = read(dialect, ANSWERS[dialect].body("a", "b", odd=cut, at=1))
    assert (reading.status, reading.text) == ("error", "a")
    assert reading.error is not None
    assert reading.error.category is Category.PROTOCOL
    assert "text/event-stream" in reading.error.message
    # What came before it says that the format is right.
    assert not reading.error.retryable
    assert "base URL" not in reading.error.message


@each_case("dialect", ANSWERS)
def test_lines_end_and_events_stand_as_the_server_likes(dialect: str) -> None:
    body = ANSWERS[dialect].body("a", "b")
    for other in (
        body.replace(b"\n", b"\r\n"),
        body.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + body,
        body.replace(b": ", b":"),
        body.rstrip(b"\n"),
        body.replace(b"\n\n", b"\n"),  # one event to the standard
        b"".join(one for one in body.splitlines(True) if not one.startswith(b"event:")),
    ):
        reading = read(dialect, other)
        assert (reading.status, reading.text) == ("complete", "ab"), other


@each_case("dialect", ANSWERS)
def test_a_frame_within_a_frame_is_one(dialect: str) -> None:
    body = ANSWERS[dialect].body("a", "b")
    for frames in (b"data: data: ", b"data:data:data:"):
        reading = read(dialect, body.replace(b"data: ", frames))
        assert (reading.status, reading.text) == ("complete", "ab"), frames
    assert read(dialect, body + b"data: " * 20_000 + b"\n\n").status == "complete"
    assert read(dialect, b"data: " * 20_000 + b"\n\n").status in ("error", "truncated")


def test_lines_of_ollama_in_the_frame_of_events() -> None:
    body = data(line("a"), line("b"), line(reason="stop"))
    reading = read("ollama", body, content_type="text/event-stream")
    assert (reading.status, reading.text) == ("complete", "ab")


@each_case("dialect", [name for name, one in ANSWERS.items() if one.named])
def test_the_type_of_an_event_may_stand_in_its_name_alone(dialect: str) -> None:
    body = ANSWERS[dialect].body("a", "b")
    bare = re.sub(rb'(data: {)"(?:event_)?type": "[^"]*", ', rb"\1", body)
    assert bare.count(b"type") < body.count(b"type")
    reading = read(dialect, bare)
    assert (reading.status, reading.text) == ("complete", "ab")


_CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
_PARTS = {"parts": {"functionCall": {"name": "f", "args": {"x": 1}}}}
ONE_FOR_A_LIST = {
    "chat": data(chunk("eos_token", tool_calls=_CALL), done=True),  # TGI 2
    "completions": data({"choices": {"text": "a"}}, done=True),
    "gemini": data({"candidates": {"content": _PARTS, "finishReason": "STOP"}, "responseId": "r"}),
    "responses": encoded({"id": "r", "status": "completed", "output": {**_ITEM, "content": "a"}}),
    "messages": encoded({"content": {"type": "text", "text": "a"}, "stop_reason": "end_turn"}),
    "ollama": lines(line(reason="stop", tool_calls=_CALL)),
    "cohere": encoded({"message": {"content": "a", "tool_calls": _CALL}}),
}


@each_case("dialect", ONE_FOR_A_LIST)
def test_one_thing_where_a_list_is_due_is_a_list_of_it(dialect: str) -> None:
    body = ONE_FOR_A_LIST[dialect]
    kind = "application/json" if body.startswith(b"{") else None
    reading = read(dialect, body, content_type=kind)
    assert reading.status == "complete"
    assert reading.text or reading.calls
    assert reading.text in ("", "a")
    assert reading.calls in ([], [("f", {"x": 1})])
    assert not reading.unknown


@each_case("kind", ["application/json", "", "text/plain; charset=utf-8"])
@each_case("dialect", ANSWERS)
def test_a_stream_is_known_by_its_bytes(dialect: str, kind: str) -> None:
    reading = read(dialect, ANSWERS[dialect].body("a", "b"), content_type=kind)
    assert (reading.status, reading.text) == ("complete", "ab")


@each_case("dialect", ANSWERS)
def test_a_character_in_halves_is_one_however_often(dialect: str) -> None:
    texts = ("a\ud83d", "\ude00b", "c\ud83d", "\ude00d\ud83d", "e")
    body = ANSWERS[dialect].body(*texts)
    for framed in (body, body.replace(b"\n\n", b"\n")):
        assert read(dialect, framed).text == "a\N{GRINNING FACE}bc\N{GRINNING FACE}d\ufffde"


# -- what is none of the format --------------------------------------------------------------------

_NATIVE = b'id:1\nevent:result\ndata:{"output":{"text":"Hi"},"usage":{"total_tokens":3}}\n\n'
STRANGERS = [
    (_NATIVE, "text/event-stream"),
    (lines(line("a"), line(reason="stop")), "application/x-ndjson"),
    (b"Internal words, sorry", "text/plain"),
    (b'<?xml version="1.0"?><Error/>', "application/xml"),
    (b'"Hi"', "application/json"),
    (bytes(range(256)), "application/vnd.amazon.eventstream"),
]


@each_case("dialect", ANSWERS)
def test_what_is_none_of_the_format_is_told_and_not_asked_again(dialect: str) -> None:
    others = [
        (one.body("a"), "text/event-stream") for name, one in ANSWERS.items() if name != dialect
    ]
    for body, kind in (*STRANGERS, *others):
        reading = read(dialect, body, content_type=kind)
        if reading.status == "complete":
            assert dialect in ("chat", "completions")
            assert reading.text == "a"  # each of the two understands the other
            continue
        assert reading.status == "error", body
        assert reading.error is not None
        assert reading.error.category is Category.PROTOCOL, body
        assert not reading.error.retryable
        assert kind in reading.error.message or "web page" in reading.error.message, body


@each_case("dialect", ANSWERS)
def test_nothing_at_all_is_truncated(dialect: str) -> None:
    for body in (b"", b"\n\n", b": a\n\n: b\n\n"):
        assert read(dialect, body).status == "truncated"


def test_chat_and_completions_understand_each_other() -> None:
    assert read("chat", ANSWERS["completions"].body("a", "b")).text == "ab"
    assert read("completions", ANSWERS["chat"].body("a", "b")).text == "ab"
    whole = {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}
    reading = read("completions", encoded(whole), content_type="application/json")
    assert (reading.status, reading.text) == ("complete", "ab")


def test_lines_of_ollama_that_are_called_json() -> None:
    body = lines(line("a"), line("b"), line(reason="stop"))
    reading = read("ollama", body, content_type="application/json")
    assert (reading.status, reading.text) == ("complete", "ab")
