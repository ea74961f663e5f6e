"""What the parts of one Gemini candidate hold: text, thoughts, calls, data, tools Google ran."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from engine.events import (
    AudioDelta,
    CitationDelta,
    Event,
    ImageDone,
    LogprobsDelta,
    ServerToolDone,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    Unknown,
    VendorItemDone,
)
from engine.messages import Image, ServerTool, VendorItem
from engine.providers.blocks import AnswerParser, Choice
from engine.providers.gemini.arguments import PartialArguments
from engine.providers.gemini.types import Candidate, FunctionCall, Part, citations, logprobs
from engine.providers.tool_calls import OpenCall, text_of_raw

__all__ = ["Alternative", "ContentParser"]

# Tools Google runs: they come as parts of their own and go back as they came.
_SERVER_TOOLS: Final = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")


class Alternative(Choice):
    """What is open of one candidate: ``candidateCount`` > 1 gives several."""

    __slots__ = ("arguments", "call", "cited", "text_block")

    def __init__(self, number: int = 0) -> None:
        super().__init__(number)
        self.text_block: int | None = None
        self.call: OpenCall | None = None  # its arguments come value by value
        self.arguments: PartialArguments = PartialArguments()
        self.cited: set[bytes] = set()


class ContentParser(AnswerParser):
    """The part of the Gemini parser that looks into candidates."""

    __slots__ = ("_seed",)

    def __init__(self, first: Alternative) -> None:
        super().__init__(first)
        self._seed: str | None = None

    def _text(self, part: Part, state: Alternative, choice: int, events: list[Event]) -> None:
        kind: Any = ThinkingDelta if part.thought else TextDelta
        if part.thoughtSignature is not None and part.text:
            state.kind = None  # "Don't merge one part with a signature with another without"
        if part.text:
            if state.kind is not kind:
                self._new_block(state)
                state.kind = kind
                if kind is TextDelta:
                    state.text_block = state.block
            events.append(kind(part.text, state.block, choice))
            if part.thoughtSignature:
                events.append(SignatureDelta(part.thoughtSignature, state.block, choice))
                state.kind = None
        else:
            self._lone_signature(part, state, choice, events)

    def _lone_signature(
        self, part: Part, state: Alternative, choice: int, events: list[Event]
    ) -> None:
        if part.thoughtSignature:
            block = self._new_block(state)
            events.append(SignatureDelta(part.thoughtSignature, block, choice))

    def _function_call(
        self,
        piece: FunctionCall,
        part: Part,
        state: Alternative,
        choice: int,
        events: list[Event],
    ) -> None:
        """A call, whole as a rule; or a piece of one: the first piece has the name, the last lacks
        ``willContinue``."""
        call = state.call
        if call is None and not piece.name:
            text = text_of_raw(piece.args)
            if text or piece.partialArgs:
                # Of which call, cannot be told.
                stray = state.calls.open(piece.id, "", self._new_block(state), self._seed or "")
                stray.broken = state.calls.astray = True
                events += stray.add(text)
            return  # the end of a call that has ended
        if call is None or piece.name:
            if call is not None:
                call.broken = True  # its end never came
            index = self._new_block(state)
            seed = self._seed or self._random_seed()
            call = state.call = state.calls.open(piece.id, piece.name or "", index, seed)
            call.signature = part.thoughtSignature
            state.arguments = PartialArguments()
            events += call.tell()
        for argument in piece.partialArgs or ():
            state.arguments.add(argument)
        if piece.willContinue:
            return
        state.call = None
        if not state.arguments.valid:
            call.broken = True  # what it was to do is not known
            return
        events += state.calls.mark(call, text_of_raw(piece.args) or state.arguments.json())

    def _other_part(
        self, part: dict[str, Any], state: Alternative, choice: int, events: list[Event]
    ) -> None:
        names = [name for name in part if name not in ("thought", "thoughtSignature")]
        signature = part.get("thoughtSignature")
        seal = Part(thoughtSignature=signature if isinstance(signature, str) else None)
        if not names:
            self._lone_signature(seal, state, choice, events)
        elif names[0] in _SERVER_TOOLS:
            tool = ServerTool(names[0], part)
            events.append(ServerToolDone(tool, self._new_block(state), choice))
        elif names[0] == "inlineData" and isinstance(part["inlineData"], dict):
            self._blob(part, state, choice, events)
            self._lone_signature(seal, state, choice, events)
        else:
            item = VendorItem(names[0], part, "gemini")
            events.append(VendorItemDone(item, self._new_block(state), choice))

    def _blob(
        self, part: dict[str, Any], state: Alternative, choice: int, events: list[Event]
    ) -> None:
        """Data in the answer: an image, a piece of sound, or something else."""
        blob = part["inlineData"]
        kind, data = blob.get("mimeType"), blob.get("data")
        kind = kind if isinstance(kind, str) else None
        data = data if isinstance(data, str) else ""
        if kind is not None and kind.startswith("audio/"):
            block = self._block(state, AudioDelta)
            events.append(AudioDelta(data, "", kind, block, choice))
        elif kind is None or kind.startswith("image/"):
            image = Image(data=data, media_type=kind)
            events.append(ImageDone(image, self._new_block(state), choice))
        else:
            item = VendorItem("inlineData", part, "gemini")
            events.append(VendorItemDone(item, self._new_block(state), choice))

    def _about(
        self, candidate: Candidate, state: Alternative, choice: int, events: list[Event]
    ) -> None:
        """What a candidate tells about its text."""
        for citation in citations(candidate):
            key = msgspec.json.encode(citation.data)
            if key not in state.cited:  # the list grows and comes whole each time
                state.cited.add(key)
                if state.text_block is None:
                    state.text_block = self._new_block(state)
                events.append(CitationDelta(citation, state.text_block, choice))
        for name in ("groundingMetadata", "urlContextMetadata", "finishMessage"):
            value = getattr(candidate, name)
            if value:
                events.append(Unknown(name, value, state.block))
        if isinstance(candidate.logprobsResult, dict):
            tokens = logprobs(candidate.logprobsResult)
            events.append(LogprobsDelta(tokens, state.block, choice))

    def _random_seed(self) -> str:
        self._seed = secrets.token_hex(8)
        return self._seed
