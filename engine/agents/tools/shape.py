"""Type hints as JSON schemas, and values of JSON as values of the types.

msgspec does both for plain types, and takes dataclasses, Structs, TypedDicts and enums. What it
does not know is put in a form it does: unions of classes, pydantic models, paths, and what
`Annotated` may hold.
"""

from __future__ import annotations

import collections.abc
import datetime
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

__all__ = ["Shape", "as_hint", "metadata_of"]

_REFERENCE: Final = "#/$defs/{name}"
# What a function may be annotated with, and a JSON array gives.
_AS_LIST: Final = (
    collections.abc.Iterable,
    collections.abc.Iterator,
    collections.abc.Collection,
    collections.abc.Sequence,
)
# msgspec says these only where a time zone must be there.
_FORMATS: Final[dict[Any, str]] = {datetime.datetime: "date-time", datetime.time: "time"}
# Members of pydantic's Field, annotated_types' classes and msgspec's Meta, by the one name that
# msgspec gives them.
_CONSTRAINTS: Final = {
    **{name: name for name in ("gt", "ge", "lt", "le", "multiple_of", "pattern")},
    **{name: name for name in ("min_length", "max_length", "description", "title", "examples")},
    "documentation": "description",  # typing_extensions.Doc
    "regex": "pattern",
}
# Those that say something and restrict nothing.
_WORDS: Final = ("description", "title", "examples")


class Shape:
    """What a type accepts.

    Args:
        hint: a type hint of any kind, or a type that `msgspec.defstruct` made of `as_hint`s.

    Attributes:
        hint: the type in the terms of msgspec.
        root: its JSON schema, perhaps a reference to one of `definitions`.

    Raises:
        TypeError: no JSON schema can say it.
    """

    def __init__(self, hint: Any) -> None:
        self.hint: Any = as_hint(hint)
        self._decoder = msgspec.json.Decoder(self.hint, dec_hook=_made)
        found: dict[str, Any] = {}
        (root,), own = msgspec.json.schema_components(
            [self.hint], schema_hook=lambda kind: _schema_of(kind, found), ref_template=_REFERENCE
        )
        self.definitions: dict[str, Any] = _typed({**own, **found})
        self.root: dict[str, Any] = _typed(root)

    def schema(self) -> dict[str, Any]:
        """The JSON schema, with the object itself at its root, where providers want it."""
        name = str(self.root.get("$ref", "")).removeprefix("#/$defs/")
        root, definitions = self.root, self.definitions
        if set(root) == {"$ref"} and name in definitions:
            root = definitions[name]
            others = {key: value for key, value in definitions.items() if key != name}
            if f'"#/$defs/{name}"' not in msgspec.json.encode([root, others]).decode():
                definitions = others
        return {**root, "$defs": definitions} if definitions else dict(root)

    def decode(self, text: str | bytes) -> Any:
        """The value of JSON `text`. Nothing is converted to make it fit, but a whole number may be
        written as 3.0.

        Raises:
            ValueError: it is no JSON, or does not fit; the message says where.
        """
        try:
            return self._decoder.decode(text)
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error):
                raise
            whole = _whole(msgspec.json.decode(text))
            try:
                return msgspec.convert(whole, self.hint, dec_hook=_made)
            except msgspec.ValidationError:
                raise error from None


def _typed(schema: Any) -> Any:
    """`schema` with a type beside each ``enum``: Gemini refuses one without."""
    if isinstance(schema, list):
        return [_typed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: value if name in ("enum", "default", "examples", "const") else _typed(value)
        for name, value in schema.items()
    }
    values = made.get("enum")
    if isinstance(values, list) and "type" not in made:
        kinds = {type(value) for value in values}
        if kinds in ({str}, {int}):
            made["type"] = "string" if kinds == {str} else "integer"
    return made


def metadata_of(hint: Any) -> tuple[Any, dict[str, Any]]:
    """`hint` without `Annotated`, and what that says of it: `description`, bounds and the like, by
    msgspec's names. A bare string is a description."""
    if get_origin(hint) is not Annotated:
        return hint, {}
    base, *notes = get_args(hint)
    base, found = metadata_of(base)
    for note in notes:
        if isinstance(note, str):
            found.setdefault("description", note)
            continue
        for each in (
            note,
            *(getattr(note, "metadata", None) or ()),
        ):  # Field keeps its bounds there
            for name, constraint in _CONSTRAINTS.items():
                value = getattr(each, name, None)
                if value is not None and not callable(value):
                    found[constraint] = value
    return base, found


def as_hint(hint: Any) -> Any:
    """`hint` in the terms of msgspec; what neither knows is left for it to refuse."""
    if get_origin(hint) is Annotated:
        base, notes = metadata_of(hint)
        words = {name: notes.pop(name) for name in _WORDS if name in notes}
        inner = _bounded(as_hint(base), notes) if notes else as_hint(base)
        return Annotated[inner, msgspec.Meta(**words)] if words else inner
    if hint is object or hint is typing.Hashable:
        return Any
    if (kind := _FORMATS.get(hint)) is not None:
        return Annotated[hint, msgspec.Meta(extra_json_schema={"format": kind})]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union([as_hint(each) for each in arguments])
    if origin in _AS_LIST or hint in _AS_LIST:
        return list[as_hint(arguments[0])] if arguments else list  # type: ignore[misc]
    if isinstance(origin, type) and arguments and origin is not type:
        return _generic(origin, tuple(each if each is ... else as_hint(each) for each in arguments))
    if isinstance(hint, type) and not _known(hint) and _fields(hint) is not None:
        return _marker(hint.__name__, (_Fields(hint),))
    return hint


