"""JSON schemas as strict mode wants them."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import ConfigError

__all__ = ["strict_schema"]

# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas names what is taken;
# these are not, or only say what is said already.
_DROPPED: Final = frozenset({"default", "title", "examples", "uniqueItems", "discriminator"})
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)


def strict_schema(schema: dict[str, Any], where: str) -> dict[str, Any]:
    """`schema` by the rules of strict mode: every object closed, every member required, no
    defaults. What may be left out must be nullable in it already.

    Raises:
        ConfigError: it holds an object of any members, which that mode does not know; `where` and
            its place are named.
    """
    made: dict[str, Any] = _strict(schema, where)
    return made


def _strict(schema: Any, where: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object":
        if isinstance(schema.get("additionalProperties"), dict) or (
            "properties" not in schema and schema.get("additionalProperties") is not False
        ):
            raise ConfigError(
                f"{where} takes an object of any members, which strict mode cannot say; give it a "
                "class with fields, or leave strict out"
            )
        schema = {
            **schema,
            "properties": schema.get("properties", {}),
            "additionalProperties": False,
            "required": [*schema.get("properties", ())],
        }
    elif not schema.keys() & {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}:
        raise ConfigError(
            f"{where} takes anything, which strict mode cannot say; give it a type, or leave "
            "strict out"
        )
    made: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _DROPPED or (name == "format" and value not in _FORMATS):
            continue
        if name in ("properties", "$defs"):
            made[name] = {key: _strict(each, f"{where}.{key}") for key, each in value.items()}
        elif name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            made["anyOf" if name == "oneOf" else name] = [_strict(each, where) for each in value]
        elif name == "items":
            made[name] = _strict(value, f"{where}[]")
        else:
            made[name] = value
    if "$ref" in made and len(made) > 1:
        # "$ref cannot have sibling keywords"
        others = {name: value for name, value in made.items() if name not in ("$ref", "$defs")}
        definitions = {name: made[name] for name in ("$defs",) if name in made}
        made = {"anyOf": [{"$ref": made["$ref"]}], **others, **definitions}
    return made
