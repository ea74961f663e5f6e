"""OpenAI Responses.

https://platform.openai.com/docs/api-reference/responses and responses-streaming. Azure, xAI, Groq,
OpenRouter, LM Studio, vLLM and others serve it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

import msgspec

from engine.errors import EngineError, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    LogprobsDelta,
    Ping,
    RefusalDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import FinishReason, Usage
from engine.providers.contract import Endpoint
from engine.providers.refusal import stream_error
from engine.providers.responses.event import (
    INCOMPLETE_REASONS,
    Response,
    StreamEvent,
    TextPiece,
    as_citation,
    as_usage,
    dicts,
    text_of,
)
from engine.providers.responses.item import Item
from engine.providers.responses.request import render_responses
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json

__all__ = ["ResponsesDialect", "ResponsesParser"]

_TEXT_DELTA: Final = "response.output_text.delta"

# Events that say again, or in advance, what another one says.
_REPEATED: Final = frozenset(
    {
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.done",
        "response.refusal.done",
        "response.reasoning_part.added",
        "response.reasoning_part.done",
        "response.reasoning_text.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.done",
    }
)

_SPARE: Final = frozenset({"usage", "incomplete_details"})

_text_decoder = TypedDecoder(TextPiece)
_event_decoder = TypedDecoder(StreamEvent, _SPARE)
_response_decoder = TypedDecoder(Response, _SPARE)


class ResponsesDialect:
    """OpenAI Responses."""

    name = "responses"
    content_types = ("text/event-stream",)

    def path(self, request: ModelRequest) -> str:
        return "/responses"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_responses(request, endpoint)

    def decoder(self) -> SSEDecoder:
        return SSEDecoder()

    def parser(self) -> ResponsesParser:
        return ResponsesParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        return ResponsesParser().whole(body)


class ResponsesParser:
    """Turns the events of one stream into ours."""

    def __init__(self) -> None:
        self.complete = False
        self._ended = False
        self._started = False
        self._items: dict[int, Item] = {}
        self._blocks = count()
        self._text_item = -1  # where the text grows: item, part, and our block
        self._text_part = -1
        self._text_block = 0
        self._error: EngineError | None = None

    def feed(self, records: list[SSERecord]) -> list[Event]:
        events: list[Event] = []
        decode = _text_decoder.decode
        for record in records:
            if self._ended:
                break
            if record.event != _TEXT_DELTA:
                self._record(record, events)
                continue
            try:
                piece = decode(record.data)
            except UNREADABLE:
                self._record(record, events)
                continue
            if (
                piece.output_index == self._text_item
                and piece.content_index == self._text_part
                and not piece.logprobs
            ):
                if piece.delta:
                    events.append(TextDelta(piece.delta, self._text_block))
            else:
                self._text(piece, events)
        return events

    def finish(self) -> list[Event]:
        events: list[Event] = []
        if not self._ended and self._error is not None:
            self._fail(self._error, events)
        return events

    def whole(self, body: bytes) -> list[Event]:
        """The events of an answer that was not streamed."""
        events: list[Event] = []
        try:
            try:
                response = _response_decoder.decode(body)
            except UNREADABLE as error:
                response = _response_decoder.recover(body, error)
        except ProtocolError as failure:
            self._fail(failure, events)
            return events
        if response.status is None and response.error is not None:
            self._fail(stream_error(_json_or_text(body)), events)
        else:
            self._end(response, response.status, events)
        return events

    # ----------------------------------------------------------------------------------------

    def _record(self, record: SSERecord, events: list[Event]) -> None:
        try:
            event = _event_decoder.decode(record.data)
        except UNREADABLE as error:
            mended = self._mended(record, error, events)
            if mended is None:
                return
            event = mended
        kind = event.type or ("error" if event.error is not None else record.event)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, event, events)
        elif kind == "error":
            # `response.failed` follows as a rule, and its code is the more exact one.
            self._error = stream_error(_json_or_text(record.data))
        elif kind not in _REPEATED:
            events.append(Unknown(kind, _json_or_text(record.data)))

    def _mended(
        self, record: SSERecord, error: Exception, events: list[Event]
    ) -> StreamEvent | None:
        """What can be mended; JSON of another make is passed on; else the stream ends."""
        if record.data.strip() == b"[DONE]":  # OpenRouter, LM Studio: after the end
            return None
        try:
            return _event_decoder.recover(record.data, error)
        except ProtocolError as failure:
            if isinstance(error, msgspec.ValidationError):
                events.append(Unknown(record.event, _json_or_text(record.data)))
            else:
                self._fail(failure, events)
            return None

    # -- content as it grows -----------------------------------------------------------------

    def _text(self, piece: TextPiece, events: list[Event]) -> None:
        block = self._item(piece.output_index).part("text", piece.content_index)
        self._text_item, self._text_part = piece.output_index, piece.content_index
        self._text_block = block
        if piece.delta:
            events.append(TextDelta(piece.delta, block))
        if piece.logprobs:
            events.append(LogprobsDelta(piece.logprobs, block))

    def _text_delta(self, event: StreamEvent, events: list[Event]) -> None:
        """The text of servers that name the event in the JSON only."""
        index, part = event.output_index, event.content_index
        self._text(TextPiece(text_of(event.delta), index, part, dicts(event.logprobs)), events)

    def _refusal_delta(self, event: StreamEvent, events: list[Event]) -> None:
        block = self._item(event.output_index).part("refusal", event.content_index)
        if piece := text_of(event.delta):
            events.append(RefusalDelta(piece, block))

    def _summary_delta(self, event: StreamEvent, events: list[Event]) -> None:
        block = self._item(event.output_index).part("summary", event.summary_index)
        if piece := text_of(event.delta):
            events.append(ThinkingDelta(piece, block))

    def _reasoning_delta(self, event: StreamEvent, events: list[Event]) -> None:
        block = self._item(event.output_index).part("reasoning", event.content_index)
        if piece := text_of(event.delta):
            events.append(ThinkingDelta(piece, block))

    def _annotation(self, event: StreamEvent, events: list[Event]) -> None:
        item = self._item(event.output_index)
        item.cited += 1
        block = item.part("text", event.content_index)
        events.append(CitationDelta(as_citation(event.annotation), block))

    def _arguments_delta(self, event: StreamEvent, events: list[Event]) -> None:
        call = self._item(event.output_index).call
        piece = text_of(event.delta)
        if call is not None and piece:
            events.append(call.add(piece))

    def _item_added(self, event: StreamEvent, events: list[Event]) -> None:
        events.extend(self._item(event.output_index).begin(event.item or {}))

    def _item_done(self, event: StreamEvent, events: list[Event]) -> None:
        events.extend(self._item(event.output_index).end(event.item or {}))

    def _item(self, index: int) -> Item:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = Item(self._blocks)
        return item

    # -- begin and end -----------------------------------------------------------------------

    def _response_begun(self, event: StreamEvent, events: list[Event]) -> None:
        self._start(event.response or Response(), events)

    def _start(self, response: Response, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Start(response.id, response.model))

    def _response_ended(self, event: StreamEvent, events: list[Event]) -> None:
        response = event.response or Response()
        self._end(response, (event.type or "").removeprefix("response."), events)

    def _end(self, response: Response, status: str | None, events: list[Event]) -> None:
        self._start(response, events)
        self._untold(response, events)
        usage = as_usage(response.usage) if response.usage is not None else None
        if usage is not None:
            events.append(UsageUpdate(usage))
        if status in ("completed", "incomplete"):
            self._done(response, status, usage, events)
        elif response.error is not None:
            self._fail(stream_error({"error": response.error}), events)
        else:
            self._fail(self._error or _no_answer(status), events)

    def _untold(self, response: Response, events: list[Event]) -> None:
        """Items of the whole that no event of their own ended."""
        if self._items and all(item.done for item in self._items.values()):
            return
        streamed = bool(self._items)
        for index, data in enumerate(dicts(response.output)):
            if index in self._items or not streamed:
                events.extend(self._item(index).end(data))

    def _done(
        self, response: Response, status: str, usage: Usage | None, events: list[Event]
    ) -> None:
        self.complete = self._ended = True
        details = response.incomplete_details
        if status == "incomplete":
            word = (details.reason if details is not None else None) or status
            reason = INCOMPLETE_REASONS.get(word, FinishReason.UNKNOWN)
        else:
            word, reason = status, self._reason()
        events.append(Done(reason, usage, word))

    def _reason(self) -> FinishReason:
        """Why a completed response ended, which its status does not say."""
        items = self._items.values()
        parts = [(kind, block) for item in items for (kind, _), block in item.parts.items()]
        text = max((block for kind, block in parts if kind == "text"), default=-1)
        # xAI tells its own searches as calls of custom tools, and goes on to its answer.
        if any(item.called and (not item.custom or item.block > text) for item in items):
            return FinishReason.TOOL_USE
        if any(kind == "refusal" for kind, _ in parts):
            return FinishReason.REFUSAL
        return FinishReason.STOP

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events.append(StreamError(error))

    def _ping(self, event: StreamEvent, events: list[Event]) -> None:
        events.append(Ping())


_Handler = Callable[[ResponsesParser, StreamEvent, list[Event]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "response.created": ResponsesParser._response_begun,
    "response.queued": ResponsesParser._response_begun,
    "response.in_progress": ResponsesParser._response_begun,
    "response.output_item.added": ResponsesParser._item_added,
    "response.output_item.done": ResponsesParser._item_done,
    _TEXT_DELTA: ResponsesParser._text_delta,
    "response.output_text.annotation.added": ResponsesParser._annotation,
    "response.refusal.delta": ResponsesParser._refusal_delta,
    "response.reasoning_summary_text.delta": ResponsesParser._summary_delta,
    "response.reasoning_text.delta": ResponsesParser._reasoning_delta,
    "response.function_call_arguments.delta": ResponsesParser._arguments_delta,
    "response.custom_tool_call_input.delta": ResponsesParser._arguments_delta,
    "response.completed": ResponsesParser._response_ended,
    "response.incomplete": ResponsesParser._response_ended,
    "response.failed": ResponsesParser._response_ended,
    "keepalive": ResponsesParser._ping,
    "ping": ResponsesParser._ping,
}


def _json_or_text(data: bytes) -> Any:
    try:
        return decode_json(data)
    except ProtocolError:
        return data.decode("utf-8", "replace")


def _no_answer(status: str | None) -> ProtocolError:
    return ProtocolError(
        f"the response ended with the status {status!r} and no reason; send the request again, "
        "and check that the base URL and the dialect belong together"
    )
