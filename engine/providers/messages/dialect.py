"""Anthropic Messages.

https://platform.claude.com/docs/en/api/messages and build-with-claude/streaming. vLLM,
llama-server, LiteLLM and OpenRouter serve it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from engine.errors import EngineError, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    Ping,
    RedactedThinkingDone,
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
from engine.messages import FinishReason, ServerTool
from engine.providers.contract import Endpoint
from engine.providers.messages.event import (
    FINISH_REASONS,
    Counts,
    Delta,
    StreamEvent,
    WholeMessage,
    as_citation,
    as_usage,
    is_new,
)
from engine.providers.messages.request import render_messages
from engine.providers.refusal import stream_error
from engine.providers.tool_calls import OpenCall
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json

__all__ = ["MessagesDialect", "MessagesParser"]

_SPARE: Final = frozenset({"usage", "citation", "stop_details"})

_event_decoder = TypedDecoder(StreamEvent, _SPARE)
_message_decoder = TypedDecoder(WholeMessage, _SPARE)


class MessagesDialect:
    """Anthropic Messages."""

    name = "messages"
    content_types = ("text/event-stream",)

    def path(self, request: ModelRequest) -> str:
        return "/v1/messages"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {"anthropic-version": "2023-06-01"}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_messages(request, endpoint)

    def decoder(self) -> MessagesDecoder:
        return MessagesDecoder()

    def parser(self) -> MessagesParser:
        return MessagesParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        return MessagesParser().whole(body)


class MessagesDecoder(SSEDecoder):
    """An event stream whose last event may lack its blank line.

    WHATWG does not dispatch such an event, and it may be cut; but a whole ``message_stop`` is the
    end marker with or without a blank line after it. Proxies that trim the stream leave it so.
    """

    __slots__ = ()

    def finish(self) -> list[SSERecord]:
        records = super().finish() + self.feed(b"\n\n")
        return [record for record in records if _is_stop(record.data)]


class _Block:
    """A content block that is open."""

    __slots__ = ("call", "data", "number", "pieces")

    def __init__(self, number: int, data: dict[str, Any]) -> None:
        self.number = number
        self.data = data
        self.call: OpenCall | None = None
        self.pieces: list[str] = []

    @property
    def kind(self) -> str:
        return str(self.data.get("type"))

    def whole(self) -> ServerTool:
        """The provider's object, with what the deltas brought."""
        data = self.data
        text = "".join(self.pieces)
        if text:
            field = "input" if "input" in data else "content"
            data = {**data, field: _json_or_text(text.encode()) if field == "input" else text}
        return ServerTool(str(data.get("name") or self.kind), data)


