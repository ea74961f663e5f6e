"""OpenAI Chat Completions, the format most servers speak.

https://platform.openai.com/docs/api-reference/chat and chat-streaming. The servers differ in what
they leave out: no field but the JSON itself is required here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.errors import EngineError, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    ImageDone,
    LogprobsDelta,
    RedactedThinkingDone,
    RefusalDelta,
    ServerToolDone,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import FinishReason, ServerTool, Usage
from engine.providers.call_ids import made_up_id
from engine.providers.chat.calls import gemini_seal, open_call
from engine.providers.chat.chunk import (
    FINISH_REASONS,
    Choice,
    Chunk,
    ChunkUsage,
    Delta,
    FirstChunk,
    Function,
    ToolCallPiece,
    as_citation,
    as_image,
    as_usage,
    chunk_decoder,
    decode_plain,
    first_decoder,
)
from engine.providers.chat.request import render_chat
from engine.providers.contract import Endpoint
from engine.providers.refusal import is_error, stream_error
from engine.providers.sealed import SealedReasoning
from engine.providers.tool_calls import OpenCall
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import UNREADABLE, decode_json

__all__ = ["ChatDialect", "ChatParser"]


class ChatDialect:
    """Chat Completions."""

    name = "chat"
    content_types = ("text/event-stream",)

    def path(self, request: ModelRequest) -> str:
        return "/chat/completions"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_chat(request, endpoint)

    def decoder(self) -> SSEDecoder:
        return SSEDecoder()

    def parser(self) -> ChatParser:
        return ChatParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        parser = ChatParser()
        events = parser.feed([SSERecord(body)])
        return events + parser.whole()


# So many chunks that follow text may be more than plain text; then each is taken for such.
_MISSES = 8


class _Alternative:
    """What is open of one choice: ``n`` > 1 gives several."""

    __slots__ = ("block", "by_index", "calls", "finished", "kind", "sealed")

    def __init__(self) -> None:
        self.kind: type[Event] | None = None
        self.block = 0
        self.calls: list[OpenCall] = []
        self.by_index: dict[int, OpenCall] = {}
        self.sealed: dict[str, SealedReasoning] = {}
        self.finished = False


class ChatParser:
    """Turns the chunks of one stream into events."""

    __slots__ = (
        "_blocks",
        "_choices",
        "_decode",
        "_ended",
        "_finish",
        "_first",
        "_id",
        "_misses",
        "_sources",
        "_started",
        "_usage",
        "complete",
    )

    def __init__(self) -> None:
        self.complete = False
        self._decode: Callable[[bytes], Chunk] = first_decoder.decode
        self._first = _Alternative()
        self._choices: dict[int, _Alternative] = {}
        self._id = ""
        self._misses = 0  # chunks that were tried as plain ones and were not
        self._blocks = 0
        self._started = False
        self._ended = False
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._sources: list[Any] = []

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        if self._ended:
            return events
        first = self._first
        plain = first.kind is TextDelta and self._misses < _MISSES
        for record in records:
            if plain:
                try:
                    text = decode_plain(record.data).choices[0].delta.content
                except UNREADABLE:
                    self._misses += 1  # counted, since some servers never send a plain one
                else:
                    if text:
                        events.append(TextDelta(text, first.block))
                    continue
            self._record(record, events)
            if self._ended:
                break
            plain = first.kind is TextDelta and self._misses < _MISSES
        return events

    def finish(self) -> list[Event]:
        events: list[Event] = []
        # Some never send [DONE] (transformers serve, Perplexity): then every choice must have said
        # why it finished.
        finished = [state.finished for state in self._choices.values()]
        if not self._ended and finished and all(finished):
            self._end(events)
        return events

    def whole(self) -> list[Event]:
        """The last events of an answer that was not streamed."""
        events: list[Event] = []
        if not self._ended:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _record(self, record: SSERecord, events: list[Event]) -> None:
        """One event, whatever is in it."""
        try:
            chunk = self._decode(record.data)
        except UNREADABLE as error:
            chunk = self._unreadable(record.data, error, events)
        aside = chunk.usage is not None or chunk.x_groq is not None or chunk.error is not None
        if aside or not chunk.choices or not self._started:
            self._aside(record, chunk, events)
            if self._ended:
                return
        for choice in chunk.choices or ():
            self._choice(choice, events)

    def _unreadable(self, data: bytes, error: Exception, events: list[Event]) -> Chunk:
        """What can be mended of `data`; else an empty chunk: it is the end marker, which is no
        JSON, or a failure, and ends the stream."""
        if data.strip() == b"[DONE]":
            self._end(events)
            return Chunk()
        try:
            return (chunk_decoder if self._started else first_decoder).recover(data, error)
        except ProtocolError as failure:
            self._fail(failure, events)
            return Chunk()

    def _aside(self, record: SSERecord, chunk: Chunk, events: list[Event]) -> None:
        """All of a chunk but its choices."""
        if chunk.choices is not None and not self._started:
            self._start(chunk, events)
        self._envelope(chunk, events)
        if chunk.choices is None and not self._ended:
            self._no_chunk(record, events)

    def _no_chunk(self, record: SSERecord, events: list[Event]) -> None:
        """A record without choices: an error that has no ``error`` around it, as vLLM
        (``{"object": "error", …}``) and FastAPI (``{"detail": …}``) send; or nothing of ours."""
        data = decode_json(record.data)
        if record.event == "error" or is_error(data):
            self._fail(stream_error(data), events)

    def _start(self, chunk: Chunk, events: list[Event]) -> None:
        self._started = True
        self._decode = chunk_decoder.decode
        if isinstance(chunk, FirstChunk):
            self._id = chunk.id or ""
            events.append(Start(chunk.id, chunk.model))

    def _envelope(self, chunk: Chunk, events: list[Event]) -> None:
        """Usage wherever it comes, and errors of a stream that began well."""
        usage = chunk.usage
        error = chunk.error
        if chunk.x_groq is not None:
            usage = usage or chunk.x_groq.usage
            error = error or chunk.x_groq.error
        if usage is not None:
            self._count(usage, events)
        self._sources = chunk.search_results or chunk.citations or self._sources
        if error:
            self._fail(stream_error({"error": error}), events)

    def _count(self, usage: ChunkUsage, events: list[Event]) -> None:
        counts = as_usage(usage)
        if counts is not None:
            self._usage = counts
            events.append(UsageUpdate(counts))

    def _choice(self, choice: Choice, events: list[Event]) -> None:
        number = choice.index or 0
        state = self._choices.get(number)
        if state is None:
            state = self._choices[number] = self._first if number == 0 else _Alternative()
        # A whole answer has `message`; Perplexity repeats it beside the delta.
        delta = choice.delta if choice.delta is not None else choice.message
        if delta is not None:
            self._delta(delta, state, number, events)
        if choice.logprobs is not None and choice.logprobs.content:
            events.append(LogprobsDelta(choice.logprobs.content, state.block, number))
        if choice.usage is not None:
            self._count(choice.usage, events)
        if choice.finish_reason:
            if number == 0 or self._finish is None:
                self._finish = choice.finish_reason
            state.finished = True
            self._close(state, number, choice.finish_reason, events)

    def _delta(self, delta: Delta, state: _Alternative, choice: int, events: list[Event]) -> None:
        # vLLM renamed reasoning_content to reasoning and some send both: never twice.
        reasoning = delta.reasoning_content or delta.reasoning or delta.thinking
        if reasoning:
            block = self._block(state, ThinkingDelta)
            events.append(ThinkingDelta(reasoning, block, choice))
        if isinstance(delta.content, list):
            self._parts(delta.content, state, choice, events)
        elif delta.content:
            events.append(TextDelta(delta.content, self._block(state, TextDelta), choice))
        if delta.refusal:
            events.append(RefusalDelta(delta.refusal, self._block(state, RefusalDelta), choice))
        for call in delta.tool_calls or ():
            self._tool_call(call, state, choice, events)
        # OpenAI's before 2023-11; llama-cpp-python 0.3 says each piece of a call in both.
        if delta.function_call is not None and not delta.tool_calls:
            self._tool_call(ToolCallPiece(0, None, delta.function_call), state, choice, events)
        self._extras(delta, state, choice, events)

    def _extras(self, delta: Delta, state: _Alternative, choice: int, events: list[Event]) -> None:
        """What only some vendors send."""
        for annotation in delta.annotations or ():
            self._cite(annotation, state, choice, events)
        for item in delta.images or ():
            image = as_image(item)
            if image is not None:
                events.append(ImageDone(image, self._new_block(state), choice))
        for tool in delta.executed_tools or ():
            if isinstance(tool, dict) and "output" in tool:  # announced first, then with its output
                ran = ServerTool(str(tool.get("type")), tool)
                events.append(ServerToolDone(ran, self._new_block(state), choice))
        if delta.audio is not None:
            events.append(Unknown("audio", delta.audio, state.block))
        for field in ("reasoning_details", "thinking_blocks"):
            pieces = getattr(delta, field)
            if pieces:
                state.sealed.setdefault(field, SealedReasoning(field)).add(pieces)

    def _cite(self, source: Any, state: _Alternative, choice: int, events: list[Event]) -> None:
        citation = as_citation(source)
        if citation is not None:
            events.append(CitationDelta(citation, self._block(state, TextDelta), choice))

    def _parts(
        self, parts: list[Any], state: _Alternative, choice: int, events: list[Event]
    ) -> None:
        """Mistral's content list: text, and thinking that holds texts."""
        for part in parts:
            if isinstance(part, str):
                part = {"type": "text", "text": part}
            if not isinstance(part, dict):
                continue
            inner = part.get("thinking")
            if isinstance(inner, list):
                texts = (p.get("text") for p in inner if isinstance(p, dict))
                inner = "".join(text for text in texts if isinstance(text, str))
            if isinstance(inner, str) and inner:
                events.append(ThinkingDelta(inner, self._block(state, ThinkingDelta), choice))
            text = part.get("text")
            if isinstance(text, str) and text:
                events.append(TextDelta(text, self._block(state, TextDelta), choice))

    def _tool_call(
        self, piece: ToolCallPiece, state: _Alternative, choice: int, events: list[Event]
    ) -> None:
        function = piece.function or Function()
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        call = open_call(piece, arguments, state.calls, state.by_index)
        if call is None:
            if not function.name and not piece.id:
                return  # a piece of nothing
            index = self._new_block(state)
            id = piece.id or made_up_id(self._id, index)
            call = OpenCall(id, function.name or "", index, choice)
            state.calls.append(call)
            events.append(call.start())
        if piece.index is not None:
            state.by_index[piece.index] = call
        if piece.extra_content is not None:
            call.signature = gemini_seal(piece.extra_content) or call.signature
        if arguments:
            events.append(call.add(arguments))

    def _close(self, state: _Alternative, choice: int, reason: str, events: list[Event]) -> None:
        """The choice is over: hand over its calls, and the reasoning to send back."""
        cut = FINISH_REASONS.get(reason) is FinishReason.LENGTH
        for call in state.calls:
            events.extend(call.close(cut=cut))
        for sealed in state.sealed.values():
            data = sealed.data()
            if data is not None:
                events.append(RedactedThinkingDone(data, self._new_block(state), choice))
        state.sealed = {}

    def _block(self, state: _Alternative, kind: type[Event]) -> int:
        """The content block for an event of `kind`: the open one, or a new one."""
        if state.kind is not kind:
            self._new_block(state)
            state.kind = kind
        return state.block

    def _new_block(self, state: _Alternative) -> int:
        state.kind = None
        state.block = self._blocks
        self._blocks += 1
        return state.block

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self._fail(_no_answer(), events)
            return
        self.complete = self._ended = True
        for source in self._sources:
            self._cite(source, self._first, 0, events)
        for number, state in self._choices.items():
            self._close(state, number, self._finish or "", events)
        reason = FINISH_REASONS.get(self._finish or "", FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and any(call.done for call in self._first.calls):
            reason = FinishReason.TOOL_USE  # some servers say "stop" after a call
        events.append(Done(reason, self._usage, self._finish))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))


def _no_answer() -> ProtocolError:
    return ProtocolError(
        "the stream ended without one chunk of a chat answer; check that the base URL and the "
        "dialect belong together"
    )
