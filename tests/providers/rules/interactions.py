"""Gemini's Interactions API.

- https://ai.google.dev/api/interactions-api (Step: the types, and what each must have)
- https://ai.google.dev/gemini-api/docs/interactions/thinking ("Every thought step contains":
  `signature`, required; `summary`, a list of content, not required)
- https://ai.google.dev/gemini-api/docs/interactions/function-calling (a result names the call it
  belongs to by `call_id`)
"""

from __future__ import annotations

from typing import Any

_CONTENT = {"text", "image", "audio", "video", "document"}


def check(body: dict[str, Any]) -> list[str]:
    """What breaks the rules in `body`."""
    steps = body.get("input")
    if not steps:
        return ["input is empty"]
    found: list[str] = []
    waiting: list[str] = []
    for number, step in enumerate(steps):
        where = f"input[{number}]"
        kind = step.get("type")
        if kind in ("user_input", "model_output"):
            found += _output(step, where)
            if kind == "user_input" and waiting:
                found.append(f"{where}: no result for {waiting}")
        elif kind == "thought":
            found += _thought(step, where)
        elif kind == "function_call":
            found += _call(step, where)
            waiting.append(step.get("id"))
        elif kind == "function_result":
            if step.get("call_id") not in waiting:
                found.append(f"{where}: a result of no call: {step.get('call_id')!r}")
            else:
                waiting.remove(step["call_id"])
            if "result" not in step:
                found.append(f"{where}: no result")
        elif not str(kind).endswith(("_call", "_result")):
            found.append(f"{where}: a step of type {kind!r}")
    return [*found, f"no result for {waiting}"] if waiting else found


def _output(step: dict[str, Any], where: str) -> list[str]:
    content = step.get("content")
    if not isinstance(content, list) or not content:
        return [f"{where}: no content"]
    return [
        f"{where}: {part}"
        for part in content
        if part.get("type") not in _CONTENT or part.get("text") == ""
    ]


def _thought(step: dict[str, Any], where: str) -> list[str]:
    found = [] if step.get("signature") else [f"{where}: a thought without its signature"]
    summary = step.get("summary", [])
    if not isinstance(summary, list) or any(part.get("type") not in _CONTENT for part in summary):
        found.append(f"{where}: summary {summary!r}")
    return found


def _call(step: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}: no {name}" for name in ("id", "name") if not step.get(name)]
    if not isinstance(step.get("arguments"), dict):
        found.append(f"{where}: arguments are no object")
    return found
