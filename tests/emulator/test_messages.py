"""The emulator's Messages, held against Anthropic's reference."""

from __future__ import annotations

from typing import Any

from engine.emulator.respond import Reply
from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import WEATHER, ask, events_of, json_of

TOOL = {"name": "get_weather", "input_schema": WEATHER}
VERSION = {"anthropic-version": "2023-06-01"}


def messages(prompt: Any = "Hello there", **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return {"model": "demo", "max_tokens": 4096, "messages": turns, **more}


def ask_messages(body: Any, settings: Settings | None = None) -> Reply:
    return ask("/v1/messages", body, headers=VERSION, settings=settings)


def test_a_stream_has_the_events_of_the_reference() -> None:
    events = events_of(ask_messages(messages(stream=True), Settings(tokens=2)))
    assert [event["type"] for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start = events[0]["message"]
    assert (start["content"], start["stop_reason"], start["role"]) == ([], None, "assistant")
    assert start["usage"]["input_tokens"] == 2
    assert events[2] == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    assert events[3]["delta"]["type"] == "text_delta"
    assert events[6]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[6]["usage"]["output_tokens"] == 2


def test_streamed_and_whole_are_the_same_answer() -> None:
    events = events_of(ask_messages(messages(stream=True)))
    whole = json_of(ask_messages(messages()))
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert whole["content"] == [{"type": "text", "text": text}]
    assert whole["id"] == events[0]["message"]["id"]
    assert whole["usage"]["output_tokens"] == events[-2]["usage"]["output_tokens"] == 64


def test_thinking_is_signed_before_the_text() -> None:
    body = messages(stream=True, thinking={"type": "enabled", "budget_tokens": 1024})
    events = events_of(ask_messages(body, Settings(thinking=2, tokens=1)))
    deltas = [e["delta"]["type"] for e in events if e["type"] == "content_block_delta"]
    assert deltas == ["thinking_delta", "thinking_delta", "signature_delta", "text_delta"]
    whole = json_of(ask_messages({**body, "stream": False}, Settings(thinking=2, tokens=1)))
    signature = next(e["delta"]["signature"] for e in events if "signature_delta" in str(e))
    assert whole["content"][0]["signature"] == signature
    disabled = json_of(ask_messages(messages(thinking={"type": "disabled"})))
    assert [block["type"] for block in disabled["content"]] == ["text"]


def test_a_call_is_a_block_with_its_input_in_pieces() -> None:
    body = messages('get_weather for "Oslo" 3', stream=True, tools=[TOOL])
    events = events_of(ask_messages(body))
    assert events[2]["content_block"]["input"] == {}
    pieces = [e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta"]
    assert len(pieces) > 3
    assert "".join(pieces) == '{"city": "Oslo", "days": 3}'
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    whole = json_of(ask_messages({**body, "stream": False}))
    assert whole["content"][0]["input"] == {"city": "Oslo", "days": 3}


def test_a_call_that_is_cut_has_no_input() -> None:
    body = messages("get_weather", tools=[TOOL], max_tokens=3)
    whole = json_of(ask_messages(body))
    assert (whole["content"][0]["input"], whole["stop_reason"]) == ({}, "max_tokens")


@each_case(
    ("more", "reason"),
    [
        ({"max_tokens": 2}, "max_tokens"),
        ({"stop_sequences": ["e"]}, "stop_sequence"),
        ({"model": "refusal"}, "refusal"),
    ],
)
def test_each_end_has_its_reason(more: dict[str, Any], reason: str) -> None:
    whole = json_of(ask_messages({**messages(), **more}))
    assert whole["stop_reason"] == reason
    assert whole["stop_sequence"] == (more.get("stop_sequences") or [None])[0]


def history(change: str = "") -> list[dict[str, Any]]:
    """A conversation that used a tool, as the emulator wrote its part."""
    body = messages("get_weather", tools=[TOOL], thinking={"type": "adaptive"})
    content = json_of(ask_messages(body))["content"]
    content[0]["thinking"] += change
    result = {"type": "tool_result", "tool_use_id": content[1]["id"], "content": "sunny"}
    return [
        {"role": "user", "content": "get_weather"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [result]},
    ]


def test_what_was_said_can_be_sent_back() -> None:
    answer = json_of(ask_messages(messages(history())))
    assert "sunny" in answer["content"][0]["text"]


@each_case(
    ("body", "word"),
    [
        ({"model": "demo", "messages": [{"role": "user", "content": "hi"}]}, "max_tokens"),
        (messages(max_tokens=0), "max_tokens"),
        (messages([]), "at least one"),
        (messages(history("!")), "messages.1.content.0: Invalid `signature`"),
        (messages(history()[:2]), "toolu_"),
        (messages(history()[2:]), "toolu_"),
        (messages(thinking={"type": "enabled", "budget_tokens": 5000}), "budget_tokens"),
        (messages(thinking={"type": "enabled", "budget_tokens": 5}), "budget_tokens"),
        (messages(output_config={"format": {"type": "json_schema"}}), "schema"),
    ],
)
def test_a_bad_request_is_told_in_the_vendors_shape(body: Any, word: str) -> None:
    reply = ask_messages(body)
    assert reply.status == 400
    data = json_of(reply)
    assert data["type"] == "error"
    assert data["error"]["type"] == "invalid_request_error"
    assert word in data["error"]["message"]


def test_the_version_header_is_required() -> None:
    reply = ask("/v1/messages", messages())
    assert reply.status == 400
    assert "anthropic-version" in json_of(reply)["error"]["message"]


def test_a_schema_is_answered_with_json_that_matches() -> None:
    body = messages(output_config={"format": {"type": "json_schema", "schema": WEATHER}})
    text = json_of(ask_messages(body))["content"][0]["text"]
    assert text == '{"city": "city", "days": 1}'
