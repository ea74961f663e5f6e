"""Attributes of spans and metrics, by OpenTelemetry's conventions for generative AI; what they have
no name for is ``engine.…``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from engine.completion import Completion
from engine.errors import EngineError
from engine.messages import Message, Text, Thinking, ToolCall, Usage
from engine.telemetry.told import Asked, Attempt

__all__ = [
    "attempt_attributes",
    "common_attributes",
    "content_attributes",
    "ending_attributes",
    "error_type",
    "request_attributes",
    "usage_attributes",
]

# Our names → those of the conventions, where they differ.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
_OPERATIONS: Final = {"gemini": "generate_content", "completions": "text_completion"}
# Attribute → where bodies of the formats have it.
_PARAMETERS: Final = {
    "gen_ai.request.max_tokens": (
        *("max_tokens", "max_completion_tokens", "max_output_tokens"),
        *("maxOutputTokens", "num_predict"),
    ),
    "gen_ai.request.temperature": ("temperature",),
    "gen_ai.request.top_p": ("top_p", "topP", "p"),
    "gen_ai.request.top_k": ("top_k", "topK", "k"),
    "gen_ai.request.seed": ("seed",),
    "gen_ai.request.frequency_penalty": ("frequency_penalty",),
    "gen_ai.request.presence_penalty": ("presence_penalty",),
}


def error_type(error: EngineError) -> str:
    return str(error.category.value).lower()


def common_attributes(asked: Asked, done: Completion) -> dict[str, Any]:
    host, _, port = asked.host.rpartition(":")
    common: dict[str, Any] = {
        "gen_ai.operation.name": asked.operation or _OPERATIONS.get(asked.format, "chat"),
        "gen_ai.provider.name": _PROVIDERS.get(asked.provider, asked.provider),
        "gen_ai.request.model": asked.model,
        "server.address": host if port.isdigit() and host else asked.host,
    }
    if port.isdigit() and host:
        common["server.port"] = int(port)
    if done.message.model is not None:
        common["gen_ai.response.model"] = done.message.model
    return common


def request_attributes(asked: Asked) -> dict[str, Any]:
    places = [asked.body, *(asked.body.get(n) for n in ("generationConfig", "options"))]
    told: dict[str, Any] = {"gen_ai.request.stream": asked.streaming}
    said = [place for place in places if isinstance(place, Mapping)]
    for attribute, names in _PARAMETERS.items():
        for value in (place.get(name) for place in said for name in names):
            if isinstance(value, int | float):
                told[attribute] = value
    return told


def attempt_attributes(attempt: Attempt, when: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "engine.attempt.number": attempt.number,
        "engine.attempt.seconds": when - attempt.began,
    }
    if attempt.http_status is not None:
        told["http.response.status_code"] = attempt.http_status
    if attempt.error is not None:
        told["error.type"] = error_type(attempt.error)
    if attempt.delay is not None:
        told["engine.attempt.delay"] = attempt.delay
    return told


def ending_attributes(done: Completion) -> dict[str, Any]:
    told: dict[str, Any] = {"engine.status": done.status, "engine.attempts": done.attempts}
    if done.message.id is not None:
        told["gen_ai.response.id"] = done.message.id
    if done.finish_reason_raw is not None:
        told["gen_ai.response.finish_reasons"] = [done.finish_reason_raw]
    if done.possibly_billed:
        told["engine.possibly_billed"] = done.possibly_billed
    return told | (usage_attributes(done.usage) if done.usage is not None else {})


def usage_attributes(usage: Usage) -> dict[str, Any]:
    told = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    return {name: value for name, value in told.items() if value is not None}


def content_attributes(asked: Asked, done: Completion) -> dict[str, str]:
    """What was asked, in the provider's own shape, and what was answered."""
    asked_for = next((asked.body[n] for n in ("messages", "input", "contents", "prompt")
                      if n in asked.body), None)  # fmt: skip
    told = {"gen_ai.output.messages": json.dumps([_said(done.message, done.finish_reason_raw)])}
    if asked_for is not None:
        told["gen_ai.input.messages"] = json.dumps(asked_for)
    system = asked.body.get("system") or asked.body.get("instructions")
    if system is not None:
        told["gen_ai.system_instructions"] = json.dumps(system)
    return told


def _said(message: Message, finish: str | None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case Text():
                parts.append({"type": "text", "content": part.text})
            case Thinking():
                parts.append({"type": "reasoning", "content": part.text})
            case ToolCall():
                call = {"id": part.id, "name": part.name, "arguments": part.arguments}
                parts.append({"type": "tool_call", **call})
            case _:
                parts.append({"type": type(part).__name__})
    return {"role": "assistant", "parts": parts, "finish_reason": finish}
