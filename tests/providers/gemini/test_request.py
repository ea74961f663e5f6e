"""Gemini: the JSON sent equals what Google's documentation shows."""

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
    PartialToolCall,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.call_ids import made_up_id
from engine.providers.endpoints import endpoint
from engine.providers.gemini.dialect import GeminiArrayDialect, GeminiDialect
from engine.request import ModelRequest
from tests.cases import each_case

DIALECT = GeminiDialect()
JSON = dict[str, Any]
HI = [Message.user("Hi")]
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]

SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string", "description": "The city name"}},
    "required": ["location"],
}
WEATHER = Tool("get_current_temperature", "Gets the temperature.", SCHEMA)
STRICT = {**SCHEMA, "additionalProperties": False}


def render(messages: list[Message], model: str = "gemini-2.5-flash", **more: Any) -> JSON:
    request = ModelRequest(model, messages, **more)
    return json.loads(json.dumps(DIALECT.render(request, endpoint("gemini"))))


@each_case(
    ("model", "stream", "sse", "array"),
    [
        (
            "gemini-2.5-flash",
            True,
            "/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            "/models/gemini-2.5-flash:streamGenerateContent",
        ),
        ("gemini-2.5-flash", False, *["/models/gemini-2.5-flash:generateContent"] * 2),
        ("models/gemini-3-pro", False, *["/models/gemini-3-pro:generateContent"] * 2),
        ("tunedModels/mine", False, *["/tunedModels/mine:generateContent"] * 2),
        ("a b?c", False, *["/models/a%20b%3Fc:generateContent"] * 2),
    ],
)
def test_the_model_stands_in_the_path(model: str, stream: bool, sse: str, array: str) -> None:
    request = ModelRequest(model, HI, stream=stream)
    assert GeminiDialect().path(request) == sse
    assert GeminiArrayDialect().path(request) == array
    assert DIALECT.headers(request) == {}  # the key goes in x-goog-api-key, by the endpoint


# https://ai.google.dev/gemini-api/docs/text-generation, function-calling, structured-output,
# thinking and https://ai.google.dev/api/generate-content
FIELDS: list[tuple[str, JSON, JSON]] = [
    ("nothing", {}, {}),
    (
        "sampling and limits",
        {"max_tokens": 800, "temperature": 1.0, "top_p": 0.8, "seed": 3, "stop": ["Title"]},
        {
            "generationConfig": {
                "maxOutputTokens": 800,
                "temperature": 1.0,
                "topP": 0.8,
                "seed": 3,
                "stopSequences": ["Title"],
            }
        },
    ),
    (
        "a tool",
        {"tools": [WEATHER]},
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "get_current_temperature",
                            "description": "Gets the temperature.",
                            "parameters": SCHEMA,
                        }
                    ]
                }
            ]
        },
    ),
    (
        "tools with schemas Google's Schema cannot say",
        {"tools": [Tool("a", parameters=STRICT), Tool("b")]},
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "a", "parametersJsonSchema": STRICT},
                        {
                            "name": "b",
                            "parametersJsonSchema": {"type": "object", "properties": {}},
                        },
                    ]
                }
            ]
        },
    ),
    (
        "JSON",
        {"response_format": "json"},
        {"generationConfig": {"responseMimeType": "application/json"}},
    ),
    (
        "JSON of a schema",
        {"response_format": {"name": "place", "schema": STRICT, "strict": True}},
        {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": STRICT,
            }
        },
    ),
]


@each_case(("given", "sent"), [c[1:] for c in FIELDS], ids=[c[0] for c in FIELDS])
def test_each_argument(given: JSON, sent: JSON) -> None:
    assert render(HI, **given) == {"contents": CONTENTS, **sent}


@each_case(
    "schema",
    [
        {"type": ["string", "null"]},
        {"enum": [1, 2]},
        {"type": "array", "items": {"$ref": "#/$defs/x"}},
        {"anyOf": [{"type": "string"}, {"const": 1}]},
        {"type": "object", "properties": {"x": {"oneOf": []}}},
        {"type": "array", "items": True},
    ],
    ids=str,
)
def test_a_schema_that_google_would_refuse_at_any_depth_goes_as_json_schema(schema: JSON) -> None:
    tool = Tool("t", parameters={"type": "object", "properties": {"a": schema}})
    (declaration,) = render(HI, tools=[tool])["tools"][0]["functionDeclarations"]
    assert declaration == {"name": "t", "parametersJsonSchema": tool.parameters}


