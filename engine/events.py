"""Stream events: one vocabulary for every provider.

The order is Start → (text | thinking | refusal | tool call …)* → Done, with UsageUpdate, Ping and
RetryScheduled in between (and Restarted, where that was chosen); StreamError takes the place of
Done where the stream failed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import EngineError
from engine.messages import (
    Citation,
    FinishReason,
    Image,
    ServerTool,
    ToolCall,
    Usage,
    VendorItem,
)

__all__ = [
    "AudioDelta",
    "BaseEvent",
    "CitationDelta",
    "Done",
    "Event",
    "ImageDone",
    "LogprobsDelta",
    "ModelUpdate",
    "PartInfo",
    "Ping",
    "RedactedThinkingDone",
    "RefusalDelta",
    "Restarted",
    "RetryScheduled",
    "ServerToolDone",
    "ServerToolStart",
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
    "VendorItemDone",
]


class BaseEvent(msgspec.Struct, frozen=True):
    """The base of all events; `Event` is any one of them.

    Each has `index`, the content block it belongs to (0 where it belongs to none); those of content
    have `choice`, which tells alternatives apart where ``n`` > 1 was asked.
    """


class Start(BaseEvent, frozen=True, gc=False):
    """The answer begins: the provider's `id` of it and the `model` that answers, each None where it
    does not say. Held back until the first content, so that a retry repeats nothing."""

    id: str | None
    model: str | None
    index: int = 0


class ModelUpdate(BaseEvent, frozen=True, gc=False):
    """Who answers, where the provider said so, or said otherwise, after `Start`: `id` of the answer
    and `model`; None: no news."""

    id: str | None
    model: str | None
    index: int = 0


class TextDelta(BaseEvent, frozen=True, gc=False):
    """A piece of the answer's `text`."""

    text: str
    index: int = 0
    choice: int = 0


class ThinkingDelta(BaseEvent, frozen=True, gc=False):
    """A piece of the reasoning the provider shows: its `text`."""

    text: str
    index: int = 0
    choice: int = 0


class SignatureDelta(BaseEvent, frozen=True, gc=False):
    """The `signature` that seals the thinking block (or tool call, or text) `index`."""

    signature: str
    index: int = 0
    choice: int = 0


class RedactedThinkingDone(BaseEvent, frozen=True, gc=False):
    """A block of encrypted reasoning: its `data`, for the provider alone."""

    data: str
    index: int = 0
    choice: int = 0


class RefusalDelta(BaseEvent, frozen=True, gc=False):
    """A piece of the model's refusal: its `text`."""

    text: str
    index: int = 0
    choice: int = 0


class CitationDelta(BaseEvent, frozen=True):
    """A source for the text block `index`: a `citation`."""

    citation: Citation
    index: int = 0
    choice: int = 0


class ToolCallStart(BaseEvent, frozen=True, gc=False):
    """The model begins to call a tool: the call's `id` and the tool's `name`."""

    id: str
    name: str
    index: int = 0
    choice: int = 0


class ToolCallDelta(BaseEvent, frozen=True, gc=False):
    """A piece of the JSON text of the `arguments`."""

    arguments: str
    index: int = 0
    choice: int = 0


class ToolCallDone(BaseEvent, frozen=True, gc=False):
    """The `call` is whole and its arguments are valid JSON."""

    call: ToolCall
    index: int = 0
    choice: int = 0


class ServerToolStart(BaseEvent, frozen=True):
    """The provider begins to run a tool of its own, `name`; `data` is its object so far. What it
    did comes with the `ServerToolDone` of the same block."""

    name: str
    data: dict[str, Any]
    index: int = 0
    choice: int = 0


class ServerToolDone(BaseEvent, frozen=True):
    """A `tool` the provider ran itself, or its result."""

    tool: ServerTool
    index: int = 0
    choice: int = 0


class ImageDone(BaseEvent, frozen=True, gc=False):
    """An `image` the model made, whole."""

    image: Image
    index: int = 0
    choice: int = 0


class VendorItemDone(BaseEvent, frozen=True):
    """An `item` of the vendor's own format that has no part of ours, whole; `VendorItem.waits`
    tells whether the user must answer it."""

    item: VendorItem
    index: int = 0
    choice: int = 0


class AudioDelta(BaseEvent, frozen=True, gc=False):
    """A piece of the sound the model makes, `data` in base64, and of its `transcript`; either may
    be empty. `media_type` is None where the provider does not say."""

    data: str
    transcript: str = ""
    media_type: str | None = None
    index: int = 0
    choice: int = 0


class PartInfo(BaseEvent, frozen=True):
    """What the provider says of the block `index` beside its words, in the message's part by the
    same names: its `id`, the `field` its reasoning came in, and `extra`; None, or empty: no
    news."""

    index: int = 0
    choice: int = 0
    id: str | None = None
    field: str | None = None
    extra: dict[str, Any] = {}


class LogprobsDelta(BaseEvent, frozen=True):
    """Log probabilities of the tokens of the text block `index`: `logprobs` are the provider's own
    objects."""

    logprobs: list[dict[str, Any]]
    index: int = 0
    choice: int = 0


class UsageUpdate(BaseEvent, frozen=True, gc=False):
    """The provider's count of tokens so far: `usage`."""

    usage: Usage
    index: int = 0


class Ping(BaseEvent, frozen=True, gc=False):
    """The provider says it is alive."""

    index: int = 0


class RetryScheduled(BaseEvent, frozen=True):
    """Attempt number `attempt` begins in `delay` seconds, because of `error`."""

    attempt: int
    delay: float
    error: EngineError
    index: int = 0


class Restarted(BaseEvent, frozen=True):
    """The answer begins anew with attempt number `attempt`, because `error` cut the one before:
    what came of that is void, in `Stream.text` and the message too. Only with
    ``Retry(restart=True)``."""

    attempt: int
    error: EngineError
    index: int = 0


class Done(BaseEvent, frozen=True, gc=False):
    """The protocol's end marker came: the answer is complete.

    `finish_reason` is why the model stopped, `finish_reason_raw` the provider's own word for it, or
    None where it gave none; `usage` the tokens, or None where they were not told.
    """

    finish_reason: FinishReason
    usage: Usage | None = None
    finish_reason_raw: str | None = None
    index: int = 0


class StreamError(BaseEvent, frozen=True):
    """The stream failed because of `error`; nothing follows."""

    error: EngineError
    index: int = 0


class Unknown(BaseEvent, frozen=True):
    """What the provider sent and this version does not know: the `name` of the event, and its
    `data`, decoded."""

    name: str
    data: Any
    index: int = 0


Event = (
    Start
    | ModelUpdate
    | TextDelta
    | ThinkingDelta
    | SignatureDelta
    | RedactedThinkingDone
    | RefusalDelta
    | CitationDelta
    | ToolCallStart
    | ToolCallDelta
    | ToolCallDone
    | ServerToolStart
    | ServerToolDone
    | VendorItemDone
    | ImageDone
    | AudioDelta
    | PartInfo
    | LogprobsDelta
    | UsageUpdate
    | Ping
    | RetryScheduled
    | Restarted
    | Done
    | StreamError
    | Unknown
)
"""Any event of a stream."""
