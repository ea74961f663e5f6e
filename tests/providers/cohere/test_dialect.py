"""Cohere: events to events, requests to JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import events
from engine.answering.accumulate import Accumulator
from engine.errors import Category, ConfigError
from engine.events import Event
from engine.messages import (
    Citation,
    Document,
    FinishReason,
    Image,
    Message,
    PartialToolCall,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from engine.providers.cohere.dialect import CohereDialect
from engine.providers.contract import Endpoint
from engine.request import ModelRequest
from tests.cases import each_case

DIALECT = CohereDialect()
ROW = Endpoint("cohere", "https://api.cohere.com", ("cohere",), ("COHERE_API_KEY",))
JSON = dict[str, Any]

COUNTS = {
    "billed_units": {"input_tokens": 8, "output_tokens": 50},
    "tokens": {"input_tokens": 1394, "output_tokens": 54, "reasoning_tokens": 40},
    "cached_tokens": 1360,
}
USAGE = Usage(1394, 54, 1448, cached_tokens=1360, reasoning_tokens=40)
START = {"id": "c14c", "type": "message-start", "delta": {"message": {"content": []}}}


def content(**content: str) -> JSON:
    return {"type": "content-delta", "index": 0, "delta": {"message": {"content": content}}}


def begin(kind: str) -> JSON:
    message = {"content": {"type": kind, kind: ""}}
    return {"type": "content-start", "index": 0, "delta": {"message": message}}


def call(kind: str, **fields: Any) -> JSON:
    delta = {"delta": {"message": {"tool_calls": fields}}} if fields else {}
    return {"type": f"tool-call-{kind}", "index": 0, **delta}


def finish(reason: str, **delta: Any) -> JSON:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": COUNTS, **delta}}


def streamed(*chunks: JSON) -> tuple[list[Event], bool]:
    body = b"".join(
        f"event: {chunk.get('type')}\ndata: {json.dumps(chunk)}\n\n".encode() for chunk in chunks
    )
    decoder, parser = DIALECT.decoder(), DIALECT.parser()
    seen = parser.feed(decoder.feed(body))
    return seen + parser.finish(), parser.complete


def message(seen: list[Event]) -> Message:
    accumulator = Accumulator()
    accumulator.extend(seen)
    return accumulator.message("cohere")


def test_thinking_text_and_the_end() -> None:
    seen, complete = streamed(
        START,
        begin("thinking"),
        content(thinking="Hm"),
        content(thinking="."),
        {"type": "content-end", "index": 0},
        begin("text"),
        content(text="It "),
        content(text="is 4."),
        finish("COMPLETE"),
    )
    assert seen == [
        events.Start("c14c", None),
        events.ThinkingDelta("Hm", 0),
        events.ThinkingDelta(".", 0),
        events.TextDelta("It ", 1),
        events.TextDelta("is 4.", 1),
        events.UsageUpdate(USAGE),
        events.Done(FinishReason.STOP, USAGE, "COMPLETE"),
    ]
    assert complete


def test_bytes_that_end_before_message_end_are_not_complete() -> None:
    assert not streamed(START, begin("text"), content(text="It "))[1]


def test_a_plan_and_calls_in_pieces() -> None:
    plan = {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will look."}}}
    seen, _ = streamed(
        START,
        plan,
        call("start", id="f_1", type="function", function={"name": "f", "arguments": ""}),
        call("delta", function={"arguments": '{"a":'}),
        call("delta", function={"arguments": "1}"}),
        call("end"),
        call("start", id="g_1", type="function", function={"name": "g", "arguments": ""}),
        call("end"),
        finish("TOOL_CALL"),
    )
    assert message(seen).parts == [
        Thinking("I will look."),
        ToolCall("f_1", "f", '{"a":1}'),
        ToolCall("g_1", "g", "{}"),
    ]
    assert isinstance(seen[-1], events.Done)
    assert seen[-1].finish_reason is FinishReason.TOOL_USE


def test_a_call_that_was_cut_is_never_handed_over() -> None:
    start = call("start", id="f_1", function={"name": "f", "arguments": '{"a":'})
    seen, complete = streamed(START, start, finish("MAX_TOKENS"))
    assert complete
    assert message(seen).tool_calls == []


def test_citations_belong_to_the_text() -> None:
    source = {"start": 0, "end": 2, "text": "It", "sources": [{"type": "tool", "id": "f_1:0"}]}
    cited = {"type": "citation-start", "delta": {"message": {"citations": source}}}
    seen, _ = streamed(START, begin("text"), content(text="It is."), cited, finish("COMPLETE"))
    assert message(seen).parts == [Text("It is.", [Citation(None, None, "It", source)])]


def test_a_citation_before_any_text_has_a_block_of_its_own() -> None:
    cited = {"type": "citation-start", "delta": {"message": {"citations": {"text": "x"}}}}
    seen, _ = streamed(START, cited, finish("COMPLETE", usage=None))
    assert message(seen).parts == [Text("", [Citation(quote="x", data={"text": "x"})])]
    assert seen[-1] == events.Done(FinishReason.STOP, None, "COMPLETE")


def test_a_piece_of_no_call_is_a_part_of_one() -> None:
    seen, _ = streamed(START, call("delta", function={"arguments": "{"}), finish("COMPLETE"))
    (part,) = message(seen).parts
    assert isinstance(part, PartialToolCall)
    assert (part.name, part.arguments) == ("", "{")
    assert seen[-1].finish_reason is FinishReason.ERROR


@each_case(
    ("chunk", "category"),
    [
        (finish("ERROR", error="internal server error"), Category.SERVER),
        ({"message": "invalid api token"}, Category.AUTH),
        ({"error": {"type": "server_error", "message": "x"}}, Category.SERVER),
        ({"type": "content-delta", "delta": "x"}, Category.PROTOCOL),
    ],
)
def test_an_error_inside_the_stream_ends_it(chunk: JSON, category: Category) -> None:
    seen, complete = streamed(START, begin("text"), content(text="It"), chunk, finish("COMPLETE"))
    assert isinstance(seen[-1], events.StreamError)
    assert seen[-1].error.category is category
    assert message(seen).text == "It"
    assert not complete


def test_what_is_new_is_handed_over_as_unknown() -> None:
    seen, _ = streamed(START, {"type": "debug", "delta": {"usage": 1}}, finish("COMPLETE"))
    assert isinstance(seen[1], events.Unknown)
    assert seen[1].name == "debug"


def test_an_answer_that_was_not_streamed() -> None:
    body = {
        "id": "c14c",
        "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant",
            "tool_plan": "Look.",
            "content": [{"type": "text", "text": "Wait."}],
            "tool_calls": [
                {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "f_2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
            "citations": [{"text": "Wait", "sources": []}],
        },
        "usage": COUNTS,
    }
    seen = DIALECT.parse_answer(json.dumps(body).encode())
    assert message(seen).text == "Wait."
    assert message(seen).thinking == "Look."
    assert [c.id for c in message(seen).tool_calls] == ["f_1", "f_2"]
    assert seen[-1] == events.Done(FinishReason.TOOL_USE, USAGE, "TOOL_CALL")


@each_case("body", [b"{}", b"nonsense", b'{"message":"no such model"}'])
def test_nothing_that_is_no_answer_passes_for_one(body: bytes) -> None:
    (only,) = DIALECT.parse_answer(body)
    assert isinstance(only, events.StreamError)


# -- requests: https://docs.cohere.com/reference/chat-stream -----------------------------------

ASKED = [Message.user("Hi")]
BODY = {"model": "command-a", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def render(messages: list[Message], **more: Any) -> JSON:
    return DIALECT.render(ModelRequest("command-a", messages, **more), ROW)


@each_case(
    ("given", "sent"),
    [
        ({"stream": False}, {"stream": False}),
        (
            {"max_tokens": 9, "temperature": 0.3, "top_p": 0.7, "seed": 1, "stop": ["x"]},
            {"max_tokens": 9, "temperature": 0.3, "p": 0.7, "seed": 1, "stop_sequences": ["x"]},
        ),
        ({"thinking": "none"}, {"thinking": {"type": "disabled"}}),
        ({"thinking": "low"}, {"thinking": {"type": "enabled", "token_budget": 1024}}),
        ({"thinking": "high"}, {"thinking": {"type": "enabled"}}),
        ({"response_format": "json"}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"name": "x", "schema": SCHEMA}},
            {"response_format": {"type": "json_object", "schema": SCHEMA}},
        ),
        (
            {"tools": [Tool("f", "Finds.", SCHEMA, strict=True)], "tool_choice": "required"},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "description": "Finds.", "parameters": SCHEMA},
                    }
                ],
                "strict_tools": True,
                "tool_choice": "REQUIRED",
            },
        ),
    ],
)
def test_each_argument(given: JSON, sent: JSON) -> None:
    assert render(ASKED, **given) == {**BODY, **sent}
    assert DIALECT.path(ModelRequest("command-a", ASKED)) == "/v2/chat"
    assert DIALECT.headers(ModelRequest("command-a", ASKED)) == {}


def test_a_conversation_with_calls_and_results() -> None:
    called = [Thinking("Look."), ToolCall("f_1", "f", '{"a": 1}')]
    lines = render(
        [
            Message.system("Be brief."),
            Message.user("What?", Image(url="https://e.org/a.png")),
            Message("assistant", called, "cohere"),
            Message.tool(ToolResult("f_1", "1")),
            Message("assistant", [Thinking("Hm."), Text("One.")], "cohere"),
            Message("assistant", [Thinking("Hm."), Text("One.")], "openai"),
            Message("assistant", called, "openai"),
        ]
    )["messages"]
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert lines == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "tool_plan": "Look.",
            "tool_calls": [{"id": "f_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "f_1", "content": "1"},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "One."}],
        },
        {"role": "assistant", "content": "One."},
        {
            "role": "assistant",
            "tool_calls": [{"id": "f_1", "type": "function", "function": function}],
        },
    ]


@pytest.mark.parametrize(
    ("messages", "more", "words"),
    [
        ([Message.user(Document(data="JVBE"))], {}, "input: .*Document"),
        (ASKED, {"tools": [Tool("f")], "tool_choice": "f"}, "tool_choice"),
    ],
)
def test_what_cohere_cannot_be_told_is_named(
    messages: list[Message], more: JSON, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        render(messages, **more)
