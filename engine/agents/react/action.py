"""What a model wrote as its action, made into a call: which tool, and its arguments as JSON."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from engine.agents.react.markers import MARKERS, word_of
from engine.agents.tools.tool import FunctionTool
from engine.errors import EngineError

__all__ = ["FINAL", "MisreadError", "parse_action"]

# Names of no tool, by which models say that they are done; the input is the answer then.
FINAL: Final = frozenset(
    {"finalanswer", "finish", "answer", "final", "finalize", "respond"}
    | {"最终答案", "最终回答", "最終答案", "最終回答"}
)

_NAMES: Final = ("action", "tool", "tool_name", "name", "function")
_INPUTS: Final = ("action_input", "input", "arguments", "args", "parameters", "tool_input")
_FENCE: Final = re.compile(r"\A`{3,}\w*\s*\n?(.*?)\n?\s*`{3,}.*\Z", re.DOTALL)
_OPEN_FENCE: Final = re.compile(r"\A`{3,}\w*\s*\n(.*)\Z", re.DOTALL)
_CALL: Final = re.compile(
    r"\A[`*\"']*([\w.-]+)[`*\"']*\s*(?:([\[({])|[:=,-]\s|->\s*|\n)(.*)\Z", re.DOTALL
)
_INPUT: Final = re.compile(
    r"\s*[*_]*(?:(?:Action|Tool)[ _]?(?:Input|Args|Arguments)|(?:行动|动作)输入"
    r"|(?:行動|動作)輸入)[*_]*\s*[:：]\s*[*_]*",
    re.IGNORECASE,
)
_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}
_LINE: Final = re.compile(r"\s*[-*]?\s*[\"'`]?(\w+)[\"'`]?\s*[:=]\s*(.*?)\s*,?\s*\Z")
# What begins as JSON, or as a literal of Python, begins: an object, a list of values, a quotation
# that is not closed. Sets, comprehensions, "[INFO]" and the like are text.
_LIKE_JSON: Final = re.compile(
    r"\{\s*(?:[\"'}{]|[\w-]+\s*:|\Z)|\[\s*(?:[\"'{\[\]]|-?\d|true\b|false\b|null\b|\Z)"
)
_LABEL: Final = re.compile(r"(?:json|arguments?|args|input)\s*[:=]?\s*(?=[{\[])", re.IGNORECASE)
# In a sentence about a tool: it is spoken of, and perhaps not asked for.
_NEGATED: Final = re.compile(
    r"\b(?:not|don'?t|never|no|none|nothing|neither|without|instead|avoid|cannot|can'?t|won'?t|shouldn'?t)\b",
    re.IGNORECASE,
)


class MisreadError(ValueError):
    """Nothing can be made of what the model wrote; the message is for the model."""


def parse_action(
    action: str, input: str, tools: Mapping[str, FunctionTool]
) -> tuple[str, str | None, str]:
    """Name, arguments as JSON (None where the name is one of `FINAL` and no tool's), and the input
    as text. Text that begins like JSON is JSON: nothing is carried out that was not asked for.

    Raises:
        MisreadError: it is not whole, or is not what it should be.
    """
    action = _unfenced(action)
    parts = _INPUT.split(action, maxsplit=1)
    if len(parts) == 2 and not input:
        action, input = parts
    given = _json_call(action) or _json_call(_unfenced(input), bare=not action)
    if given is not None:
        name, value = given
        return _arguments(_known(name, tools), value, tools)
    if _LIKE_JSON.match(action):
        return action, "{}", input
    name, rest = _split(action, tools)
    return _arguments(_known(name, tools), input or rest, tools)


def _arguments(
    name: str, value: Any, tools: Mapping[str, FunctionTool]
) -> tuple[str, str | None, str]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _unlabelled(_unfenced(text))
    tool = tools.get(name)
    if tool is None:
        if _plain(name) in FINAL:
            return name, None, _unquoted(text)
        return name, text if _is_object(text) else "{}", text
    first: tuple[str, EngineError] | None = None
    for candidate in _readings(text, tool):
        if _is_schema(candidate, tool):
            raise MisreadError(
                f"Your last Action Input is the schema of {name}, not its arguments."
            )
        arguments = msgspec.json.encode(candidate, enc_hook=str).decode()
        try:
            tool.signature.decode(arguments)
        except EngineError as error:
            first = first or (arguments, error)
        else:
            return name, arguments, text
    if first is None:
        raise MisreadError(f"Your last Action Input, the arguments of {name}, is not whole JSON.")
    # They do not fit, which the model is told as the result of its call.
    return name, first[0], text


def _readings(text: str, tool: FunctionTool) -> Iterator[dict[str, Any]]:
    """What `text` may mean as arguments of `tool`, the likeliest first."""
    names = tool.signature.names
    value, found = _value(text)
    if isinstance(value, str) and _LIKE_JSON.match(value.strip()):
        inner, whole = _value(value.strip())  # encoded twice
        if isinstance(inner, dict) or not whole:
            text, value, found = value.strip(), inner, whole
    if isinstance(value, dict):
        yield value
    if not text or text.lower() in ("none", "n/a", "null"):
        yield {}
        return  # it gives nothing: which is no text to carry out
    if not names and text in ("{}", "()", "[]"):
        yield {}
    wanted = tool.signature.required or names
    if _is_unclosed(text) or (_LIKE_JSON.match(text) and not _is_plain_list(value)):
        if found and wanted and not isinstance(value, dict):
            yield {wanted[0]: value}
        return
    keywords = _keywords(text, names)
    if keywords:
        yield keywords
    if len(names) > 1 and (by_line := _by_line(text, names)):
        yield by_line
    if wanted and text:
        if found and not isinstance(value, dict):
            yield {wanted[0]: value}
        yield {wanted[0]: _unquoted(text)}


def _is_plain_list(value: Any) -> bool:
    """Whether it is a list of numbers, which may as well be the text it looks like."""
    return isinstance(value, list) and not any(isinstance(each, str | dict) for each in value)


def _is_unclosed(text: str) -> bool:
    """Whether `text` is a quotation that never ends, or begins with a bracket that does not."""
    first = text[:1]
    if first in ("{", "["):
        return text.count(first) > text.count(_CLOSING[first])
    return first in ('"', "'") and len(re.findall(rf"(?<!\\){first}", text)) == 1


def _is_schema(given: dict[str, Any], tool: FunctionTool) -> bool:
    """Whether the model wrote back what it was told of the tool, in the place of arguments."""
    schema = tool.signature.schema
    properties: Mapping[str, Any] = schema.get("properties", {})
    if given.get("type") == "object" and "properties" in given and "properties" not in properties:
        return True
    return bool(given) and all(
        isinstance(value, dict)
        and value.keys() & {"type", "anyOf", "$ref"}
        and name in properties
        and value.get("type") == properties[name].get("type")
        for name, value in given.items()
    )


def _unlabelled(text: str) -> str:
    label = _LABEL.match(text)
    return text[label.end() :] if label is not None else text


def _value(text: str) -> tuple[Any, bool]:
    """`text` as JSON or as a Python literal, whatever follows it; and whether it is one."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        pass
    else:
        rest = text[end:].strip()
        # What follows an object is talk, unless it is another object: which one was meant?
        if not rest or (isinstance(value, dict) and not rest.startswith(("{", "[", ","))):
            return value, True
    try:
        value = ast.literal_eval(text)
        # A set is an object whose colons are missing, a tuple of objects is two calls.
        odd = isinstance(value, set | tuple) and text.startswith("{")
        return (None, False) if odd else (value, True)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None, False


def _keywords(text: str, names: tuple[str, ...]) -> dict[str, Any] | None:
    """``a=1, b="x"``, or ``1, 2`` in the order of the parameters."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or len(call.args) > len(names):
            return None
        given = dict(zip(names, map(ast.literal_eval, call.args), strict=False))
        for keyword in call.keywords:
            if keyword.arg is None:
                return None
            given[keyword.arg] = ast.literal_eval(keyword.value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return given if call.keywords or len(names) > 1 else None


def _by_line(text: str, names: tuple[str, ...]) -> dict[str, Any] | None:
    """``a: 1`` and ``b: x``, a line each."""
    given: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        match = _LINE.match(line)
        if match is None or match[1] not in names:
            return None
        value, found = _value(match[2])
        given[match[1]] = value if found else match[2]
    return given


def _json_call(text: str, bare: bool = True) -> tuple[str, Any] | None:
    """Name and input of a call that is one JSON object."""
    if not bare or not text.startswith("{"):
        return None
    value, _ = _value(text)
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given = next((value[key] for key in _INPUTS if key in value), None)
    return (name, "" if given is None else given) if name is not None else None


def _split(action: str, tools: Mapping[str, FunctionTool]) -> tuple[str, str]:
    """Name and input of ``search[cats]``, ``search("cats")``, ``search: cats``."""
    match = _CALL.match(action)
    if match is None or (_known(match[1], tools) not in tools and _plain(match[1]) not in FINAL):
        return action, ""
    rest = match[3].strip()
    if match[2] is None:
        # The beginning of a marker on the next line is no input: the model broke off there.
        begun = any(marker.startswith(word_of(rest)) for marker in MARKERS)
        return match[1], "" if begun else rest
    closing = _CLOSING[match[2]]
    end = rest.rfind(closing)
    inside = rest[:end] if end >= 0 else rest
    return match[1], f"{{{inside}}}" if closing == "}" else inside.strip()


def _known(name: str, tools: Mapping[str, FunctionTool]) -> str:
    """The tool meant by `name`: itself, in another spelling, or the only one named in it."""
    cleaned = name.strip().strip("*`\"'[]()<>.:").strip()
    if cleaned in tools:
        return cleaned
    plain = _plain(cleaned)
    same = [each for each in tools if _plain(each) == plain]
    if len(same) == 1:
        return same[0]
    if _NEGATED.search(cleaned):
        return cleaned
    words = re.findall(r"[\w.-]+", cleaned)
    named = [each for each in tools if each in words]
    return named[0] if len(named) == 1 else cleaned


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _unfenced(text: str) -> str:
    text = text.strip()
    text = text.removesuffix("</tool_call>").strip()
    fence = _FENCE.match(text) or _OPEN_FENCE.match(text)
    if fence is not None:
        return fence[1].strip()
    if text.count("`") == 1:
        return text
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == "`" else text


def _unquoted(text: str) -> str:
    value, found = _value(text)
    return value if found and isinstance(value, str) else text


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
