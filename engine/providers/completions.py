"""Legacy Completions: a prompt in, its continuation out.

https://platform.openai.com/docs/api-reference/completions. There are no messages, tools or images;
``echo``, ``suffix``, ``logprobs`` and ``n`` go by ``extra_body``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.errors import ConfigError, EngineError, ProtocolError
from engine.events import Done, Event, LogprobsDelta, Start, StreamError, TextDelta, UsageUpdate
from engine.messages import FinishReason, Text, Usage
from engine.providers.contract import Endpoint
from engine.providers.refusal import is_error, stream_error
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json

__all__ = ["CompletionsDialect", "CompletionsParser"]

FINISH_REASONS: Final = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class _Choice(msgspec.Struct):
    text: str | None = None
    index: int | None = 0
    finish_reason: str | None = None
    logprobs: Any = None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


_decoder = TypedDecoder(_Chunk)


class CompletionsDialect:
    """Legacy Completions."""

    name = "completions"
    content_types = ("text/event-stream",)

    def path(self, request: ModelRequest) -> str:
        return "/completions"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        _refuse(request)
        body: dict[str, Any] = {"model": request.model, "prompt": _prompt(request)}
        for name in ("max_tokens", "temperature", "top_p", "seed"):
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if request.stop:
            body["stop"] = request.stop
        if request.stream:
            body["stream"] = True
            if endpoint.include_usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def decoder(self) -> SSEDecoder:
        return SSEDecoder()

    def parser(self) -> CompletionsParser:
        return CompletionsParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        parser = CompletionsParser()
        events = parser.feed([SSERecord(body)])
        return events + parser.whole()


class CompletionsParser:
    """Turns the chunks of one stream into events. Each choice is one text block."""

    def __init__(self) -> None:
        self.complete = False
        self._started = False
        self._ended = False
        self._usage: Usage | None = None
        self._reasons: dict[int, str | None] = {}  # of each choice

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        decode = _decoder.decode
        for record in records:
            if self._ended:
                break
            try:
                chunk = decode(record.data)
            except UNREADABLE as error:
                again = self._unreadable(record.data, error, events)
                if again is None:
                    break
                chunk = again
            if not self._started or not chunk.choices or chunk.usage is not None or chunk.error:
                self._envelope(chunk, record.data, events)
                if self._ended:
                    break
            for choice in chunk.choices or ():
                number = choice.index or 0
                if choice.text:
                    events.append(TextDelta(choice.text, number, number))
                if isinstance(choice.logprobs, dict):
                    events.append(LogprobsDelta([choice.logprobs], number, number))
                self._reasons[number] = choice.finish_reason or self._reasons.get(number)
        return events

    def finish(self) -> list[Event]:
        # Some never send [DONE]: then every choice must have said why it finished.
        return self.whole() if self._reasons and all(self._reasons.values()) else []

    def whole(self) -> list[Event]:
        """The last events of an answer that was not streamed."""
        events: list[Event] = []
        if not self._ended:
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

    def _envelope(self, chunk: _Chunk, data: bytes, events: list[Event]) -> None:
        """The start, usage, and errors of a stream that began well."""
        if chunk.error:
            self._fail(stream_error({"error": chunk.error}), events)
            return
        if chunk.choices is None and chunk.usage is None:
            plain = decode_json(data)
            if is_error(plain):
                self._fail(stream_error(plain), events)
            return
        if not self._started:
            self._started = True
            events.append(Start(chunk.id, chunk.model))
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
            events.append(UsageUpdate(self._usage))

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self._fail(_no_answer(), events)
            return
        self.complete = self._ended = True
        word = self._reasons.get(0)
        reason = FINISH_REASONS.get(word or "", FinishReason.UNKNOWN)
        events.append(Done(reason, self._usage, word))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))


def _no_answer() -> ProtocolError:
    return ProtocolError(
        "the answer ended without one chunk of a completion; check that the base URL and the "
        "dialect belong together"
    )


def _refuse(request: ModelRequest) -> None:
    """Raise ConfigError for arguments that a prompt alone cannot carry."""
    for name in ("tools", "tool_choice", "thinking", "response_format"):
        if getattr(request, name):
            raise ConfigError(
                f"{name}: legacy completions know nothing of it; use dialect='chat', or pass the "
                "server's own field by extra_body"
            )


def _prompt(request: ModelRequest) -> str:
    """The one user message, which is all that may be asked."""
    messages = request.messages
    if len(messages) != 1 or messages[0].role != "user":
        raise ConfigError(
            "input: legacy completions take one prompt and no roles; give one string without "
            "system=, or use dialect='chat'"
        )
    if not all(isinstance(part, Text) for part in messages[0].parts):
        raise ConfigError("input: legacy completions take text only; use dialect='chat'")
    return messages[0].text


def _usage(usage: _Usage) -> Usage:
    prompt = usage.prompt_tokens_details or _Details()
    completion = usage.completion_tokens_details or _Details()
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=prompt.cached_tokens,
        reasoning_tokens=completion.reasoning_tokens,
    )
