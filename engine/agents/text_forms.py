"""How models write calls as text: the forms of their own templates, read at one place of a text.

A call stands behind a tag (``<tool_call>`` of Hermes, Qwen and GLM, ``<|tool_call|>`` of Granite,
``[TOOL_CALLS]`` of Mistral, ``<|python_tag|>`` of Llama, the sections of DeepSeek and Kimi, …)
in one of a few bodies: JSON, a name and JSON, tags for each parameter, or a call as Python has it.
The tags are told by a pattern, and bodies by their form, not by the model. Pure.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from engine.agents.text_tags import DRESSING, Tags, is_closing
from engine.agents.tools.tool import FunctionTool
from engine.messages import ToolCall

__all__ = ["Forms"]

_SEPARATOR: Final = (
    r"(?:<[|｜]tool[_▁](?:sep|call[_▁]argument[_▁]begin)[|｜]>|\[ARGS\]|\[CALL_ID\]\w+\[ARGS\]"
    r"|<\|content\|>|(?:<\|channel\|>\w+)?\s*(?:<\|constrain\|>)?\s*(?:json)?\s*<\|message\|>)"
)
# "function<｜tool▁sep｜>" says of what kind the call is, and the name follows.
_KIND: Final = re.compile(r"function<[|｜]tool[_▁]sep[|｜]>\s*")
_NAMED: Final = re.compile(
    rf"(?:to=)?(?:functions\.)?([\w.-]+?)(?::\d+)?\s*(?:{_SEPARATOR}\s*)?(?:```(?:json)?\s*)?(?=\{{)"
)
_PREFIX: Final = r"(?:\w+:|[|｜]?DSML[|｜])?"
_FUNCTION: Final = re.compile(
    rf"<{_PREFIX}(function|invoke)(?:=|\s+name=)\"?([\w.:-]+)\"?\s*>\s*(.*?)\s*</{_PREFIX}\1>",
    re.DOTALL,
)
_PARAMETER: Final = re.compile(
    rf"\s*<{_PREFIX}parameter(?:=|\s+name=)\"?([\w.-]+)\"?[^>]*>\n?(.*?)\n?</{_PREFIX}parameter>",
    re.DOTALL,
)
_KEYED: Final = re.compile(r"([\w.-]+)\s*(?=<(?:\w+_)?arg_key>)")
_PAIR: Final = re.compile(
    r"\s*<(?:\w+_)?arg_key>\s*(.*?)\s*</(?:\w+_)?arg_key>\s*<(?:\w+_)?arg_value>(.*?)</(?:\w+_)?arg_value>",
    re.DOTALL,
)
_ALONE: Final = re.compile(
    r"(?:functions\.)?([\w.-]+?)(?::\d+)?\s*(?=</|<[|｜]/|<[|｜][\w▁]*end[|｜]>)"
)
_GEMMA: Final = re.compile(r"call:([\w.-]+)\{(.*?)\}(?=<end_function_call>)", re.DOTALL)
_GEMMA_PAIR: Final = re.compile(
    r"\s*,?\s*([\w.-]+):(?:<escape>(.*?)<escape>|([^,{}\[\]]+))", re.DOTALL
)
_BEGUN: Final = re.compile(
    rf"[\[{{]|<{_PREFIX}(?:function|invoke|parameter|(?:\w+_)?arg_key)|<[^<>]*\Z"
    r"|[\w.:-]+\s*(?:[({<\[]|```|\Z)|\Z"
)
_PYTHON: Final = re.compile(r"\[?\s*[A-Za-z_][\w.]*\(")

_LOOSE: Final = (",", ";", "```")
_FENCE: Final = re.compile(
    r"\A\s*```(json|tool_call|tool_code|xml)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL
)

_NAMES: Final = ("name", "tool_name", "tool", "function_name")
_INPUTS: Final = ("arguments", "parameters", "args", "input", "tool_input")


class Forms:
    """Reads calls.

    Args:
        tools: by name: what a parameter's text means hangs on its type.

    Attributes:
        tags: where calls may begin.
    """

    def __init__(self, tools: Mapping[str, FunctionTool]) -> None:
        self._tools = tools
        self.tags: Tags = Tags(tools)

    def read(self, text: str, place: int) -> list[list[ToolCall | None]]:
        """The calls in `text` from `place` on, in runs between which there is talk (the last is
        empty where the text ends with it); None for what began as a call and is none, and then
        nothing follows."""
        runs: list[list[ToolCall | None]] = [[]]
        expecting, since, opened = True, place, False
        while place < len(text):
            dressing = DRESSING.match(text, place)
            if text[place].isspace():
                place += 1
            elif dressing is not None and (expecting or dressing[0] not in _LOOSE):
                if dressing[0] not in _LOOSE:
                    opened = expecting = not is_closing(dressing[0])
                place = dressing.end()
            else:
                opened = False
                found, end = self._one(text, place, expecting)
                if end < 0 and expecting and _BEGUN.match(text, place):
                    runs[-1].append(None)
                    return runs
                runs[-1] += found
                if end < 0:
                    runs += [[]] if runs[-1] else []
                    place = self.tags.opening(text, since, place + 1)
                    # No fence is open there, so that those before it need not be counted again.
                    place = since = place if place >= 0 else len(text)
                    expecting = True
                else:
                    place = since = end
                    expecting = text[end - 1] != ">"
        if opened:
            runs[-1].append(None)
        return runs

    def bare(self, text: str) -> list[ToolCall]:
        """The calls that are all of `text`, without a tag, each of a tool there is; else none."""
        fence = _FENCE.match(text)
        inner = (fence[2] if fence is not None else text).strip()
        name = inner.partition("\n")[0].strip()
        code = fence is not None and fence[1] == "tool_code"
        if not (inner[:1] in ("{", "[") or name in self._tools or code or fence is not None):
            return []
        start = self.tags.opening(inner, 0) if fence is not None else -1
        if start < 0 and not (inner[:1] in ("{", "[") or name in self._tools or code):
            return []
        runs = self.read(inner, max(start, 0))
        calls = [call for call in runs[0] if call is not None and call.name in self._tools]
        return calls if len(runs) == 1 and len(calls) == len(runs[0]) else []

    # ------------------------------------------------------------------------------------------

    def _one(self, text: str, place: int, expecting: bool) -> tuple[list[ToolCall | None], int]:
        """The call, or list of calls, at `place`, and where it ends; -1 where there is none."""
        function = _FUNCTION.match(text, place)
        if function is not None:
            return [self._function(function[2], function[3])], function.end()
        if not expecting:
            return [], -1
        if (kind := _KIND.match(text, place)) is not None:
            place = kind.end()
        if (keyed := _KEYED.match(text, place)) is not None:
            calls, end = self._pairs(text, keyed[1], keyed.end(), _PAIR)
            return (calls, end) if text[end:].lstrip().startswith("</") else ([], -1)
        if (gemma := _GEMMA.match(text, place)) is not None:
            calls, end = self._pairs(gemma[2], gemma[1], 0, _GEMMA_PAIR)
            whole = not gemma[2][end:].strip() if end >= 0 else False
            return (calls if whole else [None]), gemma.end()
        if (named := _NAMED.match(text, place)) is not None:
            value, end = _json(text, named.end())
            return ([_call(self._known(named[1]), value)], end) if end >= 0 else ([], -1)
        if (alone := _ALONE.match(text, place)) is not None and self._known(
            alone[1]
        ) in self._tools:
            return [_call(self._known(alone[1]), {})], alone.end()
        value, end = _json(text, place)
        if end >= 0:
            values = value if isinstance(value, list) else [value]
            return [call for each in values for call in self._objects(each)], end
        return self._python(text, place)

    def _function(self, name: str, body: str) -> ToolCall | None:
        if body.startswith("{"):
            value, end = _json(body, 0)
            return _call(self._known(name), value) if end >= 0 and not body[end:].strip() else None
        calls, end = self._pairs(body, name, 0, _PARAMETER)
        return calls[0] if not body[max(end, 0) :].strip() else None

    def _pairs(
        self, text: str, name: str, place: int, pair: re.Pattern[str]
    ) -> tuple[list[ToolCall | None], int]:
        """The call of `name` whose parameters stand at `place` one after the other."""
        name, given = self._known(name), {}
        while match := pair.match(text, place):
            value = next((each for each in match.groups()[1:] if each is not None), "")
            given[match[1]] = self._typed(name, match[1], value)
            place = match.end()
        return [_call(name, given)], place

    def _typed(self, name: str, parameter: str, text: str) -> Any:
        """The value of a parameter that is text: what its schema says it is."""
        tool = self._tools.get(name)
        properties = tool.signature.schema.get("properties", {}) if tool is not None else {}
        kinds = _kinds(properties.get(parameter, {}))
        value, found = _literal(text.strip())
        if found and (_kind_of(value) in kinds or (not kinds and not isinstance(value, str))):
            return text if isinstance(value, str) else value
        if "string" in kinds or not found:
            return text
        return value

    def _python(self, text: str, place: int) -> tuple[list[ToolCall | None], int]:
        """``add(a=1, b=2)``, or a list of such."""
        if _PYTHON.match(text, place) is None:
            return [], -1
        for end in _ends(text, place):
            try:
                tree = ast.parse(text[place:end].strip(), mode="eval").body
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            nodes = tree.elts if isinstance(tree, ast.List) else [tree]
            return [self._called(node) for node in nodes], end
        return [], -1

    def _called(self, node: ast.expr) -> ToolCall | None:
        if not isinstance(node, ast.Call):
            return None
        try:
            name = self._known(ast.unparse(node.func).removesuffix(".call"))
            tool = self._tools.get(name)
            names = tool.signature.names if tool is not None else ()
            if len(node.args) > len(names) or any(each.arg is None for each in node.keywords):
                return None
            given = dict(zip(names, map(ast.literal_eval, node.args), strict=False))
            given.update({str(each.arg): ast.literal_eval(each.value) for each in node.keywords})
            return _call(name, given)
        except (ValueError, TypeError, MemoryError, RecursionError):
            return None

    def _objects(self, value: Any) -> list[ToolCall | None]:
        """``{"name": …, "arguments": …}``, also inside of ``{"function": …}`` or ``{"tool_calls":
        […]}``; or ``{name: arguments}``."""
        if not isinstance(value, dict):
            return [None]
        inner = next(
            (
                value[key]
                for key in ("tool_calls", "tool_call")
                if isinstance(value.get(key), list | dict)
            ),
            None,
        )
        if inner is not None:
            return [
                c
                for each in (inner if isinstance(inner, list) else [inner])
                for c in self._objects(each)
            ]
        function = value.get("function")
        inner = function if isinstance(function, dict) else value
        name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
        if name is None and isinstance(function, str):
            name = function
        if name is None and len(value) == 1 and next(iter(value)) in self._tools:
            [(name, given)] = value.items()
            return [_call(name, given)]
        if not name:
            return [None]
        name = self._known(name)
        given = next((inner[key] for key in _INPUTS if key in inner), None)
        if isinstance(given, str):
            given, end = _json(given.strip() or "{}", 0)
            given = given if end >= 0 else ""
        tool = self._tools.get(name)
        if given is None and tool is not None and not tool.signature.required:
            given = {}
        return [_call(name, given)]

    def _known(self, name: str) -> str:
        """The tool meant: templates write ``functions.add:0`` for ``add``."""
        if name in self._tools:
            return name
        plain = re.sub(r":\d+\Z", "", name.strip()).removeprefix("functions.")
        return plain if plain in self._tools else name


def _call(name: str, given: Any) -> ToolCall | None:
    if not isinstance(given, dict):
        return None
    return ToolCall("", name, msgspec.json.encode(given).decode())


def _json(text: str, place: int) -> tuple[Any, int]:
    """The value at `place` and where it ends; -1 where there is none."""
    if text[place : place + 1] not in ("{", "["):
        return None, -1
    try:
        return json.JSONDecoder(parse_constant=_no_constant).raw_decode(text, place)
    except (ValueError, RecursionError):
        return None, -1


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _literal(text: str) -> tuple[Any, bool]:
    """`text` as JSON, or as Python says what JSON has other words for; and whether it is one."""
    try:
        return json.loads(text, parse_constant=_no_constant), True
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(text)
        return value, isinstance(value, bool | int | float | list | dict | None)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None, False


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types a value may have; none where the schema does not say."""
    kind = schema.get("type")
    kinds = {kind} if isinstance(kind, str) else set(kind or ())
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        kinds |= _kinds(choice)
    if "$ref" in schema:
        kinds.add("object")
    return (
        kinds | {"number"}
        if "integer" in kinds
        else kinds | ({"integer"} if "number" in kinds else set())
    )


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


# So many places where a call as Python has it may end are tried.
_MOST_TRIED: Final = 200


def _ends(text: str, place: int) -> Iterator[int]:
    """Where a call, or a list of calls, may end."""
    closing = "]" if text[place] == "[" else ")"
    end = place
    for _ in range(_MOST_TRIED):
        end = text.find(closing, end) + 1
        if not end:
            return
        yield end
