"""Small streams of every format, and what is made of them: the same whole and byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine import events
from engine.answering.accumulate import Accumulator
from engine.answering.response_reader import ResponseReader
from engine.errors import EngineError, ProtocolError, TruncatedError
from engine.messages import FinishReason, Message, PartialToolCall, Usage
from engine.providers import dialect as dialect_of
from engine.wire.headers import Head

JSON = dict[str, Any]

EVENT_STREAM = "text/event-stream"
_CONTENT_TYPES = {
    "ollama": "application/x-ndjson",
    "ollama-generate": "application/x-ndjson",
    "gemini-array": "application/json",
}


@dataclass
class Reading:
    """What an answer was."""

    status: str
    messages: list[Message]
    finish: FinishReason | None
    word: str | None
    usage: Usage | None
    error: EngineError | None
    metadata: JSON
    events: list[events.Event] = field(compare=False)

    @property
    def message(self) -> Message:
        return self.messages[0]

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def calls(self) -> list[tuple[str, Any]]:
        return [(call.name, call.input) for call in self.message.tool_calls]

    @property
    def pieces(self) -> list[str]:
        """The names of calls that were not handed over."""
        return [part.name for part in self.message.parts if isinstance(part, PartialToolCall)]

    @property
    def unknown(self) -> list[tuple[str, Any]]:
        return [(event.name, event.data) for event in self.events if type(event) is events.Unknown]


def read(
    dialect: str,
    body: bytes,
    *,
    content_type: str | None = None,
    status: int = 200,
    streaming: bool = True,
) -> Reading:
    """`body` as an answer in `dialect`; it is read in one piece and byte by byte."""
    kind = content_type or _CONTENT_TYPES.get(dialect, EVENT_STREAM)
    head = Head(status, {"content-type": kind}, True)
    whole = _read(dialect, [body], head, streaming)
    cut = _read(dialect, [body[i : i + 1] for i in range(len(body))], head, streaming)
    for name in ("status", "messages", "finish", "word", "usage", "metadata"):
        assert getattr(cut, name) == getattr(whole, name), name
    assert str(cut.error) == str(whole.error)
    return whole


def _read(dialect: str, parts: Iterable[bytes], head: Head, streaming: bool) -> Reading:
    answer = ResponseReader(dialect_of(dialect), "provider", "KEY", streaming)
    answer.head(head)
    seen: list[events.Event] = []
    error: EngineError | None = None
    try:
        for part in parts:
            seen += answer.feed(part)
            if answer.complete or (seen and type(seen[-1]) is events.StreamError):
                break
    except ProtocolError as failure:
        error = failure
    if seen and isinstance(last := seen[-1], events.StreamError):
        seen.pop()
        error = answer.named(last.error)
    elif error is None:
        seen += answer.end(None)
        error = answer.failure
    accumulator = Accumulator()
    accumulator.extend(seen)
    messages = [accumulator.message(None, n) for n in range(accumulator.choices())]
    done = seen[-1] if error is None else events.Done(FinishReason.UNKNOWN, None)
    assert isinstance(done, events.Done)
    ok = error is None
    status = "complete" if ok else "truncated" if isinstance(error, TruncatedError) else "error"
    return Reading(
        status,
        messages,
        done.finish_reason if ok else None,
        done.finish_reason_raw if ok else None,
        accumulator.usage,
        error,
        answer.metadata,
        seen,
    )


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def data(*records: Any, done: bool = False) -> bytes:
    """An event stream without names; `done`: with chat's marker."""
    lines = [one if isinstance(one, bytes) else encoded(one) for one in records]
    return b"".join(b"data: %s\n\n" % line for line in [*lines, b"[DONE]"][: len(lines) + done])


def named(*records: JSON) -> bytes:
    """An event stream whose events have the name that stands in them."""
    kinds = [str(one.get("type") or one.get("event_type") or "") for one in records]
    heads = [b"event: %s\n" % kind.encode() if kind else b"" for kind in kinds]
    return b"".join(
        b"%sdata: %s\n\n" % (head, encoded(one)) for head, one in zip(heads, records, strict=True)
    )


def lines(*records: Any) -> bytes:
    return b"".join(encoded(one) + b"\n" for one in records)


# -- chat ------------------------------------------------------------------------------------------


def chunk(finish: str | None = None, index: int = 0, **delta: Any) -> JSON:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "model": "m", "choices": [choice]}


