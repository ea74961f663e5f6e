"""The events of one Interactions stream become ours.

A turn is a list of steps: thoughts, outputs of the model, calls of the user's functions, and calls
of Google's own tools with their results. It ends with ``interaction.completed``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.events import (
    AudioDelta,
    CitationDelta,
    Done,
    Event,
    ImageDone,
    ServerToolDone,
    ServerToolStart,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
    VendorItemDone,
)
from engine.messages import FinishReason, Image, ServerTool, VendorItem
from engine.providers.blocks import AnswerParser, merge
from engine.providers.interactions.event import (
    Delta,
    Interaction,
    StreamEvent,
    as_citation,
    as_usage,
    dicts,
)
from engine.providers.refusal import is_error, is_ping, stream_error
from engine.providers.tool_calls import OpenCall, text_of_arguments
from engine.wire import SSERecord
from engine.wire.json import UNREADABLE, TypedDecoder, json_or_text

__all__ = ["InteractionsParser"]

# Where the answer's own words stand, and what holds them.
_NEEDED: Final = frozenset({"delta", "text", "step", "interaction", "index"})

_event_decoder = TypedDecoder(StreamEvent, _NEEDED)
_whole_decoder = TypedDecoder(Interaction, _NEEDED)

# Pieces of a call's arguments, as the service and as its documents call them.
_ARGUMENTS: Final = ("arguments_delta", "arguments")

# Of an interaction: what has events, or a place of its own.
_TOLD: Final = frozenset({"id", "model", "steps", "error", "status"})
_TOLD_OF_CALL: Final = frozenset({"type", "id", "name", "arguments", "signature"})


class _Step:
    """A step that is open."""

    __slots__ = ("block", "call", "data")

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.call: OpenCall | None = None
        self.block = -1  # of a tool of Google's

    @property
    def kind(self) -> str:
        return str(self.data.get("type"))


class InteractionsParser(AnswerParser):
    """Turns the events of one stream into ours."""

    __slots__ = ("_call", "_said", "_steps", "_text_step")

    def __init__(self) -> None:
        super().__init__()
        self._call: OpenCall | None = None  # the last that began
        self._said: str | None = None  # the last status
        self._steps: dict[int, _Step] = {}
        self._text_step = -1  # where the text grows

    def feed(self, records: Sequence[SSERecord | bytes]) -> list[Event]:
        events: list[Event] = []
        decode = _event_decoder.decode
        for given in records:
            if self._ended:
                break
            record = SSERecord(given, "step.delta") if isinstance(given, bytes) else given
            since = len(events)
            try:
                event = decode(record.data)
            except UNREADABLE as error:
                again = None
                if record.data.strip() != b"[DONE]":
                    again = self._unreadable(
                        _event_decoder, record.event, record.data, error, events
                    )
                if again is not None:
                    self._event(again, record, events)
                    self._mend(events, since)
                continue
            self._event(event, record, events)
            if self._halves.open:
                self._mend(events, since)
        return events

    @property
    def may_end(self) -> bool:
        return self._said in _ENDS

    def finish(self) -> list[Event]:
        events: list[Event] = []
        if not self._ended and self._said in _ENDS:
            self._end(Interaction(status=self._said), events)
        return events or ([] if self._ended else self._halves.give_up())

    def read_whole(self, body: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            whole = _whole_decoder.decode(body)
        except UNREADABLE as error:
            whole = (
                self._unreadable(_whole_decoder, "message", body, error, events) or Interaction()
            )
        told = json_or_text(body)
        if self._ended:
            return events
        if whole.status is None:
            if is_error(told):
                self._fail(stream_error(told), events)
            else:
                events.clear()
                self.strange: bytes | None = body
                self._fail(self._no_answer("an interaction"), events)
            return events
        self._absorb(told, events)
        self._end(whole, events)
        self._mend(events, 0)
        return events

    # ----------------------------------------------------------------------------------------

    def _misfit(self, place: str) -> None:
        if "arguments" in place or "step" in place:
            self._first.calls.astray = True

    def _event(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        kind = event.event_type or ("error" if event.error is not None else record.event)
        handler = _HANDLERS.get(kind)
        if handler is None and event.interaction is not None and event.interaction.status in _ENDS:
            handler = InteractionsParser._completed
        if handler is not None:
            handler(self, event, record, events)
            return
        told = json_or_text(record.data)
        if kind == "error" or is_error(told):
            self._fail(stream_error(told), events)
        elif not is_ping(kind, told):
            self._foreign(kind, record.data, events)

    def _created(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        head = event.interaction or Interaction()
        self._absorb(_interaction_in(record), events)
        self._answers(head.id, head.model, events)
        if not self._started:
            self._begin(events)

    def _absorb(self, told: Any, events: list[Event]) -> None:
        """What the provider says of the interaction that has no name of ours."""
        if isinstance(told, dict):
            merge(self.metadata, {k: v for k, v in told.items() if k not in _TOLD})

    def _step_start(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        self._open(event.index, event.step or _as_step(event.content or {}), events)

    def _open(self, number: int, data: dict[str, Any], events: list[Event]) -> None:
        step = self._steps[number] = _Step(dict(data))
        self._first.kind = None
        match step.kind:
            case "model_output":
                for part in dicts(data.get("content")):
                    self._content(part, events)
            case "thought":
                for part in dicts(data.get("summary")):
                    self._thought(part, events)
                self._seal(data.get("signature"), events)
            case "function_call":
                self._open_call(step, data, events)
            case "user_input":
                pass  # what was asked
            case kind:
                step.block = self._new_block(self._first)
                if kind.endswith("_call"):
                    events.append(ServerToolStart(kind, data, step.block))

    def _open_call(self, step: _Step, data: dict[str, Any], events: list[Event]) -> None:
        index = self._new_block(self._first)
        id, name = data.get("id"), data.get("name")
        call = self._first.calls.open(
            id if isinstance(id, str) else None,
            name if isinstance(name, str) else "",
            index,
            self._id or "",
        )
        seal = data.get("signature")
        call.signature = seal if isinstance(seal, str) and seal else None
        call.extra = {k: v for k, v in data.items() if k not in _TOLD_OF_CALL}
        events += call.tell() if call.name else ()
        step.call = self._call = call

    def _step_delta(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        step = self._steps.get(event.index)
        if event.delta is not None and event.delta.type in _ARGUMENTS:
            # Seen under the number of the thought before the call.
            call = step.call if step is not None and step.call is not None else self._call
            if call is not None:
                self._call_delta(call, event.delta, events)
                return
            self._first.calls.astray = True
        if step is None:
            self._open(event.index, {"type": "model_output"}, events)
            step = self._steps[event.index]
        delta = event.delta or Delta()
        if step.call is not None:
            self._call_delta(step.call, delta, events)
        elif step.block >= 0:
            told = json_or_text(record.data)
            merge(step.data, told.get("delta") or {} if isinstance(told, dict) else {})
        elif delta.type == "thought_signature":
            self._seal(delta.signature, events)
        elif delta.type == "thought_summary":
            self._thought(delta.content if isinstance(delta.content, dict) else {}, events)
        else:
            told = json_or_text(record.data)
            part = told.get("delta") if isinstance(told, dict) else None
            part = part if isinstance(part, dict) else {}
            # Of the text the typed one: it keeps halves of characters.
            self._content(part if delta.text is None else {**part, "text": delta.text}, events)

    def _call_delta(self, call: OpenCall, delta: Delta, events: list[Event]) -> None:
        pieces = delta.arguments if delta.partial_arguments is None else delta.partial_arguments
        if delta.name:
            events += call.named(delta.name)
        if pieces is None or isinstance(pieces, str | dict):
            events += call.add(text_of_arguments(pieces))
        else:
            self._first.calls.astray = True
            events.append(Unknown("arguments", pieces, call.index))
        if delta.signature:
            call.signature = delta.signature

    def _content(self, part: dict[str, Any], events: list[Event]) -> None:
        """A piece of what the model puts out: text, sources, an image, sound."""
        first = self._first
        kind, text = part.get("type"), part.get("text")
        for source in dicts(part.get("annotations")):
            block = self._block(first, TextDelta)
            events.append(CitationDelta(as_citation(source), block))
        if isinstance(text, str):
            if text:
                events.append(TextDelta(text, self._block(first, TextDelta)))
        elif kind == "image":
            image = Image(part.get("uri"), part.get("data"), part.get("mime_type"))
            events.append(ImageDone(image, self._new_block(first)))
        elif kind == "audio" and isinstance(part.get("data"), str):
            block = self._block(first, AudioDelta)
            events.append(AudioDelta(part["data"], "", part.get("mime_type"), block))
        elif "annotations" not in part and part.keys() - {"type"}:
            item = VendorItem(str(kind), part, "interactions")
            events.append(VendorItemDone(item, self._new_block(first)))

    def _thought(self, part: dict[str, Any], events: list[Event]) -> None:
        text = part.get("text")
        if isinstance(text, str) and text:
            events.append(ThinkingDelta(text, self._block(self._first, ThinkingDelta)))
        elif part and text is None:
            events.append(Unknown("thought_summary", part, self._first.block))

    def _seal(self, signature: Any, events: list[Event]) -> None:
        if isinstance(signature, str) and signature:
            block = self._block(self._first, ThinkingDelta)
            events.append(SignatureDelta(signature, block))

    def _step_stop(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        self._close(event.index, events)

    def _close(self, number: int, events: list[Event]) -> None:
        step = self._steps.pop(number, None)
        self._first.kind = None
        if step is None:
            return
        if step.call is not None:
            text = text_of_arguments(step.data.get("arguments") or None)
            events += self._first.calls.mark(step.call, None if step.call.arguments else text)
        elif step.block >= 0 and step.kind.endswith(("_call", "_result")):
            events.append(ServerToolDone(ServerTool(step.kind, step.data), step.block))
        elif step.block >= 0:
            item = VendorItem(step.kind, step.data, "interactions")
            events.append(VendorItemDone(item, step.block))

    def _completed(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        whole = event.interaction or Interaction()
        self._absorb(_interaction_in(record), events)
        self._end(whole, events)

    def _status(self, event: StreamEvent, record: SSERecord, events: list[Event]) -> None:
        """How far it is; the end, where there is one, says it once more."""
        self._said = event.status

    def _whole_steps(self, whole: Interaction, events: list[Event]) -> None:
        # Before the revision of May 2026 they were called outputs, with a text bare among them.
        for number, data in enumerate(dicts(whole.steps or whole.outputs)):
            self._open(number, _as_step(data), events)
            self._close(number, events)

    def _end(self, whole: Interaction, events: list[Event]) -> None:
        self._answers(whole.id, whole.model, events)
        if not self._started:
            self._begin(events)
        if not self._blocks:  # none was told piece by piece
            self._whole_steps(whole, events)
        usage = as_usage(whole.usage) if whole.usage is not None else None
        if usage is not None:
            events.append(UsageUpdate(usage))
        if whole.status == "failed" or whole.error:
            self._fail(stream_error({"error": whole.error or "the interaction failed"}), events)
            return
        if whole.status == "in_progress":
            self._fail(self._not_yet("interaction", whole.status, whole.id), events)
            return
        self.complete = self._ended = True
        events += self._halves.give_up()
        first = self._first
        first.finish = first.finish.said(whole.status or "completed")
        events += first.end_calls()
        reason = first.reason()
        if whole.status == "incomplete":
            reason = FinishReason.LENGTH
        events.append(Done(reason, usage, first.finish.word))


# https://ai.google.dev/api/interactions-api, Interaction.status: all but "in_progress".
_ENDS: Final = frozenset(
    {"completed", "requires_action", "failed", "cancelled", "incomplete", "budget_exceeded"}
)

_Handler = Callable[[InteractionsParser, StreamEvent, SSERecord, list[Event]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "interaction.created": InteractionsParser._created,
    "interaction.status_update": InteractionsParser._status,
    "step.start": InteractionsParser._step_start,
    "step.delta": InteractionsParser._step_delta,
    "step.stop": InteractionsParser._step_stop,
    "interaction.completed": InteractionsParser._completed,
    "interaction.failed": InteractionsParser._completed,
    # As they were called before the revision of May 2026.
    "interaction.start": InteractionsParser._created,
    "interaction.complete": InteractionsParser._completed,
    "content.start": InteractionsParser._step_start,
    "content.delta": InteractionsParser._step_delta,
    "content.stop": InteractionsParser._step_stop,
}


def _as_step(data: dict[str, Any]) -> dict[str, Any]:
    """The step that `data` is, which may be a bare piece of an output."""
    bare = data.get("type") in ("text", "image", "audio", "document", "video")
    return {"type": "model_output", "content": [data]} if bare else data


def _interaction_in(record: SSERecord) -> Any:
    told = json_or_text(record.data)
    return told.get("interaction") if isinstance(told, dict) else None
