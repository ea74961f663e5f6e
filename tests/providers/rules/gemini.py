"""Gemini's generateContent.

- https://ai.google.dev/api/caching#Content, #Part, #FunctionCall, #FunctionResponse
- https://ai.google.dev/gemini-api/docs/function-calling ("the number of function response parts
  should be equal to the number of function call parts of the function call turn")
- https://ai.google.dev/gemini-api/docs/thought-signatures (Gemini 3: "the first functionCall part
  in each step of the current turn must include its thought_signature")
"""

from __future__ import annotations

from typing import Any

_DATA = {"text", "inlineData", "fileData", "functionCall", "functionResponse"}
_DATA |= {"executableCode", "codeExecutionResult", "toolCall", "toolResponse"}
_BESIDE = {"thought", "thoughtSignature", "videoMetadata", "partMetadata"}


def check(body: dict[str, Any]) -> list[str]:
    """What breaks the rules in `body`."""
    contents = body.get("contents")
    if not contents:
        return ["contents is empty"]
    found: list[str] = []
    calls: list[str] = []
    for number, content in enumerate(contents):
        where = f"contents[{number}]"
        if content.get("role") not in ("user", "model", "function"):
            found.append(f"{where}.role {content.get('role')!r}")
        parts = content.get("parts")
        if not parts:
            found.append(f"{where}.parts must not be empty")
            continue
        found += [line for part in parts for line in _part(part, where)]
        responses = [p["functionResponse"]["name"] for p in parts if "functionResponse" in p]
        if sorted(responses) != sorted(calls):
            found.append(f"{where}: responses of {responses} for calls of {calls}")
        calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        if calls and content.get("role") != "model":
            found.append(f"{where}: the user calls {calls}")
    return [*found, f"no responses for {calls}"] if calls else found


def check_3(body: dict[str, Any]) -> list[str]:
    """As `check`, for models that ask for their seals."""
    found = check(body)
    for number, content in enumerate(body.get("contents") or ()):
        called = [part for part in content["parts"] if "functionCall" in part]
        if called and not called[0].get("thoughtSignature"):
            found.append(f"contents[{number}]: the first call has no thoughtSignature")
    return found


def _part(part: dict[str, Any], where: str) -> list[str]:
    data = part.keys() & _DATA
    if len(data) > 1 or part.keys() - _DATA - _BESIDE:
        return [f"{where}: a part of {sorted(part)}"]
    if not data and "thoughtSignature" not in part:
        return [f"{where}: a part without data"]
    if part.get("text") == "" and "thoughtSignature" not in part:
        return [f"{where}: an empty text"]
    for name, inner in (("functionCall", "args"), ("functionResponse", "response")):
        if name in part and not isinstance(part[name].get(inner, {}), dict):
            return [f"{where}: {name}.{inner} is no object"]
    return []
