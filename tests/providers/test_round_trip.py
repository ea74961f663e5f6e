"""Every recorded answer, as history to every vendor, obeys what that vendor's documents say; to
its own provider it brings back every seal and all of the reasoning."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
import pytest

from engine.asking.body import render_body
from engine.asking.input import read_input
from engine.messages import (
    Message,
    RedactedThinking,
    ServerTool,
    Text,
    Thinking,
    ToolResult,
    VendorItem,
)
from engine.providers import Endpoint, dialect, endpoint, endpoints
from engine.providers.origin import format_of
from engine.request import ModelRequest
from tests.cases import each_case
from tests.corpus import DIALECTS, Recording, recordings, replay
from tests.providers.rules import RULES

# Which provider of the table a directory of the corpus is, where it has a row of its own.
PROVIDERS = {
    "openai-chat": "openai",
    "openai-responses": "openai",
    "openai-compat": "vllm",
    "gemini-array": "gemini",
}

RECORDINGS = [one for one in recordings() if one.wire in DIALECTS and one.dialect != "completions"]


@cache
def answer(recording: Recording) -> Message:
    """The message of a recorded stream, as a client would give it."""
    name = recording.dialect
    assert name is not None
    given = replay(recording, dialect(name), [recording.body])
    folder = recording.file.partition("/")[0]
    provider = PROVIDERS.get(folder, folder)
    elsewhere = ("deepseek", "bedrock", "openrouter", "lmstudio", "copilot", "xai")
    if provider == "openai" and any(host in recording.file for host in elsewhere):
        provider = "elsewhere.example"  # others serve OpenAI's formats too
    return msgspec.structs.replace(
        given.messages[0],
        provider=provider,
        formats=(format_of(name),),
    )


def conversation(message: Message) -> list[Message]:
    """A question, `message`, the results of its calls, and one more question."""
    results = [ToolResult(call.id, "42") for call in message.tool_calls]
    told = [Message.tool(*results)] if results else []
    return [Message.user("hi"), message, *told, Message.user("go on")]


def body(messages: Any, provider: str, dialect_name: str, model: str) -> dict[str, Any]:
    read, bound = read_input(messages, "be brief")
    request = ModelRequest(model, read, bound=bound)
    known = any(row.name == provider for row in endpoints())
    row = endpoint(provider) if known else Endpoint(provider, "https://x", (dialect_name,))
    rendered = render_body(dialect(dialect_name), request, row)
    sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rendered))
    return sent


@pytest.mark.skipif(not RECORDINGS, reason="the corpus is not here")
@each_case("receiver", RULES, ids=lambda receiver: " ".join(receiver))
def test_every_recorded_answer_is_a_history_for_everybody(receiver: tuple[str, str, str]) -> None:
    provider, name, model = receiver
    broken = {}
    for recording in RECORDINGS:
        sent = body(conversation(answer(recording)), provider, name, model)
        found = RULES[receiver](sent)
        if found:
            broken[recording.file] = found[:3]
    assert not broken, broken


def seals(message: Message) -> list[str]:
    """What only its author reads: each as the JSON text that must be in the request."""
    found: list[str] = []
    for part in message.parts:
        if isinstance(part, Thinking | Text) or part in message.tool_calls:
            found += [value for value in [getattr(part, "signature", None)] if value]
        if isinstance(part, Thinking) and part.text:
            found.append(part.text)
        if isinstance(part, RedactedThinking):
            found += (
                _leaves(msgspec.json.decode(part.data)) if part.data[:1] == "{" else [part.data]
            )
        if isinstance(part, ServerTool | VendorItem) and "chat" not in message.formats:
            found += _leaves(part.data)  # an answer of the chat format has no place for them
        found += _leaves(getattr(part, "extra", {}))
    return found


def _leaves(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [leaf for value in data.values() for leaf in _leaves(value)]
    if isinstance(data, list):
        return [leaf for value in data for leaf in _leaves(value)]
    return [data] if isinstance(data, str) and data else []


@pytest.mark.skipif(not RECORDINGS, reason="the corpus is not here")
def test_every_recorded_answer_brings_its_own_seals_and_reasoning_back() -> None:
    lost = {}
    for recording in RECORDINGS:
        message = answer(recording)
        if not message.text and not message.tool_calls:
            continue  # cut off in its reasoning, which does not go back alone
        assert recording.dialect is not None and message.provider is not None
        name = format_of(recording.dialect)  # a conversation goes to /api/chat
        sent = body(conversation(message), message.provider, name, message.model or "m")
        text = "\0".join(_leaves(sent)) + json.dumps(sent, ensure_ascii=False)
        missing = [seal for seal in seals(message) if seal not in text]
        if missing:
            lost[recording.file] = [one[:80] for one in missing[:3]]
    assert not lost, lost


# The same conversation as each vendor writes it: two calls in one turn, their results, a picture,
# an empty answer, and ids that other vendors refuse.
KIMI = ("functions.look:0", "functions.look:1")
LONG = tuple(f"chatcmpl-tool-0123456789abcdef0123456789abcdef{n}" for n in range(2))
PNG = "iVBORw0KGgo="


def _chat(ids: tuple[str, str]) -> list[dict[str, Any]]:
    url = f"data:image/png;base64,{PNG}"
    return [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": ids[0], "type": "function", "function": {"name": "f", "arguments": "null"}},
                {
                    "id": ids[1],
                    "type": "function",
                    "function": {"name": "g", "arguments": '{"a":1}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": ids[0], "content": "1"},
        {"role": "tool", "tool_call_id": ids[1], "content": '{"b":2}'},
        {"role": "assistant", "content": "A cat. "},
    ]


CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "chat, Kimi's ids": [*_chat(KIMI), {"role": "user", "content": "sure?"}],
    "chat, vLLM's ids, to go on with": _chat(LONG),
    "chat, one id in two turns": [
        *_chat(("call_0", "call_1")),
        {"role": "user", "content": "again"},
        *_chat(("call_0", "call_1"))[2:],
        {"role": "user", "content": "sure?"},
    ],
    "responses": [
        {"role": "user", "content": [{"type": "input_text", "text": "what is it?"}]},
        {"type": "function_call", "call_id": "c" * 50, "name": "f", "arguments": ""},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c" * 50, "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "output_text", "text": "A cat.", "annotations": []}],
        },
        {"role": "user", "content": "sure?"},
    ],
    "messages": [
        {"role": "user", "content": "what is it?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
                {"type": "text", "text": "go on"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        {"role": "user", "content": "sure?"},
    ],
    "gemini, calls without ids": [
        {"role": "user", "parts": [{"text": "what is it?"}]},
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True},
                {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2VhbA=="},
                {"functionCall": {"name": "f", "args": {"a": 1}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"r": 1}}},
                {"functionResponse": {"name": "f", "response": {"r": 2}}},
            ],
        },
        {"role": "model", "parts": [{"text": "A cat."}]},
        {"role": "user", "parts": [{"text": "sure?"}]},
    ],
    "ollama, calls without ids": [
        {"role": "user", "content": "what is it?", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [
                {"function": {"name": "f", "arguments": {}}},
                {"function": {"name": "g", "arguments": {"a": 1}}},
            ],
        },
        {"role": "tool", "content": "1", "tool_name": "f"},
        {"role": "tool", "content": "2", "tool_name": "g"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "sure?"},
    ],
    "an empty answer": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "b"}]},
    ],
}


@each_case("receiver", RULES, ids=lambda receiver: " ".join(receiver))
@each_case("form", CONVERSATIONS)
def test_a_conversation_in_any_vendors_form_obeys_the_rules_of_every_other(
    form: str, receiver: tuple[str, str, str]
) -> None:
    provider, name, model = receiver
    sent = body(CONVERSATIONS[form], provider, name, model)
    found = RULES[receiver](sent)
    assert not found, (found, sent)


@each_case("form", CONVERSATIONS)
def test_ids_are_the_same_the_next_time(form: str) -> None:
    once, again = (body(CONVERSATIONS[form], "mistral", "chat", "m") for _ in range(2))
    assert once == again
