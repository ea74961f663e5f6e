"""Calls that a model writes as text, because the server in front of it does not parse them.

The forms are those of the models' own templates: ``<tool_call>{…}</tool_call>`` (Hermes, Qwen),
``<function=name>{…}</function>`` and ``<function=name><parameter=key>…`` (Llama, Qwen Coder),
``[TOOL_CALLS][…]`` (Mistral), ``<|python_tag|>{…}`` (Llama), and a bare object with a name and
arguments that is all of the answer. Pure: text in, calls out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from engine.agents.tools.tool import FunctionTool
from engine.messages import ToolCall

__all__ = ["TextCalls"]

_OPENINGS: Final = ("<tool_call>", "<function=", "[TOOL_CALLS]", "<|python_tag|>")
_CLOSINGS: Final = re.compile(r"\s*(?:</tool_call>|</function>|<\|eom_id\|>|<\|eot_id\|>|</s>)")
_FUNCTION: Final = re.compile(r"\s*<function=([\w.-]+)>\s*(.*?)\s*</function>", re.DOTALL)
_PARAMETER: Final = re.compile(r"\s*<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
# Mistral's newer form: the name, then its arguments, with or without a word between.
_NAMED: Final = re.compile(r"\s*([\w.-]+)\s*(?:\[ARGS\]|\[CALL_ID\]\w+\[ARGS\])?\s*(?=\{)")
_FENCE: Final = re.compile(r"\A\s*```(?:json|tool_call)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
_INPUTS: Final = ("arguments", "parameters")


class TextCalls:
    """Fed the text of one answer; keeps back what may be a call.

    Args:
        tools: by name; a bare object is a call only of one of them.

    Attributes:
        broken: what began as a call and is none, for the model; None where nothing did.
        written: the text of the calls, once it is over.
    """

    def __init__(self, tools: Mapping[str, FunctionTool]) -> None:
        self.broken: str | None = None
        self.written: str = ""
        self._tools = tools
        self._held = ""
        self._calling = False
        self._spoke = False

    def feed(self, text: str) -> str:
        """What of the text so far is certain to be no call."""
        self._held += text
        if self._calling:
            return ""
        if not self._spoke and self._held.lstrip()[:1] in ("{", "[", "`", ""):
            # An object, a list or a fence at the beginning may be a bare call; so may nothing yet.
            return ""
        places = [place for place in map(self._held.find, _OPENINGS) if place >= 0]
        if places:
            self._calling = True
            return self._say(min(places))
        longest = max(_overlap(self._held, opening) for opening in _OPENINGS)
        return self._say(len(self._held) - longest)

    def finish(self) -> tuple[str, list[ToolCall]]:
        """The rest of the text, and the calls in it: all of them, or none where one is broken."""
        text, self._held = self._held, ""
        if not self._calling and (place := self._first(text)) > 0:
            said, rest = text[:place], text[place:]
        else:
            said, rest = "", text
        calls = list(self._read(rest))
        if None in calls:
            self.broken = rest.strip()[:200]
            return said, []
        whole = [call for call in calls if call is not None]
        if not whole:
            return text, []
        self.written = rest
        return said, whole

    # ------------------------------------------------------------------------------------------

    def _first(self, text: str) -> int:
        places = [place for place in map(text.find, _OPENINGS) if place >= 0]
        return min(places, default=-1)

    def _say(self, end: int) -> str:
        said, self._held = self._held[:end], self._held[end:]
        self._spoke = self._spoke or bool(said.strip())
        return said

    def _read(self, text: str) -> Iterator[ToolCall | None]:
        """The calls in `text`; None for one that is not whole."""
        opened = any(opening in text for opening in _OPENINGS)
        if not opened:
            yield from self._bare(text)
            return
        place = 0
        while place < len(text):
            if text[place:].strip() == "":
                return
            closing = _CLOSINGS.match(text, place)
            if closing is not None:
                place = closing.end()
                continue
            found, place = self._one(text, place)
            yield from found

    def _one(self, text: str, place: int) -> tuple[list[ToolCall | None], int]:
        """The call, or list of calls, at `place`, and where it ends."""
        function = _FUNCTION.match(text, place)
        if function is not None:
            return [self._function(function[1], function[2])], function.end()
        start = len(text) - len(text[place:].lstrip())
        opening = next((each for each in _OPENINGS if text.startswith(each, start)), None)
        if opening is not None and opening != "<function=":
            return [], start + len(opening)
        named = _NAMED.match(text, place)
        value, end = _json(text, named.end() if named is not None else start)
        if end < 0:
            # Words between and after calls are talk; anything else is a call that is not whole.
            if opening is not None or text[start] in "{[" or named is not None:
                return [None], len(text)
            places = [each for each in (text.find(o, start) for o in _OPENINGS) if each >= 0]
            return [], min(places, default=len(text))
        if named is not None:
            return [_call(named[1], value)], end
        values = value if isinstance(value, list) else [value]
        return [_of_object(each) for each in values], end

    def _function(self, name: str, body: str) -> ToolCall | None:
        if body.startswith("{"):
            value, end = _json(body, 0)
            return _call(name, value) if end >= 0 and not body[end:].strip() else None
        given: dict[str, Any] = {}
        place = 0
        while match := _PARAMETER.match(body, place):
            given[match[1]] = self._typed(name, match[1], match[2])
            place = match.end()
        return _call(name, given) if not body[place:].strip() else None

    def _typed(self, name: str, parameter: str, text: str) -> Any:
        """The value of a parameter between tags: what is no string by the schema is JSON."""
        tool = self._tools.get(name)
        properties = tool.signature.schema.get("properties", {}) if tool is not None else {}
        schema = properties.get(parameter, {})
        if schema.get("type") == "string":
            return text
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text

    def _bare(self, text: str) -> Iterator[ToolCall | None]:
        fence = _FENCE.match(text)
        inner = (fence[1] if fence is not None else text).strip()
        if inner[:1] not in ("{", "["):
            return
        value, end = _json(inner, 0)
        if end < 0 or inner[end:].strip():
            return  # JSON that is not whole, or that is spoken of, is an answer
        values = value if isinstance(value, list) else [value]
        calls = [_of_object(each) for each in values]
        if calls and all(call is not None and call.name in self._tools for call in calls):
            yield from calls


def _of_object(value: Any) -> ToolCall | None:
    """``{"name": …, "arguments": …}``, also inside of ``{"function": …}``."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function", value)
    inner = inner if isinstance(inner, dict) else value
    name = inner.get("name")
    given = next((inner[key] for key in _INPUTS if key in inner), None)
    if isinstance(given, str):
        given, end = _json(given, 0)
        given = given if end >= 0 else None
    if not isinstance(name, str) or not name or not isinstance(given, dict):
        return None
    return _call(name, given)


def _call(name: str, given: Any) -> ToolCall | None:
    if not isinstance(given, dict):
        return None
    return ToolCall("", name, msgspec.json.encode(given).decode())


def _json(text: str, place: int) -> tuple[Any, int]:
    """The value at `place` and where it ends; -1 where there is none."""
    try:
        return json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError):
        return None, -1


def _overlap(text: str, opening: str) -> int:
    """How many characters at the end of `text` may be the beginning of `opening`."""
    most = min(len(text), len(opening) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(opening[:n])), 0)
