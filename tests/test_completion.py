"""A completion as people see it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import engine
from engine.errors import EngineError, TruncatedError
from engine.messages import FinishReason, Message, ToolCall, Usage
from engine.response import Timing


def completion(**fields: Any) -> engine.Completion[Any]:
    message = fields.pop("message", None) or Message.assistant("All is well.")
    plain: dict[str, Any] = {
        "status": "complete",
        "message": message,
        "messages": [message],
        "finish_reason": FinishReason.STOP,
        "finish_reason_raw": "stop",
        "usage": Usage(12, 34),
        "error": None,
        "http_status": 200,
        "headers": {f"x-header-{n}": "value" * 20 for n in range(30)},
        "request_id": "req_1",
        "rate_limit": None,
        "attempts": 1,
        "timing": Timing(total=0.3123),
        "delivered": 5,
    }
    return engine.Completion(**{**plain, **fields})


def test_its_repr_says_how_it_ended() -> None:
    assert repr(completion()) == (
        "<Completion complete · 'All is well.' · finish stop · 12+34 tokens · 0.312 s>"
    )


def test_its_repr_fits_two_lines_whatever_is_in_it() -> None:
    calls = [ToolCall(f"id{n}", f"a_tool_with_a_long_name_{n}", "{}") for n in range(20)]
    long = Message("assistant", [engine.messages.Text("word " * 10_000), *calls])
    error = TruncatedError("the bytes ended\nbefore the marker " * 50)
    shown = repr(completion(message=long, status="truncated", error=error, attempts=3))
    assert len(shown) <= 2 * 160 and "\n" not in shown
    assert "truncated" in shown and "3 attempts" in shown and "TruncatedError: the bytes" in shown
    told = {"service_tier": "flex", "notes": ["x" * 1000]}
    shown = repr(completion(message=long, attempts=3, provider_metadata=told))
    assert len(shown) <= 2 * 160 and "'service_tier': 'flex'" in shown


def test_what_is_not_complete_can_be_raised() -> None:
    whole = completion()
    assert whole.raise_for_status() is whole and whole.text == "All is well."
    error = TruncatedError("cut")
    with pytest.raises(EngineError) as raised:
        completion(status="truncated", error=error).raise_for_status()
    assert raised.value is error


def test_it_is_a_record() -> None:
    with pytest.raises(AttributeError):
        completion().status = "error"  # type: ignore[misc]
    assert msgspec.structs.replace(completion(), attempts=2).attempts == 2