@each_case(
    ("choice", "strict", "sent"),
    [
        (None, None, None),
        ("auto", None, {"mode": "AUTO"}),
        ("none", None, {"mode": "NONE"}),
        ("required", None, {"mode": "ANY"}),
        ("get_current_temperature", None, {"mode": "ANY", "allowedFunctionNames": [WEATHER.name]}),
        (None, True, {"mode": "VALIDATED"}),
        ("required", True, {"mode": "ANY"}),
    ],
)
def test_tool_choice(choice: str | None, strict: bool | None, sent: JSON | None) -> None:
    tool = Tool(WEATHER.name, parameters=SCHEMA, strict=strict)
    config = render(HI, tools=[tool], tool_choice=choice).get("toolConfig")
    assert config == (None if sent is None else {"functionCallingConfig": sent})


@each_case(
    ("model", "level", "sent"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 128, "includeThoughts": True}),
        ("gemini-2.5-pro", "medium", {"thinkingBudget": 11008, "includeThoughts": True}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 21888, "includeThoughts": True}),
        ("gemini-2.5-flash-lite", "low", {"thinkingBudget": 512, "includeThoughts": True}),
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "minimal"}),
        ("models/gemini-3-pro", "low", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3.1-pro", "high", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_thinking_levels(model: str, level: str, sent: JSON) -> None:
    assert render(HI, model, thinking=level)["generationConfig"] == {"thinkingConfig": sent}


def test_system_messages_are_the_instruction() -> None:
    body = render([Message.system("You are a cat."), *HI, Message.system("Be brief.")])
    assert body == {
        "systemInstruction": {"parts": [{"text": "You are a cat."}, {"text": "Be brief."}]},
        "contents": CONTENTS,
    }


@each_case(
    ("part", "sent"),
    [
        (
            Image(data="iVBO", media_type="image/jpeg"),
            {"inlineData": {"mimeType": "image/jpeg", "data": "iVBO"}},
        ),
        (Image(data="iVBO"), {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}),
        (
            Image(url="https://e.org/a.jpg?w=1"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://e.org/a.jpg?w=1"}},
        ),
        (Image(url="https://e.org/a"), {"fileData": {"fileUri": "https://e.org/a"}}),
        (Document(data="JVBE"), {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}}),
        (
            Document(url="gs://b/a.pdf", media_type="application/pdf"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/a.pdf"}},
        ),
    ],
)
def test_images_and_documents(part: Image | Document, sent: JSON) -> None:
    contents = render([Message.user("What is it?", part)])["contents"]
    assert contents == [{"role": "user", "parts": [{"text": "What is it?"}, sent]}]


# -- several turns -----------------------------------------------------------------------------


def call(id: str, **more: Any) -> ToolCall:
    return ToolCall(id, "get_current_temperature", '{"location": "London"}', **more)


def test_results_follow_their_calls_in_one_content() -> None:
    unknown = made_up_id("r1", 0)
    answer = Message("assistant", [call(unknown, signature="c2Vh"), call("8f2c")], "gemini")
    body = render(
        [
            Message.user("London?"),
            answer,
            Message.tool(ToolResult(unknown, "15")),
            Message.tool(ToolResult("8f2c", '{"temperature": 16}')),
            Message.user("And?"),
        ]
    )
    name, args = "get_current_temperature", {"location": "London"}
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": name, "args": args}, "thoughtSignature": "c2Vh"},
                {"functionCall": {"id": "8f2c", "name": name, "args": args}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": name, "response": {"result": "15"}}},
                {
                    "functionResponse": {
                        "id": "8f2c",
                        "name": name,
                        "response": {"temperature": 16},
                    }
                },
            ],
        },
        {"role": "user", "parts": [{"text": "And?"}]},
    ]


