"""A value for a JSON schema, the same each time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["Sampler", "arguments_after"]

# A schema that contains itself would never end, or grow by the power of its depth.
_DEEPEST: Final = 12
_MOST_VALUES: Final = 10_000

_FORMATS: Final = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d++(?:\.\d++)?+(?![\w.]*\w)")
_QUOTED: Final = re.compile(r"\"([^\"]{1,200})\"|“([^”]{1,200})”|`([^`]{1,200})`")


class Sampler:
    """Fills schemas. Numbers and quoted words of `prompt` are used in their order, so that "add 2
    and 3" gives two numbers their values; what the prompt does not say has the value a type or a
    name suggests."""

    def __init__(self, prompt: str = "") -> None:
        self._numbers: Iterator[str] = (match[0] for match in _NUMBER.finditer(prompt))
        self._quoted: Iterator[str] = (
            match[match.lastindex or 0] for match in _QUOTED.finditer(prompt)
        )
        self._root: Mapping[str, Any] = {}
        self._left = _MOST_VALUES

    def sample(self, schema: Mapping[str, Any]) -> Any:
        """A value that matches `schema`: required properties only, the shortest arrays."""
        self._root = schema
        return self._value(schema, "value", 0)

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._left < 0:
            return None
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        inner = self._inner(schema)
        if inner is not None:
            return self._value(inner, name, depth + 1)
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            items = min(max(_whole(schema.get("minItems")), 1), max(self._left, 0))
            return [self._value(schema.get("items", {}), name, depth + 1) for _ in range(items)]
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._string(schema, name)

    def _inner(self, schema: Mapping[str, Any]) -> Any:
        """The schema that stands behind `schema`, or None."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return _follow(self._root, reference)
        for word in ("anyOf", "oneOf"):
            choices = schema.get(word)
            if isinstance(choices, list) and choices:
                return next((c for c in choices if _kind(c) != "null"), choices[0])
        parts = schema.get("allOf")
        if isinstance(parts, list) and parts:
            return _merged(schema, parts, self._root)
        return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        return {
            name: self._value(properties.get(name, {}), name, depth + 1)
            for name in (required if isinstance(required, list) else ())
            if isinstance(name, str)
        }

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        said = next(self._numbers, None)
        number = float(said) if said is not None else 1.0
        if not math.isfinite(number):
            number = 1.0  # four hundred digits
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if isinstance(low, int | float):
            number = max(number, low + ("minimum" not in schema))
        if isinstance(high, int | float):
            number = min(number, high - ("maximum" not in schema))
        return int(number) if whole or number.is_integer() else number

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        known = _FORMATS.get(str(schema.get("format")))
        text = known if known is not None else next(self._quoted, name)
        text = text.ljust(min(_whole(schema.get("minLength")), 10_000), "x")
        limit = schema.get("maxLength")
        return text[:limit] if isinstance(limit, int) and limit >= 0 else text


def arguments_after(prompt: str, place: int) -> dict[str, Any] | None:
    """The JSON object that stands at `place` of `prompt`, after spaces and ``(`` or ``:``."""
    rest = prompt[place:].lstrip(" :(\t\n")
    if not rest.startswith("{"):
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _kind(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "null"
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()  # Gemini writes OBJECT, STRING
    return "object" if "properties" in schema else "string"


def _follow(root: Mapping[str, Any], reference: str) -> Any:
    """What ``#/$defs/Name`` points to."""
    target: Any = root
    for name in reference.lstrip("#").strip("/").split("/"):
        if name:
            name = name.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
    return target if target is not None else {}


def _merged(schema: Mapping[str, Any], parts: list[Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """One schema for several that all hold."""
    merged = {name: value for name, value in schema.items() if name != "allOf"}
    for part in parts:
        if isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
            part = _follow(root, part["$ref"])
        for name, value in part.items() if isinstance(part, Mapping) else ():
            before = merged.get(name)
            if name == "properties" and isinstance(value, dict) and isinstance(before, dict):
                value = {**before, **value}
            elif name == "required" and isinstance(value, list) and isinstance(before, list):
                value = [*before, *value]
            merged[name] = value
    return merged


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
