"""JSON as providers write it: what can be mended is read, the rest is a ProtocolError."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.wire.json import (
    UNREADABLE,
    Odd,
    TypedDecoder,
    decode_json,
    excerpt_of,
    is_cut,
    is_json,
    not_json,
    without_lone_escapes,
)
from tests.cases import each_case


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


@each_case(
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


@each_case("data", [b"", b"{", b"<html>", b"{'a': 1}", b"NaN", b'{"a":1}{"b":2}'])
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


@each_case(
    ("text", "whole"), [("{}", True), ("1", True), ("", False), ("{", False), ("{} {}", False)]
)
def test_json_text_is_one_whole_value(text: str, whole: bool) -> None:
    assert is_json(text) is whole


NEEDED = frozenset({"items", "text"})


def test_a_field_of_another_type_is_left_out_and_told_and_the_rest_is_read() -> None:
    decoder = TypedDecoder(Row, NEEDED)
    data = b'{"items":[{"text":"a","count":"x"},{"text":"b","count":1.5}],"notes":{"k":"v"}}'
    odd: list[Odd] = []
    with pytest.raises(msgspec.ValidationError) as caught:
        decoder.decode(data)
    assert decoder.recover(data, caught.value, odd) == Row([Item("a"), Item("b")])
    assert odd == [("items.0.count", "x"), ("items.1.count", 1.5), ("notes", {"k": "v"})]
    assert recovered(decoder, b'{"spare":[3,{"text":"d"}]}') == Row(spare=[Item("d")])
    assert recovered(decoder, rb'{"items":[{"text":"\ud83dx"}],"notes":3}').items[0].text[1:] == "x"


@each_case(
    ("data", "row"),
    [
        (b'{"items":[{"count":"3"}]}', Row([Item(count=3)])),
        (b'{"items":[{"count":3.0}]}', Row([Item(count=3)])),
        (b'{"items":{"text":"a"}}', Row([Item("a")])),
        (b'{"items":{},"notes":[],"spare":""}', Row()),
        (b'{"items":[null,{"text":"a"}]}', Row([Item("a")])),
        (b'{"items":[{"text":"a\x08b\tc"}]}', Row([Item("a\x08b\tc")])),
        (b'{"items":[{"text":"NaN","count":NaN}]}', Row([Item("NaN")])),
        (b'{"notes":{"a":-Infinity},"items":[{"text":"a"}]}', Row([Item("a")])),
    ],
)
def test_what_says_the_same_in_another_type_or_says_nothing_is_no_matter(
    data: bytes, row: Row
) -> None:
    assert recovered(TypedDecoder(Row, NEEDED), data) == row


def test_a_field_nobody_knows_is_told_where_none_may_be() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        text: str = ""

    odd: list[Odd] = []
    decoder = TypedDecoder(Strict, NEEDED)
    data = b'{"text":"a","new":{"x":1}}'
    with pytest.raises(msgspec.ValidationError) as caught:
        decoder.decode(data)
    assert decoder.recover(data, caught.value, odd) == Strict("a")
    assert odd == [("new", {"x": 1})]


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""


class Chunk(msgspec.Struct, forbid_unknown_fields=True):
    choices: list[Choice] = []
    kind: Literal["known"] = "known"


# What a complaint says of a name or a value could be taken for its own words.
WORDS = st.lists(
    st.sampled_from(
        [
            "`",
            "'",
            " - at `$.kind`",
            " - at `$.choices[0]`",
            "Object contains unknown field `",
            "\n",
        ]
    )
    | st.text(max_size=3)
).map("".join)


@given(words=WORDS.filter(lambda words: words not in {"text", "choices", "kind"}))
@example("reasoning_co.`ent")
@example("x\ny")
@example("")
@example("x` - at `$.choices[0]")
@example("x` - at `$.choices[9]")
def test_whatever_a_field_is_called_or_says_the_rest_is_read(words: str) -> None:
    decoder, odd = TypedDecoder(Chunk, NEEDED), list[Odd]()
    whole = Chunk([Choice("a"), Choice("b")])
    for where in ("top", "choice", "value"):
        value: dict[str, Any] = {"choices": [{"text": "a"}, {"text": "b"}]}
        if where == "value":
            value["kind"] = words or "other"
        else:
            (value if where == "top" else value["choices"][0])[words] = 1
        data = json.dumps(value).encode()
        with pytest.raises(msgspec.ValidationError) as caught:
            decoder.decode(data)
        assert decoder.recover(data, caught.value, odd) == whole
    assert odd == [(words, 1), (f"choices.0.{words}", 1), ("kind", words or "other")]


def test_what_does_not_fit_in_a_list_at_the_top_is_left_out() -> None:
    decoder = TypedDecoder(list[Item], NEEDED)
    assert recovered(decoder, b'[3,{"text":"a"}]') == [Item("a")]


@each_case("data", [b'{"items":"none"}', b'{"items":[{"text":1}]}', b"[]", b'"x"'])
def test_a_field_the_value_needs_must_fit(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        recovered(TypedDecoder(Row, NEEDED), data)


def test_a_record_of_nothing_but_misfits_is_given_up() -> None:
    with pytest.raises(ProtocolError):
        recovered(
            TypedDecoder(Row, NEEDED), b'{"items":[' + b",".join([b'{"count":"x"}'] * 99) + b"]}"
        )


def test_where_all_is_needed_nothing_is_left_out() -> None:
    with pytest.raises(ProtocolError):
        recovered(TypedDecoder(Row), b'{"notes":3}')


@each_case(
    ("text", "mended"),
    [
        (r'{"t":"\ud83d"}', '{"t":"\\ufffd"}'),
        (r'{"t":"\ud83d\ude00"}', r'{"t":"\ud83d\ude00"}'),
        (r'{"t":"\\ud83d"}', r'{"t":"\\ud83d"}'),
        ('{"t":"\U0001f600"}', '{"t":"\U0001f600"}'),
    ],
)
def test_an_escaped_half_that_stands_alone_becomes_a_replacement_character(
    text: str, mended: str
) -> None:
    assert without_lone_escapes(text) == mended


def test_each_beginning_of_an_object_is_cut_and_nothing_else_is() -> None:
    text = r'{"n":-1.5e3,"t":true,"x":null,"s":"a\u00e9\ud83d\ude00\n é😀","l":[1,{"k":false}]}'
    whole = text.encode()
    assert all(is_cut(whole[:end]) for end in range(1, len(whole)))
    others = [b"", b"{]", b'{"a":-}', b'{"a":01', b"[1,", b'"a', b"nul", b"no", b"{}\n{"]
    for other in (whole, whole + b"}", *others):
        assert not is_cut(other), other


@each_case(
    "data", [b"\xff" * 9 + b"a" * 500, b"a" * 118 + b"\xf0\x9f\x98\x80" * 9, b"a\xe2\x82" * 90]
)
def test_what_an_error_shows_is_the_same_where_bytes_were_replaced_before(data: bytes) -> None:
    replaced = data.decode("utf-8", "replace").encode()
    assert excerpt_of(data) == excerpt_of(replaced)
    shown = [not_json(one, ValueError("x")) for one in (data, replaced)]
    assert str(shown[0]) == str(shown[1])
    assert shown[0].detail == shown[1].detail
