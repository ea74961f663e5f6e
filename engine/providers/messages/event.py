"""The events of an Anthropic Messages stream as typed structs, and what is read from them alone.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from engine.messages import Citation, Usage

__all__ = [
    "Counts",
    "Delta",
    "StreamEvent",
    "WholeMessage",
    "as_citation",
    "as_usage",
    "decode_plain",
    "is_new",
]

_DELTAS: Final = frozenset(
    {
        "text_delta",
        "thinking_delta",
        "signature_delta",
        "input_json_delta",
        "citations_delta",
        "compaction_delta",
    }
)


class Delta(msgspec.Struct):
    """What a content block or the message gains."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    content: Any = None
    stop_reason: str | None = None
    stop_details: Any = None


class OutputDetails(msgspec.Struct):
    """What kinds of tokens the output is made of."""

    thinking_tokens: int | None = None


class Iteration(msgspec.Struct):
    """One of the passes an answer took (a compaction, a fallback): each is billed."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class Counts(msgspec.Struct):
    """``usage``: cumulative; each report names what it knows."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    iterations: list[Iteration] | None = None


class WholeMessage(msgspec.Struct):
    """A whole answer, or the head of one in ``message_start``."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[dict[str, Any]] | None = None
    usage: Counts | None = None
    stop_reason: str | None = None
    stop_details: Any = None
    error: Any = None


class StreamEvent(msgspec.Struct):
    """Any event: each type has some of the fields."""

    type: str | None = None
    index: int = 0
    delta: Delta | None = None
    content_block: dict[str, Any] | None = None
    message: WholeMessage | None = None
    usage: Counts | None = None
    error: Any = None


class _PlainDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text_delta"]
    text: str


class PlainEvent(msgspec.Struct, gc=False):
    """A piece of text and nothing else, which nearly all events are."""

    type: Literal["content_block_delta"]
    index: int
    delta: _PlainDelta
    content_block: None = None
    message: None = None
    usage: None = None
    error: None = None


decode_plain: Final = msgspec.json.Decoder(PlainEvent).decode


def is_new(event: StreamEvent) -> bool:
    """Whether it holds a delta of a type this version does not know."""
    delta = event.delta
    return delta is not None and delta.type is not None and delta.type not in _DELTAS


def as_usage(counted: Counts) -> Usage:
    """The provider's counts in our terms: theirs leave the cache out of the input."""
    # "Total input tokens in a request is the summation of input_tokens,
    # cache_creation_input_tokens, and cache_read_input_tokens." (API reference, Usage)
    written = _sum(counted, "cache_creation_input_tokens")
    read = _sum(counted, "cache_read_input_tokens")
    input_tokens, output_tokens = _sum(counted, "input_tokens"), _sum(counted, "output_tokens")
    if input_tokens is not None:
        input_tokens += (written or 0) + (read or 0)
    total = None
    if input_tokens is not None and output_tokens is not None:
        total = input_tokens + output_tokens
    details = counted.output_tokens_details or OutputDetails()
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_count(details.thinking_tokens),
    )


def _sum(counted: Counts, name: str) -> int | None:
    """What is billed: the top level leaves out the passes before the last.
    https://platform.claude.com/docs/en/build-with-claude/compaction, "Understanding usage"."""
    passes = [_count(getattr(one, name)) for one in counted.iterations or ()]
    known = [number for number in passes if number is not None]
    return sum(known) if known else _count(getattr(counted, name))


def _count(number: int | None) -> int | None:
    return number if number is not None and number >= 0 else None


def as_citation(data: Any) -> Citation:
    """A citation of any location type."""
    if not isinstance(data, dict):
        return Citation(data={"citation": data})
    title = data.get("title") or data.get("document_title")
    return Citation(data.get("url"), title, data.get("cited_text"), data)
