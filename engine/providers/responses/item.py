"""One item of an OpenAI Responses output: a message, a reasoning, a call, a server tool.

An item is told piece by piece and then once more whole. Servers differ in which of the two they
leave out, so each piece of content is taken from the first that has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.events import (
    CitationDelta,
    Event,
    ImageDone,
    LogprobsDelta,
    RefusalDelta,
    ServerToolDone,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from engine.messages import ServerTool
from engine.providers.responses.event import as_citation, as_image, dicts, text_of
from engine.providers.tool_calls import OpenCall
from engine.wire.json import is_json

__all__ = ["Item"]


class Item:
    """An output item that is open or done.

    Args:
        blocks: gives the number of the next content block.

    Attributes:
        block: the content block of a call or server tool, -1 for an item of parts.
        call: the call, where it is one.
        custom: whether the call is of a custom tool, whose input need not be JSON.
        parts: kind and number of each part that began → its content block. Kinds are ``text``,
            ``refusal``, ``reasoning`` and ``summary``.
        cited: citations that were told.
        done: the whole was seen.
    """

    __slots__ = ("_blocks", "block", "call", "cited", "custom", "done", "parts")

    def __init__(self, blocks: Iterator[int]) -> None:
        self._blocks = blocks
        self.block = -1
        self.call: OpenCall | None = None
        self.custom = False
        self.parts: dict[tuple[str, int], int] = {}
        self.cited = 0
        self.done = False

    @property
    def called(self) -> bool:
        """Whether it is a call that came whole."""
        return self.call is not None and self.call.done

    def part(self, kind: str, number: int) -> int:
        """The content block of a part, which may begin here."""
        block = self.parts.get((kind, number))
        if block is None:
            block = self.parts[kind, number] = next(self._blocks)
        return block

    def begin(self, data: dict[str, Any]) -> list[Event]:
        """The item is announced by its provider's object `data`."""
        kind = data.get("type")
        if kind in ("message", "reasoning") or self.block >= 0:
            return []
        self.block = next(self._blocks)
        if kind not in ("function_call", "custom_tool_call"):
            return []
        self.custom = kind == "custom_tool_call"
        id = text_of(data.get("call_id")) or text_of(data.get("id")) or f"call_{self.block}"
        self.call = OpenCall(id, text_of(data.get("name")), self.block)
        return [self.call.start()]

    def end(self, data: dict[str, Any]) -> list[Event]:
        """The item is whole: what was not told yet."""
        if self.done:
            return []
        events = self.begin(data)
        self.done = True
        kind = data.get("type")
        if kind == "message":
            self._end_message(data, events)
        elif kind == "reasoning":
            self._end_reasoning(data, events)
        elif self.call is not None:
            self._end_call(self.call, data, events)
        else:
            name = text_of(data.get("name")) or str(kind)
            events.append(ServerToolDone(ServerTool(name, data), self.block))
            image = as_image(data)
            if image is not None:
                events.append(ImageDone(image, next(self._blocks)))
        return events

    def _end_message(self, data: dict[str, Any], events: list[Event]) -> None:
        # By kind, not by number: vLLM (Bedrock) numbers the parts of a stream over all items.
        told = {kind for kind, _ in self.parts}
        cited = self.cited
        for number, part in enumerate(dicts(data.get("content"))):
            refusal = text_of(part.get("refusal"))
            if refusal and "refusal" not in told:
                events.append(RefusalDelta(refusal, self.part("refusal", number)))
            text = text_of(part.get("text"))
            if text and "text" not in told:
                events.append(TextDelta(text, self.part("text", number)))
                logprobs = dicts(part.get("logprobs"))
                if logprobs:
                    events.append(LogprobsDelta(logprobs, self.part("text", number)))
            for annotation in dicts(part.get("annotations")):
                if cited:
                    cited -= 1
                    continue
                block = max(self.parts.values()) if self.parts else self.part("text", number)
                events.append(CitationDelta(as_citation(annotation), block))

    def _end_reasoning(self, data: dict[str, Any], events: list[Event]) -> None:
        told = {kind for kind, _ in self.parts}
        for kind, field in (("reasoning", "content"), ("summary", "summary")):
            for number, part in enumerate(dicts(data.get(field))):
                text = text_of(part.get("text"))
                if text and kind not in told:
                    events.append(ThinkingDelta(text, self.part(kind, number)))
        # "use the completed reasoning item and its encrypted_content from the
        # response.output_item.done event […] in output_item.added [it] may be incomplete"
        seal = text_of(data.get("encrypted_content"))
        if seal:
            # It seals the whole item: its last part, or a block of its own.
            block = max(self.parts.values()) if self.parts else next(self._blocks)
            events.append(SignatureDelta(seal, block))

    def _end_call(self, call: OpenCall, data: dict[str, Any], events: list[Event]) -> None:
        given = data.get("input" if self.custom else "arguments")
        if isinstance(given, dict):
            given = msgspec.json.encode(given).decode()
        text = text_of(given)
        if text and not call.arguments:
            events.append(call.add(text))
        if data.get("status") == "incomplete":
            return
        if self.custom and not is_json(text):
            text = msgspec.json.encode(text).decode()  # free text, as a JSON string
        events.extend(call.close(arguments=text or None))
