"""Requests of Gemini's Interactions API."""

from __future__ import annotations

from typing import Any

import pytest

from engine.asking.body import render_body
from engine.asking.question import as_question
from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers import dialect, endpoint
from engine.providers.interactions.steps import render_steps

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def render(input: Any, **options: Any) -> dict[str, Any]:
    wanted = options.pop("response_format", None)
    request = as_question("gemini-x", input, wanted, options).request  # type: ignore[arg-type]
    return render_body(dialect("interactions"), request, endpoint("gemini"))


def test_the_least_request() -> None:
    assert render("hi", system="be brief") == {
        "model": "gemini-x",
        "input": [{"type": "user_input", "content": [{"type": "text", "text": "hi"}]}],
        "system_instruction": "be brief",
        "stream": True,
        "store": False,
    }


def test_each_argument() -> None:
    body = render(
        "hi",
        max_tokens=9,
        temperature=0,
        stop="x",
        seed=1,
        thinking="low",
        tools=[Tool("f", "does f", SCHEMA), {"type": "google_search"}],
        tool_choice="f",
        response_format={"name": "n", "schema": SCHEMA},
    )
    assert body["generation_config"] == {
        "max_output_tokens": 9,
        "temperature": 0,
        "seed": 1,
        "stop_sequences": ["x"],
        "thinking_level": "low",
        "thinking_summaries": "auto",
        "tool_choice": {"allowed_tools": {"mode": "any", "tools": ["f"]}},
    }
    function = {"type": "function", "name": "f", "description": "does f", "parameters": SCHEMA}
    assert body["tools"] == [function, {"type": "google_search"}]
    assert body["response_format"][0]["schema"] == SCHEMA


def test_a_turn_with_a_tool_goes_back_as_it_came() -> None:
    search = {"type": "google_search_call", "id": "s", "arguments": {"queries": ["q"]}}
    parts = [
        Thinking("hm", "SEAL"),
        ServerTool("google_search_call", search),
        Text("I look."),
        ToolCall("c1", "f", '{"a":1}', "S"),
    ]
    answer = Message("assistant", parts, "gemini", formats=("interactions",))
    told = Message.tool(ToolResult("c1", "no", is_error=True))
    steps = render([Message.user("hi"), answer, told])["input"]
    call = {"type": "function_call", "id": "c1", "name": "f", "arguments": {"a": 1}}
    assert steps[1:] == [
        {"type": "thought", "signature": "SEAL", "summary": [{"type": "text", "text": "hm"}]},
        search,
        {"type": "model_output", "content": [{"type": "text", "text": "I look."}]},
        {**call, "signature": "S"},
        {"type": "function_result", "call_id": "c1", "result": "no", "name": "f", "is_error": True},
    ]
    foreign = Message("assistant", parts, "gemini", formats=("gemini",))
    assert render([Message.user("hi"), foreign, told])["input"][1:3] == [
        {"type": "model_output", "content": [{"type": "text", "text": "I look."}]},
        call,
    ]


def test_steps_as_google_writes_them() -> None:
    steps: list[dict[str, Any]] = [
        {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
        {"type": "thought", "signature": "SEAL"},
        {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": 1}, "signature": "S"},
        {"type": "function_result", "call_id": "c", "name": "f", "result": "1"},
        {"type": "model_output", "content": [{"type": "text", "text": "so"}]},
    ]
    assert render([*steps, {"role": "user", "content": "go on"}])["input"][:-1] == steps
    request = as_question("m", steps, None, {}).request
    with pytest.raises(ConfigError, match=r"^input\[0\] means nothing in the chat format"):
        render_body(dialect("chat"), request, endpoint("openai"))


def test_pictures_and_documents() -> None:
    shown = Message.user(
        Image(url="https://x/i.png"),
        Document(data="AA==", media_type="video/mp4"),
        Document(data="AA=="),
    )
    assert render(shown)["input"][0]["content"] == [
        {"type": "image", "uri": "https://x/i.png"},
        {"type": "video", "mime_type": "video/mp4", "data": "AA=="},
        {"type": "document", "mime_type": "application/pdf", "data": "AA=="},
    ]
    with pytest.raises(ConfigError, match=r"^input\[0\]\.content\[0\]: a part of type Image has"):
        render([Message.user(Image())])
    item = VendorItem("x", {"type": "x"}, "interactions")
    assert render([Message.user("hi"), Message("user", [item])])["input"][1] == {"type": "x"}


def test_a_thought_without_its_seal_stays_behind() -> None:
    cut = [Thinking("Hm"), Thinking("So", "SEAL"), Text("Hi")]
    answer = Message("assistant", cut, "gemini", formats=("interactions",))
    (step, said) = render_steps([answer], "gemini")
    assert step == {
        "type": "thought",
        "signature": "SEAL",
        "summary": [{"type": "text", "text": "So"}],
    }
    assert said["type"] == "model_output"
