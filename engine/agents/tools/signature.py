"""A function's parameters as a JSON schema, and back from the model's arguments."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final

import msgspec

from engine.agents.tools.docstring import described
from engine.agents.tools.shape import Shape, as_hint, metadata_of
from engine.agents.tools.strict import strict_schema
from engine.errors import ConfigError, ProtocolError

__all__ = ["Signature"]

_EMPTY: Final = inspect.Parameter.empty


class _Parameter(msgspec.Struct):
    """One parameter that the model gives.

    Attributes:
        place: in the function's signature, with `kind` as `inspect` has it.
        default: the function's own, or `inspect.Parameter.empty`.
        null_is_default: the model says null where it leaves the parameter out.
    """

    name: str
    kind: Any
    hint: Any
    default: Any
    null_is_default: bool = False


class Signature:
    """What a tool's function takes, told by its type hints and its docstring.

    Args:
        function: a function, method, partial or object that can be called.
        injected: a type; the parameter of that type is not the model's to give.
        name: the tool's, for messages.
        strict: the schema obeys the rules of strict mode: all is required, and null stands for a
            default.

    Attributes:
        doc: the function's docstring, or "".
        schema: JSON schema of the arguments; closed, so that a name the function does not know is
            an error.
        injected: name of the parameter of the type `injected`, or None.

    Raises:
        ConfigError: the parameters cannot be said as a JSON schema.
    """

    def __init__(
        self, function: Callable[..., Any], injected: type, name: str, strict: bool = False
    ) -> None:
        self.doc: str = _doc(function)
        self.injected: str | None = None
        self._rest: str | None = None  # the name of **rest
        self._parameters = self._read(function, injected, name, strict)
        # As nearly always: each parameter is given by its name, and has to be.
        self._all_by_name = all(map(_is_given_by_name, self._parameters))
        fields: list[Any] = []
        for each in self._parameters:
            if each.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            required = strict or each.default is _EMPTY
            hint = each.hint if required else each.hint | msgspec.UnsetType
            fields.append((each.name, hint) if required else (each.name, hint, msgspec.UNSET))
        try:
            kind = msgspec.defstruct(
                f"{name}_arguments",
                fields,
                forbid_unknown_fields=self._rest is None,
                kw_only=True,
            )
            self._shape = Shape(kind)
            self._names: tuple[str, ...] = kind.__struct_fields__
            self.schema: dict[str, Any] = self._schema(name, strict)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"tool {name}: its parameters cannot be said as a JSON schema: {error}; use plain "
                "types, dataclasses, pydantic models or msgspec Structs"
            ) from error

    def _read(
        self, function: Callable[..., Any], injected: type, name: str, strict: bool
    ) -> list[_Parameter]:
        try:
            hints = _hints(function)
            found = inspect.signature(function).parameters.values()
        except (TypeError, ValueError, NameError) as error:
            raise ConfigError(f"tool {name}: its signature cannot be read: {error}") from error
        _, notes = described(self.doc)
        bound = function.keywords if isinstance(function, partial) else {}
        parameters: list[_Parameter] = []
        for parameter in found:
            hint, default = hints.get(parameter.name, Any), parameter.default
            if parameter.name in bound:
                continue  # a partial's own affair
            if hint is injected or injected in typing.get_args(hint):
                self.injected = parameter.name
                continue
            hint, default = _with_field(hint, default)
            if (note := notes.get(parameter.name)) and "description" not in metadata_of(hint)[1]:
                hint = Annotated[hint, msgspec.Meta(description=note)]
            made = _Parameter(parameter.name, parameter.kind, hint, default)
            self._adapt(made, strict, name)
            parameters.append(made)
        return parameters

    def _adapt(self, parameter: _Parameter, strict: bool, tool: str) -> None:
        """What the parameter is to msgspec."""
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            if strict:
                raise ConfigError(
                    f"tool {tool}: **{parameter.name} takes any names, which strict mode cannot "
                    "say; give each argument a parameter of its own"
                )
            self._rest = parameter.name
            parameter.hint = as_hint(parameter.hint)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            parameter.hint = as_hint(list[parameter.hint])  # type: ignore[name-defined]
            parameter.default = ()
        else:
            parameter.hint = as_hint(parameter.hint)
        many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        optional = strict and not many and parameter.default is not _EMPTY
        if optional and not _takes_null(parameter.hint):
            parameter.hint = _nullable(parameter.hint)
            parameter.null_is_default = True

    def _schema(self, name: str, strict: bool) -> dict[str, Any]:
        schema = self._shape.schema()
        schema.pop("title", None)
        properties = schema.setdefault("properties", {})
        for each in self._parameters:
            if each.kind is inspect.Parameter.VAR_KEYWORD:
                rest = Shape(each.hint)
                schema["additionalProperties"] = rest.root or True
                if rest.definitions:
                    schema["$defs"] = {**schema.get("$defs", {}), **rest.definitions}
            elif each.default is not _EMPTY and each.kind is not inspect.Parameter.VAR_POSITIONAL:
                _say_default(properties[each.name], each.default)
        return strict_schema(schema, f"tool {name}: it") if strict else schema

    def decode(self, arguments: str) -> dict[str, Any]:
        """The model's `arguments` by the names of the parameters; `bind` makes a call of them.

        Raises:
            ProtocolError: they do not fit; nothing is converted to make them fit.
        """
        if not self._parameters and arguments.strip() in ("", "null"):
            return {}
        try:
            struct = self._shape.decode(arguments)
            if self._all_by_name:
                return msgspec.structs.asdict(struct)
            values = {name: getattr(struct, name) for name in self._names}
            if self._rest is not None:
                values[self._rest] = self._decode_rest(arguments)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(
                f"the arguments do not fit: {error}", detail=arguments[:4096]
            ) from error
        for each in self._parameters:
            if each.null_is_default and values[each.name] is None:
                del values[each.name]
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}

    def _decode_rest(self, arguments: str) -> dict[str, Any]:
        hint = next(each.hint for each in self._parameters if each.name == self._rest)
        given = msgspec.json.decode(arguments)
        rest = {name: value for name, value in given.items() if name not in self._names}
        made: dict[str, Any] = Shape(dict[str, hint]).decode(msgspec.json.encode(rest))  # type: ignore[valid-type]
        return made

    def bind(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of a call with `values`, which may hold `injected`."""
        positional: list[Any] = []
        keywords = dict(values)
        if self._all_by_name:
            return positional, keywords
        rest = next(
            (p for p in self._parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None
        )
        many = keywords.pop(rest.name, ()) if rest is not None else ()
        for each in self._parameters:
            by_place = each.kind is inspect.Parameter.POSITIONAL_ONLY or (
                many and each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            )
            if by_place:
                positional.append(keywords.pop(each.name, each.default))
        if self._rest is not None:
            keywords.update(keywords.pop(self._rest, {}))
        return [*positional, *many], keywords

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters the model gives, in order."""
        return self._names

    @property
    def required(self) -> tuple[str, ...]:
        """Those of `names` that it must give."""
        return tuple(self.schema.get("required", ()))


def _is_given_by_name(parameter: _Parameter) -> bool:
    by_name = parameter.kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return by_name and parameter.default is _EMPTY


def _takes_null(hint: Any) -> bool:
    base, _ = metadata_of(hint)
    return base is Any or base is None or type(None) in typing.get_args(base)


def _nullable(hint: Any) -> Any:
    base, notes = metadata_of(hint)
    words = notes.pop("description", None)
    inner = Annotated[base, msgspec.Meta(**notes)] if notes else base
    nullable = inner | None
    return Annotated[nullable, msgspec.Meta(description=words)] if words else nullable


def _with_field(hint: Any, default: Any) -> tuple[Any, Any]:
    """`hint` and `default` where the default is pydantic's ``Field(…)``, as its users write it."""
    if not (hasattr(default, "default_factory") and hasattr(default, "metadata")):
        return hint, default
    value = default.default
    if type(value).__name__ == "PydanticUndefinedType":
        value = _EMPTY if default.default_factory is None else default.default_factory()
    elif value is ...:
        value = _EMPTY
    return Annotated[hint, default], value


def _say_default(schema: dict[str, Any], default: Any) -> None:
    try:
        said = msgspec.to_builtins(default, enc_hook=_default)
    except TypeError:
        return  # a default that JSON cannot say is the function's own affair
    schema["default"] = said


def _default(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError


def _doc(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        # Of an object that can be called: its class's words, or those of the call.
        return type(function).__doc__ or inspect.getdoc(type(function).__call__) or ""
    return inspect.getdoc(function) or ""


def _hints(function: Any) -> dict[str, Any]:
    """The hints of the parameters; that of the result may name what is imported for a type checker
    only."""
    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__annotations__") and not inspect.isroutine(function):
        function = type(function).__call__
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)
    hints = {
        name: hint
        for name, hint in getattr(function, "__annotations__", {}).items()
        if name != "return"
    }
    carrier = types.SimpleNamespace(__annotations__=hints)
    names = {**getattr(function, "__globals__", {}), **_closure(function)}
    return typing.get_type_hints(carrier, names, include_extras=True)


def _closure(function: Any) -> dict[str, Any]:
    """What a function made in a function sees of it."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    found: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), cells or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            pass  # not assigned yet
    return found
