"""Parameters that somebody else's JSON schema tells: of a tool that is no function of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import ProtocolError

__all__ = ["GivenSchema"]


class GivenSchema:
    """As `Signature`, of a schema that is handed on as it is: who wrote it checks the arguments.

    Args:
        schema: of the arguments, an object.

    Attributes:
        doc: "": there is no docstring.
        injected: None: nothing is filled in.
    """

    doc = ""
    injected: str | None = None

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema: dict[str, Any] = {"type": "object", "properties": {}, **schema}

    def decode(self, arguments: str) -> dict[str, Any]:
        """The model's `arguments` by name.

        Raises:
            ProtocolError: they are no object, or one that is required is not there.
        """
        text = arguments.strip()
        if not self.names and text in ("", "null"):
            return {}
        try:
            values = msgspec.json.decode(text, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise ProtocolError(
                f"the arguments do not fit: {error}", detail=arguments[:4096]
            ) from error
        missing = [name for name in self.required if name not in values]
        if missing:
            raise ProtocolError(
                f"the arguments do not fit: Object missing required field `{missing[0]}`",
                detail=arguments[:4096],
            )
        return values

    def bind(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """All of `values` as one argument."""
        return [dict(values)], {}

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters the schema names."""
        return tuple(self.schema.get("properties") or ())

    @property
    def required(self) -> tuple[str, ...]:
        """Those that must be given."""
        return tuple(self.schema.get("required") or ())
