"""Embeddings: https://platform.openai.com/docs/api-reference/embeddings. Equal texts have equal
vectors, of length 1; nothing else is said by them."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator
from hashlib import shake_128
from math import sqrt
from typing import Any, Final, Literal

import msgspec

from engine.emulator.contract import Answer, BadRequest, Question, Request, Turn
from engine.emulator.words import count_tokens
from engine.emulator.writing import openai_error

__all__ = ["Embeddings"]

_MOST_INPUTS: Final = 2048
_DIMENSIONS: Final = 64


class _Body(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


_decode = msgspec.json.Decoder(_Body).decode


class Embeddings:
    """The server's side of ``/embeddings``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        given = body.input
        # A list of numbers is one text in tokens.
        tokens = isinstance(given, list) and bool(given) and isinstance(given[0], int)
        inputs = [given] if isinstance(given, str) or tokens else given
        if not 1 <= len(inputs) <= _MOST_INPUTS:
            raise BadRequest(f"input: from 1 to {_MOST_INPUTS} at a time, got {len(inputs)}")
        texts = [
            text if isinstance(text, str) else msgspec.json.encode(text).decode() for text in inputs
        ]
        if not all(texts):
            raise BadRequest("input: must not be an empty string")
        dimensions = _DIMENSIONS if body.dimensions is None else body.dimensions
        if not 1 <= dimensions <= 4096:
            raise BadRequest(f"dimensions: must be from 1 to 4096, got {dimensions}")
        return Question(
            model=body.model,
            turns=[Turn("user", text) for text in texts],
            max_tokens=1,
            variant=f"{body.encoding_format} {dimensions}",
        )

    def content_type(self, question: Question) -> str:
        return "application/json"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        yield msgspec.json.encode(self.whole(question, answers))

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        form, _, dimensions = question.variant.partition(" ")
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": _vector(turn.text, int(dimensions), form),
            }
            for index, turn in enumerate(question.turns)
        ]
        tokens = sum(count_tokens(turn.text) for turn in question.turns)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": question.model, "usage": usage}

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        return openai_error(status, message)

    def stream_error(self, question: Question, first: bool) -> bytes:
        return msgspec.json.encode(openai_error(500, "The emulator was asked to fail."))

    def malformed(self, question: Question, first: bool) -> bytes:
        return b'{"object": "list", "data": ['


def _vector(text: str, dimensions: int, form: str) -> list[float] | str:
    drawn = shake_128(text.encode()).digest(2 * dimensions)
    numbers = [value / 32768 for (value,) in struct.iter_unpack("<h", drawn)]
    length = sqrt(sum(number * number for number in numbers)) or 1.0
    packed = struct.pack(f"<{dimensions}f", *(number / length for number in numbers))
    if form == "base64":
        return b64encode(packed).decode()
    return list(struct.unpack(f"<{dimensions}f", packed))
