"""Do answers fit a JSON schema? The extra ``schema`` (jsonschema) knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import msgspec

from engine.errors import Category, ConfigError, EngineError

__all__ = ["schema_check"]


def schema_check(schema: dict[str, Any] | None) -> Callable[[str], EngineError | None]:
    """A function that gives the error of a text that is no JSON of `schema`, or None.

    Raises:
        ConfigError: the schema is none, or jsonschema is not installed.
    """
    if schema is None:
        return lambda text: None
    try:
        library = import_module("jsonschema")
    except ImportError as error:
        raise ConfigError(
            "--schema needs the package jsonschema: pip install 'streamengine[schema]'"
        ) from error
    kind = library.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except library.exceptions.SchemaError as error:
        raise ConfigError(f"the schema is not a JSON schema: {error.message}") from error
    validator = kind(schema)

    def check(text: str) -> EngineError | None:
        try:
            value = msgspec.json.decode(_unfenced(text))
        except msgspec.MsgspecError as error:
            return _misfit(f"the answer is not JSON ({error})")
        misfit = next(validator.iter_errors(value), None)
        return _misfit(f"the answer does not fit the schema: {misfit.message}") if misfit else None

    return check


# A model that was asked for JSON alone likes to dress it as in a chat.
_FENCED: Final = re.compile(r"\s*```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


def _unfenced(text: str) -> str:
    found = _FENCED.fullmatch(text)
    return found[1] if found is not None else text


def _misfit(what: str) -> EngineError:
    return EngineError(what, category=Category.UNKNOWN, code="schema_mismatch", retryable=True)
