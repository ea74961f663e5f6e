"""Scripts: what the emulated model does, turn by turn, for tests of agents.

A message of the user or the system may hold one, ``[[script: LIST]]``, where LIST is JSON. Each
item is one turn of the model:

    "text"                                            says it
    {"text": "…"}                                     the same
    {"tool": "add", "arguments": {"a": 1, "b": 2}}    calls a tool
    {"tools": [{"name": "add", "arguments": {…}}, …]}  calls several at once
    {"thought": "…", "action": "add", "input": "1"}   says so as ReAct text
    {"thought": "…", "final": "…"}                    ends as ReAct text
    {"refusal": "…"}                                  refuses
    {"error": "error-500"}                            fails so: see `engine.emulator.settings`
    {"loop": true}                                    begins again at the first item

``thinking`` may stand beside text, tools and refusal, ``text`` beside tools. Arguments that are a
string are sent as they are, whether JSON or not. The turn is the number of assistant messages
after the script; the last script in the conversation counts. Once it is over, the model answers
as without one. For example, a loop that never ends:

    [[script: [{"tool": "search", "arguments": {"query": "again"}}, {"loop": true}]]]
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from engine.emulator.contract import BadRequest, Question

__all__ = ["Act", "scripted", "scripted_error"]

_START: Final = re.compile(r"\[\[\s*script:\s*", re.IGNORECASE)


class Act(msgspec.Struct, frozen=True):
    """What the model does in one turn.

    Attributes:
        pieces: the text, where it is in tokens already.
        calls: name and arguments of each tool to call.
        error: how the turn fails, in the words of `Settings.error`.
    """

    text: str = ""
    pieces: list[str] = []
    thinking: str | None = None
    refusal: str | None = None
    calls: list[tuple[str, Any]] = []
    error: str | None = None


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: Any = {}


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    thinking: str | None = None
    refusal: str | None = None
    tool: str | None = None
    arguments: Any = {}
    tools: list[_Call] = []
    thought: str | None = None
    action: str | None = None
    input: str = ""
    final: str | None = None
    error: str | None = None
    loop: bool = False


def scripted(question: Question) -> Act | None:
    """What the script of `question` says for this turn; None: there is none, or it is over.

    Raises:
        BadRequest: the script cannot be read.
    """
    found: list[str | _Item] | None = None
    turn = 0
    for message in question.turns:
        if message.role == "assistant":
            turn += 1
        elif "[[" in message.text and (match := _START.search(message.text)):
            found, turn = _read(message.text[match.end() :]), 0
    if not found:
        return None
    if isinstance(last := found[-1], _Item) and last.loop:
        items = found[:-1]
        return _act(items[turn % len(items)]) if items else None
    return _act(found[turn]) if turn < len(found) else None


def scripted_error(question: Question) -> str | None:
    """How the script wants this turn to fail, or None."""
    act = scripted(question)
    return act.error if act is not None else None


def _read(text: str) -> list[str | _Item]:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
        if not text[end:].lstrip().startswith("]]"):
            raise ValueError("it must end in ]]")
        msgspec.json.encode(value)  # a lone surrogate could not be sent
        return msgspec.convert(value, list[str | _Item])
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the script in the prompt cannot be read: {error}") from None


def _act(item: str | _Item) -> Act:
    if isinstance(item, str):
        return Act(text=item)
    calls = [(call.name, call.arguments) for call in item.tools]
    if item.tool is not None:
        calls.insert(0, (item.tool, item.arguments))
    text = item.text or _react_text(item)
    return Act(text, [], item.thinking, item.refusal, calls, item.error)


def _react_text(item: _Item) -> str:
    lines = []
    if item.thought is not None:
        lines.append(f"Thought: {item.thought}")
    if item.action is not None:
        lines += [f"Action: {item.action}", f"Action Input: {item.input}"]
    if item.final is not None:
        lines.append(f"Final Answer: {item.final}")
    return "\n".join(lines)
