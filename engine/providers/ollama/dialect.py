"""Ollama's own API: newline-delimited JSON that ends with ``"done": true``.

https://docs.ollama.com/api/chat and https://docs.ollama.com/api/generate.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.errors import ConfigError, EngineError, ProtocolError
from engine.events import (
    Done,
    Event,
    ImageDone,
    LogprobsDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
)
from engine.messages import FinishReason, Image, Usage
from engine.providers.call_ids import made_up_id
from engine.providers.contract import Endpoint
from engine.providers.ollama.request import render_chat, render_generate
from engine.providers.refusal import is_error, stream_error
from engine.providers.tool_calls import OpenCall
from engine.request import ModelRequest
from engine.wire import NDJSONDecoder
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json

__all__ = ["OllamaDialect", "OllamaGenerateDialect", "OllamaParser", "ollama_base_url"]

FINISH_REASONS: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()


class _ToolCall(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None
    images: list[str] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    model: str | None = None
    created_at: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: Any = None
    error: Any = None


_decoder = TypedDecoder(_Line)


class OllamaDialect:
    """``/api/chat``."""

    name = "ollama"
    content_types = ("application/x-ndjson",)

    def path(self, request: ModelRequest) -> str:
        return "/api/chat"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_chat(request, endpoint)

    def decoder(self) -> NDJSONDecoder:
        return NDJSONDecoder()

    def parser(self) -> OllamaParser:
        return OllamaParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        parser = OllamaParser()
        events = parser.feed([body])
        return events + parser.whole()


class OllamaGenerateDialect(OllamaDialect):
    """``/api/generate``: one question, no tools."""

    name = "ollama-generate"

    def path(self, request: ModelRequest) -> str:
        return "/api/generate"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_generate(request)


class OllamaParser:
    """Turns the lines of one stream, of either path, into events."""

    def __init__(self) -> None:
        self.complete = False
        self._kind: type[Event] | None = None
        self._block = 0
        self._blocks = 0
        self._called = False
        self._started = False
        self._ended = False
        self._usage: Usage | None = None
        self._finish: str | None = None

    def feed(self, records: list[bytes]) -> list[Event]:
        events: list[Event] = []
        decode = _decoder.decode
        for record in records:
            if self._ended:
                break
            try:
                line = decode(record)
            except UNREADABLE as error:
                again = self._unreadable(record, error, events)
                if again is None:
                    break
                line = again
            message = line.message
            text = line.response if message is None else message.content
            if not self._started or line.done or text is None or line.error:
                self._envelope(line, record, events)
                if self._ended:
                    break
            if (
                text
                and self._kind is TextDelta
                and line.logprobs is None
                and not line.thinking
                and (message is None or not (message.thinking or message.tool_calls))
            ):
                events.append(TextDelta(text, self._block))
            else:
                self._content(line, message or _Message(text, line.thinking), events)
            if line.done:
                self._end(events)
        return events

    def finish(self) -> list[Event]:
        return []

    def whole(self) -> list[Event]:
        """The last events of an answer that was not streamed."""
        events: list[Event] = []
        if not self._ended:
            self._end(events)
        return events

    # ----------------------------------------------------------------------------------------

    def _unreadable(self, data: bytes, error: Exception, events: list[Event]) -> _Line | None:
        """What can be mended; or the end of the stream."""
        try:
            return _decoder.recover(data, error)
        except ProtocolError as failure:
            self._fail(failure, events)
            return None

    def _envelope(self, line: _Line, data: bytes, events: list[Event]) -> None:
        """The start, the counts of the last line, and errors of a stream that began well."""
        if line.error:
            self._fail(stream_error({"error": line.error}), events)
            return
        if line.message is None and line.response is None and not line.done:
            plain = decode_json(data)
            if is_error(plain):
                self._fail(stream_error(plain), events)
            return
        if not self._started:
            self._started = True
            events.append(Start(None, line.model))
        self._finish = line.done_reason
        counts = (line.prompt_eval_count, line.eval_count)
        if counts != (None, None):
            # prompt_eval_count is left out where the whole prompt was in the cache.
            known = [count for count in counts if count is not None]
            self._usage = Usage(*counts, sum(known) if len(known) == 2 else None)
            events.append(UsageUpdate(self._usage))

    def _content(self, line: _Line, message: _Message, events: list[Event]) -> None:
        if message.thinking:
            self._open(ThinkingDelta)
            events.append(ThinkingDelta(message.thinking, self._block))
        if message.content:
            self._open(TextDelta)
            events.append(TextDelta(message.content, self._block))
        if isinstance(line.logprobs, list):
            events.append(LogprobsDelta(line.logprobs, self._block))
        for piece in message.tool_calls or ():
            self._tool_call(piece, line.created_at or "", events)
        for data in message.images or ():
            events.append(ImageDone(Image(data=data), self._new_block()))

    def _open(self, kind: type[Event]) -> None:
        if self._kind is not kind:
            self._new_block()
            self._kind = kind

    def _new_block(self) -> int:
        self._kind = None
        self._block = self._blocks
        self._blocks += 1
        return self._block

    def _tool_call(self, piece: _ToolCall, time: str, events: list[Event]) -> None:
        """A call, which comes whole and as a rule without an id."""
        function = piece.function or _Function()
        index = self._new_block()
        call = OpenCall(piece.id or made_up_id(time, index), function.name or "", index)
        events.append(call.start())
        arguments = bytes(function.arguments).decode("utf-8", "replace")
        if arguments not in ("", "null"):
            events.append(call.add(arguments))
        events += call.close()
        self._called = self._called or call.done

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self._fail(_no_answer(), events)
            return
        self.complete = self._ended = True
        reason = FINISH_REASONS.get(self._finish or "", FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and self._called:
            reason = FinishReason.TOOL_USE  # Ollama says "stop" after a call
        events.append(Done(reason, self._usage, self._finish))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))


def _no_answer() -> ProtocolError:
    return ProtocolError(
        "the answer ended without one line of Ollama's; check that the base URL and the "
        "dialect belong together"
    )


def ollama_base_url(value: str) -> str:
    """The base URL that the environment variable ``OLLAMA_HOST`` stands for.

    The rules are Ollama's own (its ``envconfig`` and its Python client): no scheme is http with
    port 11434; with a scheme the port is that scheme's; a path is kept. An address a server
    listens at everywhere (``0.0.0.0``, ``[::]``) is no place to go to: it becomes loopback.

    Raises:
        ConfigError: the port is no port.
    """
    text = value.strip().strip("\"'").strip()
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    if text == "ollama.com":
        scheme = "https"
    default = _DEFAULT_PORTS.get(scheme, 11434) if found or scheme == "https" else 11434
    place, _, path = rest.partition("/")
    host, port = _host_and_port(place)
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"OLLAMA_HOST names the port {port!r}; it must be a number below 65536")
    path = path.rstrip("/")
    return f"{scheme}://{_reachable(host)}:{port or default}" + (f"/{path}" if path else "")


def _host_and_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":")
    if place.count(":") > 1:  # an IPv6 address without brackets has no port
        return place, ""
    host, _, port = place.partition(":")
    return host, port


def _reachable(host: str) -> str:
    """`host` as it stands in a URL, loopback where it names no one machine."""
    try:
        address = ipaddress.ip_address(host or "127.0.0.1")
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"
