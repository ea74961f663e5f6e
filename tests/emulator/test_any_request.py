"""Whatever a client sends, there is a reply, and its body can be made."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.emulator.schema import Sampler
from engine.emulator.settings import FAULTS
from tests.cases import each_case
from tests.emulator.asking import WEATHER, ask, body_of
from tests.volume import examples

USE = {"role": "user", "content": "use get_weather"}
FUNCTION = {"name": "get_weather", "parameters": WEATHER}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CHAT_TOOLS = [{"type": "function", "function": FUNCTION}]

# Good requests with all there is in them; each body is spoilt in one place.
GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        "/v1/chat/completions",
        {
            "model": "demo",
            "stream": True,
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be kind"}]},
                USE,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
                USE,
            ],
            "tools": CHAT_TOOLS,
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "response_format": {"type": "json_schema", "json_schema": {"schema": WEATHER}},
            "max_tokens": 20,
            "n": 2,
            "stop": ["x"],
            "reasoning_effort": "low",
            "stream_options": {"include_usage": True},
        },
    ),
    "responses": (
        "/v1/responses",
        {
            "model": "demo",
            "stream": True,
            "instructions": "Be kind",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "use get_weather"}]},
                {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": ""},
                {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"role": "user", "content": "use get_weather"},
            ],
            "tools": [{"type": "function", **FUNCTION}],
            "tool_choice": "auto",
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "schema": WEATHER}},
            "include": ["reasoning.encrypted_content"],
            "max_output_tokens": 20,
        },
    ),
    "messages": (
        "/v1/messages",
        {
            "model": "demo",
            "stream": True,
            "max_tokens": 2048,
            "system": [{"type": "text", "text": "Be kind"}],
            "messages": [
                USE,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Well"},
                        {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                        {"type": "text", "text": "use get_weather"},
                    ],
                },
            ],
            "tools": [{"name": "get_weather", "input_schema": WEATHER}],
            "tool_choice": {"type": "tool", "name": "get_weather"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"format": {"type": "json_schema", "schema": WEATHER}},
            "stop_sequences": ["x"],
        },
    ),
    "gemini": (
        "/v1beta/models/demo:streamGenerateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be kind"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "use get_weather"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "get_weather", "response": {"a": 1}}}],
                },
                {"role": "user", "parts": [{"text": "use get_weather"}]},
            ],
            "tools": [{"functionDeclarations": [FUNCTION]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": []}},
            "generationConfig": {
                "maxOutputTokens": 20,
                "stopSequences": ["x"],
                "responseMimeType": "application/json",
                "responseSchema": WEATHER,
                "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 128},
            },
        },
    ),
    "ollama": (
        "/api/chat",
        {
            "model": "demo",
            "messages": [
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "tool_name": "get_weather", "content": "sunny"},
                USE,
            ],
            "tools": CHAT_TOOLS,
            "think": True,
            "format": WEATHER,
            "options": {"num_predict": 20, "stop": ["x"], "temperature": 0.5},
        },
    ),
    "ollama-generate": (
        "/api/generate",
        {"model": "demo", "prompt": "Hello", "system": "Be kind", "format": "json"},
    ),
    "completions": (
        "/v1/completions",
        {"model": "demo", "prompt": "Hello", "stream": True, "max_tokens": 9, "stop": "x", "n": 2},
    ),
}

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in `value`."""
    if here:
        yield here
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, child in value.items() if isinstance(value, dict) else ():
        yield from places(child, (*here, key))


def replaced(body: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    body = copy.deepcopy(body)
    target: Any = body
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return body


def replied(path: str, body: Any) -> int:
    """The status of the reply, whose body could be made."""
    reply = ask(path, body, headers={"anthropic-version": "1"})
    data = body_of(reply)
    if reply.status == 400:
        assert "error" in json.loads(data)
    return reply.status


@each_case("dialect", GOOD)
def test_the_good_requests_are_good(dialect: str) -> None:
    assert replied(*GOOD[dialect]) == 200


@pytest.mark.parametrize("dialect", GOOD)
@settings(max_examples=examples(150), deadline=None)
@given(data=st.data())
def test_a_request_with_anything_in_one_place_has_a_reply(dialect: str, data: Any) -> None:
    path, body = GOOD[dialect]
    place = data.draw(st.sampled_from(list(places(body))))
    assert replied(path, replaced(body, place, data.draw(ANYTHING))) in (200, 400)


@given(body=ANYTHING | st.binary(max_size=50), dialect=st.sampled_from(list(GOOD)))
def test_any_body_at_all_has_a_reply(body: Any, dialect: str) -> None:
    assert replied(GOOD[dialect][0], body) == 400


_KEYWORDS = st.sampled_from(
    ["type", "properties", "required", "items", "anyOf", "allOf", "$ref", "$defs", "enum"]
) | st.sampled_from(["const", "format", "minimum", "maximum", "minItems", "minLength", "maxLength"])
_SCHEMA = st.recursive(
    _LEAVES | st.sampled_from(["object", "array", "integer", "string", "#", "#/$defs/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_KEYWORDS, inner, max_size=5)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(schema=st.dictionaries(_KEYWORDS, _SCHEMA), prompt=st.text())
def test_any_schema_has_a_value_that_can_be_written(schema: dict[str, Any], prompt: str) -> None:
    json.dumps(Sampler(prompt).sample(schema), allow_nan=False)


@given(script=ANYTHING, fault=st.sampled_from(sorted(FAULTS)))
def test_any_script_has_a_reply(script: Any, fault: str) -> None:
    prompt = f"[[script: {json.dumps(script)}]]"
    body = {"model": fault, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    assert replied("/v1/chat/completions", body) in (0, 200, 400)


@given(
    query=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    path=st.text(max_size=30),
    method=st.sampled_from(["GET", "POST", "PUT"]),
)
def test_any_path_has_a_reply(query: dict[str, str], path: str, method: str) -> None:
    assert ask(path, b"{}", query=query, method=method).status in (200, 400, 404, 405)
