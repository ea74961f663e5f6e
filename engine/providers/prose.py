"""Refusals whose reason stands in their prose alone: what they are about, and what to do."""

from __future__ import annotations

import re
from typing import Final

from engine.errors import Category

__all__ = ["prose_of"]

# Pattern, category (None: that of the status and codes), advice.
_BY_PROSE: Final = (
    (
        re.compile(r"invalid model name|(?:unknown|no such|invalid) model\b", re.IGNORECASE),
        Category.NOT_FOUND,
        "check the model's name",
    ),
    (
        re.compile(
            r"(?:tools?|function[ _-]?call(?:ing|s)?)\W{0,3}(?:is|are) not (?:supported|available)"
            r"|(?:does|do) not support (?:the )?(?:tool|function)",
            re.IGNORECASE,
        ),
        None,
        "this model takes no tools: leave out tools=, or take another model",
    ),
    (
        re.compile(
            r"previous_response_not_found|previous[ _]response.{0,80}not found",
            re.IGNORECASE | re.DOTALL,
        ),
        None,
        "the answer it goes on from is not stored (any more): leave out previous_response_id and "
        "send the whole conversation",
    ),
    (
        re.compile(
            r"no endpoints found that support (?:tool|image)|no endpoints found matching",
            re.IGNORECASE,
        ),
        None,
        "none of the providers behind it can do what is asked: leave it out, or take another model",
    ),
)


def prose_of(message: str, words: str) -> tuple[Category | None, str] | None:
    """What the prose of an error is about, and what to do; None where the codes say enough."""
    for pattern, category, advice in _BY_PROSE:
        if pattern.search(message) or pattern.search(words):
            return category, advice
    return None
