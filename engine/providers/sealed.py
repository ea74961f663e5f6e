"""Reasoning that must go back unchanged with the next turn, in the Chat Completions dialects.

OpenRouter sends ``reasoning_details`` (https://openrouter.ai/docs/use-cases/reasoning-tokens,
"Preserving reasoning"), LiteLLM ``thinking_blocks``: lists of objects that come in pieces and hold
a signature or encrypted data. They are kept whole, as JSON, in a `RedactedThinking` part.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import ProtocolError
from engine.wire.json import decode_json

__all__ = ["FIELDS", "SealedReasoning", "unsealed"]

FIELDS = ("reasoning_details", "thinking_blocks")

# Members that come in pieces; of the others the last word counts.
_GROWING = frozenset({"text", "summary", "thinking"})
_SEALS = ("signature", "data")


class SealedReasoning:
    """Puts the pieces of one answer together."""

    __slots__ = ("_field", "_items")

    def __init__(self, field: str) -> None:
        self._field = field
        self._items: list[dict[str, Any]] = []

    def add(self, pieces: list[Any]) -> None:
        """Take the objects of one chunk. One belongs to the last where index and type agree and
        that has no seal yet."""
        for piece in pieces:
            if not isinstance(piece, dict):
                continue
            item = self._items[-1] if self._items else None
            if item is None or not _belongs(piece, item):
                self._items.append(dict(piece))
                continue
            for name, value in piece.items():
                if name in _GROWING and isinstance(value, str):
                    before = item.get(name)
                    item[name] = before + value if isinstance(before, str) else value
                elif value is not None:
                    item[name] = value

    def data(self) -> str | None:
        """The whole as text for a `RedactedThinking`; None where nothing in it is sealed."""
        if not any(item.get(seal) for item in self._items for seal in _SEALS):
            return None
        return msgspec.json.encode({self._field: self._items}).decode()

    def facts(self) -> dict[str, Any]:
        """What is said of it beside its words, in its own field."""
        facts = [{k: v for k, v in item.items() if k not in _GROWING} for item in self._items]
        return {self._field: facts}


def _belongs(piece: dict[str, Any], item: dict[str, Any]) -> bool:
    same = all(piece.get(name) == item.get(name) for name in ("index", "type"))
    return same and not any(item.get(seal) for seal in _SEALS)


def unsealed(data: str) -> dict[str, Any]:
    """The fields of a chat message that `data` was made of; empty where it is of another make."""
    try:
        value = decode_json(data.encode())
    except ProtocolError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name in FIELDS if name in value}
