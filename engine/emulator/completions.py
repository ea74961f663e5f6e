"""Legacy completions: https://platform.openai.com/docs/api-reference/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.emulator.contract import (
    Answer,
    BadRequest,
    Finish,
    Kind,
    Question,
    Request,
    Turn,
)
from engine.emulator.reading import as_stops
from engine.emulator.writing import CREATED, openai_error, openai_usage, side_by_side, sse

__all__ = ["Completions"]

_FINISH: Final = {Finish.LENGTH: "length"}

_json = msgspec.json.encode


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    model: str
    prompt: str | list[str]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None


_decode = msgspec.json.Decoder(_Body).decode


class Completions:
    """The server's side of ``completions``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        if len(prompts) != 1:
            raise BadRequest(f"prompt: the emulator takes one at a time, got {len(prompts)}")
        n = 1 if body.n is None else body.n
        if not 1 <= n <= 128:
            raise BadRequest(f"n: must be from 1 to 128, got {n}")
        options = body.stream_options
        return Question(
            model=body.model,
            turns=[Turn("user", prompts[0])],
            stream=bool(body.stream),
            max_tokens=body.max_tokens,
            stop=as_stops(body.stop),
            n=n,
            include_usage=options is not None and options.include_usage,
        )

    def content_type(self, question: Question) -> str:
        return "text/event-stream; charset=utf-8"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        head = b"data: " + _json(_head(question, answers[0]))[:-1]
        choices = [_choice_steps(head, index, answer) for index, answer in enumerate(answers)]
        yield from side_by_side(choices)
        ends = [
            head + _choice(index, "", _FINISH.get(answer.finish, "stop")) + b"}\n\n"
            for index, answer in enumerate(answers)
        ]
        if question.include_usage:
            usage = _json(openai_usage(answers))
            ends.append(head + b',"choices":[],"usage":' + usage + b"}\n\n")
        yield b"".join(ends) + b"data: [DONE]\n\n"

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        choices = [
            {
                "text": "".join(_pieces(answer)),
                "index": index,
                "logprobs": None,
                "finish_reason": _FINISH.get(answer.finish, "stop"),
            }
            for index, answer in enumerate(answers)
        ]
        return {**_head(question, answers[0]), "choices": choices, "usage": openai_usage(answers)}

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        return openai_error(status, message)

    def stream_error(self, question: Question, first: bool) -> bytes:
        return sse(openai_error(500, "The emulator was asked to fail in mid-stream."))

    def malformed(self, question: Question, first: bool) -> bytes:
        return b'data: {"id": "cmpl-1", "choices": [{"text": \n\n'


def _head(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "id": f"cmpl-{answer.id}",
        "object": "text_completion",
        "created": CREATED,
        "model": question.model,
    }


def _choice(index: int, text: str, finish: str | None = None) -> bytes:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
    return b',"choices":' + _json([choice])


def _choice_steps(head: bytes, index: int, answer: Answer) -> Iterator[bytes]:
    for piece in _pieces(answer):
        yield head + _choice(index, piece) + b"}\n\n"


def _pieces(answer: Answer) -> list[str]:
    """All it says; there is no field for anything but text."""
    return [
        piece for block in answer.blocks if block.kind is not Kind.CALL for piece in block.pieces
    ]
