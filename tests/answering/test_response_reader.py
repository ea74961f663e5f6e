"""Reading one response: what it is, how it really ended, and the limits it is held to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.answering.response_reader import ResponseReader
from engine.errors import (
    CancelledError,
    Category,
    DeadlineError,
    EngineError,
    NetworkError,
    ProtocolError,
    TruncatedError,
)
from engine.events import Done, Event, TextDelta, ThinkingDelta
from engine.providers import dialect
from engine.wire.headers import Head
from tests.cases import each_case


def chunk(text: str = "", finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice], **more}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def read(
    *pieces: bytes,
    content_type: str = "text/event-stream",
    status: int = 200,
    name: str = "chat",
    headers: dict[str, str] | None = None,
    streaming: bool = True,
    error: EngineError | None = None,
    **options: Any,
) -> tuple[ResponseReader, list[Event]]:
    answer = ResponseReader(dialect(name), "vendor", "KEY", streaming, **options)
    answer.head(Head(status, {"content-type": content_type, **(headers or {})}, True))
    events = [event for piece in pieces for event in answer.feed(piece)]
    return answer, events + answer.end(error)


def words(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_stream_is_complete_with_its_marker_and_truncated_without() -> None:
    answer, events = read(chunk("Hi"), chunk("", "stop"), DONE)
    assert answer.complete
    assert answer.failure is None
    assert words(events) == "Hi"
    cut, events = read(chunk("Hi"))
    assert isinstance(cut.failure, TruncatedError)
    assert words(events) == "Hi"


WAYS = [
    # format, what comes, its content type, whether it is whole
    ("chat", chunk("Hi", "stop") + DONE, "text/event-stream", True),
    ("chat", chunk("Hi", "stop") + DONE, "application/json", True),
    ("chat", chunk("Hi", "stop"), "text/plain", True),
    ("chat", chunk("Hi"), "text/event-stream", False),
    ("chat", b": wait\n\n" + chunk("Hi", "stop"), "text/event-stream", True),
    ("chat", chunk("Hi", "stop").removeprefix(b"data: "), "application/x-ndjson", True),
    (
        "chat",
        b'\n{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}',
        "text/event-stream",
        True,
    ),
    (
        "gemini",
        b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}\n\n',
        "text/event-stream",
        True,
    ),
    (
        "gemini-array",
        b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}',
        "application/json",
        True,
    ),
    (
        "ollama",
        b'{"message":{"content":"H"},"done":false}\n{"message":{"content":"i"},"done":true}\n',
        "application/x-ndjson",
        True,
    ),
    ("ollama", b'{"message":{"content":"Hi"},"done":false}\n', "application/x-ndjson", False),
    ("ollama", b'{"message":{"content":"Hi"},"done":true}', "application/json", True),
    ("chat", chunk("Hi", "stop") + DONE, "Text/Event-Stream; charset=utf-8", True),
    ("ollama", b'{"message":{"content":"Hi"},"done":true}', "Application/JSON; v=1", True),
]


@each_case(("name", "body", "content_type", "whole"), WAYS)
@each_case("streaming", [True, False], ids=["asked-streamed", "asked-whole"])
def test_what_comes_is_read_as_what_it_is_whichever_way_it_was_asked_for(
    name: str, body: bytes, content_type: str, whole: bool, streaming: bool
) -> None:
    for pieces in ([body], [body[i : i + 1] for i in range(len(body))]):
        answer, events = read(*pieces, name=name, content_type=content_type, streaming=streaming)
        assert words(events) == "Hi"
        assert (answer.failure is None) is whole
        assert answer.failure is None or isinstance(answer.failure, TruncatedError)


@each_case("body", [b"", b"\n\n", b": keep-alive\n\n"])
def test_nothing_at_all_is_truncated(body: bytes) -> None:
    assert isinstance(read(body)[0].failure, TruncatedError)


@each_case(
    ("body", "content_type"),
    [
        (b"\x00\x00\x00\x9d\x00\x00\x00Xevent", "application/vnd.amazon.eventstream"),
        (b'id:1\nevent:result\ndata:{"output":{"text":"Hi"}}\n\n', "text/event-stream"),
        (b"data: Hello\n\ndata: you\n\n", "text/event-stream"),
        (b"Hello, this is plain text.\n", "text/plain"),
    ],
)
def test_what_is_in_no_way_the_format_is_told_with_its_type_and_not_asked_again(
    body: bytes, content_type: str
) -> None:
    failure = read(body, content_type=content_type)[0].failure
    assert isinstance(failure, ProtocolError)
    assert content_type in str(failure)
    assert not failure.retryable


@each_case("content_type", ["text/html", "TEXT/HTML; charset=utf-8"])
def test_a_page_is_known_by_its_type_too(content_type: str) -> None:
    assert "web page" in str(read(b"log in", content_type=content_type)[0].failure)


def test_bedrocks_own_framing_is_named() -> None:
    kind = "application/vnd.amazon.eventstream"
    assert "Bedrock" in str(read(b"\x00\x01\x02", content_type=kind)[0].failure)


def test_errors_name_the_provider_and_the_request() -> None:
    failed = b'data: {"error":{"message":"Slow","code":"rate_limit_exceeded"}}\n\n'
    answer, events = read(chunk("par") + failed, headers={"cf-ray": "r1"})
    error = answer.named(events[-1].error)  # type: ignore[union-attr]
    assert str(error).startswith("vendor: Slow")
    assert (error.provider, error.request_id) == ("vendor", "r1")


def test_an_error_is_held_back_until_the_count_after_it() -> None:
    failed = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
    error = {**failed, "error": {"code": 502, "message": "bad"}}
    usage = {"choices": [], "usage": {"prompt_tokens": 41, "completion_tokens": 3}}
    answer = ResponseReader(dialect("chat"), "vendor", None, True)
    answer.head(Head(200, {"content-type": "text/event-stream"}, True))
    answer.feed(chunk("x") + b"data: " + json.dumps(error).encode() + b"\n\n")
    assert answer.failing
    told = answer.feed(b"data: " + json.dumps(usage).encode() + b"\n\n")
    assert told[0].usage.input_tokens == 41  # type: ignore[union-attr]
    answer.end(None)
    assert answer.failure is not None
    assert answer.failure.category is Category.SERVER


def test_the_limit_of_an_event_and_of_an_answer_hold_and_are_named() -> None:
    for pieces in (
        [chunk("x" * 9000)],
        [chunk("x" * 9000)[i : i + 500] for i in range(0, 9100, 500)],
    ):
        with pytest.raises(ProtocolError, match="max_event_bytes=8000"):
            read(chunk("a"), *pieces, chunk("b"), max_event_bytes=8000)
    with pytest.raises(ProtocolError, match="max_answer_bytes=1000"):
        read(*[chunk("x")] * 99, max_answer_bytes=1000)
    whole = json.dumps({"choices": [{"index": 0, "message": {"content": "x" * 2000}}]}).encode()
    with pytest.raises(ProtocolError, match="max_answer_bytes=1000"):
        read(whole, content_type="application/json", max_answer_bytes=1000)


def test_metadata_of_a_stream_and_of_a_whole_answer() -> None:
    streamed, _ = read(chunk("Hi"), chunk("", "stop", service_tier="flex"), DONE)
    assert streamed.metadata == {"service_tier": "flex"}
    body = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    whole, events = read(
        json.dumps({**body, "service_tier": "flex"}).encode(), content_type="application/json"
    )
    assert whole.metadata == {"service_tier": "flex"}
    assert isinstance(events[-1], Done)


def test_lines_of_json_are_a_stream_that_may_be_cut() -> None:
    lines = [chunk("x")[6:-1], chunk("y")[6:-1], chunk("", "stop")[6:-1]]
    answer, events = read(*lines, content_type="application/x-ndjson")
    assert answer.failure is None
    assert words(events) == "xy"
    cut, events = read(*lines[:2], content_type="application/x-ndjson")
    assert isinstance(cut.failure, TruncatedError)


@each_case(
    ("name", "streaming", "head", "line", "between"),
    [
        ("ollama", True, b"", b'{"message":{"content":"Hi"},"done":false}', b"\n"),
        ("ollama", False, b"", b'{"message":{"content":"Hi"},"done":false}', b"\n"),
        ("ollama-generate", True, b"", b'{"response":"Hi","done":false}', b"\n"),
        ("ollama-generate", False, b"", b'{"response":"Hi","done":false}', b"\n"),
        ("gemini-array", True, b"[", b'{"candidates":[{"content":{"parts":[]}}]}', b",\n"),
        ("chat", True, b"data: ", b'{"choices":[{"delta":{"content":"Hi"}}]}', b"\n\ndata: "),
        ("chat", False, b"data: ", b'{"choices":[{"delta":{"content":"Hi"}}]}', b"\n\ndata: "),
    ],
)
def test_a_stream_cut_in_a_record_is_cut_and_who_cut_it_is_told(
    name: str, streaming: bool, head: bytes, line: bytes, between: bytes
) -> None:
    content_type = dialect(name).content_types[0]
    for cut in range(1, len(line)):
        for error in (None, NetworkError("gone")):
            answer = ResponseReader(dialect(name), "vendor", "KEY", streaming)
            answer.head(Head(200, {"content-type": content_type}, True))
            for piece in (head + line + between, line[:cut]):
                answer.feed(piece)
            answer.end(error)
            assert not answer.complete
            if error is None:
                assert isinstance(answer.failure, TruncatedError), cut
            else:
                assert answer.failure is error, cut


@pytest.mark.parametrize("on", [True, False])
def test_think_tags_are_split_by_option(on: bool) -> None:
    pieces = (chunk("<think>a"), chunk("b</think>"), chunk("\nc"), chunk("", "stop"), DONE)
    _, events = read(*pieces, think_tags=on)
    thought = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    assert (thought, words(events)) == (("ab", "c") if on else ("", "<think>ab</think>\nc"))


WHOLE: dict[str, dict[str, Any]] = {
    "chat": {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]},
    "completions": {"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]},
    "messages": {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"},
    "responses": {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
    },
    "gemini": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]},
    "cohere": {
        "message": {"content": [{"type": "text", "text": "Hi"}]},
        "finish_reason": "COMPLETE",
    },
    "interactions": {"status": "completed", "outputs": [{"type": "text", "text": "Hi"}]},
    "ollama": {"message": {"content": "Hi"}, "done": True},
    "ollama-generate": {"response": "Hi", "done": True},
}
WHOLE["gemini-array"] = WHOLE["gemini"]
TYPES = ["application/json", "application/x-ndjson", "text/event-stream", "text/plain", ""]


@each_case("name", WHOLE)
@each_case("indent", [None, 0, 2])
@each_case("content_type", TYPES)
def test_a_whole_answer_is_read_however_it_is_printed_and_whatever_its_type(
    name: str, indent: int | None, content_type: str
) -> None:
    body = json.dumps(WHOLE[name], indent=indent).encode()
    for streaming in (True, False):
        for pieces in ([body], [body[i : i + 1] for i in range(len(body))], [b"\n" + body + b"\n"]):
            answer, events = read(
                *pieces, name=name, content_type=content_type, streaming=streaming
            )
            assert answer.failure is None
            assert words(events) == "Hi"


FAILURES: list[EngineError | None] = [
    None,
    TruncatedError("cut"),
    NetworkError("gone"),
    DeadlineError("late"),
]
OBJECTS = {name: whole for name, whole in WHOLE.items() if isinstance(whole, dict)}


@each_case("name", OBJECTS)
@each_case("error", FAILURES, str)
def test_an_answer_in_one_piece_is_whole_with_its_last_brace_however_the_transport_ends(
    name: str, error: EngineError | None
) -> None:
    body = json.dumps(OBJECTS[name], ensure_ascii=False).encode()
    ask = {"name": name, "content_type": "application/json", "streaming": False, "error": error}
    answer, events = read(body, **ask)
    assert answer.failure is None and answer.complete
    assert words(events) == "Hi"
    for end in range(1, len(body)):
        answer, events = read(body[:end], **ask)
        assert answer.failure is error if error is not None else True
        assert isinstance(answer.failure, (error and type(error)) or TruncatedError), body[:end]
        assert not answer.complete and not events


def test_what_was_ended_here_is_not_told_as_complete() -> None:
    for error in (CancelledError("enough"), ProtocolError("larger than allowed")):
        body = json.dumps(WHOLE["chat"]).encode()
        answer, events = read(body, content_type="application/json", error=error)
        assert answer.failure is error and not events


@each_case("body", [b'{"choices": ]', b'{"a": 1}{"a": 2}', b"[1, 2", b'{"a": nope'])
def test_what_is_wrong_otherwise_than_by_its_end_is_no_truncation(body: bytes) -> None:
    failure = read(body, content_type="application/json", streaming=False)[0].failure
    assert isinstance(failure, ProtocolError)


def test_an_object_on_a_line_of_its_own_inside_a_printed_one_is_no_record() -> None:
    lines = [b"{\n", b'"message":\n', b'{"content": "Hi"}\n', b', "x":\n', b'{"done": false}\n']
    for last in ([b', "done": true\n', b"}\n"], [b', "done": true}']):
        answer, events = read(*lines, *last, name="ollama", content_type="application/x-ndjson")
        assert answer.failure is None
        assert words(events) == "Hi"
