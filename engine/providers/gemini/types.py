"""What a Gemini chunk holds, typed for one decode, and what is read from its rarer fields.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse; field names are Google's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec

from engine.messages import Citation, Usage
from engine.providers.gemini.arguments import PartialArg
from engine.wire.json import UNREADABLE

__all__ = [
    "ABSENT",
    "Blob",
    "Candidate",
    "Chunk",
    "Content",
    "FunctionCall",
    "Part",
    "PromptFeedback",
    "block_word",
    "citations",
    "decode_plain",
    "finish_word",
    "logprobs",
    "usage_of",
]

# The numbers of the enums, which ``$alt=json;enum-encoding=int`` (Google's Go SDK) puts in place of
# the words; google/ai/generativelanguage/v1beta/generative_service.proto.
_FINISH_WORDS: Final = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
)
_BLOCK_WORDS: Final = (
    "BLOCK_REASON_UNSPECIFIED",
    "SAFETY",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "IMAGE_SAFETY",
)


# What a field that is kept as text holds where it did not come; it is false.
ABSENT: Final = msgspec.Raw()


class FunctionCall(msgspec.Struct):
    """A call; `args` is kept as the text the model wrote."""

    name: str | None = None
    id: str | None = None
    args: msgspec.Raw = ABSENT
    partialArgs: list[PartialArg] | None = None
    willContinue: bool | None = None


class Blob(msgspec.Struct, gc=False):
    """Base64 data."""

    mimeType: str | None = None
    data: str | None = None


class Part(msgspec.Struct, gc=False):
    """One part; of the kinds that are rare only the name is looked up, in the record itself."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None
    functionCall: FunctionCall | None = None
    inlineData: Blob | None = None


class Content(msgspec.Struct, gc=False):
    """The parts a candidate got in this chunk."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, gc=False):
    """One of the alternatives; as a rule there is one. No answer fails for what its metadata is."""

    content: Content | None = None
    index: int | None = None
    finishReason: str | int | None = None
    finishMessage: Any = None
    citationMetadata: Any = None
    groundingMetadata: Any = None
    urlContextMetadata: Any = None
    logprobsResult: Any = None


class PromptFeedback(msgspec.Struct):
    """What the filters said about the prompt."""

    blockReason: str | int | None = None
    blockReasonMessage: str | None = None


class Chunk(msgspec.Struct, gc=False):
    """One `GenerateContentResponse`, bare or inside the ``response`` of Code Assist and batches.

    Usage is cumulative and comes in every chunk: it stays text until somebody asks.
    """

    candidates: list[Candidate] | None = None
    usageMetadata: msgspec.Raw = ABSENT
    responseId: str | None = None
    modelVersion: str | None = None
    promptFeedback: PromptFeedback | None = None
    error: Any = None
    response: Chunk | None = None


class _PlainPart(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(min_length=1)]


class _PlainContent(msgspec.Struct, gc=False):
    parts: tuple[_PlainPart]


class _PlainCandidate(msgspec.Struct, gc=False):
    content: _PlainContent
    index: Literal[0] = 0
    finishReason: None = None
    finishMessage: None = None
    groundingMetadata: None = None
    citationMetadata: None = None
    urlContextMetadata: None = None
    logprobsResult: None = None


class PlainChunk(msgspec.Struct, gc=False):
    """A piece of text of the one candidate and nothing else, which nearly all chunks are. One that
    decodes as this needs no further look, which saves a third of the work of an event."""

    candidates: tuple[_PlainCandidate]
    usageMetadata: msgspec.Raw = ABSENT
    error: None = None
    promptFeedback: None = None
    response: None = None


decode_plain: Final = msgspec.json.Decoder(PlainChunk).decode


class _UsageMetadata(msgspec.Struct, gc=False):
    promptTokenCount: int | None = None
    toolUsePromptTokenCount: int | None = None
    cachedContentTokenCount: int | None = None
    candidatesTokenCount: int | None = None
    thoughtsTokenCount: int | None = None
    totalTokenCount: int | None = None


_usage_decoder = msgspec.json.Decoder(_UsageMetadata | None)


def usage_of(raw: msgspec.Raw) -> Usage | None:
    """The numbers of ``usageMetadata``, or None where it has none.

    Google counts thoughts apart from candidates, and what its own tools put into the prompt apart
    from the prompt; ``totalTokenCount`` is the sum of the four. Here they belong to the output and
    to the input.
    """
    try:
        counts = _usage_decoder.decode(raw)
    except UNREADABLE:
        return None
    if counts is None:
        return None
    asked, answered = counts.promptTokenCount, counts.candidatesTokenCount
    tools, thoughts = counts.toolUsePromptTokenCount, counts.thoughtsTokenCount
    total = counts.totalTokenCount
    if asked is None and answered is None and thoughts is None and total is None:
        return None  # Vertex AI tells the kind of traffic here before it counts
    return Usage(
        input_tokens=asked if tools is None else tools + (asked or 0),
        output_tokens=answered if thoughts is None else thoughts + (answered or 0),
        total_tokens=total,
        cached_tokens=counts.cachedContentTokenCount,
        reasoning_tokens=thoughts,
    )


def finish_word(reason: str | int | None) -> str | None:
    """Google's word for why a candidate ended, or None where it goes on."""
    word = _word(reason, _FINISH_WORDS)
    return None if word == "FINISH_REASON_UNSPECIFIED" else word


