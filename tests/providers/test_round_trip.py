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
@pytest.mark.parametrize("receiver", RULES, ids=lambda receiver: " ".join(receiver))
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
