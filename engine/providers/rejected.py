"""A field a server does not know is left out, and the question asked once more."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.errors import EngineError

__all__ = ["without_rejected_field"]

# Without these the answer is still the answer that was asked for. What shapes it (temperature,
# stop, tools, response_format) is not here: the user must hear that it cannot be had.
_OPTIONAL: Final = (
    "stream_options",
    "parallel_tool_calls",
    "reasoning_effort",
    "enable_thinking",
    "reasoning",
    "thinking",
    "prompt_cache_key",
    "service_tier",
    "random_seed",
    "seed",
    "store",
    "metadata",
    "user",
)

# The two names of one limit.
_RENAMED: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}

_REJECTS: Final = re.compile(
    r"unknown|unsupported|unrecogni[sz]ed|unexpected|not supported|not support|not permitted"
    r"|not allowed|forbidden|extra (?:inputs|fields)|extra_forbidden|no such",
    re.IGNORECASE,
)


def without_rejected_field(body: dict[str, Any], error: EngineError) -> dict[str, Any] | None:
    """What to send instead of `body`, which was refused with `error`; None: nothing better.

    Only for a 400 or 422 that says of an optional field of `body` that it is not known or not
    supported: the body without it; or with the limit of the output under its other name. `body` is
    not changed.
    """
    if error.http_status not in (400, 422):
        return None
    words = f"{error.message}\n{error.detail or ''}"
    if not _REJECTS.search(words):
        return None
    for name, other in _RENAMED.items():
        if name in body and other not in body and _names(words, name):
            return {other if field == name else field: value for field, value in body.items()}
    rejected = next((name for name in _OPTIONAL if name in body and _names(words, name)), None)
    if rejected is None:
        return None
    return {field: value for field, value in body.items() if field != rejected}


def _names(words: str, field: str) -> bool:
    """Whether `words` name `field`. One that is a word of its own ("user") must stand in quotes or
    in a path (``body.user``); the others are names wherever they stand."""
    if "_" in field:
        return re.search(rf"(?<!\w){field}(?!\w)", words) is not None
    return re.search(rf"""['"`.]{field}(?:['"`:]|\s*$)""", words, re.MULTILINE) is not None