class MessagesParser:
    """Turns the events of one stream into ours.

    Blocks are numbered as they open, which is the provider's own index unless a proxy splices a
    second message into the stream.
    """

    def __init__(self) -> None:
        self.complete = False
        self._ended = False
        self._open: dict[int, _Block] = {}
        self._blocks = 0
        self._text_index = -1  # the provider's index of the open text block
        self._text_block = 0  # ours
        self._waiting: list[OpenCall] = []
        self._usage = Counts()
        self._stop_reason: str | None = None

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        decode = _event_decoder.decode
        for record in records:
            if self._ended:
                break
            try:
                event = decode(record.data)
            except UNREADABLE as error:
                self._unreadable(record, error, events)
                continue
            delta = event.delta
            if (
                delta is not None
                and delta.text is not None
                and event.index == self._text_index
                and event.type == "content_block_delta"
            ):
                if delta.text:
                    events.append(TextDelta(delta.text, self._text_block))
            else:
                self._event(event, record, events)
        return events

    def finish(self) -> list[Event]:
        return []  # without message_stop nothing is complete

    def whole(self, body: bytes) -> list[Event]:
        """The events of an answer that was not streamed."""
        events: list[Event] = []
        try:
            try:
                message = _message_decoder.decode(body)
            except UNREADABLE as error:
                message = _message_decoder.recover(body, error)
        except ProtocolError as failure:
            self._fail(failure, events)
            return events
        if message.error is not None:
            self._fail(stream_error(_json_or_text(body)), events)
        elif message.content is None:
            self._fail(_no_message(body), events)
        else:
            self._begin(message, events)
            self._stopping(message.stop_reason, message.stop_details, events)
            self._message_stop(StreamEvent(), events)
        return events

    # ----------------------------------------------------------------------------------------

    def _unreadable(self, record: SSERecord, error: Exception, events: list[Event]) -> None:
        """What can be mended; or JSON of another make, which is passed on; or the end."""
        if record.data.strip() == b"[DONE]":
            return  # some proxies end every event stream so; message_stop is what counts
        try:
            self._event(_event_decoder.recover(record.data, error), record, events)
        except ProtocolError as failure:
            if isinstance(error, msgspec.ValidationError):
                events.append(Unknown(record.event, _json_or_text(record.data)))
            else:
                self._fail(failure, events)

    def _event(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        kind = event.type or ("error" if event.error is not None else record.event)
        handler = _HANDLERS.get(kind)
        if handler is not None and not is_new(event):
            handler(self, event, events)
        elif kind == "error":
            self._fail(stream_error(_json_or_text(record.data)), events)
        else:
            events.append(Unknown(kind, _json_or_text(record.data)))

    def _ping(self, event: StreamEvent, events: list[Event]) -> None:
        events.append(Ping())

    def _message_start(self, event: StreamEvent, events: list[Event]) -> None:
        # A second one is a proxy's second try: what was open stays open for ever.
        self._open.clear()
        self._waiting.clear()
        self._text_index = -1
        self._begin(event.message or WholeMessage(), events)

    def _begin(self, message: WholeMessage, events: list[Event]) -> None:
        events.append(Start(message.id, message.model))
        if message.usage is not None:
            self._count(message.usage, events)
        # Content comes here in a whole answer, and where a turn goes on that was paused.
        for index, data in enumerate(message.content or ()):
            self._open_block(index, data, events)
            self._close_block(index, events)

    def _block_start(self, event: StreamEvent, events: list[Event]) -> None:
        self._open_block(event.index, event.content_block or {"type": "text"}, events)

    def _open_block(self, index: int, data: dict[str, Any], events: list[Event]) -> _Block:
        block = self._open[index] = _Block(self._blocks, data)
        self._blocks += 1
        number = block.number
        self._text_index = -1
        match block.kind:
            case "text":
                self._text_index, self._text_block = index, number
                if text := _text(data, "text"):
                    events.append(TextDelta(text, number))
                citations = data.get("citations")
                for citation in citations if isinstance(citations, list) else ():
                    events.append(CitationDelta(as_citation(citation), number))
            case "thinking":
                if thinking := _text(data, "thinking"):
                    events.append(ThinkingDelta(thinking, number))
                if signature := _text(data, "signature"):
                    events.append(SignatureDelta(signature, number))
            case "redacted_thinking":
                events.append(RedactedThinkingDone(_text(data, "data"), number))
            case "tool_use":
                id = _text(data, "id") or f"call_{number}"
                block.call = OpenCall(id, _text(data, "name"), number)
                events.append(block.call.start())
        return block

    def _block_delta(self, event: StreamEvent, events: list[Event]) -> None:
        delta = event.delta or Delta()
        block = self._open.get(event.index)
        if block is None:  # some proxies leave content_block_start out
            kind = "thinking" if delta.thinking or delta.signature else "text"
            block = self._open_block(event.index, {"type": kind}, events)
        if delta.text:
            events.append(TextDelta(delta.text, block.number))
        if delta.thinking:
            events.append(ThinkingDelta(delta.thinking, block.number))
        if delta.signature:
            events.append(SignatureDelta(delta.signature, block.number))
        if delta.citation is not None:
            events.append(CitationDelta(as_citation(delta.citation), block.number))
        if delta.partial_json:
            if block.call is not None:
                events.append(block.call.add(delta.partial_json))
            else:
                block.pieces.append(delta.partial_json)
        if isinstance(delta.content, str):
            block.pieces.append(delta.content)

    def _block_stop(self, event: StreamEvent, events: list[Event]) -> None:
        self._close_block(event.index, events)

    def _close_block(self, index: int, events: list[Event]) -> None:
        block = self._open.pop(index, None)
        if index == self._text_index:
            self._text_index = -1
        if block is None:
            return
        call = block.call
        if call is not None:
            given = block.data.get("input")
            if given and not call.arguments:
                events.append(call.add(msgspec.json.encode(given).decode()))
            if call.arguments.strip():
                events.extend(call.close())
            else:
                # No arguments, or none yet when a limit cut it: the stop reason will tell.
                self._waiting.append(call)
        elif block.kind not in ("text", "thinking", "redacted_thinking"):
            events.append(ServerToolDone(block.whole(), block.number))

    def _message_delta(self, event: StreamEvent, events: list[Event]) -> None:
        if event.usage is not None:
            self._count(event.usage, events)
        if event.delta is not None and event.delta.stop_reason is not None:
            self._stopping(event.delta.stop_reason, event.delta.stop_details, events)

    def _stopping(self, reason: str | None, details: Any, events: list[Event]) -> None:
        self._stop_reason = reason
        ended = FINISH_REASONS.get(reason or "")
        if ended is FinishReason.TOOL_USE:  # some proxies leave content_block_stop out
            for index in list(self._open):
                self._close_block(index, events)
        for call in self._waiting:
            events.extend(call.close(cut=ended is FinishReason.LENGTH))
        explanation = details.get("explanation") if isinstance(details, dict) else None
        if isinstance(explanation, str) and explanation:
            events.append(RefusalDelta(explanation, self._blocks))
            self._blocks += 1

    def _message_stop(self, event: StreamEvent, events: list[Event]) -> None:
        self.complete = self._ended = True
        reason = FINISH_REASONS.get(self._stop_reason or "", FinishReason.UNKNOWN)
        events.append(Done(reason, as_usage(self._usage), self._stop_reason))

    def _count(self, counted: Counts, events: list[Event]) -> None:
        """Counts are cumulative: what a later report names replaces the earlier."""
        for name in Counts.__struct_fields__:
            value = getattr(counted, name)
            if value is not None:
                setattr(self._usage, name, value)
        events.append(UsageUpdate(as_usage(self._usage)))

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))


_Handler = Callable[[MessagesParser, StreamEvent, list[Event]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "message_start": MessagesParser._message_start,
    "content_block_start": MessagesParser._block_start,
    "content_block_delta": MessagesParser._block_delta,
    "content_block_stop": MessagesParser._block_stop,
    "message_delta": MessagesParser._message_delta,
    "message_stop": MessagesParser._message_stop,
    "ping": MessagesParser._ping,
}


def _is_stop(data: bytes) -> bool:
    event = _json_or_text(data)
    return isinstance(event, dict) and event.get("type") == "message_stop"


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _json_or_text(data: bytes) -> Any:
    try:
        return decode_json(data)
    except ProtocolError:
        return data.decode("utf-8", "replace")  # cut by a limit, or nested too deep: to look at


def _no_message(body: bytes) -> ProtocolError:
    excerpt = body[:120].decode("utf-8", "replace")
    return ProtocolError(
        f"the answer is no Anthropic message: {excerpt!r}; check that the base URL and the dialect "
        "belong together"
    )
