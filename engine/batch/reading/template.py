"""A prompt with places for the columns of a row: ``Classify: {text}``."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any, Final

import msgspec

from engine.errors import ConfigError

__all__ = ["Template"]

_formatter: Final = Formatter()


class Template:
    """Text with ``{column}`` in it; ``{{`` and ``}}`` are braces.

    Args:
        text: what the user wrote.
        name: of the option, for errors.

    Attributes:
        columns: that it names.

    Raises:
        ConfigError: a place is no plain name.
    """

    def __init__(self, text: str, name: str) -> None:
        self._pieces: list[tuple[str, str | None]] = []
        try:
            for literal, column, form, conversion in _formatter.parse(text):
                if column is not None and (not column.strip() or form or conversion):
                    more = f"!{conversion}" if conversion else f":{form}" if form else ""
                    raise ValueError(f"{{{column}{more}}} is no name of a column alone")
                self._pieces.append((literal, column.strip() if column is not None else None))
        except ValueError as error:
            raise ConfigError(
                f"{name}: {error}; write {{column}} for a column, and {{{{ and }}}} for braces"
            ) from None
        self.columns: frozenset[str] = frozenset(
            column for _, column in self._pieces if column is not None
        )

    def fill(self, row: Mapping[str, Any]) -> str:
        """The text for `row`.

        Raises:
            KeyError: it has no such column, or nothing in it.
        """
        parts: list[str] = []
        for literal, column in self._pieces:
            parts.append(literal)
            if column is not None:
                value = row[column]
                if value is None:
                    raise KeyError(column)
                parts.append(value if isinstance(value, str) else _written(value))
        return "".join(parts)


def _written(value: Any) -> str:
    """A number as it is, what has parts as JSON."""
    return msgspec.json.encode(value).decode()
