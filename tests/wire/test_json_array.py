"""`JSONArrayDecoder`: the elements of an array, whatever the cuts, within bounds."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Category, ProtocolError
from engine.wire.json_array import JSONArrayDecoder
from tests.cases import each_case
from tests.volume import examples

MIB = 1024 * 1024


def decode(chunks: Iterable[bytes]) -> list[bytes]:
    decoder = JSONArrayDecoder()
    records = [record for chunk in chunks for record in decoder.feed(chunk)]
    return records + decoder.finish()


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


CASES: list[tuple[str, bytes, list[bytes]]] = [
    ("objects", b'[{"a":1},{"b":2}]', [b'{"a":1}', b'{"b":2}']),
    ("Google's commas", b'[{\n "a": 1\n}\n,\r\n{}\n]\n', [b'{\n "a": 1\n}', b"{}"]),
    ("brackets in strings", b'["]",{"}":"[\\"{"}]', [b'"]"', b'{"}":"[\\"{"}']),
    ("backslashes", rb'["\\",{"\\":"\\\""}]', [rb'"\\"', rb'{"\\":"\\\""}']),
    ("arrays", b"[[],[[1],[]]]", [b"[]", b"[[1],[]]"]),
    ("scalars", b"[1, -2.5e3 ,true,null]", [b"1", b"-2.5e3", b"true", b"null"]),
    ("a scalar before lines", b"[1,{\n}]", [b"1", b"{\n}"]),
    ("a BOM", b"\xef\xbb\xbf [{}]", [b"{}"]),
    ("an empty array", b"[ ]", []),
    ("what follows the array is no element", b'[{}]{"x":1}', [b"{}"]),
    ("lines without indent", b'[\n{"a":{\n}\n}\n,\n{\n}\n]', [b'{"a":{\n}\n}', b"{\n}"]),
    ("a lone object", b'{"error":{"code":[]}}', [b'{"error":{"code":[]}}']),
    ("a lone number has no bracket to end it", b"12", [b"12"]),
    ("of a cut array what was whole", b'[{"a":1},{"b":', [b'{"a":1}']),
    ("a number that may go on", b"[1,2", [b"1"]),
    ("nothing", b" \n", []),
]


@each_case(("body", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_rules_written_out(body: bytes, expected: list[bytes]) -> None:
    assert decode([body]) == expected
    for first in range(len(body)):
        for second in range(first, len(body)):
            assert decode([body[:first], body[first:second], body[second:]]) == expected


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{},: é'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\]}'), inner),
    max_leaves=8,
)


@settings(max_examples=examples(300))
@given(
    st.lists(values, max_size=5),
    st.sampled_from([1, 2, 7, 60, 4096]),
    st.sampled_from([None, 0, 2]),
)
def test_any_array_in_any_pieces(elements: list[Any], size: int, indent: int | None) -> None:
    body = json.dumps(elements, ensure_ascii=False, indent=indent).encode()
    assert [json.loads(record) for record in decode(in_pieces(body, size))] == elements


def test_an_element_is_there_with_its_last_bracket() -> None:
    decoder = JSONArrayDecoder()
    assert decoder.feed(b'[{"a":1}') == [b'{"a":1}']
    assert decoder.feed(b",") == []


@pytest.mark.parametrize("line", [b"", b"\n"], ids=["one line", "lines"])
def test_an_element_over_the_limit_is_refused_after_those_before_it(line: bytes) -> None:
    decoder = JSONArrayDecoder(max_element_bytes=8)
    assert decoder.feed(b'[{"a":1' + line + b'},{"bcd":123' + line + b"}") == [b'{"a":1%b}' % line]
    for call in (lambda: decoder.feed(b","), decoder.finish):
        with pytest.raises(ProtocolError, match="max_element_bytes=8") as failure:
            call()
        assert failure.value.category is Category.PROTOCOL


def test_an_endless_element_is_refused_while_it_grows() -> None:
    decoder = JSONArrayDecoder(max_element_bytes=MIB)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="max_element_bytes"):
            for chunk in [b'[{"a":"', *[b"x" * 65536] * 64]:
                decoder.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("unit", [b"x", b"\\n", b'","', b"]},[{"], ids=repr)
def test_time_grows_with_the_length_only(unit: bytes) -> None:
    def seconds(size: int) -> float:
        body = b'[{"a":["' + unit * (size // len(unit)) + b'"]}]'
        begin = process_time()
        decode(in_pieces(body, 1460))
        return process_time() - begin

    times = [min(seconds(mib * MIB) for _ in range(3)) for mib in (1, 2, 4)]
    assert all(after < 4 * before for before, after in pairwise(times)), times
