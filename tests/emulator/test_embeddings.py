"""The emulator's embeddings, held against OpenAI's reference."""

from __future__ import annotations

import struct
from base64 import b64decode
from math import isclose
from typing import Any

from tests.cases import each_case
from tests.emulator.asking import ask, json_of

PATH = "/v1/embeddings"


def embedded(input: Any, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = json_of(ask(PATH, {"model": "demo", "input": input, **more}))
    return body


def test_each_input_has_its_vector_of_length_one() -> None:
    body = embedded(["a", "b", "a"])
    assert (body["object"], body["model"]) == ("list", "demo")
    assert [one["index"] for one in body["data"]] == [0, 1, 2]
    first, second, third = (one["embedding"] for one in body["data"])
    assert first == third != second
    assert isclose(sum(x * x for x in first), 1, rel_tol=1e-5)
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0


def test_packed_and_plain_are_the_same_numbers() -> None:
    plain = embedded("a", dimensions=5)["data"][0]["embedding"]
    packed = embedded("a", dimensions=5, encoding_format="base64")["data"][0]["embedding"]
    assert list(struct.unpack("<5f", b64decode(packed))) == plain


def test_tokens_are_taken_too() -> None:
    assert len(embedded([1, 2, 3])["data"]) == 1
    assert len(embedded([[1, 2], [3]])["data"]) == 2


@each_case("input", [[], "", ["a", ""], 5, None])
def test_what_cannot_be_embedded_is_refused(input: Any) -> None:
    assert ask(PATH, {"model": "demo", "input": input}).status == 400
