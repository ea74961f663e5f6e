"""OpenAI Chat Completions, the format most servers speak.

https://platform.openai.com/docs/api-reference/chat and chat-streaming. The servers differ in what
they leave out: no field but the JSON itself is required here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
)
from engine.messages import Citation, FinishReason, Image, Usage
from engine.providers.chat_request import render_chat
from engine.providers.contract import Endpoint
from engine.providers.refusal import stream_error
from engine.providers.tool_calls import OpenCall
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import TypedDecoder

__all__ = ["ChatDialect", "ChatParser"]

FINISH_REASONS: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
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


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    annotations: list[Any] | None = None
    images: list[Any] | None = None


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None


class _Groq(msgspec.Struct):
    usage: _Usage | None = None
    error: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None
    x_groq: _Groq | None = None
    error: Any = None


_decoder = TypedDecoder(_Chunk)


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
        return events if parser.ended else events + parser.end()


class _Alternative:
    """What is open of one choice: ``n`` > 1 gives several."""

    __slots__ = ("block", "by_index", "calls", "finished", "kind")

    def __init__(self) -> None:
        self.kind: type[Event] | None = None
        self.block = 0
        self.calls: list[OpenCall] = []
        self.by_index: dict[int, OpenCall] = {}
        self.finished = False


class ChatParser:
    """Turns the chunks of one stream into events."""

    def __init__(self) -> None:
        self.complete = False
        self._choices: dict[int, _Alternative] = {0: _Alternative()}
        self._first = self._choices[0]
        self._blocks = 0
        self._started = False
        self._ended = False
        self._usage: Usage | None = None
        self._finish: str | None = None

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        first = self._first
        decode = _decoder.decode
        for record in records:
            if self._ended:
                break
            try:
                chunk = decode(record.data)
            except (msgspec.MsgspecError, RecursionError) as error:
                again = self._unreadable(record.data, error, events)
                if again is None:
                    break
                chunk = again
            if not self._started:
                self._started = True
                events.append(Start(chunk.id, chunk.model))
            if chunk.usage is not None or chunk.x_groq is not None or chunk.error is not None:
                self._envelope(chunk, events)
            choices = chunk.choices
            if not choices:
                if choices is None and chunk.usage is None and record.event == "error":
                    self._fail(stream_error(_untyped(record.data)), events)
                continue
            for choice in choices:
                delta = choice.delta
                if (
                    first.kind is TextDelta
                    and delta is not None
                    and type(delta.content) is str
                    and delta.reasoning_content is None
                    and delta.tool_calls is None
                    and choice.finish_reason is None
                    and choice.logprobs is None
                    and delta.reasoning is None
                    and delta.refusal is None
                    and delta.annotations is None
                    and not choice.index
                ):
                    if delta.content:
                        events.append(TextDelta(delta.content, first.block))
                else:
                    self._choice(choice, events)
        return events

    def finish(self) -> list[Event]:
        events: list[Event] = []
        if not self._ended and self._finish is not None:
            self._end(events)
        return events

    @property
    def ended(self) -> bool:
        """Whether nothing that follows counts: the marker came, or the stream failed."""
        return self._ended

    def end(self) -> list[Event]:
        """End here, marker or not."""
        events: list[Event] = []
        self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _unreadable(self, data: bytes, error: Exception, events: list[Event]) -> _Chunk | None:
        """The end marker, which is not JSON; or what can be mended; or the end of the stream."""
        if data.strip() == b"[DONE]":
            self._end(events)
            return None
        try:
            return _decoder.recover(data, error)
        except ProtocolError as failure:
            self._fail(failure, events)
            return None

    def _envelope(self, chunk: _Chunk, events: list[Event]) -> None:
        """Usage wherever it comes, and errors of a stream that began well."""
        usage = chunk.usage
        error = chunk.error
        if chunk.x_groq is not None:
            usage = usage or chunk.x_groq.usage
            error = error or chunk.x_groq.error
        if usage is not None:
            self._usage = _usage(usage)
            events.append(UsageUpdate(self._usage))
        if error:
            self._fail(stream_error({"error": error}), events)

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        number = choice.index or 0
        state = self._choices.get(number)
        if state is None:
            state = self._choices[number] = _Alternative()
        # A whole answer has `message`; Perplexity repeats it beside the delta.
        delta = choice.delta if choice.delta is not None else choice.message
        if delta is not None and not self._ended:
            self._delta(delta, state, number, events)
        if choice.logprobs is not None and choice.logprobs.content:
            events.append(LogprobsDelta(choice.logprobs.content, state.block, number))
        if choice.finish_reason:
            if number == 0 or self._finish is None:
                self._finish = choice.finish_reason
            self._close_calls(state, choice.finish_reason, events)

    def _delta(self, delta: _Delta, state: _Alternative, choice: int, events: list[Event]) -> None:
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
        for annotation in delta.annotations or ():
            if isinstance(annotation, dict):
                block = self._block(state, TextDelta)
                events.append(CitationDelta(_citation(annotation), block, choice))
        for image in delta.images or ():
            events.append(ImageDone(_image(image), self._new_block(state), choice))
        for call in delta.tool_calls or ():
            self._tool_call(call, state, choice, events)
        if delta.function_call is not None:  # before 2023-11
            self._tool_call(_ToolCall(0, None, delta.function_call), state, choice, events)

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
                inner = "".join(p.get("text", "") for p in inner if isinstance(p, dict))
            if isinstance(inner, str) and inner:
                events.append(ThinkingDelta(inner, self._block(state, ThinkingDelta), choice))
            text = part.get("text")
            if isinstance(text, str) and text:
                events.append(TextDelta(text, self._block(state, TextDelta), choice))

    def _tool_call(
        self, piece: _ToolCall, state: _Alternative, choice: int, events: list[Event]
    ) -> None:
        """Find the call a piece belongs to: by index where there is one, else by id, else it goes
        on with the last. An index that comes again with another id is another call."""
        function = piece.function or _Function()
        call = state.by_index.get(piece.index) if piece.index is not None else None
        if call is None and piece.index is None:
            if piece.id:
                call = next((c for c in state.calls if c.id == piece.id), None)
            elif state.calls and not (function.name and state.calls[-1].arguments):
                call = state.calls[-1]
        if call is not None and piece.id and call.id != piece.id and function.name:
            call = None
        if call is None:
            if not function.name and not piece.id:
                return  # a piece of nothing
            index = self._new_block(state)
            call = OpenCall(piece.id or f"call_{index}", function.name or "", index, choice)
            state.calls.append(call)
            events.append(call.start())
        if piece.index is not None:
            state.by_index[piece.index] = call
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            events.append(call.add(arguments))

    def _close_calls(self, state: _Alternative, reason: str | None, events: list[Event]) -> None:
        cut = FINISH_REASONS.get(reason or "") is FinishReason.LENGTH
        for call in state.calls:
            events.extend(call.close(cut=cut))

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
        self.complete = self._ended = True
        for state in self._choices.values():
            self._close_calls(state, self._finish, events)
        reason = FINISH_REASONS.get(self._finish or "", FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and any(call.done for call in self._first.calls):
            reason = FinishReason.TOOL_USE  # some servers say "stop" after a call
        events.append(Done(reason, self._usage, self._finish))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))


def _untyped(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.MsgspecError:
        return data.decode("utf-8", "replace")


def _count(number: int | None) -> int | None:
    return number if number is not None and number >= 0 else None


def _usage(usage: _Usage) -> Usage:
    prompt = usage.prompt_tokens_details or _Details()
    completion = usage.completion_tokens_details or _Details()
    cached = prompt.cached_tokens
    return Usage(
        input_tokens=_count(usage.prompt_tokens),
        output_tokens=_count(usage.completion_tokens),
        total_tokens=_count(usage.total_tokens),
        cached_tokens=_count(usage.prompt_cache_hit_tokens if cached is None else cached),
        cache_write_tokens=_count(prompt.cache_write_tokens),
        reasoning_tokens=_count(completion.reasoning_tokens),
    )


def _citation(annotation: dict[str, Any]) -> Citation:
    source = annotation.get("url_citation", annotation)
    if not isinstance(source, dict):
        source = {}
    return Citation(url=source.get("url"), title=source.get("title"), quote=None, data=annotation)


def _image(image: Any) -> Image:
    inner = image.get("image_url", image) if isinstance(image, dict) else image
    url = inner.get("url") if isinstance(inner, dict) else inner
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        return Image(data=data, media_type=head.partition(";")[0] or None)
    return Image(url=url if isinstance(url, str) else None)
