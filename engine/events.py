"""Stream events: one vocabulary for every provider.

The order is Start → (text | thinking | refusal | tool call …)* → Done, with UsageUpdate, Ping and
RetryScheduled in between; StreamError takes the place of Done where the stream failed. `index` is
the content block an event belongs to; `choice` tells alternatives apart where ``n`` > 1 was asked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import EngineError
from engine.messages import Citation, FinishReason, Image, ServerTool, ToolCall, Usage

__all__ = [
    "CitationDelta",
    "Done",
    "Event",
    "ImageDone",
    "LogprobsDelta",
    "Ping",
    "RedactedThinkingDone",
    "RefusalDelta",
    "RetryScheduled",
    "ServerToolDone",
    "SignatureDelta",
    "Start",
    "StreamError",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
    "ToolCallDone",
    "ToolCallStart",
    "Unknown",
    "UsageUpdate",
]


class Event(msgspec.Struct, frozen=True):
    """The base of all events."""


class Start(Event, frozen=True, gc=False):
    """The answer begins. Held back until the first content, so that a retry repeats nothing."""

    id: str | None
    model: str | None
    index: int = 0


class TextDelta(Event, frozen=True, gc=False):
    """A piece of the answer's text."""

    text: str
    index: int = 0
    choice: int = 0


class ThinkingDelta(Event, frozen=True, gc=False):
    """A piece of the reasoning the provider shows."""

    text: str
    index: int = 0
    choice: int = 0


class SignatureDelta(Event, frozen=True, gc=False):
    """The seal of the thinking block (or tool call, or text) `index`."""

    signature: str
    index: int = 0
    choice: int = 0


class RedactedThinkingDone(Event, frozen=True, gc=False):
    """A block of encrypted reasoning."""

    data: str
    index: int = 0
    choice: int = 0


class RefusalDelta(Event, frozen=True, gc=False):
    """A piece of the model's refusal."""

    text: str
    index: int = 0
    choice: int = 0


class CitationDelta(Event, frozen=True):
    """A source for the text block `index`."""

    citation: Citation
    index: int = 0
    choice: int = 0


class ToolCallStart(Event, frozen=True, gc=False):
    """The model begins to call a tool."""

    id: str
    name: str
    index: int = 0
    choice: int = 0


class ToolCallDelta(Event, frozen=True, gc=False):
    """A piece of the JSON text of the arguments."""

    arguments: str
    index: int = 0
    choice: int = 0


class ToolCallDone(Event, frozen=True, gc=False):
    """The call is whole and its arguments are valid JSON."""

    call: ToolCall
    index: int = 0
    choice: int = 0


class ServerToolDone(Event, frozen=True):
    """A tool the provider ran itself, or its result."""

    tool: ServerTool
    index: int = 0
    choice: int = 0


class ImageDone(Event, frozen=True, gc=False):
    """An image the model made, whole."""

    image: Image
    index: int = 0
    choice: int = 0


class LogprobsDelta(Event, frozen=True):
    """Log probabilities of the tokens of the text block `index`: the provider's own objects."""

    logprobs: list[dict[str, Any]]
    index: int = 0
    choice: int = 0


class UsageUpdate(Event, frozen=True, gc=False):
    """The provider's count of tokens so far."""

    usage: Usage
    index: int = 0


class Ping(Event, frozen=True, gc=False):
    """The provider says it is alive."""

    index: int = 0


class RetryScheduled(Event, frozen=True):
    """Attempt number `attempt` begins in `delay` seconds, because of `error`."""

    attempt: int
    delay: float
    error: EngineError
    index: int = 0


class Done(Event, frozen=True, gc=False):
    """The protocol's end marker came: the answer is complete.

    `finish_reason_raw` is the provider's own word, or None where it gave none.
    """

    finish_reason: FinishReason
    usage: Usage | None = None
    finish_reason_raw: str | None = None
    index: int = 0


class StreamError(Event, frozen=True):
    """The stream failed; nothing follows."""

    error: EngineError
    index: int = 0


class Unknown(Event, frozen=True):
    """What the provider sent and this version does not know, decoded."""

    name: str
    data: Any
    index: int = 0
