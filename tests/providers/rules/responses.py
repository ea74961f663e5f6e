"""OpenAI Responses.

- https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
- https://platform.openai.com/docs/guides/reasoning ("No tool output found for function call",
  "reasoning was provided without its required following item")
"""

from __future__ import annotations

import json
from typing import Any

_USER = {"input_text", "input_image", "input_file", "input_audio"}
_ASSISTANT = {"output_text", "refusal"}
_KEYS = {
    "function_call": {"type", "call_id", "name", "arguments", "id", "status", "caller"}
    | {"namespace"},
    "custom_tool_call": {"type", "call_id", "name", "input", "id", "status", "caller"}
    | {"namespace"},
    "function_call_output": {"type", "call_id", "output", "id", "status"},
    "custom_tool_call_output": {"type", "call_id", "output", "id", "status"},
    "reasoning": {"type", "summary", "content", "encrypted_content", "id", "status"},
    "message": {"type", "role", "content", "id", "status", "phase"},
}


def check(body: dict[str, Any]) -> list[str]:
    """What breaks the rules in `body`."""
    found: list[str] = []
    items = body.get("input")
    if isinstance(items, str):
        return []
    if not items:
        return ["input is empty"]
    calls: dict[str, str] = {}
    for number, item in enumerate(items):
        where = f"input[{number}]"
        kind = item.get("type", "message")
        if kind in _KEYS:
            found += [f"{where}.{name} is not known" for name in item.keys() - _KEYS[kind]]
        if kind == "message":
            found += _message(item, where)
        elif kind in ("function_call", "custom_tool_call"):
            calls[item["call_id"]] = kind
            found += _call(item, where)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            if calls.pop(item["call_id"], "") + "_output" != kind:
                found.append(f"{where}: No tool call found for {kind} {item['call_id']}")
        elif kind == "reasoning":
            found += _reasoning(item, items[number + 1 :], where)
    return found + [f"No tool output found for function call {id}" for id in calls]


def _message(item: dict[str, Any], where: str) -> list[str]:
    role = item.get("role")
    if role not in ("user", "assistant", "system", "developer"):
        return [f"{where}.role {role!r}"]
    if isinstance(item.get("content"), str):
        return []
    allowed = _ASSISTANT if role == "assistant" else _USER
    strange = {part.get("type") for part in item["content"]} - allowed
    found = [f"{where}: parts of type {strange}"] if strange else []
    return found if item["content"] else [*found, f"{where}.content is empty"]


def _call(item: dict[str, Any], where: str) -> list[str]:
    found = [] if 0 < len(item["call_id"]) <= 64 else [f"{where}.call_id {item['call_id']!r}"]
    if item["type"] == "custom_tool_call":
        return found if isinstance(item["input"], str) else [*found, f"{where}.input is no text"]
    if not isinstance(json.loads(item["arguments"]), dict):
        found.append(f"{where}.arguments {item['arguments']}")
    return found


def _reasoning(item: dict[str, Any], rest: list[dict[str, Any]], where: str) -> list[str]:
    found = [] if isinstance(item.get("summary"), list) else [f"{where}.summary is missing"]
    after = next((other for other in rest if other.get("type") != "reasoning"), {"role": "user"})
    if after.get("role", "assistant") != "assistant" or after.get("type", "").endswith("_output"):
        found.append(f"{where}: reasoning without its required following item")
    return found
