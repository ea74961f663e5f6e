"""The seals Gemini puts on its calls, and what stands in for one on a call it did not make."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["UNSIGNED", "signs_calls"]

# "to bypass the validator for calls the model did not make, set the signature to this":
# https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
UNSIGNED: Final = "skip_thought_signature_validator"

_EARLIER: Final = re.compile(r"gemini-[12](?!\d)")


def signs_calls(model: str) -> bool:
    """Whether `model` refuses calls without a seal: Gemini from 3 on, by any of its names
    (``gemini-flash-latest`` is one)."""
    name = model.rpartition("/")[2]
    return name.startswith("gemini-") and _EARLIER.match(name) is None