def piece(
    index: int | None, id: str | None = None, name: str | None = None, arguments: Any = None
) -> JSON:
    """A piece of a call in the chat format."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    told: JSON = {"index": index, "id": id, "function": function}
    return {k: v for k, v in told.items() if v is not None}


def chat(*chunks: Any, finish: str | None = "tool_calls") -> bytes:
    last = [chunk(finish)] if finish else []
    return data(*chunks, *last, done=True)


def pieces(*pieces: JSON, finish: str | None = None) -> JSON:
    return chunk(finish, tool_calls=list(pieces))


# -- Responses -------------------------------------------------------------------------------------

FUNCTION_CALL: JSON = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "a",
    "name": "f",
    "arguments": "",
    "status": "in_progress",
}


def responses(*told: JSON, status: str = "completed", **facts: Any) -> bytes:
    head = {"id": "r1", "model": "m", "status": "in_progress"}
    end = {"id": "r1", "model": "m", "status": status, "output": [], **facts}
    return named(
        {"type": "response.created", "response": head},
        *told,
        {"type": f"response.{status}", "response": end},
    )


def added(item: JSON, **where: Any) -> JSON:
    return {"type": "response.output_item.added", "item": item, **where}


def ended(item: JSON, **where: Any) -> JSON:
    return {"type": "response.output_item.done", "item": item, **where}


def arguments(delta: Any, **where: Any) -> JSON:
    return {"type": "response.function_call_arguments.delta", "delta": delta, **where}


# -- Anthropic -------------------------------------------------------------------------------------


def messages(*told: JSON, stop: str | None = "end_turn", **facts: Any) -> bytes:
    message = {"id": "msg_1", "role": "assistant", "model": "c", "content": []}
    return named(
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 10}}},
        *told,
        {"type": "message_delta", "delta": {"stop_reason": stop, **facts}},
        {"type": "message_stop"},
    )


def block(index: Any, content: JSON, *deltas: JSON, stopped: bool = True) -> list[JSON]:
    events = [{"type": "content_block_start", "index": index, "content_block": content}]
    events += [{"type": "content_block_delta", "index": index, "delta": one} for one in deltas]
    return events + [{"type": "content_block_stop", "index": index}] * stopped


def tool_use(id: str | None = "a", name: str | None = "f", input: Any = None) -> JSON:
    return {"type": "tool_use", "id": id, "name": name, "input": {} if input is None else input}


def json_delta(text: Any) -> JSON:
    return {"type": "input_json_delta", "partial_json": text}


# -- Gemini ----------------------------------------------------------------------------------------


def candidate(*parts: JSON, finish: str | None = None, **facts: Any) -> JSON:
    one: JSON = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    one |= {"finishReason": finish} if finish else {}
    return {"candidates": [one], "responseId": "r1", **facts}


def gemini(*chunks: JSON) -> bytes:
    return data(*chunks)


# -- Interactions ----------------------------------------------------------------------------------


def interactions(*told: JSON, status: str = "requires_action", **facts: Any) -> bytes:
    head = {"id": "v1", "model": "g", "status": "in_progress"}
    return named(
        {"event_type": "interaction.created", "interaction": head},
        *told,
        {"event_type": "interaction.completed", "interaction": {**head, "status": status, **facts}},
    )


def step(index: int, content: JSON, *deltas: JSON, stopped: bool = True) -> list[JSON]:
    events: list[JSON] = [{"event_type": "step.start", "index": index, "step": content}]
    events += [{"event_type": "step.delta", "index": index, "delta": one} for one in deltas]
    return events + [{"event_type": "step.stop", "index": index}] * stopped


def function_step(id: str = "a", name: str | None = "f", arguments: Any = None) -> JSON:
    told = {} if arguments is None else arguments
    return {"type": "function_call", "id": id, "name": name, "arguments": told}


def arguments_delta(text: str, **facts: Any) -> JSON:
    return {"type": "arguments_delta", "arguments": text, **facts}


# -- Cohere ----------------------------------------------------------------------------------------


def cohere(*told: JSON, finish: str = "TOOL_CALL") -> bytes:
    return named(
        {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}},
        *told,
        {"type": "message-end", "delta": {"finish_reason": finish}},
    )


def call_begins(index: int, id: str | None, name: str | None, arguments: Any = "") -> JSON:
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}}


def call_goes_on(index: int, arguments: str) -> JSON:
    call = {"function": {"arguments": arguments}}
    return {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": call}}}


def call_ends(index: int) -> JSON:
    return {"type": "tool-call-end", "index": index}


# -- Ollama ----------------------------------------------------------------------------------------


def line(content: str = "", reason: str | None = None, **message: Any) -> JSON:
    told: JSON = {"model": "q", "message": {"role": "assistant", "content": content, **message}}
    return {**told, "done": reason is not None, **({"done_reason": reason} if reason else {})}


def ollama(*told: JSON, reason: str = "stop") -> bytes:
    return lines(*told, line(reason=reason))
