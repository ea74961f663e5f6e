"""Cohere's /v2/chat: https://docs.cohere.com/reference/chat (ChatMessageV2, ToolCallV2)."""

from __future__ import annotations

import json
from typing import Any

_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "tool_plan", "citations"},
    "tool": {"role", "content", "tool_call_id"},
}


def check(body: dict[str, Any]) -> list[str]:
    """What breaks the rules in `body`."""
    found: list[str] = []
    if not body.get("messages"):
        return ["messages is empty"]
    called: set[str] = set()
    for number, line in enumerate(body["messages"]):
        where = f"messages[{number}]"
        role = line.get("role")
        if role not in _KEYS:
            found.append(f"{where}.role {role!r}")
            continue
        found += [f"{where}.{name} is not known" for name in line.keys() - _KEYS[role]]
        if not line.get("content") and not line.get("tool_calls") and role == "assistant":
            found.append(f"{where} has neither content nor tool_calls")
        for call in line.get("tool_calls", ()):
            called.add(call["id"])
            if not isinstance(json.loads(call["function"]["arguments"]), dict):
                found.append(f"{where}: arguments are no object")
        if role == "tool" and line.get("tool_call_id") not in called:
            found.append(f"{where}: no call {line.get('tool_call_id')!r}")
    return found
