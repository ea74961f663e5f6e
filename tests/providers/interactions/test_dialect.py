"""Gemini's Interactions API: steps become events, and messages steps."""

from __future__ import annotations

import json
from typing import Any

from engine.answering.accumulate import Accumulator
from engine.errors import Category
from engine.events import (
    Done,
    Event,
    ServerToolStart,
    Start,
    StreamError,
    TextDelta,
    ToolCallDone,
    Unknown,
    UsageUpdate,
)
from engine.messages import (
    Citation,
    FinishReason,
    Image,
    Message,
    PartialToolCall,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from engine.providers import dialect, endpoint
from engine.providers.interactions.dialect import InteractionsParser
from engine.request import ModelRequest
from engine.wire import SSERecord
from tests.cases import each_case

JSON = dict[str, Any]


def event(kind: str, **facts: Any) -> JSON:
    return {"event_type": kind, **facts}


CREATED = event("interaction.created", interaction={"id": "v1_1", "model": "g", "status": "x"})


def step(number: int, data: JSON, *deltas: JSON, closed: bool = True) -> list[JSON]:
    told = [event("step.delta", index=number, delta=delta) for delta in deltas]
    end = [event("step.stop", index=number)] if closed else []
    return [event("step.start", index=number, step=data), *told, *end]


def ended(status: str = "completed", **facts: Any) -> JSON:
    usage = {"total_input_tokens": 7, "total_output_tokens": 2, "total_thought_tokens": 3}
    whole = {"id": "v1_1", "status": status, "usage": {**usage, "total_tokens": 12}, **facts}
    return event("interaction.completed", interaction=whole)


def parse(*events: JSON | list[JSON]) -> list[Event]:
    parser = InteractionsParser()
    flat = [e for one in events for e in (one if isinstance(one, list) else [one])]
    told = parser.feed([SSERecord(json.dumps(e).encode(), e["event_type"]) for e in flat])
    assert parser.complete is (bool(told) and isinstance(told[-1], Done))
    return told if parser.complete else told + parser.finish()


def message(events: list[Event]) -> Message:
    accumulator = Accumulator()
    accumulator.extend(events)
    return accumulator.message("gemini")


THOUGHT = step(
    0,
    {"type": "thought"},
    {"type": "thought_summary", "content": {"type": "text", "text": "Hm"}},
    {"type": "thought_signature", "signature": "SEAL"},
)


def text(number: int, *words: str) -> list[JSON]:
    deltas = [{"type": "text", "text": word} for word in words]
    return step(number, {"type": "model_output"}, *deltas)


def call(number: int, *pieces: str, **facts: Any) -> list[JSON]:
    data = {"type": "function_call", "id": "c1", "name": "f", "arguments": {}, **facts}
    deltas = [{"type": "arguments_delta", "arguments": piece} for piece in pieces]
    return step(number, data, *deltas)


def test_the_events_of_an_answer() -> None:
    told = parse(CREATED, THOUGHT, text(1, "He", "llo"), ended())
    usage = Usage(7, 5, 12, None, None, 3)
    assert told[0] == Start("v1_1", "g")
    assert told[-2:] == [UsageUpdate(usage), Done(FinishReason.STOP, usage, "completed")]
    assert message(told).parts == [Thinking("Hm", "SEAL"), Text("Hello")]


def test_calls_come_in_pieces_or_whole() -> None:
    pieces = parse(CREATED, call(0, '{"a"', ":1}", signature="S"), ended("requires_action"))
    whole = parse(CREATED, call(0, arguments={"a": 1}), ended("requires_action"))
    assert message(pieces).tool_calls == [ToolCall("c1", "f", '{"a":1}', "S")]
    assert message(whole).tool_calls == [ToolCall("c1", "f", '{"a":1}')]
    assert pieces[-1].finish_reason is FinishReason.TOOL_USE  # type: ignore[union-attr]


@each_case("status", ["incomplete", "cancelled", "of_tomorrow"])
def test_a_call_without_arguments_waits_for_a_good_end(status: str) -> None:
    assert message(parse(CREATED, call(0), ended(status))).parts == [PartialToolCall("c1", "f", "")]
    assert message(parse(CREATED, call(0), ended())).tool_calls == [ToolCall("c1", "f", "{}")]
    cut = parse(CREATED, call(0, '{"a":'), ended("incomplete"))
    assert not any(isinstance(e, ToolCallDone) for e in cut)
    assert parse(CREATED, ended("incomplete"))[-1].finish_reason is FinishReason.LENGTH  # type: ignore[union-attr]


def test_googles_own_tools_are_seen_when_they_begin_and_kept_whole() -> None:
    search = {"type": "google_search_call", "id": "s1"}
    told = parse(
        CREATED,
        step(0, search, {"type": "google_search_call", "arguments": {"queries": ["q"]}}),
        step(1, {"type": "google_search_result", "call_id": "s1"}, {"result": [{"url": "u"}]}),
        text(2, "So."),
        ended(),
    )
    assert told[1] == ServerToolStart("google_search_call", search, 0)
    whole = {**search, "arguments": {"queries": ["q"]}}
    found = {"type": "google_search_result", "call_id": "s1", "result": [{"url": "u"}]}
    assert message(told).parts == [
        ServerTool("google_search_call", whole),
        ServerTool("google_search_result", found),
        Text("So."),
    ]


def test_sources_images_and_what_is_new() -> None:
    source = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0}
    picture = {"type": "image", "data": "iVBO", "mime_type": "image/png"}
    output = step(
        0,
        {"type": "model_output"},
        {"type": "text", "text": "a"},
        {"type": "text_annotation", "annotations": [source]},
        picture,
    )
    told = parse(CREATED, event("mood", mood="good"), output, ended())
    assert message(told).parts == [
        Text("a", [Citation("https://a", "A", None, source)]),
        Image(data="iVBO", media_type="image/png"),
    ]
    assert Unknown("mood", event("mood", mood="good")) in told


