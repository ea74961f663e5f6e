"""The events of one OpenAI Responses stream become ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.errors import ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    LogprobsDelta,
    ModelUpdate,
    Ping,
    TextDelta,
    Unknown,
    UsageUpdate,
)
from engine.messages import FinishReason, Usage
from engine.providers.blocks import AnswerParser, merge
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.providers.responses.event import (
    KINDS,
    REPEATED,
    Response,
    StreamEvent,
    TextPiece,
    as_citation,
    as_usage,
    dicts,
    no_reason,
    text_of,
)
from engine.providers.responses.item import WORDS, Item, Outputs, runs_here
from engine.providers.tool_calls import text_of_arguments
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, json_or_text, not_json

__all__ = ["ResponsesParser"]

_TEXT_DELTA: Final = "response.output_text.delta"

# Where the text grows: item, part, and our block; no piece is of this one.
_NOWHERE: Final[tuple[int | None, int, int]] = (None, 0, 0)

_NEEDED: Final = frozenset({"item", "response", "content_index", "summary_index"})

_text_decoder = TypedDecoder(TextPiece)
_event_decoder = TypedDecoder(StreamEvent, _NEEDED)
_response_decoder = TypedDecoder(Response, _NEEDED)

# Of a response: what has events, or a place of its own.
_TOLD: Final = frozenset({"id", "model", "output", "error"})
_TOLD_OF_EVENT: Final = frozenset({"type", "sequence_number", "response", "error"})
_TOLD_OF_ITEM: Final = frozenset({"content", "summary", "encrypted_content", "arguments", "input"})


class ResponsesParser(AnswerParser):
    """Turns the events of one stream into ours."""

    __slots__ = ("_last", "_outputs", "_text")

    def __init__(self) -> None:
        super().__init__()
        self._outputs = Outputs(lambda: self._new_block(self._first), self._first.calls)
        self._text = _NOWHERE
        self._last: bytes | None = None  # the last piece of text that was not looked at closely

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        if self._ended:
            return events
        decode, (number, part, block), last = _text_decoder.decode, self._text, self._last
        for record in records:
            if type(record) is bytes:
                try:
                    piece = decode(record)
                    if piece.output_index == number and piece.content_index == part:
                        if piece.delta:
                            events.append(TextDelta(piece.delta, block))
                        last = record
                        continue
                except UNREADABLE:
                    pass  # there is more in it
                record = SSERecord(record, _TEXT_DELTA)
            self._last = last
            self._record(record, events)  # type: ignore[arg-type]
            if self._ended:
                break
            (number, part, block), last = self._text, self._last
        self._last = last
        return events

    def finish(self) -> list[Event]:
        events: list[Event] = []
        if not self._ended:
            events += self._halves.give_up()
            if self._failure is not None:
                self._fail(self._failure, events)
        return events

    def read_whole(self, body: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            response = _response_decoder.decode(body)
        except UNREADABLE as error:
            again = self._unreadable(_response_decoder, "message", body, error, events)
            response = again or Response()
        if self._ended:
            return events
        told = json_or_text(body)
        if response.status is None and (response.error is not None or is_error(told)):
            self._fail(stream_error(told), events)
        elif response.status is None and response.output is None:
            events.clear()
            self.strange: bytes | None = body
            self._fail(self._no_answer("a response"), events)
        else:
            self._absorb(told)
            self._end(response, response.status, events)
            self._mend(events, 0)
        return events

    # ----------------------------------------------------------------------------------------

    def _record(self, record: SSERecord, events: list[Event]) -> None:
        since, odd = len(events), False
        if self._last is not None:
            self._catch_up(self._last)
        try:
            event = _event_decoder.decode(record.data)
        except UNREADABLE as error:
            if record.data.strip() == b"[DONE]":  # OpenRouter, LM Studio: after the end
                return
            again = self._unreadable(_event_decoder, record.event, record.data, error, events)
            if again is None:
                return
            event, odd = again, True
        self._event(event, record, events)
        if odd or self._halves.open:
            self._mend(events, since)
        if self._halves.open or not self._outputs.numbered:
            self._text = _NOWHERE  # each further piece must come this way

    def _catch_up(self, last: bytes) -> None:
        """Note which item the pieces were about that went the short way, as the last one says."""
        self._last = None
        try:
            event = _event_decoder.decode(last)
        except UNREADABLE as error:
            try:
                event = _event_decoder.recover(last, error)
            except ProtocolError:  # in what no piece of text has
                event = StreamEvent(output_index=self._text[0])
        self._outputs.of(event)

    def _event(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        kind = event.type or ("error" if event.error is not None else record.event)
        event.type = kind  # some have it in the name of the event alone
        name, _, step = kind.rpartition(".")
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, event, record.data, events)
        elif name in KINDS and step in ("delta", "done"):
            self._words(KINDS[name], step, event, record.data, events)
        elif kind in REPEATED:
            pass
        else:
            self._no_event(kind, record, events)

    def _no_event(self, kind: str, record: SSERecord, events: list[Event]) -> None:
        data = json_or_text(record.data)
        if kind == "error" or is_error(data):
            # `response.failed` follows as a rule, and its code is the more exact one.
            self._failure = stream_error(data)
            merge(self.metadata, {"error": data})
        elif is_ping(kind, data):
            events.append(Ping())
        else:
            self._foreign(kind, record.data, events)

    def _misfit(self, place: str) -> None:
        if place in ("arguments", "input", "output_index"):
            self._first.calls.astray = True

    # -- content as it grows -----------------------------------------------------------------

    def _words(
        self, kind: str, step: str, event: StreamEvent, data: bytes, events: list[Event]
    ) -> None:
        item = self._outputs.of(event)
        number = event.summary_index if kind == "summary" else event.content_index
        given = event.delta
        if step == "done":  # whole, for servers that send no deltas
            given = event.refusal if kind == "refusal" else event.text
            if (kind, number) in item.parts:
                return
        words = text_of(given)
        if given and not words:
            self._no_words(kind, given, data, events)
            return
        block = item.part(kind, number)
        if words:
            events.append(WORDS[kind](words, block))
        logprobs = dicts(event.logprobs)
        if logprobs and step == "delta":
            events.append(LogprobsDelta(logprobs, block))
        if kind == "text" and event.output_index is not None:
            self._text = (event.output_index, number, block)

    def _no_words(self, kind: str, given: Any, data: bytes, events: list[Event]) -> None:
        if kind == "text" and not self._over():
            self._fail(not_json(data, TypeError("the delta is no string")), events)
        else:
            events.append(Unknown(f"response.{kind}", given))

    def _annotation(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        item = self._outputs.of(event)
        item.cited += 1
        block = item.part("text", event.content_index)
        events.append(CitationDelta(as_citation(event.annotation), block))

    def _arguments_delta(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        if piece := text_of(event.delta):
            events += self._outputs.of(event).add_arguments(piece)
        elif event.delta:
            self._first.calls.astray = True
            events.append(Unknown(event.type or "", event.delta))

    def _arguments_done(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        item = self._outputs.of(event)
        given = text_of_arguments(event.input if event.arguments is None else event.arguments)
        if item.call is not None:
            events += item.call.named(event.name) if event.name else ()
            events += item.call.whole(given)
        elif not item.early:
            item.add_arguments(given)

    def _item_added(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        self._text = _NOWHERE  # it may take the number of another
        events += self._outputs.of(event).begin(event.item or {})

    def _item_done(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        item = self._outputs.of(event)
        events += item.end(event.item or {})
        self._serve(item, events)

    def _serve(self, output: Item, events: list[Event]) -> None:
        """An output the provider itself gives: the call it belongs to waits for nobody."""
        if not output.kind.endswith("_output"):
            return
        id = output.data.get("call_id")
        for item in self._outputs:
            if item is not output and item.data.get("call_id") == id and runs_here(item.data):
                events.append(item.tool(item.data, served=True))

    # -- begin and end -----------------------------------------------------------------------

    def _response_begun(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        self._absorb_event(data)
        self._start(event.response or Response(), events)

    def _start(self, response: Response, events: list[Event]) -> None:
        self._answers(response.id, response.model, events)
        if not self._started:
            self._begin(events)

    def _absorb(self, told: Any) -> None:
        """What the provider says of the response that has no name of ours."""
        if not isinstance(told, dict):
            return
        merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})
        items = [
            {k: v for k, v in item.items() if k not in _TOLD_OF_ITEM}
            for item in dicts(told.get("output"))
        ]
        merge(self.metadata, {"output": items})

    def _absorb_event(self, data: bytes) -> None:
        told = json_or_text(data)
        if isinstance(told, dict):
            self._absorb(told.get("response"))
            rest = {k: v for k, v in told.items() if k not in _TOLD_OF_EVENT}
            merge(self.metadata, rest)  # Copilot's count of what was used

    def _response_ended(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        self._absorb_event(data)
        response = event.response or Response()
        status = (event.type or "").removeprefix("response.")
        if status in ("completed", "done"):  # a gateway's one last event, too
            status = response.status if response.status in _NOT_WELL else "completed"
        self._end(response, status, events)

    def _end(self, response: Response, status: str | None, events: list[Event]) -> None:
        self._start(response, events)
        told = (self._id, self._model)
        # Copilot gives each event another id, a router its own name: the last is the answer's.
        self._id, self._model = response.id or self._id, response.model or self._model
        if told != (self._id, self._model):
            events.append(ModelUpdate(self._id, self._model))
        self._untold(response, events)
        usage = as_usage(response.usage) if response.usage is not None else None
        if usage is not None:
            events.append(UsageUpdate(usage))
        if status in ("completed", "incomplete"):
            self._done(response, status, usage, events)
        elif response.error is not None:
            self._fail(stream_error({"error": response.error}), events)
        elif status in ("queued", "in_progress"):
            self._fail(self._not_yet("response", status, self._id), events)
        else:
            self._fail(self._failure or no_reason(status), events)

    def _untold(self, response: Response, events: list[Event]) -> None:
        """Items of the whole that no event of their own ended."""
        outputs = self._outputs
        if len(outputs) and all(item.done for item in outputs):
            return
        streamed = len(outputs) > 0
        for number, data in enumerate(dicts(response.output)):
            item = outputs.of_whole(number, data) if streamed else outputs.begin(number)
            if item is not None:
                events += item.end(data)
                self._serve(item, events)

    def _done(
        self, response: Response, status: str, usage: Usage | None, events: list[Event]
    ) -> None:
        self.complete = self._ended = True
        events += self._halves.give_up()
        first, details = self._first, response.incomplete_details
        first.finish = first.finish.said((details and details.reason) or status)
        for item in self._outputs:
            events += item.close()
        if any(kind == "refusal" for item in self._outputs for kind, _ in item.parts):
            first.finish = first.finish.refusing()
        self._customs(events)
        events += first.end_calls()
        reason = first.reason()
        if reason is FinishReason.STOP:
            reason = self._reason()
        events.append(Done(reason, usage, first.finish.word))

    def _customs(self, events: list[Event]) -> None:
        """xAI tells its own searches as calls of custom tools, and goes on to its answer."""
        calls = self._first.calls
        parts = [part for item in self._outputs for part in item.parts.items()]
        text = max((block for (kind, _), block in parts if kind == "text"), default=-1)
        for item in self._outputs:
            call = item.call
            if call is None or not call.custom or not item.done:
                continue
            if item.block < text or call.id.startswith("xs_call"):
                calls.opened.remove(call)
                events.append(item.tool(item.data, served=True))

    def _reason(self) -> FinishReason:
        """Why a completed response ended, which its status does not say."""
        served = {i.data.get("call_id") for i in self._outputs if i.kind.endswith("_output")}
        waiting = [
            item
            for item in self._outputs
            if item.call is None and runs_here(item.data) and item.data.get("call_id") not in served
        ]
        if any(item.kind.endswith("_call") for item in waiting):
            return FinishReason.TOOL_USE
        if waiting:
            return FinishReason.PAUSE
        return FinishReason.STOP

    def _ping(self, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        events.append(Ping())


_Handler = Callable[[ResponsesParser, StreamEvent, bytes, list[Event]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "response.created": ResponsesParser._response_begun,
    "response.queued": ResponsesParser._response_begun,
    "response.in_progress": ResponsesParser._response_begun,
    "response.output_item.added": ResponsesParser._item_added,
    "response.output_item.done": ResponsesParser._item_done,
    "response.output_text.annotation.added": ResponsesParser._annotation,
    "response.function_call_arguments.delta": ResponsesParser._arguments_delta,
    "response.custom_tool_call_input.delta": ResponsesParser._arguments_delta,
    "response.function_call_arguments.done": ResponsesParser._arguments_done,
    "response.custom_tool_call_input.done": ResponsesParser._arguments_done,
    "response.completed": ResponsesParser._response_ended,
    "response.done": ResponsesParser._response_ended,  # Codex
    "response.incomplete": ResponsesParser._response_ended,
    "response.failed": ResponsesParser._response_ended,
    "response.cancelled": ResponsesParser._response_ended,
    "keepalive": ResponsesParser._ping,
    "ping": ResponsesParser._ping,
}


_NOT_WELL: Final = ("failed", "incomplete", "cancelled")
