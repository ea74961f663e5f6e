"""OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat."""

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
    as_stops,
    checked_turns,
    plain_text,
    wanted_schema,
    wants_thinking,
)
from engine.emulator.writing import CREATED, openai_error, openai_usage, side_by_side, sse

__all__ = ["ChatCompletions"]

_FINISH: Final = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_USE: "tool_calls",
    Finish.REFUSAL: "stop",  # the vendor's word too: a refusal is told by its own field
}
_FIELDS: Final = {
    Kind.TEXT: "content",
    Kind.THINKING: "reasoning_content",  # DeepSeek's name, the one most servers took over
    Kind.REFUSAL: "refusal",
}

_json = msgspec.json.encode


class _Call(msgspec.Struct):
    id: str


class _Message(msgspec.Struct):
    role: str
    content: Any = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str = ""


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Tool(msgspec.Struct):
    function: _Function


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    thinking: Any = None
    response_format: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Body).decode


class ChatCompletions:
    """The server's side of ``chat``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        if not body.messages:
            raise BadRequest("messages: must hold at least one message")
        n = 1 if body.n is None else body.n
        if not 1 <= n <= 128:
            raise BadRequest(f"n: must be from 1 to 128, got {n}")
        options = body.stream_options
        return Question(
            model=body.model,
            turns=checked_turns([_turn(message) for message in body.messages]),
            stream=bool(body.stream),
            tools=[ToolOffer(t.function.name, t.function.parameters) for t in body.tools or ()],
            tool_choice=_tool_choice(body.tool_choice),
            max_tokens=body.max_completion_tokens or body.max_tokens,
            stop=as_stops(body.stop),
            thinking=wants_thinking(body.reasoning_effort) or wants_thinking(body.thinking),
            schema=wanted_schema(body.response_format),
            n=n,
            include_usage=options is not None and options.include_usage,
        )

    def content_type(self, question: Question) -> str:
        return "text/event-stream; charset=utf-8"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        frame = _Frame(question, answers[0])
        choices = [_choice_steps(answer, n, frame) for n, answer in enumerate(answers)]
        yield from side_by_side(choices)
        ends = [
            frame.chunk(n, b"{}", _json(_FINISH[answer.finish])) for n, answer in enumerate(answers)
        ]
        if question.include_usage:
            ends.append(frame.usage(answers))
        yield b"".join(ends) + b"data: [DONE]\n\n"

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{answers[0].id}",
            "object": "chat.completion",
            "created": CREATED,
            "model": question.model,
            "choices": [
                {
                    "index": n,
                    "message": _message(answer),
                    "logprobs": None,
                    "finish_reason": _FINISH[answer.finish],
                }
                for n, answer in enumerate(answers)
            ],
            "usage": openai_usage(answers),
            "system_fingerprint": "emulator",
        }

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        return openai_error(status, message)

    def stream_error(self, question: Question, first: bool) -> bytes:
        return sse(openai_error(500, "The emulator was asked to fail in mid-stream."))

    def malformed(self, question: Question, first: bool) -> bytes:
        return b'data: {"id": "chatcmpl-1", "choices": [{"delta": {"content": \n\n'


def _turn(message: _Message) -> Turn:
    calls = tuple(call.id for call in message.tool_calls or ())
    text = plain_text(message.content)
    return Turn(as_role(message.role), text, calls, message.tool_call_id)


class _Frame:
    """The bytes around what changes from chunk to chunk, written once a stream."""

    def __init__(self, question: Question, answer: Answer) -> None:
        common = {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": question.model,
            "system_fingerprint": "emulator",
        }
        self._head = b"data: " + _json(common)[:-1]
        # "All other chunks will also include a usage field, but with a null value."
        usage = b',"usage":null' if question.include_usage else b""
        self._tail = usage + b"}\n\n"

    def chunk(self, choice: int, delta: bytes, finish: bytes = b"null") -> bytes:
        before, after = self.around(choice, finish)
        return before + delta + after

    def around(self, choice: int, finish: bytes = b"null") -> tuple[bytes, bytes]:
        """What stands before and after a delta."""
        return (
            self._head + b',"choices":[{"index":%d,"delta":' % choice,
            b',"logprobs":null,"finish_reason":' + finish + b"}]" + self._tail,
        )

    def usage(self, answers: list[Answer]) -> bytes:
        return self._head + b',"choices":[],"usage":' + _json(openai_usage(answers)) + b"}\n\n"


def _choice_steps(answer: Answer, choice: int, frame: _Frame) -> Iterator[bytes]:
    lead = frame.chunk(choice, b'{"role":"assistant","content":"","refusal":null}')
    calls = 0
    for block in answer.blocks:
        if block.kind is Kind.CALL:
            lead += frame.chunk(choice, _call_start(block, calls))
            opening = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % calls
            closing = b"}}]}"
            calls += 1
        else:
            opening, closing = b'{"%s":' % _FIELDS[block.kind].encode(), b"}"
        before, after = frame.around(choice)
        before += opening
        after = closing + after
        for piece in block.pieces:
            yield lead + before + _json(piece) + after
            lead = b""
    if lead:
        yield lead


def _call_start(block: Block, index: int) -> bytes:
    function = {"name": block.name, "arguments": ""}
    call = {"index": index, "id": f"call_{block.id}", "type": "function", "function": function}
    return _json({"tool_calls": [call]})


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    calls = []
    for block in answer.blocks:
        if block.kind is Kind.CALL:
            function = {"name": block.name, "arguments": block.text}
            calls.append({"id": f"call_{block.id}", "type": "function", "function": function})
        else:
            message[_FIELDS[block.kind]] = block.text
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_choice(choice: str | dict[str, Any] | None) -> str:
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str):
            raise BadRequest("tool_choice: an object must have function.name")
        return name
    return choice or "auto"
