"""Tools as users give them: functions for everybody, and the vendors' own for one format."""

from __future__ import annotations

from typing import Any

import pytest

from engine.asking.question import as_question
from engine.asking.tools import read_tools
from engine.errors import ConfigError
from engine.messages import Tool, VendorTool
from engine.providers import dialect, endpoint
from tests.cases import each_case

ANYWHERE = ("chat", "interactions", "messages", "responses")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@each_case(
    ("tool", "formats"),
    [
        ({"type": "web_search_20250305", "name": "web_search"}, ("chat", "messages")),
        ({"type": "web_search"}, ANYWHERE),
        ({"type": "custom", "name": "code", "format": {"type": "text"}}, ("responses",)),
        ({"type": "custom", "custom": {"name": "code"}}, ("chat",)),
        (
            {"type": "builtin_function", "function": {"name": "$w"}},
            ANYWHERE,
        ),
        ({"googleSearch": {}}, ("gemini",)),
        ({"url_context": {}, "google_search": None}, ("gemini",)),
    ],
)
def test_a_vendors_own_tool_goes_out_as_it_is(tool: Any, formats: tuple[str, ...]) -> None:
    (definition,), (bound,) = read_tools([tool])
    assert definition == VendorTool(tool)
    assert (bound.place, bound.formats) == ("tools[0]", formats)


def test_gemini_holds_many_functions_in_one_tool() -> None:
    tool = {"functionDeclarations": [{"name": "f"}, {"name": "g"}], "codeExecution": {}}
    definitions, (bound,) = read_tools([tool])
    assert definitions == [Tool("f"), Tool("g"), VendorTool({"codeExecution": {}})]
    assert (bound.place, bound.formats) == ("tools[0].codeExecution", ("gemini",))


def test_what_a_function_says_beside_its_definition_goes_to_its_own_format() -> None:
    cached = {"name": "f", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}
    request = as_question("m", "hi", None, {"tools": [cached]}).request
    sent = dialect("messages").render(request, endpoint("anthropic"))["tools"]
    assert sent == [cached]
    plain = {"type": "custom", "name": "f", "input_schema": SCHEMA}
    request = as_question("m", "hi", None, {"tools": [plain]}).request
    assert request.bound == []
    assert dialect("messages").render(request, endpoint("anthropic"))["tools"] == [plain]
    chat = dialect("chat").render(request, endpoint("openai"))["tools"]
    assert chat == [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]


@each_case(
    ("name", "tool", "choice"),
    [
        (
            "chat",
            {"type": "custom", "custom": {"name": "c"}},
            {"type": "custom", "custom": {"name": "c"}},
        ),
        ("responses", {"type": "custom", "name": "c"}, {"type": "custom", "name": "c"}),
        ("messages", {"type": "bash_20250124", "name": "c"}, {"type": "tool", "name": "c"}),
    ],
)
def test_a_vendors_tool_can_be_chosen(name: str, tool: Any, choice: Any) -> None:
    request = as_question("m", "hi", None, {"tools": [tool], "tool_choice": "c"}).request
    row = endpoint("anthropic" if name == "messages" else "openai")
    assert dialect(name).render(request, row)["tool_choice"] == choice


@each_case(
    ("tools", "words"),
    [
        ([{"functionDeclarations": 3}], r"tools\[0\]\.functionDeclarations must be a list"),
        ([{"functionDeclarations": [3]}], r"functionDeclarations\[0\] must be a dict, not int"),
        ([{"name": "f", "strict": "yes"}], r"tools\[0\]\.strict must be true or false, not str"),
        ([{"type": "x", "name": "f"}, {"name": "f"}], "two of them are called 'f'"),
    ],
)
def test_what_is_no_tool_of_a_vendor_is_named(tools: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_tools(tools)
