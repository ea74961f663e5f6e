"""The type an answer should have: as JSON schema for the provider, and back from its text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeGuard, TypeVar, cast, is_typeddict

import msgspec

from engine.errors import ConfigError, ProtocolError

__all__ = ["as_response_format", "decode_answer", "is_answer_type"]

T = TypeVar("T")


def as_response_format(wanted: Any) -> Mapping[str, Any] | Literal["json"] | None:
    """What the user gave as ``response_format``, in the terms of `ModelRequest`: ``"json"``, or
    ``name``, ``schema`` and perhaps ``strict``.

    Args:
        wanted: None; ``"json"``; a msgspec Struct, dataclass, TypedDict or pydantic model (the
            type itself); a JSON schema; or the object OpenAI's API takes, in either of its forms.

    Raises:
        ConfigError: it is none of these.
    """
    if wanted is None or wanted == "json":
        return cast(Literal["json"] | None, wanted)
    if is_answer_type(wanted):
        schema, strict = _schema_of(wanted)
        return {"name": _name(wanted.__name__), "schema": schema, "strict": strict}
    if not isinstance(wanted, Mapping):
        raise ConfigError(
            "response_format must be 'json', a JSON schema, or a Struct, dataclass, TypedDict or "
            f"pydantic model; it is {wanted!r:.80}"
        )
    if wanted.get("type") == "json_object":
        return "json"
    if wanted.get("type") == "json_schema":
        wanted = wanted.get("json_schema", wanted)  # nested in Chat Completions, flat in Responses
    elif not isinstance(wanted.get("schema"), Mapping):
        wanted = {"name": wanted.get("title"), "schema": wanted}
    if not isinstance(wanted, Mapping) or not isinstance(wanted.get("schema"), Mapping):
        raise ConfigError("response_format has no 'schema' that is a JSON schema (a dict)")
    given = {"strict": wanted["strict"]} if isinstance(wanted.get("strict"), bool) else {}
    return {"name": _name(wanted.get("name")), "schema": wanted["schema"], **given}


def is_answer_type(wanted: object) -> TypeGuard[type]:
    """Whether `decode_answer` can make a value of the type `wanted`."""
    if not isinstance(wanted, type):
        return False
    return (
        issubclass(wanted, msgspec.Struct)
        or hasattr(wanted, "__dataclass_fields__")  # dataclasses itself takes 5 ms to import
        or is_typeddict(wanted)
        or callable(getattr(wanted, "model_json_schema", None))
    )


def decode_answer(text: str, kind: type[T]) -> T:
    """The answer `text` as a value of `kind`, one of the types `as_response_format` takes.

    Raises:
        ProtocolError: the model's text is no JSON, or does not fit the type.
    """
    inner = _FENCE.fullmatch(text)
    data = inner[1] if inner else text
    validate = getattr(kind, "model_validate_json", None)
    try:
        return cast(T, validate(data)) if validate else msgspec.json.decode(data, type=kind)
    # Not only ValidationError: validators and __post_init__ are the user's and may raise anything.
    except Exception as error:
        raise ProtocolError(
            f"the answer does not fit {kind.__name__}: {str(error)[:300]}; look at the text, ask "
            "again, or make the type looser",
            detail=text[:4096],
        ) from error


# Models that were not held to a schema like to wrap JSON as in Markdown.
_FENCE: Final = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)


def _name(name: Any) -> str:
    """OpenAI: "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of
    64"."""
    text = re.sub(r"[^a-zA-Z0-9_-]+", "_", name)[:64] if isinstance(name, str) else ""
    return text or "answer"


def _schema_of(kind: Any) -> tuple[dict[str, Any], bool]:
    """The schema of a type, and whether a provider can be held to it strictly."""
    try:
        if callable(getattr(kind, "model_json_schema", None)):
            schema = kind.model_json_schema()
        else:
            schema = msgspec.json.schema(kind)
    except (TypeError, RecursionError) as error:
        raise ConfigError(
            f"response_format: {kind.__name__} cannot be said as a JSON schema: {error}"
        ) from error
    definitions = schema.get("$defs", {})
    if set(schema) <= {"$ref", "$defs"}:
        # The root must be the object itself; it stays among the definitions for those that refer
        # to themselves.
        root = definitions.get(str(schema.get("$ref")).removeprefix("#/$defs/"), {})
        schema = {**root, "$defs": definitions}
        if f'"{_REF}{kind.__name__}"' not in msgspec.json.encode(schema).decode():
            definitions = {n: d for n, d in definitions.items() if n != kind.__name__}
            schema = {**root, "$defs": definitions} if definitions else dict(root)
    strict = _strict(schema)
    return (strict, True) if strict is not None else (schema, False)


_REF: Final = "#/$defs/"


def _strict(schema: Any) -> Any:
    """`schema` as OpenAI's strict mode wants it: every object closed, every member required, no
    defaults (https://platform.openai.com/docs/guides/structured-outputs). None where it holds an
    object of any members, which that mode does not know."""
    if isinstance(schema, list):
        items = [_strict(item) for item in schema]
        return None if any(item is None for item in items) else items
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object":
        if not schema.get("properties") or isinstance(schema.get("additionalProperties"), dict):
            return None
        schema = {**schema, "additionalProperties": False, "required": [*schema["properties"]]}
    result: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ("default", "const", "enum", "required"):
            inner = value
        elif name in ("properties", "$defs"):
            inner = {key: _strict(member) for key, member in value.items()}
            if None in inner.values():
                return None
        else:
            inner = _strict(value)
            if inner is None and value is not None:
                return None
        if name != "default":
            result[name] = inner
    return result
