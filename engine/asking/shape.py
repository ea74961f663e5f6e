"""Reading one object of a user's history: its members by name, and what it says beside them.

A message is read into parts that every provider understands. What a vendor's object holds besides
(``cache_control``, ``phase``, ``videoMetadata``) has a meaning in that vendor's format alone: it is
kept in the part's `extra`, and `Shape` remembers which formats it belongs to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.request import Bound
from engine.wire.json import is_json

__all__ = [
    "CHAT",
    "GEMINI",
    "INTERACTIONS",
    "MESSAGES",
    "OLLAMA",
    "RESPONSES",
    "TYPED",
    "Shape",
    "as_json",
    "member",
]

# Formats by the shapes they share.
CHAT: Final = frozenset({"chat"})
RESPONSES: Final = frozenset({"responses"})
MESSAGES: Final = frozenset({"messages"})
GEMINI: Final = frozenset({"gemini"})
OLLAMA: Final = frozenset({"ollama"})
INTERACTIONS: Final = frozenset({"interactions"})  # Gemini's
TYPED: Final = frozenset({"chat", "messages", "cohere"})  # {"type": "text", …}

_MISSING: Final = object()
_NOTHING: Final[tuple[Any, ...]] = ([], {}, "")
_KINDS: Final[dict[Any, str]] = {Mapping: "a dict", str: "a string", Sequence: "a list"}


def member(
    data: Mapping[str, Any], name: str, kind: type, where: str, default: Any = _MISSING
) -> Any:
    """``data[name]``, which must be a `kind`; `default`, where one is given, if absent or None.

    Raises:
        ConfigError: it is missing, or something else.
    """
    value = data.get(name)
    if value is None and default is not _MISSING:
        return default
    if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str | bytes)):
        what = "is missing" if value is None else f"is {type(value).__name__}"
        raise ConfigError(f"{where}.{name} {what}; it must be {_KINDS[kind]}")
    return value


def as_json(value: Any, where: str) -> str:
    """`value` as JSON text: it is that already, or an object to write.

    Raises:
        ConfigError: it is neither.
    """
    if value is None or value == "":
        return "{}"
    if isinstance(value, str):
        if not is_json(value):
            raise ConfigError(f"{where} is a string that is no JSON")
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where} cannot be written as JSON: {error}") from error


class Shape:
    """What one message tells of the formats it may be of.

    Attributes:
        places: where it says what only those formats can say, in order.
    """

    __slots__ = ("_formats", "places")

    def __init__(self) -> None:
        self._formats: frozenset[str] | None = None
        self.places: list[str] = []

    def extra(
        self,
        data: Mapping[str, Any],
        known: Collection[str],
        formats: frozenset[str],
        where: str,
        told: Collection[str] = (),
    ) -> dict[str, Any]:
        """The members of `data` that are not `known`. A null says nothing and is left out.

        Args:
            told: members of an answer that no other provider needs to hear of (an id, a status):
                they go to `formats` alone, and to others the message goes without them.
        """
        found = {
            name: value
            for name, value in data.items()
            if name not in known and value is not None and not (name in told and value in _NOTHING)
        }
        if found:
            self.narrow(formats)
            bound = [k for k, v in found.items() if k not in told and v not in _NOTHING]
            self.places += [f"{where}.{name}" for name in bound[:1]]
        return found

    def bind(self, formats: frozenset[str], where: str) -> None:
        """What stands at `where` can be said in `formats` alone."""
        self.narrow(formats)
        self.places.append(where)

    def narrow(self, formats: frozenset[str]) -> None:
        """It holds what is of use to `formats` alone, as a seal is."""
        self._formats = formats if self._formats is None else self._formats & formats

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats the message may be of; empty: no matter; ``mixed``: none, so that what only
        one understands goes to nobody."""
        if self._formats is None:
            return ()
        return tuple(sorted(self._formats)) or ("mixed",)

    def bound(self) -> Iterable[Bound]:
        """What may not go to another format.

        Raises:
            ConfigError: it is of no format at all.
        """
        if self.places and not self._formats:
            raise ConfigError(
                f"{' and '.join(self.places)} belong to different formats; write a message in the "
                "form of one vendor"
            )
        return [Bound(place, self.formats) for place in self.places]
