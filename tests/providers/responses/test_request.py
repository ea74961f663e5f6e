"""What is sent to OpenAI's Responses API, beside what its documentation shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.answering.accumulate import Accumulator
from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    PartialToolCall,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers import endpoint
from engine.providers.responses.dialect import ResponsesDialect
from engine.request import ModelRequest
from tests.cases import each_case

HELLO = [Message.user("Hello!")]
SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}


def render(
    messages: list[Message] = HELLO, model: str = "gpt-4.1", **arguments: Any
) -> dict[str, Any]:
    request = ModelRequest(model, messages, **arguments)
    body = ResponsesDialect().render(request, endpoint("openai"))
    json.dumps(body)
    return body


def answer(*parts: Part, provider: str | None = "openai") -> Message:
    return Message("assistant", list(parts), provider)


def items(*messages: Message) -> Any:
    return render([*HELLO, *messages])["input"][1:]


def test_where_and_how_it_is_asked() -> None:
    dialect = ResponsesDialect()
    request = ModelRequest("gpt-4.1", HELLO)
    assert dialect.name == "responses"
    assert dialect.path(request) == "/responses"
    assert dialect.headers(request) == {}


def test_the_first_example_of_the_documentation() -> None:
    assert render([Message.system("You are a helpful assistant."), *HELLO]) == {
        "model": "gpt-4.1",
        "instructions": "You are a helpful assistant.",
        "input": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "store": False,
    }


def test_without_streaming_nothing_is_said_of_it() -> None:
    assert "stream" not in render(stream=False)


@each_case(
    ("arguments", "said"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        (
            {"tools": [Tool("get_weather", "The weather.", SCHEMA, strict=True)]},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "get_weather",
                        "description": "The weather.",
                        "parameters": SCHEMA,
                        "strict": True,
                    }
                ]
            },
        ),
        (
            {"tools": [Tool("now", parameters=SCHEMA)]},
            {"tools": [{"type": "function", "name": "now", "parameters": SCHEMA}]},
        ),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": "now"}, {"tool_choice": {"type": "function", "name": "now"}}),
        ({"response_format": "json"}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": {"name": "place", "schema": SCHEMA, "strict": True}},
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "place",
                        "schema": SCHEMA,
                        "strict": True,
                    }
                }
            },
        ),
        (
            {"response_format": {"schema": SCHEMA}},
            {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}},
        ),
        ({"thinking": "none"}, {"reasoning": {"effort": "none"}}),
        (
            {"thinking": "high"},
            {
                "include": ["reasoning.encrypted_content"],
                "reasoning": {"effort": "high", "summary": "auto"},
            },
        ),
    ],
)
def test_each_argument_in_the_vendor_s_words(
    arguments: dict[str, Any], said: dict[str, Any]
) -> None:
    assert render(**arguments) == {**render(), **said}


@each_case(
    ("model", "reasons"),
    [
        ("o3", True),
        ("o4-mini", True),
        ("gpt-5", True),
        ("gpt-5.2-2025-12-11", True),
        ("codex-mini-latest", True),
        ("openai/gpt-5-mini", True),
        ("gpt-5-chat-latest", False),
        ("gpt-4o", False),
        ("grok-4", False),
        ("mistral-o3", False),
    ],
)
def test_reasoning_is_asked_for_where_there_is_some(model: str, reasons: bool) -> None:
    assert ("include" in render(model=model)) is reasons
    assert "include" not in render(model=model, thinking="none")


@each_case(
    ("arguments", "name"),
    [
        ({"seed": 0}, "seed"),
        ({"stop": ["END"]}, "stop"),
        ({"messages": [Message.user(Thinking("Hm"))]}, "input"),
        ({"messages": [Message.user(Image())]}, "input"),
        ({"messages": [Message.user(Document())]}, "input"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        render(**arguments)


# -- items -------------------------------------------------------------------------------------


def test_several_turns() -> None:
    turns = [Message.system("A."), Message.system("B."), *HELLO]
    turns += [Message.assistant("Hi"), Message.system("Now in verse."), Message.user("Go", " on")]
    body = render(turns)
    assert body["instructions"] == "A.\n\nB."
    assert body["input"] == [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"role": "system", "content": "Now in verse."},
        {"role": "user", "content": "Go on"},
    ]


def test_calls_and_results_are_items_of_their_own() -> None:
    call = answer(
        Text("I look."), ToolCall("call_1", "w", '{"a": 1}'), ToolCall("call_2", "t", "{}")
    )
    results = Message.tool(
        ToolResult("call_1", "15"), ToolResult("call_2", "no clock", is_error=True)
    )
    assert items(call, results) == [
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "call_1", "name": "w", "arguments": '{"a": 1}'},
        {"type": "function_call", "call_id": "call_2", "name": "t", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "15"},
        {"type": "function_call_output", "call_id": "call_2", "output": "no clock"},
    ]


def test_results_beside_text_come_before_it() -> None:
    assert items(Message.user("See:", ToolResult("call_1", "15"))) == [
        {"type": "function_call_output", "call_id": "call_1", "output": "15"},
        {"role": "user", "content": "See:"},
    ]


@each_case(
    ("part", "content"),
    [
        (
            Image(url="https://a.example/a.png"),
            {"type": "input_image", "image_url": "https://a.example/a.png"},
        ),
        (
            Image(data="/9j/", media_type="image/jpeg", detail="high"),
            {
                "type": "input_image",
                "image_url": "data:image/jpeg;base64,/9j/",
                "detail": "high",
            },
        ),
        (
            Document(url="https://a.example/a.pdf"),
            {"type": "input_file", "file_url": "https://a.example/a.pdf"},
        ),
        (
            Document(data="JVBERi0", title="a.pdf"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0",
            },
        ),
    ],
)
def test_what_can_stand_in_a_question(part: Part, content: dict[str, Any]) -> None:
    (item,) = items(Message.user(part, "What is it?"))
    assert item == {
        "role": "user",
        "content": [content, {"type": "input_text", "text": "What is it?"}],
    }


SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": "x"}}
SEALED: list[Part] = [
    Thinking("**One**"),
    Thinking("**Two**", "gAAAA"),
    Thinking("", "gBBBB"),
    ServerTool("web_search_call", SEARCH),
    Text("Four."),
]


def test_an_answer_goes_back_whole_to_its_provider() -> None:
    assert items(answer(*SEALED)) == [
        {
            "type": "reasoning",
            "summary": [
                {"type": "summary_text", "text": "**One**"},
                {"type": "summary_text", "text": "**Two**"},
            ],
            "encrypted_content": "gAAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBBB"},
        SEARCH,
        {"role": "assistant", "content": [{"type": "output_text", "text": "Four."}]},
    ]


@pytest.mark.parametrize("provider", ["anthropic", None])
def test_seals_do_not_go_to_another_provider(provider: str | None) -> None:
    assert items(answer(*SEALED, provider=provider)) == [
        {"role": "assistant", "content": [{"type": "output_text", "text": "Four."}]}
    ]


def test_texts_and_refusals_of_one_answer_are_one_item() -> None:
    parts = [Text("A"), Text(""), Refusal("No."), ToolCall("c", "n", "{}"), Text("B")]
    said = items(answer(*parts))
    assert [item.get("type", item.get("role")) for item in said] == [
        "assistant",
        "function_call",
        "assistant",
    ]
    assert said[0]["content"] == [
        {"type": "output_text", "text": "A"},
        {"type": "refusal", "refusal": "No."},
    ]


def test_what_is_no_content_is_left_out() -> None:
    unsigned = [Thinking("cut"), PartialToolCall("t", "n", "{"), Image(url="https://a.example/i")]
    assert items(answer(*unsigned), Message.user("Go on")) == [{"role": "user", "content": "Go on"}]


def test_what_came_goes_back_as_it_came() -> None:
    reasoning = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "gAAAA",
    }
    call = {"type": "function_call", "call_id": "call_1", "name": "w", "arguments": '{"a": 1}'}
    said = {"type": "output_text", "text": "I look."}
    output = [reasoning, SEARCH, {"type": "message", "content": [said]}, call]
    body = {"id": "resp_1", "status": "completed", "output": output}
    accumulator = Accumulator()
    accumulator.extend(ResponsesDialect().parse_answer(json.dumps(body).encode()))
    assert items(accumulator.message("openai")) == [
        reasoning,
        SEARCH,
        {"role": "assistant", "content": [said]},
        call,
    ]
