"""What a chunk of Chat Completions says beside the words of the answer: who answers, and what has
no name of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

import msgspec

from engine.providers.blocks import merge
from engine.providers.chat.chunk import ChoiceWords, ChunkUsage, StreamChoice

__all__ = ["UsualChoice", "UsualChunk", "as_counts", "decode_usual", "facts_of", "finishes"]

# Of a chunk: what has events, or a place of its own.
_TOLD: Final = frozenset({"choices", "id", "model", "error", "usage", "prompt_progress"})
_TOLD_OF_CHOICE: Final = frozenset(
    {"index", "delta", "message", "text", "finish_reason", "logprobs"}
)


_Facts = tuple[str | int | None, ...]


class UsualChoice(ChoiceWords, gc=False, forbid_unknown_fields=True):
    """A choice of which there is nothing to tell but its words: a `StreamChoice` without more."""

    usage: ClassVar[None] = None
    error: ClassVar[None] = None
    content_filter_results: ClassVar[None] = None
    content_filter_offsets: ClassVar[None] = None


class UsualChunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What nearly all servers say in the chunks that open and end an answer, and nothing else:
    read with what stands beside the words, such a chunk needs no second look."""

    choices: list[UsualChoice]
    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: dict[str, Any] | None = None
    obfuscation: str | None = None

    def tell(self, metadata: dict[str, Any], told: _Facts) -> _Facts:
        """Put into `metadata` what of it has no name of ours, as `merge` does, but what was `told`
        last and stands there. What was put there: `told` of the next time."""
        facts = self.object, self.created, self.service_tier, self.system_fingerprint
        if facts != told:
            if self.object:
                metadata["object"] = self.object
            if self.created is not None:
                metadata["created"] = self.created
            if self.service_tier:
                metadata["service_tier"] = self.service_tier
            if self.system_fingerprint:
                metadata["system_fingerprint"] = self.system_fingerprint
        if self.obfuscation:
            metadata["obfuscation"] = self.obfuscation
        if self.usage:
            if "usage" in metadata:
                merge(metadata, {"usage": self.usage})
            else:
                metadata["usage"] = self.usage
        return facts


decode_usual: Final = msgspec.json.Decoder(UsualChunk).decode


def as_counts(usage: dict[str, Any]) -> ChunkUsage:
    """`usage`, typed as if it were read so; raises what the decoders do."""
    return msgspec.convert(usage, ChunkUsage)


def facts_of(chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What of `chunk`, whatever it says, has no name of ours, to be merged in turn."""
    yield {name: value for name, value in chunk.items() if name not in _TOLD}
    if isinstance(chunk.get("usage"), dict):
        yield {"usage": chunk["usage"]}
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        rest = {name: value for name, value in choice.items() if name not in _TOLD_OF_CHOICE}
        number = choice.get("index") or 0
        if rest:
            yield rest if not number else {"choices": {str(number): rest}}


def finishes(choices: list[StreamChoice] | list[UsualChoice]) -> bool:
    """Whether one of `choices` says why it ended; it is told with what stands beside it."""
    if len(choices) == 1:
        return bool(choices[0].finish_reason)  # some say "" in each
    return any(choice.finish_reason for choice in choices)
