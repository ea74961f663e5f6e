"""Chat Completions: OpenAI's reference, and where other vendors are stricter.

- https://platform.openai.com/docs/api-reference/chat/create (messages, tool_calls; errors "string
  too long. Expected a string with maximum length 40", "An assistant message with 'tool_calls' must
  be followed by tool messages responding to each 'tool_call_id'")
- https://docs.mistral.ai/api (AssistantMessage, ToolMessage; unknown fields are refused with 422;
  "Tool call id … must be a-z, A-Z, 0-9, with a length of 9")
- https://api-docs.deepseek.com/api/create-chat-completion
- https://platform.moonshot.ai/docs/api/chat ("the message … with role 'assistant' must not be
  empty")
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

_PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
}
_KEYS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"},
    "tool": {"role", "content", "tool_call_id"},
}


def any_server(body: dict[str, Any]) -> list[str]:
    """What every server of the format asks for; each may know more than OpenAI's fields."""
    found: list[str] = []
    if not body.get("messages"):
        return ["messages is empty"]
    waiting: set[str] = set()
    for number, line in enumerate(body["messages"]):
        where = f"messages[{number}]"
        role = line.get("role")
        if role not in _KEYS:
            found.append(f"{where}.role {role!r}")
            continue
        if role == "tool":
            id = line.get("tool_call_id")
            if id not in waiting:
                found.append(f"{where}: no call {id!r} waits for a result")
            waiting.discard(id)
        elif waiting:
            found.append(f"{where}: the calls {waiting} have no results")
            waiting = set()
        if role == "assistant":
            waiting = {call["id"] for call in line.get("tool_calls") or ()}
            found += _calls(line, where)
        if line.get("content") is None and role != "assistant":
            found.append(f"{where} has no content")
    if waiting:
        found.append(f"the calls {waiting} have no results")
    return found


def _calls(line: dict[str, Any], where: str) -> list[str]:
    found: list[str] = []
    calls = line.get("tool_calls")
    if calls == []:
        found.append(f"{where}.tool_calls is empty")
    if line.get("content") is None and not calls and not line.get("audio"):
        found.append(f"{where} has neither content nor tool_calls")
    ids = [call.get("id") for call in calls or ()]
    if len(set(ids)) != len(ids):
        found.append(f"{where}: two calls of one id")
    for call in calls or ():
        if not isinstance(call.get("id"), str) or not call["id"]:
            found.append(f"{where}: a call without id")
        inner = call.get(call.get("type"))
        if not isinstance(inner, dict) or not re.fullmatch(r"[\w.-]{1,64}", inner.get("name", "")):
            found.append(f"{where}: a call that names no tool: {call}")
            continue
        if call["type"] == "function" and not isinstance(json.loads(inner["arguments"]), dict):
            found.append(f"{where}: arguments are no object: {inner['arguments']}")
    return found


def openai(body: dict[str, Any]) -> list[str]:
    """OpenAI itself: unknown fields of a message are refused, and so are long ids."""
    found = any_server(body) + _known(body, {})
    for number, line in enumerate(body["messages"]):
        for call in line.get("tool_calls") or ():
            if len(call["id"]) > 40:
                found.append(f"messages[{number}]: the id {call['id']!r} is too long")
            found += _unknown(call, {"id", "type", "function", "custom"}, f"messages[{number}]")
    return found


def mistral(body: dict[str, Any]) -> list[str]:
    """Mistral: nine letters and digits, and no field it does not know."""
    more = {"assistant": {"prefix"}, "tool": {"name"}}
    found = any_server(body) + _known(body, more, {"thinking", "reference", "document_url"})
    for number, line in enumerate(body["messages"]):
        where = f"messages[{number}]"
        if line["role"] == "developer":
            found.append(f"{where}.role developer")
        if line["role"] == "assistant" and not line.get("content") and not line.get("tool_calls"):
            found.append(f"{where} must have either content or tool_calls")
        for id in [call["id"] for call in line.get("tool_calls") or ()]:
            if not re.fullmatch("[a-zA-Z0-9]{9}", id):
                found.append(f"{where}: the id {id!r}")
    return found


def deepseek(body: dict[str, Any]) -> list[str]:
    """DeepSeek: a text is a string, and its reasoning is known."""
    found = any_server(body)
    more = {"assistant": {"prefix", "reasoning_content"}}
    for number, line in enumerate(body["messages"]):
        parts = line["content"] if isinstance(line.get("content"), list) else ()
        if parts and all(part.get("type") == "text" for part in parts):
            found.append(f"messages[{number}].content is no string")
    return found + _known(body, more)


def moonshot(body: dict[str, Any]) -> list[str]:
    """Moonshot: no empty answer."""
    found = any_server(body)
    for number, line in enumerate(body["messages"]):
        if line["role"] == "assistant" and not (line.get("content") or line.get("tool_calls")):
            found.append(f"messages[{number}] must not be empty")
    return found + _known(body, {"assistant": {"partial", "reasoning_content"}, "tool": {"name"}})


def _known(
    body: dict[str, Any], more: dict[str, set[str]], parts: Collection[str] = ()
) -> list[str]:
    found: list[str] = []
    for number, line in enumerate(body["messages"]):
        where = f"messages[{number}]"
        role = line["role"]
        found += _unknown(line, _KEYS[role] | more.get(role, set()), where)
        if isinstance(line.get("content"), list):
            kinds = {part.get("type") for part in line["content"]}
            strange = kinds - _PARTS[role] - set(parts)
            found += [f"{where}: parts of type {strange}"] if strange else []
            found += [] if line["content"] else [f"{where}: an empty list"]
    return found


def _unknown(line: dict[str, Any], known: set[str], where: str) -> list[str]:
    return [f"{where}.{name} is not known" for name in line.keys() - known]
