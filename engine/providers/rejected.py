"""What a server does not know is left out, and the question asked once more."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.errors import EngineError

__all__ = ["refuses_streams", "without_rejected_field", "without_stream"]

# Without these the answer is still the answer that was asked for. What shapes it (temperature,
# stop, tools, response_format) is not here: the user must hear that it cannot be had.
_OPTIONAL: Final = (
    "stream_options",
    "parallel_tool_calls",
    "reasoning_effort",
    "enable_thinking",
    "reasoning",
    "thinking",
    "prompt_cache_key",
    "service_tier",
    "random_seed",
    "seed",
    "store",
    "metadata",
    "include",
    "user",
)

# Members of an answer in the history that its server gave and another one may not take back.
_IN_MESSAGES: Final = (
    *("reasoning_content", "reasoning_details", "thinking_blocks", "reasoning"),
    *("status", "phase", "annotations", "namespace"),
)

# The two names of one limit.
_RENAMED: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}

_REJECTS: Final = re.compile(
    r"unknown|unsupported|unrecogni[sz]ed|unexpected|not supported|not support|not permitted"
    r"|not allowed|forbidden|extra (?:inputs|fields)|extra_forbidden|no such|remove the"
    r"|must be verified",
    re.IGNORECASE,
)

# As servers say it: "stream is not supported" (libchatty's), "does not support streaming",
# "must be verified to stream this model", "stream must be false", "'stream' does not support true".
_NO_STREAM: Final = re.compile(
    r"\bstream(?:ing|ed|GenerateContent)?(?!\w)"
    r"(?: ?[=:] ?true| mode| responses?| requests?| output| parameter)?"
    r"['\"`]? (?:is |are |was )?(?:currently )?(?:not|un)[ -]?(?:currently |yet )?"
    r"(?:supported|support|available|allowed|implemented|enabled|permitted)"
    r"|(?:not|n't) (?:currently |yet )?(?:support|allow|implement)(?:ed|s)?"
    r"(?: for| in| the| with)? ['\"`]?stream(?:ing|GenerateContent)?(?!\w)"
    r"|unsupported[^.]{0,40}['\"` ]stream(?:ing)?(?!\w)"
    r"|verified to stream|cannot stream|stream['\"`]? (?:must|should|has to) be (?:set to )?false"
    r"|stream(?:ing)?['\"`]? (?:is |has been )?disabled"
    r"|(?:not permitted|argument supplied|unknown (?:field|parameter|argument))\W{1,3}stream(?!\w)"
    r"|only (?:supports? )?non-?stream",
    re.IGNORECASE,
)


def without_rejected_field(body: dict[str, Any], error: EngineError) -> dict[str, Any] | None:
    """What to send instead of `body`, which was refused with `error`; None: nothing better.

    Only for a 400 or 422 that says of optional fields of `body` that they are not known or not
    supported: the body without them; or with the limit of the output, or the role of the
    instructions, under its other name. `body` is not changed.
    """
    if error.http_status not in (400, 422):
        return None
    words = _words(error)
    filled = _with_reasoning(body, words)
    if filled is not None:
        return filled
    if not _REJECTS.search(words):
        return None
    for name, other in _RENAMED.items():
        if name in body and other not in body and _names(words, name):
            return {other if field == name else field: value for field, value in body.items()}
    rejected = [name for name in _OPTIONAL if name in body and _names(words, name)]
    if rejected:
        if '"model"' in words:  # the whole request is in the words: only the first is sure
            rejected = rejected[:1]
        return {field: value for field, value in body.items() if field not in rejected}
    return _without_summary(body, words) or _without_member(body, words)


def _without_summary(body: dict[str, Any], words: str) -> dict[str, Any] | None:
    """OpenAI: "Your organization must be verified to generate reasoning summaries."."""
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, dict) or "summary" not in reasoning:
        return None
    if "reasoning.summary" not in words and "reasoning summar" not in words:
        return None
    return {**body, "reasoning": {k: v for k, v in reasoning.items() if k != "summary"}}


def _without_member(body: dict[str, Any], words: str) -> dict[str, Any] | None:
    """The body without what a message in it has, or with the older name of a role."""
    place = "messages" if "messages" in body else "input"
    messages = body.get(place)
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        return None
    for name in _IN_MESSAGES:
        if any(name in message for message in messages) and _names(words, name):
            kept = [{k: v for k, v in message.items() if k != name} for message in messages]
            return {**body, place: kept}
    if not re.search(r"['\"`]?developer(?!\w)", words):
        return None
    renamed = [
        {**message, "role": "system"} if message.get("role") == "developer" else message
        for message in messages
    ]
    return {**body, place: renamed} if renamed != messages else None


# Kimi: "thinking is enabled but reasoning_content is missing in assistant tool call message";
# DeepSeek: "The `reasoning_content` in the thinking mode must be passed back to the API.", "Missing
# `reasoning_content` field in the assistant message at message index 1."
_WANTS_REASONING: Final = re.compile(
    r"reasoning_content\W[^.]{0,60}(?:missing|must be (?:passed|provided|included|sent))"
    r"|missing (?:the )?\W?reasoning_content\b",
    re.IGNORECASE,
)


def _with_reasoning(body: dict[str, Any], words: str) -> dict[str, Any] | None:
    """The body with a blank in place of reasoning that no one has: of calls that another model
    made, or this one while it did not think."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not _WANTS_REASONING.search(words):
        return None
    filled = [
        {**message, "reasoning_content": " "}
        if message.get("role") == "assistant" and not message.get("reasoning_content")
        else message
        for message in messages
    ]
    return {**body, "messages": filled} if filled != messages else None


def refuses_streams(error: EngineError) -> bool:
    """Whether a server says with `error` that it cannot stream, so that the same question may be
    asked for a whole answer."""
    return error.http_status in (400, 404, 422, 501) and bool(_NO_STREAM.search(_words(error)))


def without_stream(url: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Address and body of the question whose answer is to come whole; None where no stream was
    asked for. `body` is not changed."""
    before, method, after = url.partition(":streamGenerateContent")
    if method:  # Gemini has it in the address
        query = [pair for pair in after[1:].split("&") if pair and pair != "alt=sse"]
        return before + ":generateContent" + ("?" + "&".join(query) if query else ""), body
    if body.get("stream") is not True:
        return None
    whole = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
    if url.partition("?")[0].endswith(("/api/chat", "/api/generate")):
        whole["stream"] = False  # Ollama streams unless it is told not to
    return url, whole


def _words(error: EngineError) -> str:
    return f"{error.message}\n{error.detail or ''}"


def _names(words: str, field: str) -> bool:
    """Whether `words` name `field`. One that is a word of its own ("user") must stand in quotes or
    in a path (``body.user``); the others are names wherever they stand."""
    if "_" in field:
        return re.search(rf"(?<!\w){field}(?!\w)", words) is not None
    quoted = rf"""['"`.]{field}(?:['"`:]|\s*$)"""
    told = rf"(?:parameter|argument|field|property|on this model:) {field}(?!\w)"
    return re.search(f"{quoted}|{told}", words, re.MULTILINE) is not None
