"""What the servers are told to answer, so that tests can say what must arrive."""

from __future__ import annotations

from typing import Any

from tests.servers.aimock import answer

TEXT = 'Grüße aus Zürich: the sky is blue, 天空是藍色的, because of scattering 🌈.\n\n1. "Rayleigh"'
THOUGHT = "The person asks about the sky. Let me think."
CALLS = [("get_weather", {"city": "Zürich", "days": 3}), ("get_time", {})]
LONG = "An answer that is cut long before it has come to its end, whatever one does about it."

_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


ROWS = [" ".join(f"{row}·{word}" for word in range(20)) for row in range(200)]
"""Texts, each of which is like no other."""


def _refusal(status: int, kind: str, message: str) -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "message": message}}


FIXTURES = [
    # With a pause before each piece (ms), so that they are sent one by one and not all at once.
    answer("cut", {"content": LONG}, truncateAfterChunks=6, latency=5),
    answer("text", {"content": TEXT, "usage": _USAGE}),
    answer("thinking", {"content": TEXT, "reasoning": THOUGHT}),
    answer("limit", {"content": TEXT, "finishReason": "length"}),
    answer(
        "tools",
        {"content": TEXT, "toolCalls": [{"name": n, "arguments": a} for n, a in CALLS]},
        match={"hasToolResult": False},
    ),
    answer("tools", {"content": "Bright."}, match={"hasToolResult": True}),
    answer("passing", _refusal(503, "api_error", "Overloaded."), match={"sequenceIndex": 0}),
    answer("passing", {"content": TEXT}),
    answer("error-400", _refusal(400, "invalid_request_error", "Wrong.")),
    answer("error-401", _refusal(401, "authentication_error", "Who are you?")),
    answer("error-429", _refusal(429, "rate_limit_error", "Slow down.")),
    answer("error-500", _refusal(500, "api_error", "Broken.")),
    # For a second each, so that all of them are open before the first ends.
    *(answer(f"row-{n:03}", {"content": row}, latency=40) for n, row in enumerate(ROWS)),
]
