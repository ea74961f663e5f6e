"""The events of one Anthropic Messages stream become ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine.events import (
    CitationDelta,
    Done,
    Event,
    ModelUpdate,
    Ping,
    RedactedThinkingDone,
    RefusalDelta,
    ServerToolDone,
    ServerToolStart,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
    VendorItemDone,
)
from engine.messages import ServerTool, VendorItem
from engine.providers.blocks import AnswerParser, merge
from engine.providers.messages.event import (
    Counts,
    Delta,
    StreamEvent,
    WholeMessage,
    as_citation,
    as_usage,
    decode_plain,
    is_new,
)
from engine.providers.refusal import is_error, stream_error
from engine.providers.tool_calls import OpenCall, text_of_arguments
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, json_or_text

__all__ = ["MessagesParser"]

# Where the answer's own words stand, what holds them, and what says where they belong.
_NEEDED: Final = frozenset({"delta", "text", "content_block", "content", "message", "index"})

_event_decoder = TypedDecoder(StreamEvent, _NEEDED)
_message_decoder = TypedDecoder(WholeMessage, _NEEDED)

# Of a message: what has events, or a place of its own.
_TOLD: Final = frozenset({"id", "model", "content", "stop_reason", "stop_details"})
_BARE_STOP: Final = len(b'{ "type": "message_stop" }')
_TOLD_OF_CALL: Final = frozenset({"type", "id", "name", "input"})


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

    def whole(self) -> Event:
        """The event of a block that is neither words nor a call: the provider's object, with what
        the deltas brought."""
        data = self.data
        text = "".join(self.pieces)
        if text:
            field = "input" if "input" in data else "content"
            data = {**data, field: json_or_text(text.encode()) if field == "input" else text}
        if self.kind.endswith(("tool_use", "tool_result")):
            tool = ServerTool(str(data.get("name") or self.kind), data)
            return ServerToolDone(tool, self.number)
        return VendorItemDone(VendorItem(self.kind, data, "messages"), self.number)


class MessagesParser(AnswerParser):
    """Turns the events of one stream into ours.

    Blocks are numbered as they open, which is the provider's own index unless a proxy splices a
    second message into the stream.
    """

    __slots__ = ("_open", "_text_block", "_text_index", "_usage")

    _before_text = re.compile(rb'"text": ?"')

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, _Block] = {}
        self._text_index = -1  # the provider's index of the open text block
        self._text_block = 0  # ours
        self._usage = Counts()

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        for record in records:
            if self._ended:
                break
            if type(record) is bytes and self._text_index >= 0:
                try:
                    plain = decode_plain(record)
                except UNREADABLE:
                    pass
                else:
                    if plain.index == self._text_index:
                        if plain.delta.text:
                            events.append(TextDelta(plain.delta.text, self._text_block))
                        continue
            named = _named(record)
            try:
                event = _event_decoder.decode(named.data)
            except UNREADABLE as error:
                self._odd(named, error, events)
                continue
            self._event(event, named, events)
        return events

    def finish(self) -> list[Event]:
        return [] if self._ended else self._halves.give_up()  # nothing ends but by message_stop

    def read_whole(self, body: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            message = _message_decoder.decode(body)
        except UNREADABLE as error:
            again = self._unreadable(_message_decoder, "message", body, error, events)
            message = again or WholeMessage()
        if self._ended:
            return events
        if message.error is not None or is_error(json_or_text(body)):
            self._fail(stream_error(json_or_text(body)), events)
        elif message.content is None:
            self.strange: bytes | None = body
            events.clear()
            self._fail(self._no_answer("an Anthropic message"), events)
        else:
            self._absorb(json_or_text(body))
            self._new_message(message, events)
            self._stopping(message.stop_reason, message.stop_details, events)
            self._message_stop(StreamEvent(), b"", events)
            self._mend(events, 0)
        return events

    # ----------------------------------------------------------------------------------------

    def _grows(self) -> int | None:
        return self._text_block if self._text_index >= 0 and not self._ended else None

    def _text_of(self, data: bytes) -> str | None:
        plain = decode_plain(data)
        return plain.delta.text if plain.index == self._text_index else None

    def _odd(self, record: SSERecord, error: Exception, events: list[Event]) -> None:
        """What can be mended; or JSON of another make, which is passed on; or the end."""
        if record.data.strip() == b"[DONE]":
            # Some proxies end every event stream so, and have no message_stop. Without a stop
            # reason it says nothing of the message.
            if self._first.finish.stands:
                self._message_stop(StreamEvent(), b"", events)
            return
        event = self._unreadable(_event_decoder, record.event, record.data, error, events)
        if event is not None:
            self._event(event, record, events)

    def _misfit(self, place: str) -> None:
        if "partial_json" in place:
            self._first.calls.astray = True

    def _event(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        since = len(events)
        kind = event.type or ("error" if event.error is not None else record.event)
        handler = _HANDLERS.get(kind)
        if handler is not None and not is_new(event):
            handler(self, event, record.data, events)
            if self._halves.open:
                self._mend(events, since)
                self._text_index = -1  # each further piece must come this way
            return
        data = json_or_text(record.data)
        if kind == "error" or (handler is None and is_error(data)):
            self._fail(stream_error(data), events)
        else:
            self._foreign(kind, record.data, events)

    def _ping(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        events.append(Ping())

    def _message_start(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        # A second one is a proxy's second try: what was open stays open for ever.
        self._open.clear()
        self._first.drop_calls()
        self._text_index = -1
        told = json_or_text(data)
        self._absorb(told.get("message") if isinstance(told, dict) else None)
        self._new_message(event.message or WholeMessage(), events)

    def _new_message(self, message: WholeMessage, events: list[Event]) -> None:
        self._id, self._model = message.id or None, message.model or None
        self._begin(events)
        if message.usage is not None:
            self._count(message.usage, events)
        # Content comes here in a whole answer, and where a turn goes on that was paused.
        for index, data in enumerate(message.content or ()):
            self._open_block(index, data, events)
            self._close_block(index, events)

    def _absorb(self, told: Any) -> None:
        """What the provider says of the message that has no name of ours."""
        if isinstance(told, dict):
            merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})

    def _block_start(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
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
                block.call = self._open_call(data, number, events)
            case "fallback":
                self._fall_back(data, events)
            case kind if kind.endswith("tool_use") and not data.get("input"):
                name = str(data.get("name") or kind)
                events.append(ServerToolStart(name, data, number))
        return block

    def _open_call(self, data: dict[str, Any], number: int, events: list[Event]) -> OpenCall:
        seed = self._id or ""
        call = self._first.calls.open(_text(data, "id"), _text(data, "name"), number, seed)
        call.extra = {k: v for k, v in data.items() if k not in _TOLD_OF_CALL}
        events += call.tell() if call.name else ()
        return call

    def _fall_back(self, data: dict[str, Any], events: list[Event]) -> None:
        """Another model goes on with the answer."""
        to = data.get("to")
        model = to.get("model") if isinstance(to, dict) else None
        if isinstance(model, str) and model:
            self._model = model
            events.append(ModelUpdate(None, model))

    def _block_delta(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
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
                events += block.call.add(delta.partial_json)
            else:
                block.pieces.append(delta.partial_json)
                # Of a call that this may belong to nothing is known any more.
                self._first.calls.astray |= block.kind in ("text", "thinking")
        if isinstance(delta.content, str):
            block.pieces.append(delta.content)

    def _block_stop(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        self._close_block(event.index, events)

    def _close_block(self, index: int, events: list[Event]) -> None:
        block = self._open.pop(index, None)
        if index == self._text_index:
            self._text_index = -1
        if block is None:
            return
        if block.call is not None:
            text = text_of_arguments(block.data.get("input") or None)
            events += self._first.calls.mark(block.call, None if block.call.arguments else text)
        elif block.kind not in ("text", "thinking", "redacted_thinking"):
            events.append(block.whole())

    def _message_delta(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        told = json_or_text(data)
        if isinstance(told, dict):
            self._absorb({k: v for k, v in told.items() if k not in ("type", "delta")})
            self._absorb(told.get("delta"))
        if event.usage is not None:
            self._count(event.usage, events)
        if event.delta is not None and event.delta.stop_reason is not None:
            self._stopping(event.delta.stop_reason, event.delta.stop_details, events)

    def _stopping(self, reason: str | None, details: Any, events: list[Event]) -> None:
        if reason:
            self._first.finish = self._first.finish.said(reason)
        explanation = details.get("explanation") if isinstance(details, dict) else None
        if isinstance(details, dict):
            merge(self.metadata, {"stop_details": details})
        if isinstance(explanation, str) and explanation:
            events.append(RefusalDelta(explanation, self._blocks))
            self._blocks += 1

    def _message_stop(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        if event.usage is not None:  # a gateway's
            self._count(event.usage, events)
        if len(data) > _BARE_STOP:  # Bedrock's metrics
            told = json_or_text(data)
            if isinstance(told, dict):
                self._absorb({k: v for k, v in told.items() if k not in ("type", "usage")})
        self.complete = self._ended = True
        events += self._halves.give_up()
        first = self._first
        for block in self._open.values():  # some proxies leave content_block_stop out
            if block.call is None and block.kind not in ("text", "thinking", "redacted_thinking"):
                events.append(block.whole())
        events += first.end_calls()
        events.append(Done(first.reason(), as_usage(self._usage), first.finish.word))

    def _count(self, counted: Counts, events: list[Event]) -> None:
        """Counts are cumulative: what a later report names replaces the earlier."""
        for name in Counts.__struct_fields__:
            value = getattr(counted, name)
            if value is not None:
                setattr(self._usage, name, value)
        events.append(UsageUpdate(as_usage(self._usage)))


_Handler = Callable[[MessagesParser, StreamEvent, bytes, list[Event]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "message_start": MessagesParser._message_start,
    "content_block_start": MessagesParser._block_start,
    "content_block_delta": MessagesParser._block_delta,
    "content_block_stop": MessagesParser._block_stop,
    "message_delta": MessagesParser._message_delta,
    "message_stop": MessagesParser._message_stop,
    "ping": MessagesParser._ping,
}


def _named(record: SSERecord | bytes) -> SSERecord:
    return SSERecord(record, "content_block_delta") if isinstance(record, bytes) else record


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""
