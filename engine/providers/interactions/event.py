"""The events of an Interactions stream as typed structs, and what is read from them alone."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.messages import Citation, Usage

__all__ = ["Counts", "Delta", "Interaction", "StreamEvent", "as_citation", "as_usage", "dicts"]


class Delta(msgspec.Struct, gc=False):
    """What a step gains; which fields it has is told by `type`."""

    type: str | None = None
    text: str | None = None
    name: str | None = None
    signature: str | None = None
    arguments: Any = None
    partial_arguments: Any = None  # the name of the same in Google's SDK
    content: Any = None
    annotations: Any = None
    data: str | None = None
    uri: str | None = None
    mime_type: str | None = None


class Counts(msgspec.Struct, gc=False):
    """``usage``, in the last event."""

    total_input_tokens: int | None = None
    total_output_tokens: int | None = None
    total_thought_tokens: int | None = None
    total_tool_use_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_tokens: int | None = None


class Interaction(msgspec.Struct):
    """A whole interaction, or its head in ``interaction.created``."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    steps: Any = None
    outputs: Any = None  # the same, before the revision of May 2026
    usage: Counts | None = None
    error: Any = None


class StreamEvent(msgspec.Struct):
    """Any event: each type has some of the fields."""

    event_type: str | None = None
    index: int = 0
    delta: Delta | None = None
    step: dict[str, Any] | None = None
    content: dict[str, Any] | None = None  # of a step, before the revision of May 2026
    interaction: Interaction | None = None
    status: str | None = None  # of the interaction
    error: Any = None


_NAMES: Final = ("title", "file_name", "name")


def as_usage(counts: Counts) -> Usage:
    """Thoughts belong to the output here, and what Google's own tools put into the prompt to the
    input; ``total_tokens`` is the sum of the four."""

    def total(first: int | None, second: int | None) -> int | None:
        return first if second is None else second + (first or 0)

    return Usage(
        input_tokens=total(counts.total_input_tokens, counts.total_tool_use_tokens),
        output_tokens=total(counts.total_output_tokens, counts.total_thought_tokens),
        total_tokens=counts.total_tokens,
        cached_tokens=counts.total_cached_tokens,
        reasoning_tokens=counts.total_thought_tokens,
    )


def as_citation(data: dict[str, Any]) -> Citation:
    """An annotation of any type: a page, a file, a place."""
    title = next((data[name] for name in _NAMES if isinstance(data.get(name), str)), None)
    url = data.get("url") or data.get("document_uri")
    return Citation(url if isinstance(url, str) else None, title, None, data)


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in `value` where it is a list, else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