def test_failures_and_cuts() -> None:
    failed = ended("failed", error={"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED"})
    for last in (failed, event("error", error={"code": "rate_limit_exceeded", "message": "Slow"})):
        failure = parse(CREATED, text(0, "par"), last)[-1]
        assert isinstance(failure, StreamError)
        assert failure.error.category is Category.RATE_LIMIT
    assert not any(isinstance(e, Done | StreamError) for e in parse(CREATED, text(0, "par")))


def test_an_answer_that_was_not_streamed() -> None:
    steps = [
        {"type": "thought", "signature": "SEAL", "summary": [{"type": "text", "text": "Hm"}]},
        {"type": "model_output", "content": [{"type": "text", "text": "Hi"}]},
        {"type": "function_call", "id": "c1", "name": "f", "arguments": {"a": 1}},
    ]
    whole = {"id": "v1_1", "model": "g", "status": "requires_action", "steps": steps}
    told = dialect("interactions").parse_answer(json.dumps(whole).encode())
    assert message(told).parts == [
        Thinking("Hm", "SEAL"),
        Text("Hi"),
        ToolCall("c1", "f", '{"a":1}'),
    ]
    assert isinstance(told[-1], Done)
    for body, category in ((b"{}", Category.PROTOCOL), (b'{"error":{"code":404}}', "NOT_FOUND")):
        failure = dialect("interactions").parse_answer(body)[-1]
        assert isinstance(failure, StreamError)
        assert failure.error.category == category


def body(*messages: Message, **facts: Any) -> JSON:
    request = ModelRequest("g", list(messages), **facts)
    return dialect("interactions").render(request, endpoint("gemini-interactions"))


def test_a_conversation_is_a_list_of_steps() -> None:
    told = Message(
        "assistant",
        [Thinking("Hm", "SEAL"), Text("a"), Text("b"), ToolCall("c1", "f", '{"x":1}', "S")],
        provider="gemini-interactions",
    )
    result = Message.tool(ToolResult("c1", "no", name="f", is_error=True))
    sent = body(Message.system("be brief"), Message.user("hi"), told, result)
    assert sent["system_instruction"] == "be brief"
    assert sent["store"] is False
    assert sent["stream"] is True
    assert sent["input"] == [
        {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
        {"type": "thought", "signature": "SEAL", "summary": [{"type": "text", "text": "Hm"}]},
        {
            "type": "model_output",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"type": "function_call", "id": "c1", "name": "f", "arguments": {"x": 1}, "signature": "S"},
        {
            "type": "function_result",
            "call_id": "c1",
            "result": "no",
            "name": "f",
            "is_error": True,
        },
    ]
    stranger = body(Message("assistant", told.parts, provider="openai"))["input"]
    assert [one["type"] for one in stranger] == ["model_output", "function_call"]
    assert "signature" not in stranger[1]


def test_options_stand_where_google_has_them() -> None:
    sent = body(
        Message.user("hi"),
        tools=[Tool("f", "does")],
        tool_choice="f",
        max_tokens=9,
        temperature=0.0,
        thinking="low",
        response_format={"name": "n", "schema": {"type": "object"}},
    )
    assert sent["tools"][0]["type"] == "function"
    assert sent["generation_config"] == {
        "max_output_tokens": 9,
        "temperature": 0.0,
        "thinking_level": "low",
        "thinking_summaries": "auto",
        "tool_choice": {"allowed_tools": {"mode": "any", "tools": ["f"]}},
    }
    assert sent["response_format"] == [
        {"type": "text", "mime_type": "application/json", "schema": {"type": "object"}}
    ]
    assert body(Message.user("hi"), tool_choice="required")["generation_config"] == {
        "tool_choice": "any"
    }


def test_text_deltas_go_on_in_one_block() -> None:
    told = parse(CREATED, text(0, "a", "b"), ended())
    assert [e for e in told if isinstance(e, TextDelta)] == [TextDelta("a", 0), TextDelta("b", 0)]
