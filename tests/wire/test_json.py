"""JSON as providers write it: what can be mended is read, the rest is a ProtocolError."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.errors import ProtocolError
from engine.wire.json import UNREADABLE, TypedDecoder, decode_json, is_json


class Item(msgspec.Struct):
    text: str = ""
    count: int | None = None


class Row(msgspec.Struct):
    items: list[Item] = []
    notes: dict[str, int] | None = None
    spare: list[Item] | None = None


def recovered(decoder: TypedDecoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        return decoder.recover(data, error)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'"a\ud83dz"', "a\ufffdz"),
        (rb'"\ude00"', "\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'["\ud83d\ud83d\ude00"]', ["\ufffd\U0001f600"]),
        (b'"\xff"', "\ufffd"),
    ],
)
def test_lone_surrogates_and_bad_utf8_become_replacement_characters(
    data: bytes, value: object
) -> None:
    assert decode_json(data) == value


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"{'a': 1}", b"NaN", b'{"a":1}{"b":2}'])
def test_what_is_no_json_is_a_protocol_error_that_shows_it(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_json(data)
    assert repr(data[:20].decode()) in str(caught.value)
    assert "base URL" in str(caught.value)


def test_nesting_that_would_overflow_the_stack_is_a_protocol_error() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(ProtocolError):
        decode_json(deep)
    assert not is_json(deep.decode())


@pytest.mark.parametrize(
    ("text", "whole"), [("{}", True), ("1", True), ("", False), ("{", False), ("{} {}", False)]
)
def test_json_text_is_one_whole_value(text: str, whole: bool) -> None:
    assert is_json(text) is whole


def test_a_spare_field_of_another_type_is_left_out_and_the_rest_is_read() -> None:
    decoder = TypedDecoder(Row, spare=frozenset({"count", "notes", "spare"}))
    data = b'{"items":[{"text":"a","count":"x"},{"text":"b","count":1.5}],"notes":{"k":"v"}}'
    assert recovered(decoder, data) == Row([Item("a"), Item("b")])
    assert recovered(decoder, b'{"spare":[{"text":1},{"text":"c"}]}') == Row(
        spare=[Item(), Item("c")]
    )
    assert recovered(decoder, b'{"spare":[3,{"text":"d"}]}') == Row(spare=[Item("d")])
    assert recovered(decoder, rb'{"items":[{"text":"\ud83d"}],"notes":3}') == Row([Item("\ufffd")])


@pytest.mark.parametrize("data", [b'{"items":"none"}', b'{"items":[{"text":1}]}', b"[]", b'"x"'])
def test_a_field_the_value_needs_must_fit(data: bytes) -> None:
    decoder = TypedDecoder(Row, spare=frozenset({"count"}))
    with pytest.raises(ProtocolError):
        recovered(decoder, data)


def test_a_record_of_nothing_but_misfits_is_given_up() -> None:
    decoder = TypedDecoder(Row, spare=frozenset({"count"}))
    with pytest.raises(ProtocolError):
        recovered(decoder, b'{"items":[' + b",".join([b'{"count":"x"}'] * 50) + b"]}")


def test_without_spare_fields_nothing_is_left_out() -> None:
    with pytest.raises(ProtocolError):
        recovered(TypedDecoder(Row), b'{"notes":3}')
