"""Legacy Completions: a prompt in, its continuation out.

https://platform.openai.com/docs/api-reference/completions. There are no messages, tools or images;
``echo``, ``suffix``, ``logprobs`` and ``n`` go by ``extra_body``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.events import (
    Done,
    Event,
    LogprobsDelta,
    Ping,
    TextDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import Text, Usage
from engine.providers.blocks import AnswerParser, DialectShell, joined_usage, merge
from engine.providers.chat.chunk import ChunkUsage, as_usage
from engine.providers.contract import Endpoint
from engine.providers.finish import Finish
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.request import ModelRequest
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, json_or_text

__all__ = ["CompletionsDialect", "CompletionsParser"]


class _Words(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Words | None = None  # of servers that answer as in a chat
    message: _Words | None = None
    index: int | None = 0
    finish_reason: str | None = None
    logprobs: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: ChunkUsage | None = None
    error: Any = None


# Where the answer's own words stand, and what holds them.
_NEEDED: Final = frozenset({"choices", "text", "delta", "message", "content", "index"})

_decoder = TypedDecoder(_Chunk, _NEEDED)

_UNFINISHED: Final = Finish()

# Of a chunk: what has events, or a place of its own.
_TOLD: Final = frozenset({"choices", "id", "model", "error"})
_TOLD_OF_CHOICE: Final = frozenset(
    {"index", "text", "delta", "message", "finish_reason", "logprobs"}
)


class CompletionsDialect(DialectShell):
    """Legacy Completions."""

    name = "completions"
    _path = "/completions"

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

    def parser(self) -> CompletionsParser:
        return CompletionsParser()


class CompletionsParser(AnswerParser):
    """Turns the chunks of one stream into events. Each choice is one text block."""

    __slots__ = ("_easy", "_finishes", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._usage: Usage | None = None
        self._easy = False
        self._finishes: dict[int, Finish] = {}  # of each choice

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        decode, easy = _decoder.decode, self._easy
        for record in records:
            if self._ended:
                break
            data = record if type(record) is bytes else record.data  # type: ignore[union-attr]
            try:
                chunk = decode(data)
            except UNREADABLE as error:
                self._odd(_named(record), error, events)
                easy = self._easy = self._goes_on_easily()
                continue
            choices = chunk.choices
            if easy and choices and len(choices) == 1 and chunk.usage is None and not chunk.error:
                choice = choices[0]
                number = choice.index or 0
                known = number in self._finishes and choice.delta is None
                if known and choice.finish_reason is None and choice.logprobs is None:
                    if choice.text:
                        events.append(TextDelta(choice.text, number, number))
                    continue
            self._chunk(chunk, _named(record), events)
            easy = self._easy = self._goes_on_easily()
        return events

    @property
    def may_end(self) -> bool:
        return self._over()

    def finish(self) -> list[Event]:
        # Some never send [DONE]: then every choice must have said why it finished.
        if self._ended:
            return []
        events: list[Event] = []
        if self.failing or self._over():
            self._end(events)
        return events or self._halves.give_up()

    def read_whole(self, body: bytes) -> list[Event]:
        events = self.feed([SSERecord(body)])
        if not self._ended:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _goes_on_easily(self) -> bool:
        """Whether nothing of what came asks for a closer look at a chunk of one text."""
        words = [finish.word for finish in self._finishes.values()]
        odd = self._halves.open or self.failing or not self._started
        return not odd and bool(words) and not any(words)

    def _over(self) -> bool:
        finishes = self._finishes.values()
        return bool(finishes) and all(finish.stands for finish in finishes)

    def _odd(self, record: SSERecord, error: Exception, events: list[Event]) -> None:
        """The end marker, which is not JSON; or what can be mended; or the end of the stream."""
        data = record.data.strip()
        if data == b"[DONE]":
            self._end(events)
            return
        chunk = self._unreadable(_decoder, record.event, record.data, error, events)
        if chunk is not None:
            self._chunk(chunk, record, events)

    def _chunk(self, chunk: _Chunk, record: SSERecord, events: list[Event]) -> None:
        since = len(events)
        if not self._started or not chunk.choices or chunk.usage or chunk.error:
            self._envelope(chunk, record, events)
        if self._ended or self.failing:
            return
        for choice in chunk.choices or ():
            self._choice(choice, record, events)
        if self._halves.open:
            self._mend(events, since)

    def _choice(self, choice: _Choice, record: SSERecord, events: list[Event]) -> None:
        number = choice.index or 0
        finish = self._finishes.setdefault(number, _UNFINISHED)
        chatted = choice.delta or choice.message
        text = choice.text or (chatted.content if chatted is not None else None)
        if text:
            events.append(TextDelta(text, number, number))
            if finish.word is not None and not choice.finish_reason:
                self._finishes[number] = finish.withdrawn()
        if choice.logprobs is not None:
            if isinstance(choice.logprobs, dict):
                events.append(LogprobsDelta([choice.logprobs], number, number))
            else:
                events.append(Unknown("logprobs", choice.logprobs, number))
        if choice.finish_reason:
            self._finishes[number] = finish.said(choice.finish_reason)
            told = json_or_text(record.data)
            if isinstance(told, dict):
                self._absorb(told, events)

    def _envelope(self, chunk: _Chunk, record: SSERecord, events: list[Event]) -> None:
        """The start, usage, and errors of a stream that began well."""
        told = json_or_text(record.data)
        if chunk.choices is None and chunk.usage is None and not chunk.error:
            if record.event == "error" or is_error(told):
                self._fail(stream_error(told), events)
            elif is_ping(record.event, told):
                events.append(Ping())
            else:
                self._foreign(record.event, record.data, events)
            return
        if isinstance(told, dict):
            self._absorb(told, events)
        if chunk.error and chunk.choices is None:
            self._fail(stream_error({"error": chunk.error}), events)
            return
        if chunk.choices is None and not self._started:
            # A count is no answer yet.
            self.strange: bytes | None = self.strange or record.data
        elif not self._started and (chunk.choices or chunk.usage is not None):
            self._begin(events)
        if chunk.usage is not None:
            counts = as_usage(chunk.usage)
            if counts is not None:
                self._usage = joined_usage(self._usage, counts)
                events.append(UsageUpdate(self._usage))
        if chunk.error:
            self._failure = self._failure or stream_error({"error": chunk.error})

    def _absorb(self, told: dict[str, Any], events: list[Event]) -> None:
        """What a chunk says that has no name of ours, and who answers."""
        self._answers(told.get("id"), told.get("model"), events)
        merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})
        choices = told.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                rest = {k: v for k, v in choice.items() if k not in _TOLD_OF_CHOICE}
                number = choice.get("index") or 0
                merge(self.metadata, {"choices": {str(number): rest}} if number else rest)

    def _end(self, events: list[Event]) -> None:
        if self._failure is not None:
            self._fail(self._failure, events)
            return
        if not self._started:
            self._fail(self._no_answer("a completion"), events)
            return
        self.complete = self._ended = True
        events += self._halves.give_up()
        words = {str(number): finish.word for number, finish in self._finishes.items()}
        if len(words) > 1:
            self.metadata["finish_reasons"] = words
        finish = self._finishes.get(0, _UNFINISHED)
        events.append(Done(finish.reason, self._usage, finish.word))


def _named(record: SSERecord | bytes) -> SSERecord:
    return SSERecord(record) if isinstance(record, bytes) else record


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
