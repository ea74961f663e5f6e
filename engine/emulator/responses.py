"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses-streaming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.emulator.contract import (
    Answer,
    BadRequest,
    Block,
    Finish,
    Kind,
    Question,
    Request,
    ToolOffer,
    Turn,
)
from engine.emulator.reading import (
    as_role,
    checked_turns,
    plain_text,
    wanted_schema,
    wants_thinking,
)
from engine.emulator.writing import CREATED, openai_error, seal

__all__ = ["Responses"]

_json = msgspec.json.encode


class _Item(msgspec.Struct):
    """An item of the input, of any type."""

    type: str = "message"
    role: str = "user"
    content: Any = None
    call_id: str = ""
    output: Any = None
    summary: list[dict[str, Any]] = []
    encrypted_content: str | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str = ""
    parameters: dict[str, Any] | None = None


class _Text(msgspec.Struct):
    format: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    stream: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_output_tokens: int | None = None
    reasoning: dict[str, Any] | None = None
    text: _Text | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None


_decode = msgspec.json.Decoder(_Body).decode

# Question.variant: the client keeps the reasoning itself, and wants it sealed.
_ENCRYPTED: Final = "encrypted"


class Responses:
    """The server's side of ``responses``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        if body.previous_response_id is not None:
            raise BadRequest(
                "previous_response_id: the emulator keeps no responses; send the whole input"
            )
        asked = body.reasoning or {}
        include = body.include or []
        return Question(
            model=body.model,
            turns=checked_turns(_turns(body)),
            stream=bool(body.stream),
            tools=[
                ToolOffer(tool.name, tool.parameters or {})
                for tool in body.tools or ()
                if tool.type == "function"
            ],
            tool_choice=_tool_choice(body.tool_choice),
            max_tokens=body.max_output_tokens,
            thinking=wants_thinking(asked.get("effort")) or bool(asked.get("summary")),
            schema=wanted_schema(body.text.format) if body.text is not None else None,
            variant=_ENCRYPTED if "reasoning.encrypted_content" in include else "",
        )

    def content_type(self, question: Question) -> str:
        return "text/event-stream; charset=utf-8"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        answer = answers[0]
        events = _Events()
        begun = {"response": _response(question, answer, "in_progress", [])}
        lead = events.write("response.created", begun)
        lead += events.write("response.in_progress", begun)
        items = _items(question, answer)
        for index, (block, item) in enumerate(zip(answer.blocks, items, strict=True)):
            place = {"item_id": item["id"], "output_index": index}
            added = {"output_index": index, "item": _empty(item)}
            lead += events.write("response.output_item.added", added)
            lead += _opened(block, place, events)
            before, after = _delta_around(block, place)
            for piece in block.pieces:
                yield lead + events.delta(before, _json(piece), after)
                lead = b""
            lead += _closed(block, place, events)
            done = {"output_index": index, "item": item}
            lead += events.write("response.output_item.done", done)
        status = "incomplete" if answer.finish is Finish.LENGTH else "completed"
        ended = _response(question, answer, status, items)
        yield lead + events.write(f"response.{status}", {"response": ended})

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        answer = answers[0]
        status = "incomplete" if answer.finish is Finish.LENGTH else "completed"
        items = _items(question, answer)
        return _response(question, answer, status, items)

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        return openai_error(status, message)

    def stream_error(self, question: Question, first: bool) -> bytes:
        error = {
            "code": "server_error",
            "message": "The emulator was asked to fail in mid-stream.",
            "param": None,
        }
        return _Events().write("error", error)

    def malformed(self, question: Question, first: bool) -> bytes:
        return b'event: response.output_text.delta\ndata: {"type": "response.output_text.de\n\n'


class _Events:
    """Writes events, each with its type and its number."""

    def __init__(self) -> None:
        self._number = 0

    def write(self, name: str, fields: dict[str, Any]) -> bytes:
        data = _json({"type": name, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def delta(self, before: bytes, piece: bytes, after: bytes) -> bytes:
        """An event of which only the number and the piece are new."""
        number = b"%d" % self._number
        self._number += 1
        return before + number + b',"delta":' + piece + after


_DELTAS: Final = {
    Kind.TEXT: "response.output_text.delta",
    Kind.REFUSAL: "response.refusal.delta",
    Kind.THINKING: "response.reasoning_summary_text.delta",
    Kind.CALL: "response.function_call_arguments.delta",
}


def _delta_around(block: Block, place: dict[str, Any]) -> tuple[bytes, bytes]:
    name = _DELTAS[block.kind].encode()
    inner = _inner_index(block)
    after = b"," + _json({**place, **inner})[1:] + b"\n\n"
    if block.kind is Kind.TEXT:
        after = b',"logprobs":[]' + after
    return b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name), after


def _inner_index(block: Block) -> dict[str, int]:
    if block.kind is Kind.CALL:
        return {}
    return {"summary_index" if block.kind is Kind.THINKING else "content_index": 0}


def _part(block: Block, text: str) -> dict[str, Any]:
    if block.kind is Kind.THINKING:
        return {"type": "summary_text", "text": text}
    if block.kind is Kind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _part_event(block: Block, word: str) -> str:
    prefix = "reasoning_summary_part" if block.kind is Kind.THINKING else "content_part"
    return f"response.{prefix}.{word}"


def _opened(block: Block, place: dict[str, Any], events: _Events) -> bytes:
    if block.kind is Kind.CALL:
        return b""
    fields = {**place, **_inner_index(block), "part": _part(block, "")}
    return events.write(_part_event(block, "added"), fields)


def _closed(block: Block, place: dict[str, Any], events: _Events) -> bytes:
    name = _DELTAS[block.kind].replace(".delta", ".done")
    if block.kind is Kind.CALL:
        return events.write(name, {**place, "name": block.name, "arguments": block.text})
    fields = {**place, **_inner_index(block)}
    word = "refusal" if block.kind is Kind.REFUSAL else "text"
    done = events.write(name, {**fields, word: block.text})
    part = {**fields, "part": _part(block, block.text)}
    return done + events.write(_part_event(block, "done"), part)


def _items(question: Question, answer: Answer) -> list[dict[str, Any]]:
    items = [_item(question, block) for block in answer.blocks]
    if answer.finish is Finish.LENGTH and items and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    return items


def _item(question: Question, block: Block) -> dict[str, Any]:
    """A whole item of the output."""
    if block.kind is Kind.THINKING:
        item: dict[str, Any] = {"id": f"rs_{block.id}", "type": "reasoning"}
        item["summary"] = [_part(block, block.text)]
        if question.variant == _ENCRYPTED:
            item["encrypted_content"] = seal(block.text)
        return item
    if block.kind is Kind.CALL:
        return {
            "id": f"fc_{block.id}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{block.id}",
            "name": block.name,
            "arguments": block.text,
        }
    return {
        "id": f"msg_{block.id}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [_part(block, block.text)],
    }


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    """`item` as it is when it begins."""
    blank = {"status": "in_progress", "content": [], "summary": [], "arguments": ""}
    return {name: blank.get(name, value) for name, value in item.items()}


def _response(
    question: Question, answer: Answer, status: str, items: list[dict[str, Any]]
) -> dict[str, Any]:
    incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": incomplete,
        "model": question.model,
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": question.tool_choice,
        "tools": [],
        "usage": None if status == "in_progress" else _usage(answer),
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _turns(body: _Body) -> list[Turn]:
    """The input as turns: what the assistant did in a row, in several items, is one turn."""
    turns = [Turn("system", body.instructions)] if body.instructions else []
    if isinstance(body.input, str):
        return [*turns, Turn("user", body.input)]
    if not body.input:
        raise BadRequest("input: must hold at least one item")
    for item in body.input:
        turn = _turn(item)
        last = turns[-1] if turns else None
        if turn.role == "assistant" and last is not None and last.role == "assistant":
            turns[-1] = Turn("assistant", last.text + turn.text, last.calls + turn.calls)
        else:
            turns.append(turn)
    return turns


def _turn(item: _Item) -> Turn:
    if item.type == "function_call":
        return Turn("assistant", "", (item.call_id,))
    if item.type == "function_call_output":
        return Turn("tool", plain_text(item.output), result_of=item.call_id)
    if item.type == "reasoning":
        text = "\n\n".join(str(part.get("text", "")) for part in item.summary)
        if item.encrypted_content is not None and item.encrypted_content != seal(text):
            raise BadRequest("The encrypted content of a reasoning item could not be verified.")
        return Turn("assistant", "")
    if item.type == "message":
        return Turn(as_role(item.role), plain_text(item.content))
    raise BadRequest(f"input: the emulator does not know items of type {item.type!r}")


def _tool_choice(choice: str | dict[str, Any] | None) -> str:
    if isinstance(choice, dict):
        name = choice.get("name")
        if not isinstance(name, str):
            raise BadRequest("tool_choice: an object must have a name")
        return name
    return choice or "auto"
