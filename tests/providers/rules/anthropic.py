"""Anthropic Messages.

- https://platform.claude.com/docs/en/api/messages/create
- https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use ("tool_use ids
  were found without tool_result blocks immediately after", results first in the content)
- https://platform.claude.com/docs/en/build-with-claude/extended-thinking ("The final block in an
  assistant message cannot be `thinking`")
- the API's own words: "text content blocks must contain non-whitespace text", "final assistant
  content cannot end with trailing whitespace", "tool_use.id: String should match pattern
  '^[a-zA-Z0-9_-]+$'", "`tool_use` ids must be unique"
"""

from __future__ import annotations

import re
from typing import Any

_BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result", "container_upload"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"}
    | {"compaction", "fallback", "mcp_tool_use", "mcp_tool_result"},
}


def check(body: dict[str, Any]) -> list[str]:
    """What breaks the rules in `body`."""
    found = [] if isinstance(body.get("max_tokens"), int) else ["max_tokens is missing"]
    turns = body.get("messages")
    if not turns:
        return [*found, "messages: at least one message is required"]
    ids: set[str] = set()
    waiting: list[str] = []
    for number, turn in enumerate(turns):
        where = f"messages[{number}]"
        role, content = turn.get("role"), turn.get("content")
        if role not in _BLOCKS:
            found.append(f"{where}.role {role!r}")
            continue
        if not content:
            found.append(f"{where}: all messages must have non-empty content")
            continue
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found += [line for block in blocks for line in _block(block, role, where)]
        found += _results(blocks, waiting, where)
        waiting = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        if len(set(waiting)) != len(waiting) or not ids.isdisjoint(waiting):
            found.append(f"{where}: tool_use ids must be unique")
        ids.update(waiting)
        if role == "assistant" and blocks[-1].get("type") in ("thinking", "redacted_thinking"):
            found.append(f"{where}: the final block cannot be thinking")
    if waiting:
        found.append(f"no tool_result for {waiting}")
    last = turns[-1]
    text = last["content"] if isinstance(last["content"], str) else last["content"][-1].get("text")
    if last["role"] == "assistant" and text is not None and text != text.rstrip():
        found.append("final assistant content cannot end with trailing whitespace")
    return found


def _block(block: dict[str, Any], role: str, where: str) -> list[str]:
    kind = block.get("type", "")
    if kind not in _BLOCKS[role] and not kind.endswith("_tool_result"):
        return [f"{where}: a {kind!r} block of the {role}"]
    match kind:
        case "text" if not block["text"].strip():
            return [f"{where}: text content blocks must contain non-whitespace text"]
        case "thinking" if not block.get("signature"):
            return [f"{where}: thinking without signature"]
        case "tool_use":
            if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", block["id"]):
                return [f"{where}: tool_use.id {block['id']!r}"]
            if not isinstance(block["input"], dict):
                return [f"{where}: tool_use.input is no object"]
    return []


def _results(blocks: list[dict[str, Any]], waiting: list[str], where: str) -> list[str]:
    kinds = [block.get("type") == "tool_result" for block in blocks]
    answered = [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
    found = []
    if kinds != sorted(kinds, reverse=True):
        found.append(f"{where}: tool_result blocks must come first")
    if sorted(answered) != sorted(waiting):
        found.append(f"{where}: results {answered} for the calls {waiting}")
    return found
