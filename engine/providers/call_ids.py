"""Ids for tool calls whose provider gives them none."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

__all__ = ["is_made_up", "made_up_id"]

_PREFIX: Final = "made_"
_LENGTH: Final = 22


def made_up_id(seed: str, index: int) -> str:
    """An id of 22 characters, the same each time for the same call.

    Args:
        seed: what tells this answer from all others of the conversation: the provider's id of the
            answer, or its time.
        index: the content block of the call.
    """
    digest = blake2b(f"{seed}/{index}".encode("utf-8", "replace"), digest_size=16).digest()
    return (_PREFIX + urlsafe_b64encode(digest).decode())[:_LENGTH]


def is_made_up(id: str) -> bool:
    """Whether `id` is one of ours, which the provider does not know and is not sent."""
    return id.startswith(_PREFIX) and len(id) == _LENGTH
