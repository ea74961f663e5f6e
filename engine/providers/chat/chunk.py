"""The objects of a Chat Completions stream as typed structs, and what is read from them alone.

Every field is optional: servers differ in what they leave out. A field costs decoding time only
where it is sent. In the structs that stand for one thing and nothing else, a field typed None must
be left out or null and a tuple of one type have one item, else decoding fails. What a struct does
not name is passed over, unless it forbids that.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from engine.messages import Citation, Image, Usage
from engine.wire.json import TypedDecoder

__all__ = [
    "UNSAID",
    "ChoiceWords",
    "Chunk",
    "ChunkUsage",
    "Delta",
    "Function",
    "PlainChoice",
    "StreamChoice",
    "ToolCallPiece",
    "as_citation",
    "as_image",
    "as_usage",
    "chunk_decoder",
    "decode_call",
    "decode_findings",
    "decode_piece",
    "decode_plain",
    "decode_thought",
    "first_decoder",
]


class Function(msgspec.Struct, gc=False):
    """Name and arguments of a call; the arguments are JSON text, or an object from some."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None

    def text(self) -> str:
        """The arguments as JSON text; empty where there are none."""
        if isinstance(self.arguments, dict):
            return msgspec.json.encode(self.arguments).decode()
        return self.arguments or ""


class Custom(msgspec.Struct, gc=False):
    """Name and input, free text, of a call of a custom tool."""

    name: str | None = None
    input: str | None = None


class ToolCallPiece(msgspec.Struct, gc=False):
    """A piece of a call, or a whole one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: dict[str, Any] | None = None  # Gemini's seal, in its OpenAI-compatible API


class Delta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What a chunk adds; a whole answer's ``message`` has the same fields. What no server was seen
    to send is odd, and so is told."""

    role: str | None = None
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
    provider_metadata: Any = None  # Vercel's gateway
    extra_content: dict[str, Any] | None = None  # Gemini's seal of a text
    channel: str | None = None  # of the harmony format: "analysis", "final"
    token_id: int | None = None  # Together: the last token's number in its vocabulary


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
    cost: Any = None  # OpenRouter; Perplexity: an object
    estimated_cost: float | None = None  # DeepInfra


class ChoiceWords(msgspec.Struct, gc=False):
    """One alternative of a chunk: its words, and why they ended."""

    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class StreamChoice(ChoiceWords, gc=False):
    """One alternative of a chunk, with what some servers put beside its words."""

    usage: ChunkUsage | None = None  # Moonshot
    error: Any = None  # OpenRouter
    content_filter_results: dict[str, Any] | None = None  # Azure
    content_filter_offsets: dict[str, Any] | None = None  # Azure


class _Groq(msgspec.Struct):
    usage: ChunkUsage | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event of the stream."""

    choices: list[StreamChoice] | None = None
    usage: ChunkUsage | None = None
    x_groq: _Groq | None = None
    error: Any = None
    citations: list[Any] | None = None  # Perplexity, xAI: addresses
    search_results: list[Any] | None = None  # Perplexity: objects
    prompt_progress: Any = None  # llama-server: how far the prompt is read
    base_resp: dict[str, Any] | None = None  # MiniMax: an error of its own kind
    web_search: Any = None  # Zhipu's sources
    search_info: Any = None  # DashScope's


class FirstChunk(Chunk, gc=False):
    """The first event, or a whole answer. Each event repeats its id and model; to read them every
    time would be a tenth of the work."""

    id: str | None = None
    model: str | None = None


UNSAID: Final = msgspec.Raw()


class _PlainDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    tool_calls: None = None
    function_call: None = None


class PlainChoice(msgspec.Struct, gc=False, kw_only=True):
    # In the order OpenAI sends them: the next field is looked for behind the last one found.
    index: Literal[0] = 0
    delta: _PlainDelta
    logprobs: None = None
    finish_reason: None = None
    error: None = None
    usage: None = None
    # Azure's findings, in each chunk: to read them costs as much as all the rest, and they are the
    # same as a rule.
    content_filter_results: msgspec.Raw = UNSAID
    content_filter_offsets: msgspec.Raw = UNSAID


class _Alone(msgspec.Struct, gc=False):
    """A chunk that says nothing beside its choices' words."""

    usage: None = None
    x_groq: None = None
    error: None = None
    citations: None = None
    search_results: None = None
    web_search: None = None
    search_info: None = None
    prompt_progress: None = None
    base_resp: None = None


