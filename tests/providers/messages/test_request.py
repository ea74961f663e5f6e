"""What is sent to Anthropic, beside what its documentation shows."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from engine.answering.accumulate import Accumulator
from engine.errors import ConfigError
from engine.messages import (
    Citation,
    Document,
    Image,
    Message,
    Part,
    PartialToolCall,
    RedactedThinking,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers import endpoint
from engine.providers.messages.dialect import MessagesDialect
from engine.request import ModelRequest
from tests.cases import each_case

HELLO = [Message.user("Hello, Claude")]
OPUS = "claude-opus-4-8"
SONNET = "claude-sonnet-4-5-20250929"
SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}


def render(messages: list[Message] = HELLO, model: str = OPUS, **arguments: Any) -> dict[str, Any]:
    arguments.setdefault("max_tokens", 1024)
    request = ModelRequest(model, messages, **arguments)
    body = MessagesDialect().render(request, endpoint("anthropic"))
    json.dumps(body)
    return body


def answer(*parts: Part, provider: str = "anthropic") -> Message:
    return Message("assistant", list(parts), provider)


def turns(*messages: Message) -> Any:
    return render(list(messages))["messages"]


def test_where_and_how_it_is_asked() -> None:
    dialect = MessagesDialect()
    request = ModelRequest(OPUS, HELLO)
    assert dialect.name == "messages"
    assert dialect.path(request) == "/v1/messages"
    assert dialect.headers(request) == {"anthropic-version": "2023-06-01"}


def test_the_first_example_of_the_documentation() -> None:
    assert render() == {
        "model": OPUS,
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "Hello, Claude"}],
        "stream": True,
    }


def test_without_streaming_nothing_is_said_of_it() -> None:
    assert "stream" not in render(stream=False)


@each_case(
    ("arguments", "said"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"stop": ["END"]}, {"stop_sequences": ["END"]}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        (
            {"tools": [Tool("get_weather", "The weather.", SCHEMA)]},
            {
                "tools": [
                    {
                        "name": "get_weather",
                        "description": "The weather.",
                        "input_schema": SCHEMA,
                    }
                ]
            },
        ),
        (
            {"tools": [Tool("now", parameters=SCHEMA, strict=True)]},
            {"tools": [{"name": "now", "input_schema": SCHEMA, "strict": True}]},
        ),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": "now"}, {"tool_choice": {"type": "tool", "name": "now"}}),
        (
            {"response_format": {"name": "place", "schema": SCHEMA, "strict": True}},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
    ],
)
def test_each_argument_in_the_vendor_s_words(
    arguments: dict[str, Any], said: dict[str, Any]
) -> None:
    assert render(**arguments) == {**render(), **said}


@each_case(
    ("arguments", "name"),
    [
        ({"seed": 0}, "seed"),
        ({"response_format": "json"}, "response_format"),
        ({"thinking": "low", "max_tokens": 2000, "model": SONNET}, "max_tokens"),
        ({"messages": [Message.user(Thinking("Hm"))]}, "input"),
        ({"messages": [Message.user(Image())]}, "input"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        render(**arguments)


# -- thinking ----------------------------------------------------------------------------------


@each_case(("level", "budget"), [("low", 1_024), ("medium", 22_016), ("high", 43_008)])
@each_case(
    "model",
    [
        SONNET,
        "claude-3-7-sonnet-latest",
        "claude-sonnet-4-20250514",
        "claude-opus-4-0",
        "claude-opus-4-1",
        "claude-haiku-4-5",
        "claude-sonnet-4@20250514",
        "anthropic/claude-sonnet-4.5",
        "anthropic/claude-3.7-sonnet",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "qwen3",
    ],
)
def test_models_before_4_6_have_a_budget(model: str, level: Any, budget: int) -> None:
    body = render(model=model, thinking=level, max_tokens=64_000)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in body


@each_case("level", ["low", "medium", "high"])
@each_case(
    "model",
    [
        "claude-opus-4-6",
        "claude-sonnet-4-6",
        "anthropic/claude-opus-4.7",
        "claude-opus-4-8",
        "claude-opus-5",
        "claude-opus-5-5",
        "claude-fable-5",
        "claude-mythos-preview",
    ],
)
def test_models_from_4_6_on_think_as_they_see_fit(model: str, level: Any) -> None:
    body = render(model=model, thinking=level)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": level}
    assert body["max_tokens"] == 1024


@pytest.mark.parametrize("model", [OPUS, SONNET])
def test_no_thinking(model: str) -> None:
    body = render(model=model, thinking="none")
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


def test_effort_and_format_stand_side_by_side() -> None:
    body = render(thinking="low", response_format={"name": "x", "schema": SCHEMA})
    form = {"type": "json_schema", "schema": SCHEMA}
    assert body["output_config"] == {"effort": "low", "format": form}


def test_a_budget_leaves_room_for_the_answer() -> None:
    body = render(model=SONNET, thinking="high", max_tokens=8_000)
    assert body["thinking"]["budget_tokens"] == 8_000 - 1_024


@each_case(
    ("model", "level", "most"),
    [
        (OPUS, None, 16_384),
        (OPUS, "high", 16_384),
        (SONNET, None, 16_384),
        (SONNET, "high", 16_384 + 43_008),
        (SONNET, "none", 16_384),
        ("claude-3-haiku-20240307", None, 4_096),
        ("qwen3", None, 4_096),
    ],
)
def test_max_tokens_is_wanted_and_has_a_default(model: str, level: Any, most: int) -> None:
    assert render(model=model, thinking=level, max_tokens=None)["max_tokens"] == most


# -- turns -------------------------------------------------------------------------------------


def test_system_messages_have_a_place_of_their_own() -> None:
    body = render([Message.system("Be brief."), *HELLO, Message.system("In verse.")])
    assert body["system"] == "Be brief.\n\nIn verse."
    assert body["messages"] == [{"role": "user", "content": "Hello, Claude"}]


def test_several_turns_and_a_prefill() -> None:
    assert turns(Message.user("Hi"), Message.assistant("Hello"), Message.user("A", "B")) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}],
        },
    ]


def test_tool_results_of_a_turn_stand_first_in_one_message() -> None:
    call = answer(
        Text("I look."), ToolCall("toolu_1", "w", '{"a": 1}'), ToolCall("toolu_2", "t", "{}")
    )
    results = [
        Message.tool(ToolResult("toolu_1", "15 degrees")),
        Message.tool(ToolResult("toolu_2", "no clock", is_error=True)),
        Message.user("And?"),
    ]
    assert turns(*HELLO, call, *results)[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "t", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "15 degrees"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": "no clock",
                    "is_error": True,
                },
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_a_result_that_stands_after_text_is_put_before_it() -> None:
    (turn,) = turns(Message.user("See:", ToolResult("toolu_1", "15")))
    assert [block["type"] for block in turn["content"]] == ["tool_result", "text"]


@each_case(
    ("part", "block"),
    [
        (
            Image(url="https://a.example/a.png"),
            {"type": "image", "source": {"type": "url", "url": "https://a.example/a.png"}},
        ),
        (
            Image(data="/9j/", media_type="image/jpeg", detail="high"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"},
            },
        ),
        (
            Document(url="https://a.example/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://a.example/a.pdf"}},
        ),
        (
            Document(data="JVBERi0", title="A"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"},
                "title": "A",
            },
        ),
        (
            Document(data=base64.b64encode("née".encode()).decode(), media_type="text/plain"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "née"},
            },
        ),
    ],
)
def test_what_can_stand_in_a_question(part: Part, block: dict[str, Any]) -> None:
    (turn,) = turns(Message.user(part, "What is it?"))
    assert turn["content"] == [block, {"type": "text", "text": "What is it?"}]


CITED = {"type": "web_search_result_location", "url": "https://a.example", "encrypted_index": "Eo8"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}}
SEALED: list[Part] = [
    Thinking("Hm", "EqQB"),
    Thinking("", "omitted"),
    RedactedThinking("EmwKA"),
    ServerTool("web_search", SEARCH),
    Text("Four.", [Citation(data=CITED)]),
]


def test_an_answer_goes_back_whole_to_its_provider() -> None:
    assert turns(*HELLO, answer(*SEALED))[1]["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "EqQB"},
        {"type": "thinking", "thinking": "", "signature": "omitted"},
        {"type": "redacted_thinking", "data": "EmwKA"},
        SEARCH,
        {"type": "text", "text": "Four.", "citations": [CITED]},
    ]


@pytest.mark.parametrize("provider", ["openai", None])
def test_seals_do_not_go_to_another_provider(provider: str | None) -> None:
    message = Message("assistant", SEALED, provider)
    assert turns(*HELLO, message)[1] == {"role": "assistant", "content": "Four."}


def test_what_is_no_content_is_left_out() -> None:
    unsigned = [Thinking("cut"), PartialToolCall("t", "n", "{"), Text(""), Refusal("No.")]
    assert turns(*HELLO, answer(*unsigned), Message.user("Go on")) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hello, Claude"},
                {"type": "text", "text": "Go on"},
            ],
        }
    ]


def test_what_came_goes_back_as_it_came() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EmwKA"},
        {"type": "text", "text": "I look.", "citations": [CITED]},
        SEARCH,
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"city": "Paris"}},
    ]
    body = {"id": "m", "type": "message", "content": content, "stop_reason": "tool_use"}
    accumulator = Accumulator()
    accumulator.extend(MessagesDialect().parse_answer(json.dumps(body).encode()))
    assert turns(*HELLO, accumulator.message("anthropic"))[1]["content"] == content
