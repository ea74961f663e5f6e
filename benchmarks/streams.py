"""One answer in each wire format: the same pieces of text in the envelope each vendor documents."""

from __future__ import annotations

import itertools
import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["FORMATS", "WireStream", "pieces", "wire_stream"]

# Lengths of common tokens, with an escape and a non-ASCII letter among them.
_WORDS = (
    " of", " light", "s", " scatter", "ing", ",", " blue", " the", '"', "\n", " é", " sky", " air",
    " longer", " red", ".", " in", " a", " wave", "length", " because", " molecules", " most", "-",
)  # fmt: skip

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class WireStream:
    """The bytes of an answer: `head`, one event for each piece of text, `tail`."""

    content_type: str
    head: bytes
    events: tuple[bytes, ...]
    tail: bytes
    text: str

    @property
    def body(self) -> bytes:
        return self.head + b"".join(self.events) + self.tail


class _Padding:
    """Letters of varying number, as OpenAI sends them so that an event's length tells nothing: were
    it constant, a client could cut at the same place each time. The same in each stream."""

    def __init__(self) -> None:
        self._random = random.Random(20250102)

    def __call__(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=self._random.randint(1, 16)))


def pieces(count: int) -> list[str]:
    """`count` pieces of text, the same at every call."""
    return random.Random(20250101).choices(_WORDS, k=count)


def wire_stream(format: str, texts: list[str]) -> WireStream:
    """The answer that has the pieces `texts`, in the wire format of that dialect."""
    return FORMATS[format](texts)


def _json(value: Any, separators: tuple[str, str] = (",", ":")) -> bytes:
    text: str = json.dumps(value, separators=separators, ensure_ascii=False)
    return text.encode()


def _data(value: Any) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _named(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\n".encode() + _data(value)


def _chat(texts: list[str]) -> WireStream:
    """https://platform.openai.com/docs/api-reference/chat-streaming"""
    padding = _Padding()

    def chunk(choices: list[Any], usage: dict[str, int] | None = None) -> bytes:
        fields = {
            "id": "chatcmpl-Cq3mVw8LzT5fYbNkR2xHd",
            "object": "chat.completion.chunk",
            "created": 1767225600,
            "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default",
            "system_fingerprint": "fp_0a1b2c3d4e",
            "choices": choices,
            "usage": usage,
            "obfuscation": padding(),
        }
        return _data(fields)

    def choice(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        fields = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return chunk([fields])

    count = len(texts)
    usage = {"prompt_tokens": 12, "completion_tokens": count, "total_tokens": 12 + count}
    return WireStream(
        "text/event-stream",
        choice({"role": "assistant", "content": "", "refusal": None}),
        tuple(choice({"content": text}) for text in texts),
        choice({}, "stop") + chunk([], usage) + b"data: [DONE]\n\n",
        "".join(texts),
    )


def _responses(texts: list[str]) -> WireStream:
    """https://platform.openai.com/docs/api-reference/responses-streaming"""
    item_id = "msg_68a1c0ffee5eed5eed5eed5eed5eed5eed"
    part = {"item_id": item_id, "output_index": 0, "content_index": 0}
    text = "".join(texts)
    numbers, padding = itertools.count(), _Padding()

    def event(type: str, **fields: Any) -> bytes:
        return _named({"type": f"response.{type}", "sequence_number": next(numbers), **fields})

    def content(text: str) -> dict[str, Any]:
        return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}

    def item(status: str, *parts: dict[str, Any]) -> dict[str, Any]:
        fields = {"type": "message", "status": status, "role": "assistant"}
        return {"id": item_id, **fields, "content": list(parts)}

    def response(status: str, *items: dict[str, Any], usage: Any = None) -> dict[str, Any]:
        fields = {"object": "response", "created_at": 1767225600, "status": status, "error": None}
        model = {"model": "gpt-4.1-2025-04-14", "output": list(items), "usage": usage}
        return {"id": "resp_68a1c0ffee5eed5eed5eed5eed5eed5eed", **fields, **model}

    usage = {"input_tokens": 12, "output_tokens": len(texts), "total_tokens": 12 + len(texts)}
    whole = item("completed", content(text))
    head = [
        event("created", response=response("in_progress")),
        event("in_progress", response=response("in_progress")),
        event("output_item.added", output_index=0, item=item("in_progress")),
        event("content_part.added", **part, part=content("")),
    ]
    deltas = [
        event("output_text.delta", **part, delta=piece, logprobs=[], obfuscation=padding())
        for piece in texts
    ]
    tail = [
        event("output_text.done", **part, text=text, logprobs=[]),
        event("content_part.done", **part, part=content(text)),
        event("output_item.done", output_index=0, item=whole),
        event("completed", response=response("completed", whole, usage=usage)),
    ]
    return WireStream("text/event-stream", b"".join(head), tuple(deltas), b"".join(tail), text)


def _messages(texts: list[str]) -> WireStream:
    """https://docs.anthropic.com/en/docs/build-with-claude/streaming"""
    usage = {"input_tokens": 12, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_01Kd7PqWx3RtYbN5sVhJgCzL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    block = {"type": "text", "text": ""}
    head = [
        _named({"type": "message_start", "message": message}),
        _named({"type": "content_block_start", "index": 0, "content_block": block}),
        _named({"type": "ping"}),
    ]
    deltas = [
        _named(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": piece},
            }
        )
        for piece in texts
    ]
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    last_usage = {"output_tokens": len(texts)}
    tail = [
        _named({"type": "content_block_stop", "index": 0}),
        _named({"type": "message_delta", "delta": stop, "usage": last_usage}),
        _named({"type": "message_stop"}),
    ]
    return WireStream(
        "text/event-stream", b"".join(head), tuple(deltas), b"".join(tail), "".join(texts)
    )


def _gemini(texts: list[str]) -> WireStream:
    """https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent: each chunk
    has the counts so far, and ends its lines with CR LF."""

    def chunk(text: str, tokens: int, **finish: str) -> bytes:
        content = {"parts": [{"text": text}], "role": "model"}
        usage = {
            "promptTokenCount": 12,
            "candidatesTokenCount": tokens,
            "totalTokenCount": 12 + tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        }
        fields = {
            "candidates": [{"content": content, **finish, "index": 0}],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "q7RtYbN5sVhJgCzLKd7PqWx",
        }
        return b"data: " + _json(fields, (",", ": ")) + b"\r\n\r\n"

    return WireStream(
        "text/event-stream",
        b"",
        tuple(chunk(text, number) for number, text in enumerate(texts, 1)),
        chunk("", len(texts), finishReason="STOP"),
        "".join(texts),
    )


def _ollama(texts: list[str]) -> WireStream:
    """https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion"""

    def line(text: str, done: bool, **last: Any) -> bytes:
        stamp = {"model": "llama3.2", "created_at": "2026-01-01T00:00:00.123456789Z"}
        message = {"role": "assistant", "content": text}
        return _json({**stamp, "message": message, "done": done, **last}) + b"\n"

    counts = {"prompt_eval_count": 12, "eval_count": len(texts), "total_duration": 4_883_583_458}
    return WireStream(
        "application/x-ndjson",
        b"",
        tuple(line(text, False) for text in texts),
        line("", True, done_reason="stop", **counts),
        "".join(texts),
    )


FORMATS: dict[str, Callable[[list[str]], WireStream]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "gemini": _gemini,
    "ollama": _ollama,
}
"""A wire format by the name of its dialect."""
