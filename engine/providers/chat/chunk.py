"""The objects of a Chat Completions stream as typed structs, and what is read from them alone.

Every field is optional: servers differ in what they leave out. A field costs decoding time only
where it is sent.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from engine.messages import Citation, FinishReason, Image, Usage
from engine.wire.json import TypedDecoder

__all__ = [
    "FINISH_REASONS",
    "Choice",
    "Chunk",
    "ChunkUsage",
    "Delta",
    "Function",
    "ToolCallPiece",
    "as_citation",
    "as_image",
    "as_usage",
    "chunk_decoder",
    "decode_plain",
    "first_decoder",
]

FINISH_REASONS: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,  # Together
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,  # Mistral
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_USE,
    "function_call": FinishReason.TOOL_USE,
    "content_filter": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,  # DeepSeek
}


class Function(msgspec.Struct, gc=False):
    """Name and arguments of a call; the arguments are JSON text, or an object from some."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallPiece(msgspec.Struct, gc=False):
    """A piece of a call, or a whole one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: dict[str, Any] | None = None  # Gemini's seal, in its OpenAI-compatible API


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds; a whole answer's ``message`` has the same fields."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    function_call: Function | None = None
    annotations: list[Any] | None = None
    images: list[Any] | None = None
    audio: dict[str, Any] | None = None
    reasoning_details: list[Any] | None = None  # OpenRouter
    thinking_blocks: list[Any] | None = None  # LiteLLM
    executed_tools: list[Any] | None = None  # Groq


class Logprobs(msgspec.Struct):
    """Log probabilities, the provider's own objects."""

    content: list[dict[str, Any]] | None = None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class ChunkUsage(msgspec.Struct):
    """The provider's count; the cached tokens have a name of their own with several."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cached_tokens: int | None = None  # Moonshot
    cache_read_input_tokens: int | None = None  # Claude behind a gateway
    cache_creation_input_tokens: int | None = None
    reasoning_tokens: int | None = None


class Choice(msgspec.Struct, gc=False):
    """One alternative of a chunk."""

    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    usage: ChunkUsage | None = None  # Moonshot


class _Groq(msgspec.Struct):
    usage: ChunkUsage | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event of the stream."""

    choices: list[Choice] | None = None
    usage: ChunkUsage | None = None
    x_groq: _Groq | None = None
    error: Any = None
    citations: list[Any] | None = None  # Perplexity, xAI: addresses
    search_results: list[Any] | None = None  # Perplexity: objects


class FirstChunk(Chunk, gc=False):
    """The first event, or a whole answer. Each event repeats its id and model; to read them every
    time would be a tenth of the work."""

    id: str | None = None
    model: str | None = None


class _PlainDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    tool_calls: None = None
    function_call: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None
    message: None = None
    usage: None = None


class PlainChunk(msgspec.Struct, gc=False):
    """A piece of text of the first choice and nothing else, which nearly all chunks are. One that
    decodes as this needs no further look, which saves a quarter of the work of an event."""

    choices: tuple[_PlainChoice]
    usage: None = None
    x_groq: None = None
    error: None = None
    citations: None = None
    search_results: None = None


# What an answer can do without: where one of these has a type nobody documents, the rest is read.
_SPARE: Final = frozenset(
    {
        *("id", "model", "usage", "x_groq", "logprobs", "citations", "search_results"),
        *("annotations", "images", "audio", "reasoning_details", "thinking_blocks"),
        *("executed_tools", "extra_content", "reasoning", "thinking", "refusal", "finish_reason"),
    }
)

chunk_decoder: Final = TypedDecoder(Chunk, spare=_SPARE)
decode_plain: Final = msgspec.json.Decoder(PlainChunk).decode
first_decoder: Final = TypedDecoder(FirstChunk, spare=_SPARE)


def as_usage(usage: ChunkUsage) -> Usage | None:
    """The count in the engine's terms; None where it says nothing."""
    prompt = usage.prompt_tokens_details or _Details()
    completion = usage.completion_tokens_details or _Details()
    counts = Usage(
        input_tokens=_count(usage.prompt_tokens),
        output_tokens=_count(usage.completion_tokens),
        total_tokens=_count(usage.total_tokens),
        cached_tokens=_count(
            prompt.cached_tokens,
            usage.prompt_cache_hit_tokens,
            usage.cached_tokens,
            usage.cache_read_input_tokens,
        ),
        cache_write_tokens=_count(prompt.cache_write_tokens, usage.cache_creation_input_tokens),
        reasoning_tokens=_count(completion.reasoning_tokens, usage.reasoning_tokens),
    )
    return counts if counts != Usage() else None


def _count(*numbers: int | None) -> int | None:
    """The first that is a count at all."""
    return next((number for number in numbers if number is not None and number >= 0), None)


def as_citation(source: Any) -> Citation | None:
    """A source: OpenAI's ``url_citation``, Perplexity's object, or a bare address."""
    if isinstance(source, str):
        return Citation(url=source, data={"url": source})
    if not isinstance(source, dict):
        return None
    facts = source.get("url_citation", source)
    if not isinstance(facts, dict):
        facts = {}

    def words(name: str) -> str | None:
        value = facts.get(name)
        return value if isinstance(value, str) else None

    quote = words("content") or words("snippet")
    return Citation(url=words("url"), title=words("title"), quote=quote, data=source)


def as_image(image: Any) -> Image | None:
    """An image the model made: ``{"image_url": {"url": …}}``, often a data URL."""
    inner = image.get("image_url", image) if isinstance(image, dict) else image
    url = inner.get("url") if isinstance(inner, dict) else inner
    if not isinstance(url, str):
        return None
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        return Image(data=data, media_type=head.partition(";")[0] or None)
    return Image(url=url)
