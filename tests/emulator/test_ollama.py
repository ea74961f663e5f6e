"""The emulator's /api/chat and /api/generate, held against Ollama's reference."""

from __future__ import annotations

import json
from typing import Any

from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import WEATHER, ask, json_of, lines_of

TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]


def chat(prompt: str = "Hello there", **more: Any) -> dict[str, Any]:
    return {"model": "demo", "messages": [{"role": "user", "content": prompt}], **more}


def test_it_streams_unless_told_not_to() -> None:
    reply = ask("/api/chat", chat(), settings=Settings(tokens=3))
    assert dict(reply.headers)["content-type"] == "application/x-ndjson"
    lines = lines_of(reply)
    assert [line["done"] for line in lines] == [False] * 3 + [True]
    assert all(line["message"]["role"] == "assistant" for line in lines)
    last = lines[-1]
    assert last["done_reason"] == "stop"
    assert (last["prompt_eval_count"], last["eval_count"]) == (2, 3)
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"]


def test_streamed_and_whole_are_the_same_answer() -> None:
    lines = lines_of(ask("/api/chat", chat()))
    whole = json_of(ask("/api/chat", chat(stream=False)))
    assert whole["message"]["content"] == "".join(line["message"]["content"] for line in lines)
    assert whole["eval_count"] == lines[-1]["eval_count"] == 64
    assert whole["done"] is True


def test_a_call_is_whole_in_one_line_without_an_id() -> None:
    lines = lines_of(ask("/api/chat", chat('get_weather for "Oslo" 3', tools=TOOLS)))
    calls = [line["message"]["tool_calls"] for line in lines if "tool_calls" in line["message"]]
    function = {"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}
    assert calls == [[{"function": function}]]


def test_thinking_has_a_field_of_its_own() -> None:
    settings = Settings(thinking=2, tokens=1)
    lines = lines_of(ask("/api/chat", chat(think=True), settings=settings))
    assert [bool(line["message"].get("thinking")) for line in lines] == [True, True, False, False]
    assert lines[-1]["eval_count"] == 3
    whole = json_of(ask("/api/chat", chat(think="high", stream=False), settings=settings))
    assert whole["message"]["thinking"]
    assert len(lines_of(ask("/api/chat", chat(think=False), settings=settings))) == 2


def test_a_tool_result_goes_on() -> None:
    messages = [
        {"role": "user", "content": "get_weather"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "get_weather"}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "sunny"},
    ]
    body = {"model": "demo", "messages": messages, "tools": TOOLS, "stream": False}
    assert "sunny" in json_of(ask("/api/chat", body))["message"]["content"]


def test_options_and_format_are_kept() -> None:
    lines = lines_of(ask("/api/chat", chat(options={"num_predict": 2})))
    assert len(lines) == 3
    assert lines[-1]["done_reason"] == "length"
    unlimited = lines_of(ask("/api/chat", chat(options={"num_predict": -1})))
    assert unlimited[-1]["eval_count"] == 64
    whole = json_of(ask("/api/chat", chat(format=WEATHER, stream=False)))
    assert json.loads(whole["message"]["content"]) == {"city": "city", "days": 1}
    whole = json_of(ask("/api/chat", chat(format="json", stream=False)))
    assert isinstance(json.loads(whole["message"]["content"]), dict)


def test_generate_has_a_response_instead_of_a_message() -> None:
    body = {"model": "demo", "prompt": "Hello there", "system": "Be kind", "think": True}
    settings = Settings(thinking=1, tokens=2)
    lines = lines_of(ask("/api/generate", body, settings=settings))
    assert [bool(line["response"]) for line in lines] == [False, True, True, False]
    assert "thinking" in lines[0]
    whole = json_of(ask("/api/generate", {**body, "stream": False}, settings=settings))
    assert whole["response"] == "".join(line["response"] for line in lines)
    assert whole["thinking"] == lines[0]["thinking"]
    assert whole["prompt_eval_count"] == 4


@each_case("body", [b"x", {"model": "demo"}, {"messages": []}])
def test_a_bad_request_is_told_in_one_word(body: Any) -> None:
    reply = ask("/api/chat", body)
    assert reply.status == 400
    assert set(json_of(reply)) == {"error"}