def block_word(reason: str | int | None) -> str | None:
    """Google's word for why the prompt was blocked, or None where it was not."""
    word = _word(reason, _BLOCK_WORDS)
    return None if word == "BLOCK_REASON_UNSPECIFIED" else word


def citations(candidate: Candidate) -> Iterator[Citation]:
    """The sources a candidate names for its text."""
    metadata = candidate.citationMetadata
    if isinstance(metadata, dict):
        for source in _dicts(metadata.get("citationSources") or metadata.get("citations")):
            yield Citation(_str(source, "uri"), _str(source, "title"), None, source)
    if isinstance(candidate.groundingMetadata, dict):
        yield from _grounding(candidate.groundingMetadata)


def logprobs(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Google's object of each chosen token, with the likeliest others beside it."""
    chosen = _dicts(result.get("chosenCandidates"))
    others = _dicts(result.get("topCandidates"))
    others += [{}] * (len(chosen) - len(others))
    return [
        {**token, "topCandidates": other["candidates"]} if "candidates" in other else token
        for token, other in zip(chosen, others, strict=False)
    ]


def _grounding(metadata: dict[str, Any]) -> Iterator[Citation]:
    """One citation for each passage and each of its sources; the source alone where no passage
    is named."""
    chunks = _dicts(metadata.get("groundingChunks"))
    named = False
    for support in _dicts(metadata.get("groundingSupports")):
        segment = support.get("segment")
        quote = _str(segment, "text") if isinstance(segment, dict) else None
        numbers = support.get("groundingChunkIndices")
        for number in numbers if isinstance(numbers, list) else ():
            if isinstance(number, int) and 0 <= number < len(chunks):
                named = True
                yield _source(chunks[number], quote, support)
    if not named:
        for chunk in chunks:
            yield _source(chunk, None, None)


def _source(chunk: dict[str, Any], quote: str | None, support: dict[str, Any] | None) -> Citation:
    inner = next((value for value in chunk.values() if isinstance(value, dict)), {})
    data = {"groundingChunk": chunk}
    if support is not None:
        data["groundingSupport"] = support
    return Citation(_str(inner, "uri"), _str(inner, "title"), quote, data)


def _word(value: str | int | None, words: tuple[str, ...]) -> str | None:
    if isinstance(value, int):
        return words[value] if 0 <= value < len(words) else str(value)
    return value or None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _str(source: dict[str, Any], name: str) -> str | None:
    value = source.get(name)
    return value if isinstance(value, str) else None
