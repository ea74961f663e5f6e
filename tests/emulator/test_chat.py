"""The emulator's Chat Completions, held against OpenAI's reference."""

from __future__ import annotations

from typing import Any

from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import WEATHER, ask, body_of, events_of, json_of

PATH = "/v1/chat/completions"
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}},
]


def chat(prompt: str = "Hello there", **more: Any) -> dict[str, Any]:
    return {"model": "demo", "messages": [{"role": "user", "content": prompt}], **more}


def deltas(chunks: list[Any], choice: int = 0) -> list[dict[str, Any]]:
    return [
        one["delta"]
        for chunk in chunks
        if isinstance(chunk, dict)
        for one in chunk["choices"]
        if one["index"] == choice
    ]


def test_a_stream_has_the_shape_of_the_reference() -> None:
    chunks = events_of(ask(PATH, chat(stream=True), settings=Settings(tokens=5)))
    assert chunks[-1] == "[DONE]"
    first, *words, last = chunks[:-1]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert len(words) == 5
    for chunk in (first, *words, last):
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["id"] == first["id"] and chunk["id"].startswith("chatcmpl-")
        assert chunk["model"] == "demo"
        assert "usage" not in chunk
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in words)
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_usage_comes_last_with_no_choices_and_is_null_before() -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    chunks = events_of(ask(PATH, body, settings=Settings(tokens=5)))
    assert all(chunk["usage"] is None for chunk in chunks[:-2])
    assert chunks[-2]["choices"] == []
    assert chunks[-2]["usage"]["prompt_tokens"] == 2
    assert chunks[-2]["usage"]["completion_tokens"] == 5
    assert chunks[-2]["usage"]["total_tokens"] == 7


def test_streamed_and_whole_are_the_same_answer() -> None:
    streamed = events_of(ask(PATH, chat(stream=True)))
    whole = json_of(ask(PATH, chat()))
    text = "".join(delta.get("content", "") for delta in deltas(streamed))
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["message"] == {
        "role": "assistant",
        "content": text,
        "refusal": None,
    }
    assert whole["id"] == streamed[0]["id"]
    assert whole["usage"]["completion_tokens"] == 64


def test_the_same_request_has_the_same_bytes_and_another_has_others() -> None:
    first, again = (body_of(ask(PATH, chat(stream=True))) for _ in range(2))
    assert first == again
    assert body_of(ask(PATH, chat("Hello there!", stream=True))) != first


def test_alternatives_arrive_side_by_side_with_words_of_their_own() -> None:
    chunks = events_of(ask(PATH, chat(stream=True, n=2), settings=Settings(tokens=4)))
    order = [chunk["choices"][0]["index"] for chunk in chunks[:-1]]
    assert order == [0, 0, 1, 1] + [0, 1] * 3 + [0, 1]  # each role, with its first token; the ends
    texts = ["".join(d.get("content", "") for d in deltas(chunks, n)) for n in (0, 1)]
    assert texts[0] != texts[1]
    whole = json_of(ask(PATH, chat(n=2), settings=Settings(tokens=4)))
    assert [choice["message"]["content"] for choice in whole["choices"]] == texts
    assert whole["usage"]["completion_tokens"] == 8


def test_calls_come_one_after_another_with_arguments_in_pieces() -> None:
    body = chat('Use get_weather for "Oslo" 3, and get_time', stream=True, tools=TOOLS)
    chunks = events_of(ask(PATH, body))
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas(chunks):
        for piece in delta.get("tool_calls", ()):
            if "id" in piece:
                assert piece["type"] == "function"
                assert piece["function"]["arguments"] == ""
                calls[piece["index"]] = {"name": piece["function"]["name"], "pieces": []}
            else:
                calls[piece["index"]]["pieces"].append(piece["function"]["arguments"])
    assert [call["name"] for call in calls.values()] == ["get_weather", "get_time"]
    assert len(calls[0]["pieces"]) > 3
    assert "".join(calls[0]["pieces"]) == '{"city": "Oslo", "days": 3}'
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_whole_answer_has_calls_and_no_content() -> None:
    message = json_of(ask(PATH, chat("call get_time", tools=TOOLS)))["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "get_time", "arguments": "{}"}


def test_reasoning_comes_first_and_is_counted() -> None:
    settings = Settings(thinking=3, tokens=4)
    body = chat(stream=True, reasoning_effort="low", stream_options={"include_usage": True})
    chunks = events_of(ask(PATH, body, settings=settings))
    fields = [
        next(iter(delta))
        for delta in deltas(chunks)
        if {"content", "reasoning_content"} & set(delta)
    ]
    assert fields[1:] == ["reasoning_content"] * 3 + ["content"] * 4
    usage = chunks[-2]["usage"]
    assert usage["completion_tokens"] == 7
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 3
    none = json_of(ask(PATH, chat(reasoning_effort="none"), settings=settings))
    assert "reasoning_content" not in none["choices"][0]["message"]


def test_a_refusal_has_a_field_of_its_own() -> None:
    body = {**chat(), "model": "refusal"}
    message = json_of(ask(PATH, body))["choices"][0]["message"]
    assert message["content"] is None
    assert message["refusal"]


def test_a_conversation_with_results_goes_on() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "call get_time"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]
    answer = json_of(ask(PATH, {"model": "demo", "messages": messages, "tools": TOOLS}))
    assert "noon" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"


@each_case(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b'{"model": "\xff"}', "JSON"),
        (b'"text"', "object"),
        ({"messages": []}, "model"),
        ({"model": "demo", "messages": []}, "messages"),
        ({"model": "demo", "messages": "hi"}, "messages"),
        ({"model": "demo", "messages": [{"role": "king", "content": ""}]}, "role"),
        ({"model": "demo", "messages": [{"role": "user", "content": 5}]}, "content"),
        (chat(tools=[{}]), "function"),
        (chat(n=0), "n:"),
        (chat(n=1000), "n:"),
        (chat(response_format={"type": "xml"}), "response_format"),
        (chat(tool_choice={"type": "function"}), "tool_choice"),
        (
            {"model": "demo", "messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]},
            "'x'",
        ),
        (
            {
                "model": "demo",
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "c1"}]},
                    {"role": "user", "content": "never mind"},
                ],
            },
            "'c1'",
        ),
    ],
)
def test_a_bad_request_is_told_in_the_vendors_shape(body: Any, word: str) -> None:
    reply = ask(PATH, body)
    assert reply.status == 400
    error = json_of(reply)["error"]
    assert error["type"] == "invalid_request_error"
    assert word in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
