"""The events of an OpenAI Responses stream as typed structs, and what is read from them alone.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.errors import Category, EngineError, ProtocolError, ProviderError
from engine.messages import Citation, Image, Usage
from engine.providers.refusal import UNNAMED

__all__ = [
    "KINDS",
    "REPEATED",
    "Counts",
    "Response",
    "StreamEvent",
    "TextPiece",
    "as_citation",
    "as_image",
    "as_usage",
    "dicts",
    "no_reason",
    "parts_of",
    "text_of",
]


# Events that say again, or in advance, what another one says.
REPEATED: Final = frozenset(
    {
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_part.added",
        "response.reasoning_part.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
    }
)

# Words of a part: name of the event → kind of part. With ``.done`` they come once more, whole.
KINDS: Final = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "summary",
    "response.reasoning_text": "reasoning",
    "response.reasoning": "reasoning",  # Open Responses: Hugging Face, vLLM
}


class TextPiece(msgspec.Struct, tag_field="type", tag="response.output_text.delta", gc=False):
    """An event of this type without logprobs, nine of ten; its fields in the order they come in."""

    output_index: int = -1  # not said
    content_index: int = 0
    delta: str = ""
    logprobs: tuple[()] | None = None


class InputDetails(msgspec.Struct):
    """What kinds of tokens the input is made of."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """What kinds of tokens the output is made of."""

    reasoning_tokens: int | None = None


class Counts(msgspec.Struct):
    """``usage``, in the last event only."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class IncompleteDetails(msgspec.Struct):
    """Why a response is incomplete."""

    reason: str | None = None


class Response(msgspec.Struct):
    """A whole answer, or its head in ``response.created``."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: Any = None
    usage: Counts | None = None
    incomplete_details: IncompleteDetails | None = None
    error: Any = None


class StreamEvent(msgspec.Struct):
    """Any event: each type has some of the fields."""

    type: str | None = None
    output_index: int | None = None
    item_id: Any = None
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    name: str | None = None
    item: dict[str, Any] | None = None
    annotation: Any = None
    logprobs: Any = None
    response: Response | None = None
    error: Any = None


def as_usage(counts: Counts) -> Usage:
    """The provider's counts in our terms, which are the same."""
    given = counts.input_tokens_details or InputDetails()
    made = counts.output_tokens_details or OutputDetails()
    return Usage(
        input_tokens=_count(counts.input_tokens),
        output_tokens=_count(counts.output_tokens),
        total_tokens=_count(counts.total_tokens),
        cached_tokens=_count(given.cached_tokens),
        cache_write_tokens=_count(given.cache_write_tokens),
        reasoning_tokens=_count(made.reasoning_tokens),
    )


def _count(number: int | None) -> int | None:
    return number if number is not None and number >= 0 else None


def as_citation(annotation: Any) -> Citation:
    """An annotation of any type: ``url_citation``, ``file_citation``, …"""
    if not isinstance(annotation, dict):
        return Citation(data={"annotation": annotation})
    title = annotation.get("title") or annotation.get("filename")
    return Citation(annotation.get("url"), title, annotation.get("quote"), annotation)


def as_image(call: dict[str, Any]) -> Image | None:
    """What an ``image_generation_call`` made; None where it made none."""
    result = call.get("result")
    if call.get("type") != "image_generation_call" or not isinstance(result, str) or not result:
        return None
    if result.startswith(("https://", "http://")):
        return Image(url=result)
    return Image(data=result, media_type=f"image/{call.get('output_format') or 'png'}")


def no_reason(status: str | None) -> EngineError:
    """The error for a response that ended as `status` says, and nothing else does."""
    if status == "cancelled":
        return ProviderError(
            f"{UNNAMED}: the response was cancelled there; send the request again",
            category=Category.SERVER,
            retryable=False,  # somebody meant it
        )
    return ProtocolError(
        f"the response ended with the status {status!r} and no reason; send the request again, "
        "and check that the base URL and the dialect belong together"
    )


def text_of(value: Any) -> str:
    """`value` where it is a string, else nothing."""
    return value if isinstance(value, str) else ""


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in `value`; itself, where it is one."""
    given = value if isinstance(value, list) else [value]
    return [item for item in given if isinstance(item, dict)]


def parts_of(value: Any) -> list[dict[str, Any]]:
    """The parts of what an item holds, which may be a bare text."""
    return [{"text": value}] if isinstance(value, str) else dicts(value)
