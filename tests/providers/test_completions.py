"""Legacy completions: chunks to events, requests to JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import events
from engine.answering.accumulate import Accumulator
from engine.errors import Category, ConfigError
from engine.events import Event
from engine.messages import FinishReason, Image, Message, Tool, Usage
from engine.providers.completions import CompletionsDialect
from engine.providers.endpoints import endpoint
from engine.request import ModelRequest
from engine.wire import SSERecord
from tests.cases import each_case

DIALECT = CompletionsDialect()
JSON = dict[str, Any]
DONE = b"data: [DONE]\n\n"
TAIL = b"\n\n" + DONE + b"data: nonsense\n\n"


def chunk(text: str, finish: str | None = None, **more: Any) -> JSON:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish, **more}
    return {"id": "cmpl-1", "object": "text_completion", "model": "davinci", "choices": [choice]}


def streamed(*chunks: JSON, tail: bytes = DONE) -> tuple[list[Event], bool]:
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + tail
    decoder, parser = DIALECT.decoder(), DIALECT.parser()
    seen: list[Event] = parser.feed(decoder.feed(body))
    if not parser.complete:
        seen += parser.finish()
    return seen, parser.complete


def last(seen: list[Event]) -> events.Done:
    assert isinstance(seen[-1], events.Done)
    return seen[-1]


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def test_text_usage_and_the_marker() -> None:
    seen, complete = streamed(
        {**chunk("This"), "usage": None},
        chunk(" is"),
        chunk("", "length"),
        {**chunk(""), "choices": [], "usage": USAGE},
    )
    usage = Usage(5, 7, 12)
    assert seen == [
        events.Start("cmpl-1", "davinci"),
        events.TextDelta("This"),
        events.TextDelta(" is"),
        events.UsageUpdate(usage),
        events.Done(FinishReason.LENGTH, usage, "length"),
    ]
    assert complete


def test_a_finish_reason_is_enough_where_the_marker_never_comes() -> None:
    seen, complete = streamed(chunk("x"), chunk("", "stop"), tail=b"")
    assert complete
    assert last(seen).finish_reason is FinishReason.STOP


def test_neither_marker_nor_finish_reason_is_truncated() -> None:
    assert not streamed(chunk("x"), tail=b"")[1]


def test_the_marker_alone_is_complete_and_nothing_after_it_counts() -> None:
    parser = DIALECT.parser()
    seen = parser.feed(DIALECT.decoder().feed(b"data: " + json.dumps(chunk("x")).encode() + TAIL))
    assert parser.complete
    assert parser.feed([SSERecord(b"nonsense")]) == parser.finish() == []
    assert (last(seen).finish_reason, last(seen).finish_reason_raw) == (FinishReason.UNKNOWN, None)


def test_choices_and_logprobs() -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.1], "top_logprobs": None, "text_offset": [0]}
    seen, complete = streamed(
        chunk("a", logprobs=logprobs), chunk("b", index=1), chunk("", "stop"), tail=b""
    )
    accumulator = Accumulator()
    accumulator.extend(seen)
    assert [accumulator.message(None, choice).text for choice in (0, 1)] == ["a", "b"]
    assert accumulator.logprobs == [logprobs]
    assert not complete  # choice 1 never said why it ended


@each_case(
    "error",
    [
        {"error": {"type": "server_error", "message": "Overloaded"}},
        {"object": "error", "type": "server_error", "message": "Overloaded", "code": 500},
        {**chunk("never"), "error": {"type": "server_error", "message": "Overloaded"}},
    ],
    ids=["OpenAI", "vLLM", "beside choices"],
)
def test_an_error_inside_the_stream_ends_it(error: JSON) -> None:
    seen, complete = streamed(chunk("x"), error, chunk("never"))
    assert isinstance(seen[-1], events.StreamError)
    assert seen[-1].error.category is Category.SERVER
    assert [e.text for e in seen if isinstance(e, events.TextDelta)] == ["x"]
    assert not complete


def test_what_is_no_chunk_is_a_protocol_error() -> None:
    for tail in (b'data: {"choices":3}\n\n', DONE, b"data: <html>\n\n" + DONE):
        seen, complete = streamed(tail=tail)
        assert isinstance(seen[-1], events.StreamError)
        assert seen[-1].error.category is Category.PROTOCOL
        assert not complete


def test_a_chunk_of_something_else_is_passed_over() -> None:
    seen, complete = streamed({"object": "ping"}, chunk("x", "stop"))
    assert complete
    assert isinstance(seen[0], events.Unknown)
    assert events.TextDelta("x") in seen


def test_a_lone_surrogate_is_mended() -> None:
    seen, _ = streamed(chunk("a\ud83d", "stop"))
    assert "".join(e.text for e in seen if isinstance(e, events.TextDelta)) == "a\ufffd"


def test_an_answer_that_was_not_streamed_gives_the_same_events() -> None:
    whole = {**chunk("This is", "stop"), "usage": USAGE}
    seen = DIALECT.parse_answer(json.dumps(whole).encode())
    assert events.TextDelta("This is") in seen
    assert last(seen) == events.Done(FinishReason.STOP, Usage(5, 7, 12), "stop")
    only = DIALECT.parse_answer(b"{}")[-1]
    assert isinstance(only, events.StreamError)


def test_cached_and_reasoning_tokens() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    seen, _ = streamed({**chunk("x", "stop"), "usage": {**USAGE, **details}})
    assert last(seen).usage == Usage(5, 7, 12, cached_tokens=2, reasoning_tokens=3)


# -- requests: https://platform.openai.com/docs/api-reference/completions/create ---------------

ASKED = [Message.user("Say this is a test")]


def render(messages: list[Message], provider: str = "openai", **more: Any) -> JSON:
    return DIALECT.render(ModelRequest("davinci", messages, **more), endpoint(provider))


def test_a_prompt_and_its_limits() -> None:
    assert render(ASKED, stream=False) == {"model": "davinci", "prompt": "Say this is a test"}
    assert render(
        ASKED, max_tokens=7, temperature=0.0, top_p=0.5, seed=3, stop=["\n"], tool_choice=None
    ) == {
        "model": "davinci",
        "prompt": "Say this is a test",
        "max_tokens": 7,  # here it never became max_completion_tokens
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 3,
        "stop": ["\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "stream_options" not in render(ASKED, "transformers")
    request = ModelRequest("davinci", ASKED)
    assert (DIALECT.path(request), DIALECT.headers(request)) == ("/completions", {})


@each_case(
    ("messages", "more", "words"),
    [
        ([Message.system("x"), *ASKED], {}, "input: "),
        ([Message.assistant("x")], {}, "input: "),
        ([Message.user("x", Image(data="iVBO"))], {}, "input: .*text"),
        (ASKED, {"tools": [Tool("t")]}, "tools: "),
        (ASKED, {"tool_choice": "auto"}, "tool_choice: "),
        (ASKED, {"thinking": "low"}, "thinking: "),
        (ASKED, {"response_format": "json"}, "response_format: "),
    ],
)
def test_what_a_prompt_cannot_say_is_named(messages: list[Message], more: JSON, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        render(messages, **more)