@each_case(
    ("result", "response"),
    [
        (ToolResult("x", "no such city", "t", is_error=True), {"error": "no such city"}),
        (ToolResult("x", "[1, 2]", "t"), {"result": "[1, 2]"}),
        (ToolResult("x", "", "t"), {"result": ""}),
        (ToolResult("x", '{"a": 1}', "t"), {"a": 1}),
    ],
)
def test_a_result_is_an_object(result: ToolResult, response: JSON) -> None:
    contents = render([*HI, Message.tool(result)])["contents"]
    assert contents[1]["parts"] == [{"functionResponse": {"name": "t", "response": response}}]


CHUNKS = [
    {"text": "Hm.", "thought": True},
    {"text": "It is "},
    {"text": "4", "thoughtSignature": "c2Vh"},
    {"text": ".\n"},
    {"executableCode": {"language": "PYTHON", "code": "2+2"}, "thoughtSignature": "eA=="},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4"}},
    {"inlineData": {"mimeType": "image/png", "data": "iVBO"}, "thoughtSignature": "eQ=="},
    {"functionCall": {"id": "1", "name": "t", "args": {"x": [1.5]}}, "thoughtSignature": "eg=="},
    {"functionCall": {"id": "2", "name": "t", "args": {}}},
    {"text": "", "thoughtSignature": "bA=="},
]


def test_what_gemini_wrote_goes_back_to_it_unchanged() -> None:
    chunk = {"candidates": [{"content": {"parts": CHUNKS}, "finishReason": "STOP"}]}
    accumulator = Accumulator()
    accumulator.extend(DIALECT.parse_answer(json.dumps(chunk).encode()))
    body = render([*HI, accumulator.message("gemini")], "gemini-3-pro")
    assert body["contents"][1] == {"role": "model", "parts": CHUNKS}


def test_what_another_provider_wrote_goes_in_geminis_terms() -> None:
    parts = [
        Thinking("secret", "seal"),
        RedactedThinking("sealed"),
        Text("Let me look.", signature="seal"),
        Refusal("Not that."),
        PartialToolCall("c0", "t", '{"x'),
        call("call_1", signature="seal"),
        call("call_2"),
    ]
    answer = Message("assistant", parts, "anthropic")
    function = {"name": "get_current_temperature", "args": {"location": "London"}}
    expected = [
        {"text": "Let me look."},
        {"text": "Not that."},
        {"functionCall": function},
        {"functionCall": function},
    ]
    assert render([*HI, answer])["contents"][1]["parts"] == expected
    # Gemini 3 answers 400 where the first call has no signature, and takes this one instead.
    expected[2] = {**expected[2], "thoughtSignature": "skip_thought_signature_validator"}
    assert render([*HI, answer], "gemini-3-pro")["contents"][1]["parts"] == expected


def test_an_answer_of_which_nothing_can_be_said_is_left_out() -> None:
    answer = Message("assistant", [Refusal("SAFETY")], "gemini")
    assert render([*HI, answer, *HI])["contents"] == CONTENTS * 2


# -- what cannot be said -----------------------------------------------------------------------


@each_case(
    ("messages", "words"),
    [
        ([Message.tool(ToolResult("c9", "1"))], "input: .*'c9'.*name="),
        ([Message("user", [Thinking("x")])], "input: .*Thinking"),
        ([Message.user(Image())], "input: Image has neither"),
        ([Message("assistant", [ToolCall("c1", "t", "{")])], "input: .*'c1' are no JSON"),
    ],
)
def test_an_error_names_the_argument(messages: list[Message], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        render([*HI, *messages])


def test_a_response_format_without_schema_is_named() -> None:
    with pytest.raises(ConfigError, match="response_format"):
        render(HI, response_format={"name": "x"})


@pytest.mark.parametrize("message", [Message.user(""), Message("assistant", [])])
def test_where_nothing_is_said_nothing_is_asked(message: Message) -> None:
    with pytest.raises(ConfigError, match="no empty text"):
        render([message])


def test_an_empty_text_goes_back_for_its_seal_and_to_its_author_alone() -> None:
    parts = [Text("", signature="SEAL"), Text(""), Text("Hi")]
    sent = {
        provider: render([*HI, Message("assistant", parts, provider), *HI])["contents"][1]["parts"]
        for provider in ("gemini", "openai")
    }
    assert sent["gemini"] == [{"text": "", "thoughtSignature": "SEAL"}, {"text": "Hi"}]
    assert sent["openai"] == [{"text": "Hi"}]
