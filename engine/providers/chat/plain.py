"""A whole answer with text in it and nothing else, read at once.

Nearly all answers to the rows of a batch are such. Their body is kept as it came, so that of all
its events only the text, the end and the count are wanted: reading these alone takes a tenth of
the time.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from engine.messages import FinishReason, Usage
from engine.providers.chat.chunk import ChunkUsage, as_usage
from engine.wire.json import UNREADABLE

__all__ = ["PlainAnswer", "plain_answer"]


class PlainAnswer(msgspec.Struct, frozen=True, gc=False):
    """What such an answer says."""

    text: str
    finish_reason: FinishReason
    usage: Usage | None


def plain_answer(body: bytes) -> PlainAnswer | None:
    """The answer in `body`; None where it is another one, or none, and a parser must look."""
    try:
        found = _decode(body)
    except UNREADABLE:
        return None
    choice = found.choices[0]
    usage = as_usage(found.usage) if found.usage is not None else None
    return PlainAnswer(choice.message.content, _REASONS[choice.finish_reason], usage)


_REASONS: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    annotations: tuple[()] | None = None
    audio: None = None
    reasoning_content: None = None
    reasoning: None = None
    tool_calls: tuple[()] | None = None
    function_call: None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop", "length"]
    index: Literal[0] = 0
    delta: None = None
    usage: None = None
    error: None = None


class _Groq(msgspec.Struct, gc=False):
    usage: None = None
    error: None = None


class _Whole(msgspec.Struct, gc=False):
    choices: tuple[_Choice]
    usage: ChunkUsage | None = None
    x_groq: _Groq | None = None
    error: None = None
    base_resp: None = None


_decode: Final = msgspec.json.Decoder(_Whole).decode
