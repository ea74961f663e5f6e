"""A server that keeps places in its streams, and cuts each connection where it is told to."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults.server import CLOSE, RESET, Step
from tests.faults.siblings import words
from tests.server import OK_SSE, Request

Wire = Literal["chat", "messages", "responses", "interactions"]
WIRES: tuple[Wire, ...] = ("chat", "messages", "responses", "interactions")
# What a body says so that the provider keeps the answer.
KEPT: dict[Wire, dict[str, bool]] = {
    "responses": {"background": True},
    "interactions": {"store": True},
}
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def _chat(name: str) -> Iterator[dict[str, Any]]:
    for word in ["", *words(name), None]:
        delta = {} if word is None else {"content": word}
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if word is None else None}
        yield {"id": f"c-{name}", "model": "m", "choices": [choice]}


def _messages(name: str) -> Iterator[dict[str, Any]]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": f"msg_{name}", "type": "message", "role": "assistant", "model": "m"}
    yield {"type": "message_start", "message": message | {"content": [], "usage": usage}}
    block = {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    for word in words(name):
        delta = {"type": "text_delta", "text": word}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    yield {"type": "message_stop"}


def _responses(name: str) -> Iterator[dict[str, Any]]:
    about = {"id": f"resp_{name}", "model": "m", "status": "in_progress", "output": []}
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "i", "role": "assistant"}
    steps = [
        {"type": "response.created", "response": about},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
        *({"type": "response.output_text.delta", "delta": w, **place} for w in words(name)),
        {"type": "response.output_text.done", "text": "".join(words(name)), **place},
        {"type": "response.completed", "response": about | {"status": "completed"}},
    ]
    for number, step in enumerate(steps):
        yield step | {"sequence_number": number}


def _interactions(name: str) -> Iterator[dict[str, Any]]:
    about = {"id": f"int_{name}", "model": "m"}
    yield {"event_type": "interaction.created", "interaction": about | {"status": "in_progress"}}
    yield {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}
    for word in words(name):
        yield {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": word}}
    yield {"event_type": "step.stop", "index": 0}
    yield {"event_type": "interaction.completed", "interaction": about | {"status": "completed"}}


_STEPS = {
    "chat": _chat,
    "messages": _messages,
    "responses": _responses,
    "interactions": _interactions,
}


def events(wire: Wire, name: str, *, ids: bool) -> list[bytes]:
    """The events of the answer `name`, each with its blank line."""
    written = []
    for number, step in enumerate(_STEPS[wire](name)):
        kind = f"event: {step['type']}\n" if "type" in step else ""
        id = f"id: {name}-{number}\n" if ids and wire not in KEPT else ""
        if ids and wire == "interactions":
            step = {**step, "event_id": f"{name}-{number}="}
        # An id may stand before the data or behind it.
        data = f"data: {json.dumps(step)}\n"
        written.append((kind + (id + data if number % 2 else data + id) + "\n").encode())
    if wire == "chat":
        last = f"id: {name}-end\n" if ids else ""
        written.append(f"{last}data: [DONE]\n\n".encode())
    return written


@dataclass
class CursorServer:
    """The script of such a server.

    Args:
        cuts: how often each answer is cut.
        ids: whether events have ids.
        keeps: whether it heeds them.
        seed: of where it cuts.

    Attributes:
        asked: requests by answer.
    """

    cuts: int
    ids: bool = True
    keeps: bool = True
    seed: int = 0
    asked: dict[str, list[Request]] = field(default_factory=dict)

    def script(self, request: Request) -> Iterable[Step]:
        _, wire, name, *rest = request.path.split("/")
        seen = self.asked.setdefault(f"{wire}/{name}", [])
        seen.append(request)
        answer = events(wire, name, ids=self.ids)  # type: ignore[arg-type]
        answer = answer[self._place(request, rest[-1], len(answer)) :]
        body = b"".join(answer)
        if len(seen) > self.cuts:
            yield PLAIN + body
            yield CLOSE
            return
        chance = random.Random(f"{self.seed} {wire} {name} {len(seen)}")
        cut = body[: chance.randrange(len(body))]
        if chance.random() < 0.5:
            yield PLAIN + cut
            yield RESET if chance.random() < 0.5 else CLOSE
        else:
            yield OK_SSE + (b"%x\r\n%s\r\n" % (len(cut), cut) if cut else b"")
            yield CLOSE

    def _place(self, request: Request, last: str, end: int) -> int:
        if not self.keeps:
            return 0
        if "starting_after=" in last:
            assert request.method == "GET" and last.startswith("resp_"), request
            return int(last.rpartition("=")[2]) + 1
        if "last_event_id=" in last:
            assert request.method == "GET" and last.startswith("int_"), request
            return int(last.rpartition("-")[2].removesuffix("%3D")) + 1
        last_id = request.headers.get("last-event-id")
        if last_id is None:
            return 0
        number = last_id.rpartition("-")[2]
        return end - 1 if number == "end" else int(number) + 1
