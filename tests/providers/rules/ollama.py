"""Ollama's /api/chat: https://docs.ollama.com/api/chat (messages, tool_calls, images)."""

from __future__ import annotations

from typing import Any

_KEYS = {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}


def check(body: dict[str, Any]) -> list[str]:
    """What breaks the rules in `body`."""
    found: list[str] = []
    if not body.get("messages"):
        return ["messages is empty"]
    for number, line in enumerate(body["messages"]):
        where = f"messages[{number}]"
        if line.get("role") not in ("system", "user", "assistant", "tool"):
            found.append(f"{where}.role {line.get('role')!r}")
        found += [f"{where}.{name} is not known" for name in line.keys() - _KEYS]
        if not isinstance(line.get("content"), str):
            found.append(f"{where}.content is no string")
        if not all(isinstance(image, str) for image in line.get("images", ())):
            found.append(f"{where}.images are not base64")
        for call in line.get("tool_calls", ()):
            if not isinstance(call["function"]["arguments"], dict):
                found.append(f"{where}: arguments are no object")
    return found