class PlainChunk(_Alone, gc=False, kw_only=True):
    """A piece of text of the first choice and nothing else, which nearly all chunks are. One that
    decodes as this needs no further look, which saves a quarter of the work of an event."""

    choices: tuple[PlainChoice]


class _PieceFunction(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    arguments: str
    name: Literal[""] | None = None


class _Piece(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    index: int
    function: _PieceFunction
    id: Literal[""] | None = None
    type: str | None = None


class _PieceDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    tool_calls: tuple[_Piece]
    role: str | None = None
    content: Literal[""] | None = None
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None


class _PieceChoice(msgspec.Struct, gc=False):
    delta: _PieceDelta
    index: Literal[0] = 0
    finish_reason: None = None
    usage: None = None
    logprobs: None = None
    error: None = None
    content_filter_results: None = None
    content_filter_offsets: None = None


class PieceChunk(_Alone, gc=False, kw_only=True):
    """A further piece of the arguments of one call and nothing else."""

    choices: tuple[_PieceChoice]


class _CallFunction(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    index: int
    id: str
    function: _CallFunction
    type: str | None = None


class _CallDelta(_PieceDelta, gc=False, forbid_unknown_fields=True):
    tool_calls: tuple[_Call]  # type: ignore[assignment]  # in place of its own


class _CallChoice(_PieceChoice, gc=False):
    delta: _CallDelta


class CallChunk(PieceChunk, gc=False, kw_only=True):
    """The beginning of one call and nothing else."""

    choices: tuple[_CallChoice]


class _ThoughtDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: Literal[""] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None


class _ThoughtChoice(msgspec.Struct, gc=False, kw_only=True):
    index: Literal[0] = 0
    delta: _ThoughtDelta
    logprobs: None = None
    finish_reason: None = None
    error: None = None
    usage: None = None
    content_filter_results: None = None
    content_filter_offsets: None = None


class ThoughtChunk(_Alone, gc=False, kw_only=True):
    """A piece of the reasoning of the first choice and nothing else."""

    choices: tuple[_ThoughtChoice]


# Where the answer's own words stand, and what holds them.
_NEEDED: Final = frozenset({"choices", "delta", "message", "content", "index"})

chunk_decoder: Final = TypedDecoder(Chunk, _NEEDED)
decode_findings: Final = msgspec.json.Decoder(dict[str, Any] | None).decode
decode_call: Final = msgspec.json.Decoder(CallChunk).decode
decode_piece: Final = msgspec.json.Decoder(PieceChunk).decode
decode_plain: Final = msgspec.json.Decoder(PlainChunk).decode
decode_thought: Final = msgspec.json.Decoder(ThoughtChunk).decode
first_decoder: Final = TypedDecoder(FirstChunk, _NEEDED)


_NO_DETAILS: Final = _Details()
_NO_COUNTS: Final = Usage()


def as_usage(usage: ChunkUsage) -> Usage | None:
    """The count in the engine's terms; None where it says nothing."""
    prompt = usage.prompt_tokens_details or _NO_DETAILS
    completion = usage.completion_tokens_details or _NO_DETAILS
    counts = Usage(
        _count(usage.prompt_tokens),
        _count(usage.completion_tokens),
        _count(usage.total_tokens),
        _first_count(
            prompt.cached_tokens,
            usage.prompt_cache_hit_tokens,
            usage.cached_tokens,
            usage.cache_read_input_tokens,
        ),
        _first_count(prompt.cache_write_tokens, usage.cache_creation_input_tokens),
        _first_count(completion.reasoning_tokens, usage.reasoning_tokens),
        cost=None if usage.cost is None and usage.estimated_cost is None else _cost(usage),
    )
    return counts if counts != _NO_COUNTS else None


def _count(number: int | None) -> int | None:
    """`number`, where it is a count at all."""
    return number if number is not None and number >= 0 else None


def _first_count(*numbers: int | None) -> int | None:
    """The first that is a count at all."""
    for number in numbers:
        if number is not None and number >= 0:
            return number
    return None


def _cost(usage: ChunkUsage) -> float | None:
    cost = usage.cost.get("total_cost") if isinstance(usage.cost, dict) else usage.cost
    cost = usage.estimated_cost if cost is None else cost
    return float(cost) if isinstance(cost, int | float) else None


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