def _bounded(hint: Any, bounds: Mapping[str, Any]) -> Any:
    """`hint` with `bounds`, which of a union are those of the members that can have them."""
    whole = Annotated[hint, msgspec.Meta(**bounds)]
    if _known(whole) or (not isinstance(hint, types.UnionType) and get_origin(hint) is not Union):
        return whole
    members = [Annotated[each, msgspec.Meta(**bounds)] for each in get_args(hint)]
    return _union(
        [
            bounded if _known(bounded) else each
            for bounded, each in zip(members, get_args(hint), strict=True)
        ]
    )


def _generic(origin: type, arguments: tuple[Any, ...]) -> Any:
    try:
        return types.GenericAlias(origin, arguments)
    except TypeError:
        return origin


def _union(members: Sequence[Any]) -> Any:
    whole: Any = Union.__getitem__(tuple(members))
    if _known(whole):
        return whole
    nullable = type(None) in members
    choice = _marker("choice", tuple(each for each in members if each is not type(None)))
    return choice | None if nullable else choice


def _known(hint: Any) -> bool:
    """Whether msgspec takes `hint` as it is."""
    try:
        msgspec.json.Decoder(hint)
    except TypeError:
        return False
    return True


class _Marker(type):
    """A class that stands for a type msgspec does not know; whatever its `dec_hook` makes of a
    value is an instance of it."""

    members: tuple[Any, ...]

    def __instancecheck__(cls, instance: object) -> bool:
        return True


def _marker(name: str, members: tuple[Any, ...]) -> _Marker:
    return _Marker(name, (), {"members": members})


class _Fields:
    """A class with fields of types that msgspec does not know: made field by field."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        fields: list[Any] = []
        for name, (hint, required) in (_fields(kind) or {}).items():
            inner = as_hint(hint)
            fields.append((name, inner) if required else (name, inner | msgspec.UnsetType, _UNSET))
        self.struct = msgspec.defstruct(
            kind.__name__, fields, kw_only=True, forbid_unknown_fields=True
        )

    def make(self, value: Any) -> Any:
        struct = msgspec.convert(value, self.struct, dec_hook=_made)
        given = {
            name: getattr(struct, name)
            for name in self.struct.__struct_fields__
            if getattr(struct, name) is not _UNSET
        }
        return self.kind(**given)


_UNSET: Final = msgspec.UNSET


def _fields(kind: Any) -> dict[str, tuple[Any, bool]] | None:
    """Name → (hint, whether it is required) of a dataclass; None where it is none."""
    fields: Mapping[str, Any] | None = getattr(kind, "__dataclass_fields__", None)
    if fields is None or _is_pydantic(kind):
        return None
    import dataclasses  # takes 5 ms, and whoever has one has imported it

    hints = typing.get_type_hints(kind, include_extras=True)
    missing = dataclasses.MISSING
    return {
        name: (hints[name], field.default is missing and field.default_factory is missing)
        for name, field in fields.items()
        if field.init
    }


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_validator__") or callable(
        getattr(kind, "model_validate", None)
    )


def _made(kind: Any, value: Any) -> Any:
    """A value of a type that msgspec does not know."""
    if isinstance(kind, _Marker):
        return _first_that_fits(kind.members, value)
    if _is_pydantic(kind):
        validator = getattr(kind, "__pydantic_validator__", None)
        try:
            # As JSON: what pydantic takes from a model strictly it would not take from Python.
            text = msgspec.json.encode(value)
            return validator.validate_json(text) if validator else kind.model_validate_json(text)
        except Exception as error:  # validators are the user's and may raise anything
            raise ValueError(_of_pydantic(error)) from error
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `{getattr(kind, '__name__', kind)}`")


def _of_pydantic(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return f"{type(error).__name__}: {error}"
    return "; ".join(
        f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg', '')}" for each in errors()
    )


def _first_that_fits(members: Sequence[Any], value: Any) -> Any:
    problems: list[str] = []
    for member in members:
        try:
            if isinstance(member, _Fields):
                return member.make(value)
            _check_closed(member, value)
            return msgspec.convert(value, member, dec_hook=_made)
        except (ValueError, TypeError) as error:
            problems.append(str(error))
    raise ValueError(" or ".join(problems))


def _check_closed(member: Any, value: Any) -> None:
    """In a union of classes, a class that does not know a member is not the one that was meant."""
    names = getattr(member, "__struct_fields__", None) or _fields(member)
    if (
        names
        and isinstance(value, dict)
        and (unknown := [key for key in value if key not in names])
    ):
        raise ValueError(f"`{member.__name__}` has no field `{unknown[0]}`")


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type that msgspec does not know; what it refers to goes to `definitions`."""
    if isinstance(kind, _Marker):
        schemas = [_member_schema(member, definitions) for member in kind.members]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    if _is_pydantic(kind):
        if callable(getattr(kind, "model_json_schema", None)):
            schema = dict(kind.model_json_schema())
        else:
            import pydantic  # a pydantic dataclass is there: it was imported

            schema = dict(pydantic.TypeAdapter(kind).json_schema())
        definitions.update(schema.pop("$defs", {}))
        schema.pop("title", None)
        return schema
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise TypeError(f"the type {kind!r} has no JSON schema")


def _member_schema(member: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    kind = member.struct if isinstance(member, _Fields) else member
    shape = Shape(kind)
    if isinstance(member, _Fields):
        return {**_inlined(shape, definitions), "title": kind.__name__}
    definitions.update(shape.definitions)
    return shape.root


def _inlined(shape: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = shape.schema()
    definitions.update(schema.pop("$defs", {}))
    return schema


def _whole(value: Any) -> Any:
    """`value` with its whole floats as ints."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return value
