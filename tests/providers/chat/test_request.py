"""Chat Completions requests: the JSON the vendors' documents show."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    PartialToolCall,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.chat.request import render_chat
from engine.providers.endpoints import endpoint
from engine.request import ModelRequest
from tests.cases import each_case

HI = Message.user("hi")


def render(provider: str = "openai", *messages: Message, **facts: Any) -> dict[str, Any]:
    request = ModelRequest("m", list(messages) or [HI], **{"stream": False, **facts})
    return render_chat(request, endpoint(provider))


def lines(*messages: Message, provider: str = "openai") -> list[Any]:
    result: list[Any] = render(provider, *messages)["messages"]
    return result


def test_the_least_request() -> None:
    assert render() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_a_stream_asks_for_usage_where_the_provider_knows_how() -> None:
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert asked.items() <= render(stream=True).items()
    assert "stream_options" not in render("mistral", stream=True)
    assert "stream_options" not in render()


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@each_case(
    ("provider", "facts", "body"),
    [
        ("openai", {"max_tokens": 9}, {"max_completion_tokens": 9}),
        ("deepseek", {"max_tokens": 9}, {"max_tokens": 9}),
        (
            "openai",
            {"temperature": 0.0, "top_p": 0.5, "stop": ["x"], "seed": 0},
            {"temperature": 0.0, "top_p": 0.5, "stop": ["x"], "seed": 0},
        ),
        ("mistral", {"seed": 7}, {"random_seed": 7}),
        ("openai", {"thinking": "low"}, {"reasoning_effort": "low"}),
        ("openai", {"thinking": "none"}, {"reasoning_effort": "none"}),
        ("openrouter", {"thinking": "high"}, {"reasoning": {"effort": "high"}}),
        (
            "deepseek",
            {"thinking": "high"},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        ),
        ("deepseek", {"thinking": "none"}, {"thinking": {"type": "disabled"}}),
        ("zai", {"thinking": "medium"}, {"thinking": {"type": "enabled"}}),
        ("moonshot", {"thinking": "none"}, {"thinking": {"type": "disabled"}}),
        ("dashscope", {"thinking": "low"}, {"enable_thinking": True}),
        ("dashscope", {"thinking": "none"}, {"enable_thinking": False}),
        ("openai", {"response_format": "json"}, {"response_format": {"type": "json_object"}}),
        (
            "openai",
            {"response_format": {"name": "n", "schema": SCHEMA, "strict": True}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        (
            "openai",
            {"tools": [Tool("weather", "Tells it.", SCHEMA, True), Tool("now")]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "weather",
                            "description": "Tells it.",
                            "parameters": SCHEMA,
                            "strict": True,
                        },
                    },
                    {
                        "type": "function",
                        "function": {
                            "name": "now",
                            "parameters": {"type": "object", "properties": {}},
                        },
                    },
                ]
            },
        ),
        ("openai", {"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ("openai", {"tool_choice": "none"}, {"tool_choice": "none"}),
        ("openai", {"tool_choice": "required"}, {"tool_choice": "required"}),
        (
            "openai",
            {"tool_choice": "weather"},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
    ],
)
def test_each_argument_in_the_vendors_terms(
    provider: str, facts: dict[str, Any], body: dict[str, Any]
) -> None:
    assert render(provider, **facts) == {**render(provider), **body}


def test_a_conversation_with_tools() -> None:
    call, other = ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")
    assert lines(
        Message.system("be brief"),
        HI,
        Message.assistant("let me see", call, other),
        Message.tool(ToolResult("a", "1"), ToolResult("b", "2", is_error=True)),
        Message.assistant(Thinking("hm"), "done"),
        Message.user("thanks"),
    ) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x":1}'},
                },
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ]


def test_results_come_before_the_words_that_stand_with_them() -> None:
    mixed = Message("user", [Text("and "), ToolResult("a", "1"), Text("now?")])
    assert lines(mixed) == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "and now?"},
    ]


def test_an_assistants_parts() -> None:
    call = ToolCall("a", "f", "{}")
    assert lines(Message("assistant", [call]))[0]["content"] is None
    assert lines(Message("assistant", [Thinking("hm")])) == []  # nothing that can be told
    refused = lines(Message("assistant", [Refusal("no")]))[0]
    assert refused == {"role": "assistant", "content": "", "refusal": "no"}
    cut = Message("assistant", [Text("a"), PartialToolCall("a", "f", "{")])
    assert lines(cut)[0] == {"role": "assistant", "content": "a"}


@each_case(
    ("part", "line"),
    [
        (
            Image(url="https://x/i.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://x/i.png", "detail": "low"}},
        ),
        (
            Image(data="AA==", media_type="image/webp"),
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA=="}},
        ),
        (
            Document(data="AA==", media_type="application/pdf", title="a.pdf"),
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
            },
        ),
    ],
)
def test_images_and_documents(part: Any, line: dict[str, Any]) -> None:
    assert lines(Message.user("look:", part)) == [
        {"role": "user", "content": [{"type": "text", "text": "look:"}, line]}
    ]


@pytest.mark.parametrize("part", [Document(url="https://x/a.pdf"), ToolCall("a", "f", "{}")])
def test_what_the_format_cannot_say_is_refused(part: Any) -> None:
    with pytest.raises(ConfigError, match="input: "):
        render("openai", Message.user("look:", part))


def test_reasoning_goes_back_only_to_whom_it_came_from() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
    sealed = RedactedThinking(
        '{"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s"}]}'
    )
    foreign = RedactedThinking("opaque")
    parts = [Thinking("hm"), sealed, foreign, Text("so"), ToolCall("a", "f", "{}", "seal")]

    def line(writer: str, reader: str) -> Any:
        return lines(Message("assistant", parts, writer), provider=reader)[0]

    assert line("openrouter", "openrouter")["reasoning_details"] == details
    assert line("deepseek", "deepseek")["reasoning_content"] == "hm"
    extra = line("gemini-openai", "gemini-openai")["tool_calls"][0]["extra_content"]
    assert extra == {"google": {"thought_signature": "seal"}}
    for writer, reader in (("openrouter", "openai"), ("deepseek", "zai"), ("gemini", "openrouter")):
        strange = line(writer, reader)
        assert set(strange) == {"role", "content", "tool_calls"}
        assert set(strange["tool_calls"][0]) == {"id", "type", "function"}
