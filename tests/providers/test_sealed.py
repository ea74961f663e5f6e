"""Reasoning that goes back as it came."""

from __future__ import annotations

import json

from engine.providers.sealed import SealedReasoning, unsealed
from tests.cases import each_case


def test_pieces_of_one_item_grow_until_its_seal() -> None:
    sealed = SealedReasoning("reasoning_details")
    sealed.add([{"type": "reasoning.text", "index": 0, "text": "a", "id": None}])
    sealed.add([{"type": "reasoning.text", "index": 0, "text": "b", "id": None}, "odd"])
    sealed.add([{"type": "reasoning.text", "index": 0, "signature": "s", "format": "f"}])
    sealed.add([{"type": "reasoning.text", "index": 0, "text": "next"}])
    data = sealed.data()
    assert data is not None
    first = {"type": "reasoning.text", "index": 0, "text": "ab", "id": None}
    assert json.loads(data)["reasoning_details"] == [
        {**first, "signature": "s", "format": "f"},
        {"type": "reasoning.text", "index": 0, "text": "next"},
    ]
    assert unsealed(data) == json.loads(data)


def test_without_a_seal_there_is_nothing_to_keep() -> None:
    sealed = SealedReasoning("thinking_blocks")
    assert sealed.data() is None
    sealed.add([{"type": "thinking", "thinking": "a", "signature": ""}])
    assert sealed.data() is None


@each_case("data", ["", "EqQBCgIYAhIM", "[1]", "3", '{"content":"x"}', "{"])
def test_what_another_provider_sealed_is_left_alone(data: str) -> None:
    assert unsealed(data) == {}
