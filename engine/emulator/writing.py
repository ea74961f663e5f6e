"""Writing what several dialects say in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

import msgspec

from engine.emulator.contract import Answer
from engine.emulator.words import identifier

__all__ = ["CREATED", "openai_error", "openai_usage", "seal", "side_by_side", "sse", "sse_event"]

# The same request has the same bytes, so the time of the answer is always this one.
CREATED: Final = 1_735_689_600  # 2025-01-01T00:00:00Z

# type, code; https://platform.openai.com/docs/guides/error-codes
_ERRORS: Final = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def sse(data: Any) -> bytes:
    """An event without a name."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def sse_event(name: str, data: Any) -> bytes:
    """An event with its name."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def seal(text: str) -> str:
    """The signature of `text`: what a vendor gives along with reasoning, and checks when the text
    comes back in the next turn."""
    return f"emulator{identifier(f'seal{text}')}"


def side_by_side(choices: list[Iterator[bytes]]) -> Iterator[bytes]:
    """The steps of all alternatives of an answer, in turn."""
    if len(choices) == 1:
        return choices[0]
    turns = zip_longest(*choices)
    return (step for turn in turns for step in turn if step is not None)


def openai_error(status: int, message: str) -> dict[str, Any]:
    """The error object of OpenAI, which most servers use."""
    default = ("server_error", None) if status >= 500 else ("invalid_request_error", None)
    kind, code = _ERRORS.get(status, default)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def openai_usage(answers: list[Answer]) -> dict[str, Any]:
    """The usage object of chat and completions, over all alternatives."""
    prompt = answers[0].input_tokens
    completion = sum(answer.output_tokens for answer in answers)
    reasoning = sum(answer.thinking_tokens for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
