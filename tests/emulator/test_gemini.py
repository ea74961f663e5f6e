"""The emulator's generateContent, held against Google's reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.emulator.respond import Reply
from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import WEATHER, ask, body_of, events_of, json_of

TOOLS = [{"functionDeclarations": [{"name": "get_weather", "parameters": WEATHER}]}]
THINK = {"thinkingConfig": {"includeThoughts": True}}


def contents(prompt: Any = "Hello there", **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "parts": [{"text": prompt}]}] if isinstance(prompt, str) else prompt
    return {"contents": turns, **more}


def generate(
    body: Any, *, stream: bool = False, sse: bool = True, model: str = "demo", **settings: Any
) -> Reply:
    method = "streamGenerateContent" if stream else "generateContent"
    path = f"/v1beta/models/{model}:{method}"
    query = {"alt": "sse"} if sse and stream else {}
    return ask(path, body, query=query, settings=Settings(**settings))


def parts_of(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = chunk["candidates"][0].get("content", {}).get("parts", [])
    return parts


def test_a_stream_counts_as_it_goes_and_ends_with_the_reason() -> None:
    chunks = events_of(generate(contents(), stream=True, tokens=3))
    assert [c["usageMetadata"]["candidatesTokenCount"] for c in chunks] == [1, 2, 3]
    assert [c["usageMetadata"]["totalTokenCount"] for c in chunks] == [3, 4, 5]
    assert [c["candidates"][0].get("finishReason") for c in chunks] == [None, None, "STOP"]
    assert all(c["candidates"][0]["content"]["role"] == "model" for c in chunks)
    assert {c["modelVersion"] for c in chunks} == {"demo"}


def test_without_alt_sse_it_is_one_json_array_of_the_same_chunks() -> None:
    reply = generate(contents(), stream=True, sse=False, tokens=3)
    assert dict(reply.headers)["content-type"] == "application/json"
    assert json.loads(body_of(reply)) == events_of(generate(contents(), stream=True, tokens=3))


def test_streamed_and_whole_are_the_same_answer() -> None:
    chunks = events_of(generate(contents(), stream=True))
    whole = json_of(generate(contents()))
    text = "".join(part["text"] for chunk in chunks for part in parts_of(chunk))
    assert parts_of(whole) == [{"text": text}]
    assert whole["usageMetadata"] == chunks[-1]["usageMetadata"]
    assert whole["candidates"][0]["finishReason"] == "STOP"


def test_a_call_is_whole_in_one_part_and_signed() -> None:
    body = contents('get_weather for "Oslo" 3', tools=TOOLS)
    (chunk,) = events_of(generate(body, stream=True))
    (part,) = parts_of(chunk)
    assert part["functionCall"]["name"] == "get_weather"
    assert part["functionCall"]["args"] == {"city": "Oslo", "days": 3}
    assert part["thoughtSignature"]
    assert chunk["candidates"][0]["finishReason"] == "STOP"


def test_thoughts_are_marked_and_counted_apart() -> None:
    body = contents(generationConfig=THINK)
    chunks = events_of(generate(body, stream=True, thinking=2, tokens=3))
    assert [part.get("thought", False) for c in chunks for part in parts_of(c)] == [True] * 2 + [
        False
    ] * 3
    usage = chunks[-1]["usageMetadata"]
    assert (usage["thoughtsTokenCount"], usage["candidatesTokenCount"]) == (2, 3)
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + 5


def test_null_is_what_was_left_out() -> None:
    """As LiteLLM writes it, and as every reader of protocol buffers takes it."""
    nothing = {"tools": None, "toolConfig": None, "generationConfig": None}
    nothing |= {"systemInstruction": None}
    assert json_of(generate(contents(**nothing))) == json_of(generate(contents()))


def test_what_is_refused_has_no_content() -> None:
    (chunk,) = events_of(generate(contents(), stream=True, model="refusal"))
    assert parts_of(chunk) == []
    assert chunk["candidates"][0]["finishReason"] == "SAFETY"


def test_a_limit_ends_it() -> None:
    body = contents(generationConfig={"maxOutputTokens": 2})
    chunks = events_of(generate(body, stream=True))
    assert len(chunks) == 2
    assert chunks[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize("by_id", [True, False])
def test_what_was_said_can_be_sent_back(by_id: bool) -> None:
    first = json_of(generate(contents("get_weather", tools=TOOLS)))["candidates"][0]["content"]
    call = first["parts"][0]["functionCall"]
    response = {"name": "get_weather", "response": {"result": "sunny"}}
    if by_id:
        response["id"] = call["id"]
    else:
        del call["id"]
        del first["parts"][0]["thoughtSignature"]
    turns = [
        {"role": "user", "parts": [{"text": "get_weather"}]},
        first,
        {"role": "user", "parts": [{"functionResponse": response}]},
    ]
    answer = json_of(generate(contents(turns, tools=TOOLS)))
    assert parts_of(answer) == [{"text": "The tool answered: sunny"}]
    if by_id:
        first["parts"][0]["thoughtSignature"] = "forged"
        assert generate(contents(turns)).status == 400


@each_case(
    ("mode", "called"), [("ANY", True), ("NONE", False), ("AUTO", False), ("VALIDATED", False)]
)
def test_the_calling_mode_is_kept(mode: str, called: bool) -> None:
    config = {"functionCallingConfig": {"mode": mode}}
    answer = json_of(generate(contents("Hello", tools=TOOLS, toolConfig=config)))
    assert ("functionCall" in parts_of(answer)[0]) is called


def test_one_allowed_name_is_called() -> None:
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}}
    answer = json_of(generate(contents("Hello", tools=TOOLS, toolConfig=config)))
    assert parts_of(answer)[0]["functionCall"]["name"] == "get_weather"


def test_json_matches_the_schema_asked_for() -> None:
    config = {"responseMimeType": "application/json", "responseSchema": WEATHER}
    answer = json_of(generate(contents(generationConfig=config)))
    assert json.loads(parts_of(answer)[0]["text"]) == {"city": "city", "days": 1}


@each_case(
    "body",
    [
        b"[]",
        contents([]),
        contents([{"role": "king", "parts": [{"text": "x"}]}]),
        contents(generationConfig={"candidateCount": 2}),
        contents([{"role": "user", "parts": [{"functionResponse": {"name": "x"}}]}]),
    ],
)
def test_a_bad_request_is_told_in_the_vendors_shape(body: Any) -> None:
    reply = generate(body)
    assert reply.status == 400
    error = json_of(reply)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")


def test_a_rate_limit_says_when_to_come_back() -> None:
    error = json_of(generate(contents(), model="error-429-retry_after=17"))["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"][0]["retryDelay"] == "17s"
