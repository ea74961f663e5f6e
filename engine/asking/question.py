"""What users give, checked for its kind before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final

from engine.errors import ConfigError

__all__ = ["check_kind", "checked_arguments"]

_NUMBER: Final = (int, float)
_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "tool_choice": str,
    "max_tokens": int,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "seed": int,
    "extra_body": Mapping,
    "extra_headers": Mapping,
}
_WORDS: Final = {
    str: "a string",
    int: "a whole number",
    _NUMBER: "a number",
    Mapping: "a dict",
}
_LISTS_OF_STRINGS: Final = ("stop", "fallback")
_CALLBACKS: Final = ("on_event", "on_text", "on_done")


def check_kind(value: Any, kind: Any, name: str) -> None:
    """ConfigError naming the argument `name` unless `value` is None or a `kind`."""
    # True is an int to Python, and never a number somebody meant.
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        words = _WORDS.get(kind) or f"an engine.{kind.__name__}"
        raise ConfigError(f"{name} must be {words}, not {type(value).__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value}")


def checked_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Client.stream`, with lists for what can be read only once: a fallback
    reads it again.

    Raises:
        ConfigError: one is of the wrong kind; it is named.
    """
    for name, kind in _KINDS.items():
        if arguments[name] is not None:
            check_kind(arguments[name], kind, name)
    for name in _CALLBACKS:
        if arguments[name] is not None and not callable(arguments[name]):
            raise ConfigError(f"{name} must be callable, not {type(arguments[name]).__name__}")
    checked = dict(arguments)
    for name in ("input", "tools", "stop", "fallback"):
        if isinstance(checked[name], Iterator):
            checked[name] = list(checked[name])
    if isinstance(checked["stop"], str):
        checked["stop"] = [checked["stop"]]
    for name in _LISTS_OF_STRINGS:
        checked[name] = _strings(checked[name], name)
    return checked


def _strings(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ConfigError(f"{name} must be a list of strings, not {type(value).__name__}")
    strings = list(value)
    for number, string in enumerate(strings):
        if not isinstance(string, str):
            raise ConfigError(f"{name}[{number}] must be a string, not {type(string).__name__}")
    return strings
