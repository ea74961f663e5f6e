"""Input as users have it: the shapes of each vendor, and clear words for what is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.asking.input import as_messages
from engine.asking.tools import as_tools
from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    VendorTool,
)
from tests.cases import each_case
from tests.volume import examples


def one(item: Any) -> Message:
    (message,) = as_messages([item], None)
    return message


def test_a_string_is_a_question_and_system_comes_first() -> None:
    assert as_messages("hi", None) == [Message.user("hi")]
    assert as_messages("hi", "be brief") == [Message.system("be brief"), Message.user("hi")]
    assert as_messages(Message.user("hi"), None) == [Message.user("hi")]
    assert as_messages({"role": "user", "content": "hi"}, None) == [Message.user("hi")]
    turns = (Message.user("a"), {"role": "assistant", "content": "b"}, Message.user("c"))
    assert [message.text for message in as_messages(turns, None)] == ["a", "b", "c"]


@each_case(
    ("name", "role"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("model", "assistant"),
    ],
)
def test_roles_of_each_vendor(name: str, role: str) -> None:
    messages = as_messages([{"role": name, "content": "x"}, {"role": "user", "content": "y"}], None)
    assert (messages[0].role, messages[0].text) == (role, "x")


PNG = "iVBORw0KGgo="

PARTS: list[tuple[Any, Part]] = [
    ("plain", Text("plain")),
    (Text("own"), Text("own")),
    ({"type": "text", "text": "a"}, Text("a")),
    ({"type": "input_text", "text": "a"}, Text("a")),
    (
        {"type": "output_text", "text": "a", "annotations": []},
        Text("a"),
    ),
    ({"text": "a"}, Text("a")),
    ({"text": "a", "thought": True}, Thinking("a")),
    ({"type": "image_url", "image_url": {"url": "https://x/i.png"}}, Image(url="https://x/i.png")),
    (
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"},
        },
        Image(data=PNG, media_type="image/png", detail="low"),
    ),
    (
        {"type": "input_image", "image_url": "https://x/i.png", "detail": "high"},
        Image(url="https://x/i.png", detail="high"),
    ),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        Image(data=PNG, media_type="image/png"),
    ),
    ({"type": "image", "source": {"type": "url", "url": "https://x"}}, Image(url="https://x")),
    (
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": b"%PDF"},
        },
        Document(data="JVBERg==", media_type="application/pdf", title="T"),
    ),
    (
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
        },
        Document(data="w6k=", media_type="text/plain"),
    ),
    (
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        },
        Document(data="JVBERg==", media_type="application/pdf", title="a.pdf"),
    ),
    ({"type": "input_file", "file_url": "https://x/a.pdf"}, Document(url="https://x/a.pdf")),
    (
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        Image(data=PNG, media_type="image/png"),
    ),
    (
        {"file_data": {"mime_type": "application/pdf", "file_uri": "gs://x/a"}},
        Document(url="gs://x/a", media_type="application/pdf"),
    ),
    ({"type": "thinking", "thinking": "hm", "signature": "s"}, Thinking("hm", "s")),
    ({"type": "redacted_thinking", "data": "d"}, RedactedThinking("d")),
    ({"type": "refusal", "refusal": "no"}, Refusal("no")),
    (
        {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
        ToolCall("1", "f", '{"a":1}'),
    ),
    (
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
        ToolCall("", "f", '{"a":1}', "s"),
    ),
]


@each_case(("given_part", "part"), PARTS)
def test_parts_of_each_vendor(given_part: Any, part: Part) -> None:
    assert one({"role": "user", "content": [given_part, "end"]}).parts == [part, Text("end")]


def test_calls_and_results_of_each_vendor() -> None:
    call, result = ToolCall("1", "f", '{"a":1}'), ToolResult("1", "42")
    function = {"name": "f", "arguments": '{"a":1}'}
    calls = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "function": function}],
    }
    responses = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a":1}'}
    for item in (calls, responses):
        messages = as_messages([item, Message.user("x")], None)
        assert messages[0] == Message("assistant", [call])
    results: list[Any] = [
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "42"}]},
        {"role": "tool", "content": [result]},
        {"type": "function_call_output", "call_id": "1", "output": "42"},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "1", "content": "42"}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "1", "content": ["4", "2"]}],
        },
    ]
    for item in results:
        assert one(item) == Message("tool", [result])
    gemini = {"functionResponse": {"id": "1", "name": "f", "response": {"r": 42}}}
    assert one({"role": "user", "parts": [gemini]}) == Message(
        "tool", [ToolResult("1", '{"r":42}', "f")], formats=("gemini",)
    )
    assert one({"parts": [{"text": "hi"}]}) == Message.user("hi")
    mixed = [{"type": "tool_result", "tool_use_id": "1", "is_error": True}, "and?"]
    assert one({"role": "user", "content": mixed}) == Message(
        "user", [ToolResult("1", "", is_error=True), Text("and?")]
    )


def test_arguments_may_be_an_object_or_missing() -> None:
    for arguments, text in ((None, "{}"), ("", "{}"), ({"a": 1}, '{"a":1}'), ("[]", "[]")):
        call = {"id": "1", "function": {"name": "f", "arguments": arguments}}
        message = one({"role": "assistant", "tool_calls": [call]})
        assert message.tool_calls == [ToolCall("1", "f", text)]
    own = one({"role": "assistant", "tool_calls": [ToolCall("1", "f", "{}")]})
    assert own.tool_calls == [ToolCall("1", "f", "{}")]


@each_case(
    ("input", "place"),
    [
        ([{"role": "assistant", "tool_calls": [3]}], r"tool_calls\[0\] must be a dict, not int"),
        (
            [{"role": "assistant", "tool_calls": [{"function": 3}]}],
            r"\[0\].function must be a dict",
        ),
        ([{"role": "tool", "content": 3}], r"input\[0\].content must be a string or a list"),
        (
            [{"role": "user", "content": [{"type": "file", "file": 3}]}],
            r"\[0\].file must be a dict",
        ),
        (3, "input must be a string or messages, not int"),
        (b"hi", "input must be a string or messages, not bytes"),
        ([], "input is empty"),
        ([{"role": "system", "content": "x"}], "input is empty"),
        ([{"role": "user", "content": "x"}, 7], r"input\[1\] must be a Message or a dict"),
        ([{"content": "x"}], r"input\[0\] has the role None"),
        ([{"role": "robot", "content": "x"}], r"input\[0\] has the role 'robot'"),
        ([{"role": [], "content": "x"}], r"input\[0\] has the role"),
        ([{"role": "user"}], r"input\[0\] has no content"),
        ([{"role": "user", "content": []}], r"input\[0\] has no content"),
        ([{"role": "user", "content": 5}], r"input\[0\].content must be a string or a list"),
        ([{"role": "user", "content": [5]}], r"input\[0\].content\[0\] must be a string or a dict"),
        (
            [{"role": "user", "content": [{"type": 5}]}],
            r"content\[0\] has the type 5, which is not",
        ),
        ([{"role": "user", "content": [{"type": "text"}]}], r"content\[0\].text is missing"),
        (
            [{"role": "user", "content": [{"type": "text", "text": 5}]}],
            r"text is int; it must be a",
        ),
        ([{"role": "user", "content": [{"type": "image_url"}]}], r"content\[0\].image_url is mis"),
        ([{"role": "user", "content": [{"type": "image", "source": {}}]}], r"source.data must be"),
        ([{"role": "assistant", "tool_calls": "f"}], r"input\[0\].tool_calls must be a list"),
        ([{"role": "assistant", "tool_calls": [{}]}], r"tool_calls\[0\].name is missing"),
        (
            [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}],
            r"tool_calls\[0\].arguments is a string that is no JSON",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {1j}}]}],
            r"tool_calls\[0\].arguments cannot be written as JSON",
        ),
        (
            [{"role": "tool", "tool_call_id": "1", "content": [{"image_url": "x"}]}],
            r"input\[0\].content\[0\] has the type None",
        ),
        (
            [{"role": "tool", "content": [{"functionCall": {"name": "f"}}]}],
            r"input\[0\].content\[0\] cannot stand in the result of a tool",
        ),
    ],
)
def test_what_is_no_message_is_named_by_its_place(input: Any, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        as_messages(input, None)


def test_system_is_a_string_or_text_parts() -> None:
    assert as_messages("hi", ["be brief"])[0] == Message.system("be brief")
    with pytest.raises(ConfigError, match="system must be a string or a list of text parts"):
        as_messages("hi", 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"system\[0\] is no text"):
        as_messages("hi", [{"type": "image_url", "image_url": "https://x"}])


# What a malformed message may hold at any place; names of the vendors' members, so that the fuzz
# gets past the first look.
_MEMBERS = (
    "role content type text parts image_url url source data media_type file file_data filename "
    "tool_calls function name arguments id tool_call_id tool_use_id call_id output input thinking "
    "inlineData mimeType functionCall functionResponse args response refusal detail"
)
_VALUES = (
    "user assistant tool system model function text image image_url document file thinking "
    "tool_use tool_result redacted_thinking refusal function_call function_call_output input_text "
    "input_image base64 {} [1] data:image/png;base64,AA x"
)
_NAMES = st.sampled_from(_MEMBERS.split())
_WORDS = st.sampled_from(_VALUES.split())
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.dictionaries(_NAMES, _ANYTHING, max_size=6) | _ANYTHING, max_size=3) | _ANYTHING)
def test_anything_is_messages_or_a_config_error(input: Any) -> None:
    try:
        messages = as_messages(input, None)
    except ConfigError as error:
        assert str(error)
    else:
        assert all(isinstance(message, Message) for message in messages)


@settings(max_examples=examples(100), deadline=None)
@given(_ANYTHING)
def test_anything_is_tools_or_a_config_error(tools: Any) -> None:
    try:
        definitions = as_tools(tools)
    except ConfigError as error:
        assert "tools" in str(error)
    else:
        assert all(isinstance(tool, Tool | VendorTool) for tool in definitions)


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@each_case(
    "tool",
    [
        Tool("f", "does f", SCHEMA, True),
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "does f",
                "parameters": SCHEMA,
                "strict": True,
            },
        },
        {
            "type": "function",
            "name": "f",
            "description": "does f",
            "parameters": SCHEMA,
            "strict": True,
        },
        {"name": "f", "description": "does f", "input_schema": SCHEMA, "strict": True},
    ],
)
def test_tools_of_each_vendor(tool: Any) -> None:
    assert as_tools([tool]) == [Tool("f", "does f", SCHEMA, True)]


def test_whatever_knows_its_definition_is_a_tool() -> None:
    class Decorated:
        definition = Tool("f")

    assert as_tools([Decorated(), {"name": "g"}]) == [Tool("f"), Tool("g")]
    assert as_tools(None) == as_tools([]) == []


@each_case(
    ("tools", "words"),
    [
        ([3], r"tools\[0\] is no tool"),
        ([Tool("f"), {}], r"tools\[1\].name is missing"),
        ([{"name": ""}], r"tools\[0\].name is empty"),
        ([{"name": "f", "parameters": []}], r"tools\[0\] has parameters that are no JSON schema"),
        ([Tool("f"), {"name": "f"}], "two of them are called 'f'"),
        ({"name": "f"}, "tools must be a list of tools, not dict"),
        ("f", "tools must be a list of tools, not str"),
        (3, "tools must be a list of tools, not int"),
    ],
)
def test_what_is_no_tool_is_named(tools: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        as_tools(tools)
