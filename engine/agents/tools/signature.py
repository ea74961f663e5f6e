"""A function's parameters as a JSON schema, and back from the model's arguments."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from engine.errors import ConfigError, ProtocolError

__all__ = ["Signature", "described"]


class Signature:
    """What a tool's function takes, told by its type hints and its docstring.

    Args:
        function: a plain function; every parameter can be given by name.
        injected: a type; the parameter of that type is not the model's to give.

    Attributes:
        schema: JSON schema of the arguments; closed, so that a name the function does not know is
            an error.
        injected: name of the parameter of the type `injected`, or None.

    Raises:
        ConfigError: the parameters cannot be said as a JSON schema.
    """

    def __init__(self, function: Callable[..., Any], injected: type) -> None:
        self.injected: str | None = None
        name = getattr(function, "__name__", "tool")
        try:
            hints = _hints(function)
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError, NameError) as error:
            raise ConfigError(f"tool {name}: its signature cannot be read: {error}") from error
        _, notes = described(inspect.getdoc(function) or "")
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        defaults: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigError(
                    f"tool {name}: the parameter {parameter} cannot be given by name; give each "
                    "argument a parameter of its own"
                )
            hint = hints.get(parameter.name, Any)
            if hint is injected:
                self.injected = parameter.name
                continue
            if note := notes.get(parameter.name):
                hint = Annotated[hint, msgspec.Meta(description=note)]
            if parameter.default is parameter.empty:
                fields.append((parameter.name, hint))
            else:
                # The function's own default is used, whatever it is: the struct has none.
                fields.append((parameter.name, hint | msgspec.UnsetType, msgspec.UNSET))
                defaults[parameter.name] = parameter.default
        try:
            self._type = msgspec.defstruct(
                f"{name}_arguments", fields, forbid_unknown_fields=True, kw_only=True
            )
            self.schema = _schema(self._type, defaults)
            self._decoder = msgspec.json.Decoder(self._type)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"tool {name}: its parameters cannot be said as a JSON schema: {error}; use plain "
                "types, dataclasses or msgspec Structs"
            ) from error

    def decode(self, arguments: str) -> dict[str, Any]:
        """The model's `arguments` as keyword arguments of the function.

        Raises:
            ProtocolError: they do not fit; nothing is converted to make them fit.
        """
        try:
            struct = self._decoder.decode(arguments)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(
                f"the arguments do not fit: {error}", detail=arguments[:4096]
            ) from error
        values = ((name, getattr(struct, name)) for name in self._type.__struct_fields__)
        return {name: value for name, value in values if value is not msgspec.UNSET}

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters the model gives, in order."""
        return self._type.__struct_fields__

    @property
    def required(self) -> tuple[str, ...]:
        """Those of `names` that it must give."""
        return tuple(self.schema.get("required", ()))


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The hints of the parameters; that of the result may name what is imported for a type checker
    only."""
    hints = {
        name: hint
        for name, hint in getattr(function, "__annotations__", {}).items()
        if name != "return"
    }
    carrier = types.SimpleNamespace(__annotations__=hints)
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(carrier, names, include_extras=True)


def described(doc: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each parameter: Google's ``Args:`` or
    Sphinx's ``:param name:``."""
    lines = doc.splitlines()
    summary: list[str] = []
    notes: dict[str, str] = {}
    section = name = ""
    entry_indent = 0
    for line in lines:
        heading = _HEADING.fullmatch(line)
        field = _FIELD.match(line)
        if heading:
            section, name = heading[1].lower(), ""
        elif field:
            section, name = "args", field[1] or ""
            if name:
                notes[name] = field[2].strip()
        elif not section:
            summary.append(line)
        elif section in _ARGUMENTS:
            entry = _ENTRY.match(line)
            if entry and not (name and _indent(line) > entry_indent):
                name, entry_indent = entry[1], _indent(line)
                notes[name] = entry[2].strip()
            elif name and line.strip():
                notes[name] = f"{notes[name]} {line.strip()}".strip()
    return "\n".join(summary).strip(), notes


_HEADING: Final = re.compile(
    r"(Args|Arguments|Parameters|Returns?|Yields|Raises|Examples?|Notes?):\s*", re.IGNORECASE
)
_FIELD: Final = re.compile(
    r":(?:param(?:\s+[\w.\[\]]+)?\s+(\w+)|return\w*|raises?\b[^:]*|rtype):(.*)"
)
_ENTRY: Final = re.compile(r"\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:(.*)")
_ARGUMENTS: Final = ("args", "arguments", "parameters")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _schema(kind: type, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of `kind` with the object itself at the root, where providers want it."""
    _, components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = components.pop(kind.__name__)
    schema.pop("title", None)
    properties = schema.setdefault("properties", {})
    for name, default in defaults.items():
        try:
            properties[name]["default"] = msgspec.to_builtins(default)
        except TypeError:
            pass  # a default that JSON cannot say is the function's own affair
    return {**schema, "$defs": components} if components else schema
