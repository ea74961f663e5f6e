"""The chunks of one Gemini answer become events.

There is no end marker: the answer is complete when the bytes ended and a candidate gave its
``finishReason``, or the prompt was blocked. Chunks after that still bring usage.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from engine.errors import EngineError, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    ImageDone,
    LogprobsDelta,
    RefusalDelta,
    ServerToolDone,
    SignatureDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import FinishReason, Image, ServerTool, Usage
from engine.providers.call_ids import made_up_id
from engine.providers.gemini.arguments import PartialArguments
from engine.providers.gemini.types import (
    ABSENT,
    Candidate,
    Chunk,
    FunctionCall,
    Part,
    PromptFeedback,
    block_word,
    citations,
    decode_plain,
    finish_word,
    logprobs,
    usage_of,
)
from engine.providers.refusal import is_error, stream_error
from engine.providers.tool_calls import OpenCall
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json, not_json

__all__ = ["GeminiParser", "chunks_of"]

FINISH_REASONS: Final = {
    "STOP": FinishReason.STOP,
    "FUNCTION_CALL": FinishReason.TOOL_USE,  # of servers that speak like Gemini
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,  # Vertex AI
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
}

# Tools Google runs: they come as parts of their own and go back as they came.
_SERVER_TOOLS: Final = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")

_decoder = TypedDecoder(Chunk)
_list_decoder = TypedDecoder(list[msgspec.Raw])


class _Alternative:
    """What is open of one candidate: ``candidateCount`` > 1 gives several."""

    __slots__ = ("arguments", "block", "call", "called", "cited", "finish", "kind", "text_block")

    def __init__(self) -> None:
        self.kind: type[Event] | None = None
        self.block = 0
        self.text_block: int | None = None
        self.call: OpenCall | None = None  # its arguments come value by value
        self.arguments = PartialArguments()
        self.called = False
        self.cited: set[bytes] = set()
        self.finish: str | None = None


class GeminiParser:
    """Turns the chunks of one stream into events.

    A signature on a part without text becomes a block of its own, that is a `Thinking` that has
    only a signature. Usage is cumulative in every chunk, so only the last is told.
    """

    def __init__(self) -> None:
        self.complete = False
        self._first = _Alternative()
        self._candidates: dict[int, _Alternative] = {}
        self._blocks = 0
        self._started = False
        self._ended = False
        self._blocked: str | None = None
        self._seed: str | None = None
        self._raw_usage = ABSENT
        self._usage: Usage | None = None

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        first = self._first
        for record in records:
            if self._ended:
                break
            if first.kind is TextDelta:
                try:
                    plain = decode_plain(record.data)
                except UNREADABLE:
                    pass
                else:
                    self._raw_usage = plain.usageMetadata or self._raw_usage
                    events.append(TextDelta(plain.candidates[0].content.parts[0].text, first.block))
                    continue
            self._record(record.data, events)
        return events

    def untold_usage(self) -> Usage | None:
        """The last count, for a stream that ends before it was told."""
        return usage_of(self._raw_usage) if self._raw_usage else None

    def finish(self) -> list[Event]:
        states = self._candidates.values()
        if self._blocked is not None or (
            states and all(state.finish is not None for state in states)
        ):
            return self.whole()
        return []

    def whole(self) -> list[Event]:
        """The last events of an answer that was not streamed."""
        events: list[Event] = []
        if not self._ended:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _record(self, data: bytes, events: list[Event]) -> None:
        """One chunk, whatever is in it."""
        try:
            chunk = _decoder.decode(data)
        except UNREADABLE as error:
            chunk = self._unreadable(data, error, events)
        if not self._started or chunk.candidates is None or chunk.error is not None:
            chunk = self._envelope(chunk, data, events)
        if chunk.usageMetadata:
            self._raw_usage = chunk.usageMetadata
        for candidate in chunk.candidates or ():
            self._candidate(candidate, chunk, data, events)

    def _unreadable(self, data: bytes, error: Exception, events: list[Event]) -> Chunk:
        """What can be mended, or an error that Google wraps in a list; or the end."""
        try:
            if data.lstrip()[:1] == b"[":
                return _decoder.decode(chunks_of(data)[0])
            return _decoder.recover(data, error)
        except ProtocolError as failure:
            self._fail(failure, events)
        except (IndexError, *UNREADABLE) as failure:
            self._fail(not_json(data, failure), events)
        return Chunk()

    def _envelope(self, chunk: Chunk, data: bytes, events: list[Event]) -> Chunk:
        """The start, prompts that are blocked, and errors of a stream that began well; the chunk
        to go on with."""
        chunk = chunk.response or chunk
        if self._ended:
            return chunk
        feedback = chunk.promptFeedback
        known = chunk.candidates is not None or feedback is not None or bool(chunk.usageMetadata)
        if chunk.error:
            self._fail(stream_error({"error": chunk.error}), events)
            return Chunk()
        if not known:
            plain = decode_json(data)
            if is_error(plain):
                self._fail(stream_error(plain), events)
        elif not self._started:
            self._started = True
            self._seed = chunk.responseId
            events.append(Start(chunk.responseId, chunk.modelVersion))
        reason = block_word(feedback.blockReason) if feedback is not None else None
        if feedback is not None and reason is not None and self._blocked is None:
            self._block_prompt(reason, feedback, events)
        return chunk

    def _block_prompt(self, reason: str, feedback: PromptFeedback, events: list[Event]) -> None:
        # No candidate follows. The reason is all that is said, so it stands where a refusal does.
        self._blocked = reason
        events.append(RefusalDelta(reason, self._new_block(self._first)))
        if feedback.blockReasonMessage:
            events.append(Unknown("blockReasonMessage", feedback.blockReasonMessage))

    def _candidate(
        self, candidate: Candidate, chunk: Chunk, data: bytes, events: list[Event]
    ) -> None:
        choice = candidate.index or 0
        state = self._candidates.get(choice)
        if state is None:
            state = self._candidates[choice] = self._first if choice == 0 else _Alternative()
        parts = candidate.content.parts if candidate.content is not None else None
        for place, part in enumerate(parts or ()):
            if part.functionCall is not None:
                self._function_call(part.functionCall, part, state, choice, events)
            elif part.text is not None:
                self._text(part, state, choice, events)
            elif part.inlineData is not None:
                blob = part.inlineData
                image = Image(data=blob.data, media_type=blob.mimeType)
                events.append(ImageDone(image, self._new_block(state), choice))
                self._lone_signature(part, state, choice, events)
            else:
                number = next(i for i, c in enumerate(chunk.candidates or ()) if c is candidate)
                self._other_part(_plain_part(data, number, place), state, choice, events)
        self._about(candidate, state, choice, events)
        reason = finish_word(candidate.finishReason)
        if reason is not None:
            state.finish = reason

    def _text(self, part: Part, state: _Alternative, choice: int, events: list[Event]) -> None:
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
        self, part: Part, state: _Alternative, choice: int, events: list[Event]
    ) -> None:
        if part.thoughtSignature:
            block = self._new_block(state)
            events.append(SignatureDelta(part.thoughtSignature, block, choice))

    def _function_call(
        self,
        piece: FunctionCall,
        part: Part,
        state: _Alternative,
        choice: int,
        events: list[Event],
    ) -> None:
        """A call, whole as a rule; or a piece of one: the first piece has the name, the last lacks
        ``willContinue``."""
        call = state.call
        if call is None and not piece.name:
            return  # the end of a call that has ended
        if call is None or piece.name:
            index = self._new_block(state)
            id = piece.id or made_up_id(self._seed or self._random_seed(), index)
            call = state.call = OpenCall(id, piece.name or "", index, choice)
            call.signature = part.thoughtSignature
            state.arguments = PartialArguments()
            events.append(call.start())
        for argument in piece.partialArgs or ():
            state.arguments.add(argument)
        if piece.willContinue:
            return
        state.call = None
        if not state.arguments.valid:
            return  # never handed over: what it was to do is not known
        arguments = _text_of(piece.args) or state.arguments.json()
        events += (call.add(arguments), *call.close())
        state.called = state.called or call.done

    def _other_part(
        self, part: dict[str, Any], state: _Alternative, choice: int, events: list[Event]
    ) -> None:
        names = [name for name in part if name not in ("thought", "thoughtSignature")]
        if not names:
            signature = part.get("thoughtSignature")
            self._lone_signature(Part(thoughtSignature=signature), state, choice, events)
        elif names[0] in _SERVER_TOOLS:
            tool = ServerTool(names[0], part)
            events.append(ServerToolDone(tool, self._new_block(state), choice))
        else:
            events.append(Unknown(names[0], part, state.block))

    def _about(
        self, candidate: Candidate, state: _Alternative, choice: int, events: list[Event]
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

    def _new_block(self, state: _Alternative) -> int:
        state.kind = None
        state.block = self._blocks
        self._blocks += 1
        return state.block

    def _random_seed(self) -> str:
        self._seed = secrets.token_hex(8)
        return self._seed

    def _tell_usage(self, events: list[Event]) -> None:
        raw, self._raw_usage = self._raw_usage, ABSENT
        usage = usage_of(raw) if raw else None
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage))

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self._fail(_no_answer(), events)
            return
        self.complete = self._ended = True
        word = self._first.finish
        reason = FINISH_REASONS.get(word or "", FinishReason.UNKNOWN)
        if self._blocked is not None:
            reason, word = FinishReason.CONTENT_FILTER, word or self._blocked
        elif reason is FinishReason.STOP and self._first.called:
            reason = FinishReason.TOOL_USE
        self._tell_usage(events)
        events.append(Done(reason, self._usage, word))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._tell_usage(events)
        self._ended = True
        events.append(StreamError(error))


def _no_answer() -> ProtocolError:
    return ProtocolError(
        "the answer ended without one chunk of Gemini's; check that the base URL and the dialect "
        "belong together"
    )


def chunks_of(body: bytes) -> list[bytes]:
    """The chunks of a body that is one, or a list of them."""
    if body.lstrip()[:1] != b"[":
        return [body]
    try:
        return [bytes(chunk) for chunk in _list_decoder.decode(body)]
    except UNREADABLE:
        return [body]


def _plain_part(data: bytes, candidate: int, place: int) -> dict[str, Any]:
    """A part of a kind that is rare or new, with all its fields: the record is decoded again."""
    chunk = decode_json(chunks_of(data)[0])
    part = (chunk.get("response") or chunk)["candidates"][candidate]["content"]["parts"][place]
    return dict(part)


def _text_of(arguments: msgspec.Raw) -> str:
    """The arguments as the text they came in; empty where there are none."""
    text = bytes(arguments).decode("utf-8", "replace")
    return "" if text == "null" else text
