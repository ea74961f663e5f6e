"""Tools as users give them: the engine's own, decorated functions, each vendor's definitions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from engine.asking.shape import (
    CHAT,
    GEMINI,
    INTERACTIONS,
    MESSAGES,
    OLLAMA,
    RESPONSES,
    Shape,
    member,
)
from engine.errors import ConfigError
from engine.messages import Tool, VendorTool
from engine.request import Bound

__all__ = ["ToolLike", "as_tools", "read_tools"]


@runtime_checkable
class HasDefinition(Protocol):
    """Anything that knows its tool definition, such as a decorated function."""

    @property
    def definition(self) -> Tool: ...


ToolLike = Tool | VendorTool | HasDefinition | Mapping[str, Any]


def as_tools(tools: Iterable[ToolLike] | None) -> list[Tool | VendorTool]:
    """The definitions of `tools`.

    Raises:
        ConfigError: one is no tool, or two have the same name.
    """
    return read_tools(tools)[0]


def read_tools(
    tools: Iterable[ToolLike] | None,
) -> tuple[list[Tool | VendorTool], list[Bound]]:
    """The definitions of `tools`, and what of them only some formats can say.

    A dict that defines a function becomes a `Tool`, which goes to every provider; any other (web
    search, code execution, MCP) goes out as it is to a provider of its format.

    Raises:
        ConfigError: one is no tool, or two have the same name.
    """
    if tools is None:
        return [], []
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise ConfigError(f"tools must be a list of tools, not {type(tools).__name__}")
    definitions: list[Tool | VendorTool] = []
    bound: list[Bound] = []
    names: set[str] = set()
    for number, tool in enumerate(tools):
        where = f"tools[{number}]"
        shape = Shape()
        for definition in _read(tool, where, shape):
            if isinstance(definition, Tool) and not definition.name:
                raise ConfigError(f"{where}.name is empty")
            if definition.name and definition.name in names:
                raise ConfigError(f"tools: two of them are called {definition.name!r}")
            names.add(definition.name)
            definitions.append(definition)
        bound += shape.bound()
    return definitions, bound


def _read(tool: Any, where: str, shape: Shape) -> list[Tool | VendorTool]:
    definition = getattr(tool, "definition", None)
    if isinstance(definition, Tool):
        return [definition]
    if isinstance(tool, VendorTool):
        return [tool]
    if isinstance(tool, Tool):
        return [_checked(tool, where)]
    if isinstance(tool, Mapping):
        declarations = next((name for name in _DECLARATIONS if name in tool), None)
        if declarations is not None:
            return _gemini_functions(tool, declarations, where, shape)
        formats = _vendor_formats(tool)
        if formats is None:
            return [_function(tool, where, shape)]
        shape.bind(formats, where)
        return [VendorTool(dict(tool))]
    raise ConfigError(f"{where} is no tool; give engine.Tool(name, description, parameters)")


_DECLARATIONS: Final = ("functionDeclarations", "function_declarations")

_TYPED: Final = CHAT | RESPONSES | MESSAGES | INTERACTIONS

# "web_search_20250305": Anthropic dates its tools. Gateways take them in the chat format too.
_DATED: Final = re.compile(r"_\d{8}$")


def _vendor_formats(tool: Mapping[str, Any]) -> frozenset[str] | None:
    """The formats that a tool which is no function of the user's may be of; None: it is one."""
    kind = tool.get("type")
    if isinstance(kind, str):
        if kind == "function" or (kind == "custom" and "input_schema" in tool):
            return None
        if kind == "custom":
            return CHAT if "custom" in tool else RESPONSES
        return MESSAGES | CHAT if _DATED.search(kind) else _TYPED
    if "name" in tool or "function" in tool or not tool:
        return None
    # Gemini's: {"googleSearch": {}}
    plain = all(isinstance(value, Mapping | None) for value in tool.values())
    return GEMINI if plain else None


def _gemini_functions(
    tool: Mapping[str, Any], name: str, where: str, shape: Shape
) -> list[Tool | VendorTool]:
    """Gemini's tool, which holds any number of functions and perhaps searches beside them."""
    declarations = tool[name]
    if not isinstance(declarations, list | tuple):
        raise ConfigError(f"{where}.{name} must be a list")
    found: list[Tool | VendorTool] = []
    for number, declaration in enumerate(declarations):
        place = f"{where}.{name}[{number}]"
        if not isinstance(declaration, Mapping):
            raise ConfigError(f"{place} must be a dict, not {type(declaration).__name__}")
        found.append(_function(declaration, place, shape))
    rest = {key: value for key, value in tool.items() if key != name and value is not None}
    if rest:
        shape.bind(GEMINI, f"{where}.{next(iter(rest))}")
        found.append(VendorTool(rest))
    return found


# Where each vendor has the JSON schema of the arguments.
_SCHEMAS: Final = ("parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema")


def _function(tool: Mapping[str, Any], where: str, shape: Shape) -> Tool:
    # OpenAI: {"type": "function", "function": {…}}; Responses has it flat; Anthropic says
    # input_schema; Gemini and others have the bare function.
    nested = isinstance(tool.get("function"), Mapping)
    inner = member(tool, "function", Mapping, where) if nested else tool
    schema = next((inner[name] for name in _SCHEMAS if inner.get(name) is not None), None)
    if schema is not None and not isinstance(schema, Mapping):
        raise ConfigError(f"{where} has parameters that are no JSON schema (a dict)")
    known = ("name", "description", "strict", *_SCHEMAS)
    if nested:
        formats = CHAT | OLLAMA | {"cohere"}
        beside = shape.extra(inner, known, formats, f"{where}.function")
        extra = {"function": beside} if beside else {}
        extra |= shape.extra(tool, ("type", "function"), formats, where)
    elif "input_schema" in tool:
        extra = shape.extra(tool, known, MESSAGES, where, ("type",))
    elif tool.get("type") == "function":
        extra = shape.extra(tool, ("type", *known), RESPONSES, where)
    else:
        extra = shape.extra(tool, known, GEMINI, where)
    strict = inner.get("strict")
    if strict is not None and not isinstance(strict, bool):
        raise ConfigError(f"{where}.strict must be true or false, not {type(strict).__name__}")
    return Tool(
        member(inner, "name", str, where),
        member(inner, "description", str, where, default="") or "",
        strict=strict,
        extra=extra,
        formats=shape.formats if extra else (),
        **({"parameters": schema} if schema is not None else {}),
    )


def _checked(tool: Tool, where: str) -> Tool:
    """`tool`, whose fields nobody has checked yet: constructors check nothing."""
    try:
        return msgspec.json.decode(msgspec.json.encode(tool), type=Tool)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from error
