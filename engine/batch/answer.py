"""An outcome, as a program takes it: read from a line of the output, whoever wrote it."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.messages import Usage

__all__ = ["Answer", "Problem", "answer_of", "text_of"]


class Problem(msgspec.Struct, frozen=True):
    """Why a row has no answer: see `engine.errors.Category` for `category`."""

    code: str = ""
    message: str = ""
    category: str = ""


class _Response(msgspec.Struct, frozen=True):
    status_code: int = 0
    request_id: str | None = None
    body: Any = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one row.

    Attributes:
        custom_id: of the row.
        text: what the model said; empty for endpoints that say nothing, and where it failed.
        body: the provider's own answer, decoded.
        error: why there is none; None: there is.
        finish_reason: the engine's word, see `engine.FinishReason`; None where it is not known.
        usage: tokens of the last attempt, or None.
        cost: USD of all attempts, or None where no price is known.
        metadata: what the row gave.
        line: number of the input line, where it was no request at all.
    """

    custom_id: str
    text: str = ""
    body: Any = None
    error: Problem | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    metadata: Any = None
    line: int | None = None


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    response: _Response | None = None
    error: Problem | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    metadata: Any = None
    line: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def answer_of(line: bytes) -> Answer:
    """The outcome on a line that a batch wrote.

    Raises:
        msgspec.MsgspecError: it is no such line.
    """
    read = _decode(line)
    body = read.response.body if read.response is not None else None
    return Answer(
        custom_id=read.custom_id,
        text=text_of(body) if read.error is None else "",
        body=body,
        error=read.error,
        finish_reason=read.finish_reason,
        usage=read.usage,
        cost=read.cost,
        metadata=read.metadata,
        line=read.line,
    )


def text_of(body: Any) -> str:
    """What the first alternative of an answer says, in the body of any of the formats."""
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    for key, read in _READERS:
        value = body.get(key)
        if value:
            return read(value)
    return ""


def _choices(choices: Any) -> str:
    first = choices[0] if isinstance(choices, list) else None
    if not isinstance(first, dict):
        return ""
    message = first.get("message")
    content = message.get("content") if isinstance(message, dict) else first.get("text")
    return _content(content)


def _candidates(candidates: Any) -> str:
    first = candidates[0] if isinstance(candidates, list) else None
    content = first.get("content") if isinstance(first, dict) else None
    return _content(content.get("parts")) if isinstance(content, dict) else ""


def _output(items: Any) -> str:
    if not isinstance(items, list):
        return _content(items)
    messages = (item for item in items if isinstance(item, dict) and item.get("type") == "message")
    return "".join(_content(message.get("content")) for message in messages)


def _message(message: Any) -> str:
    return _content(message.get("content")) if isinstance(message, dict) else ""


def _content(content: Any) -> str:
    """The text of a string, or of parts; thoughts are none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part for part in content if isinstance(part, dict) and not part.get("thought"))
    said = (part.get("text") for part in parts if part.get("type") not in ("thinking", "reasoning"))
    return "".join(text for text in said if isinstance(text, str))


# The key that tells the format, and where its text is: chat and completions, Gemini, Responses,
# Ollama and Cohere, Ollama's generate, Anthropic, transcripts.
_READERS = (
    ("choices", _choices),
    ("candidates", _candidates),
    ("output", _output),
    ("message", _message),
    ("response", _content),
    ("content", _content),
    ("text", _content),
)
