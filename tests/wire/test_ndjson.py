"""`NDJSONDecoder`: lines, whatever the cuts, within bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Category, ProtocolError
from engine.wire import NDJSONDecoder
from engine.wire.json import is_cut
from tests.cases import each_case
from tests.volume import examples

MIB = 1024 * 1024


def decode(chunks: Iterable[bytes]) -> list[bytes]:
    decoder = NDJSONDecoder()
    records = [record for chunk in chunks for record in decoder.feed(chunk)]
    return records + decoder.finish()


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def reference(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
    cut = is_cut(lines[-1].strip(b" \t\r"))
    return [
        line for line in (line.strip(b" \t\r") for line in lines[: -1 if cut else None]) if line
    ]


CASES: list[tuple[str, bytes, list[bytes]]] = [
    ("two lines", b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    ("the last line needs no newline", b"1\n2", [b"1", b"2"]),
    ("CRLF", b"1\r\n2\r\n", [b"1", b"2"]),
    ("blank lines", b"\n\n1\n \n\r\n2\n\n", [b"1", b"2"]),
    ("a BOM", b"\xef\xbb\xbf1\n2\n", [b"1", b"2"]),
    ("a later BOM is data", b"1\n\xef\xbb\xbf2\n", [b"1", b"\xef\xbb\xbf2"]),
    ("a lone CR is no line end", b'"a"\r"b"\n', [b'"a"\r"b"']),
    ("U+2028 is no line end", '"a\u2028b"\n'.encode(), ['"a\u2028b"'.encode()]),
    ("nothing", b"", []),
    ("printed", b'{\n "a": {\n  "b": "}{"\n }\n}\n', [b'{\n "a": {\n  "b": "}{"\n }\n}']),
    ("printed flat, CRLF", b'\n{\r\n"a": {\r\n}\r\n}', [b'{\n"a": {\r\n}\r\n}']),
    (
        "several printed",
        b'\xef\xbb\xbf{\n"a":1\n}\n{\n}\n{"b":2}',
        [b'{\n"a":1\n}', b"{\n}", b'{"b":2}'],
    ),
    ("printed and cut", b'{\n"a":1\n}\n{\n"b":', [b'{\n"a":1\n}']),
    ("a lone brace", b"{", []),
    ("cut in a line", b'{"a":1}\n{"b":2,"c', [b'{"a":1}']),
    ("a whole line of no JSON at the end", b'{"a":1}\n{"b":2,c}', [b'{"a":1}', b'{"b":2,c}']),
    ("words at the end", b'{"a":1}\nupstream failed', [b'{"a":1}', b"upstream failed"]),
    ("a cut line that has its newline", b'{"a":1}\n{"b"\n', [b'{"a":1}', b'{"b"']),
    ("a later lone brace", b"1\n{\n2\n", [b"1", b"{", b"2"]),
]


@each_case(("stream", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_rules_written_out(stream: bytes, expected: list[bytes]) -> None:
    assert decode([stream]) == expected
    for first in range(len(stream)):
        for second in range(first, len(stream)):
            pieces = [stream[:first], stream[first:second], stream[second:]]
            assert decode(pieces) == expected


@settings(max_examples=examples(300))
@given(
    st.lists(st.sampled_from([b"{}", b"\n", b"\r", b" ", b"[1]", b"\xef\xbb\xbf", b"x"])),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_any_stream_in_any_pieces_is_what_the_reference_says(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(parts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert decode(data[a:b] for a, b in pairwise(edges)) == reference(data)


@each_case("size", [1, 7, 1000])
def test_a_line_over_the_limit_is_an_error_that_names_the_limit(size: int) -> None:
    decoder = NDJSONDecoder(max_line_bytes=100)
    for piece in in_pieces(b"x" * 100 + b"\n", size):
        decoder.feed(piece)
    with pytest.raises(ProtocolError, match="max_line_bytes=100") as caught:
        for piece in in_pieces(b"x" * 101 + b"\n", size):
            decoder.feed(piece)
    assert caught.value.category is Category.PROTOCOL


def test_lines_before_one_that_is_too_long_are_handed_over_first() -> None:
    decoder = NDJSONDecoder(max_line_bytes=10)
    assert decoder.feed(b"1\n2\n" + b"x" * 11) == [b"1", b"2"]
    with pytest.raises(ProtocolError):
        decoder.feed(b"\n3\n")
    with pytest.raises(ProtocolError):
        decoder.finish()


def test_an_endless_line_stops_at_the_limit_plus_one_mebibyte() -> None:
    limit = 4 * MIB
    decoder = NDJSONDecoder(max_line_bytes=limit)
    piece = b"x" * 1460
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            for _ in range(2 * limit // len(piece)):
                decoder.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < limit + MIB
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("unit", [b"x", b'{"a": 1}\n'])
def test_time_is_linear_in_the_bytes(unit: bytes) -> None:
    def seconds(size: int) -> float:
        pieces = in_pieces(unit * (size // len(unit)), 1460)

        def once() -> float:
            decoder = NDJSONDecoder(max_line_bytes=64 * MIB)
            start = process_time()
            for piece in pieces:
                decoder.feed(piece)
            return process_time() - start

        return min(once() for _ in range(3))

    assert seconds(16 * MIB) <= 20 * seconds(2 * MIB) + 0.005


@each_case("size", [1, 7, 1000])
def test_a_printed_object_over_the_limit_is_an_error_after_those_before_it(size: int) -> None:
    decoder = NDJSONDecoder()
    decoder.limit = 100  # as a reader sets it
    records = []
    with pytest.raises(ProtocolError, match="=100"):
        for piece in in_pieces(b'{\n"a":1\n}\n{\n"b":"' + b"x" * 100 + b'"\n}\n', size):
            records += decoder.feed(piece)
        decoder.finish()
    assert records == [b'{\n"a":1\n}']
