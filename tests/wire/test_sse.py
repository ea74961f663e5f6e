"""`SSEDecoder` against the WHATWG rules: written out, by a slow reference, and by all cuts."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import Category, ProtocolError
from engine.wire import SSEDecoder
from engine.wire.sse import SSERecord
from tests.cases import each_case
from tests.volume import examples

VECTORS = Path(__file__).parents[3] / "shared" / "corpus" / "wpt-eventsource.json"
MIB = 1024 * 1024

Plain = tuple[str, bytes, str, int | None]  # event, data, id, retry


def plain(records: Iterable[SSERecord]) -> list[Plain]:
    return [(r.event, r.data, r.id, r.retry) for r in records]


def decode(chunks: Iterable[bytes]) -> list[Plain]:
    decoder = SSEDecoder()
    records = [record for chunk in chunks for record in decoder.feed(chunk)]
    return plain(records + decoder.finish())


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def reference(data: bytes) -> list[Plain]:
    """The standard's own algorithm, character by character: section 9.2.6, nothing clever."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines, line, position = [], "", 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\r" and text[position : position + 1] == "\n":
            position += 1
        if character in "\r\n":
            lines.append(line)
            line = ""
        else:
            line += character
    # "Once the end of the file is reached, any pending data must be discarded."
    events: list[Plain] = []
    buffer, event_type, last_id, retry = "", "", "", None
    for line in lines:
        if not line:
            if buffer:
                events.append((event_type or "message", buffer[:-1].encode(), last_id, retry))
            buffer, event_type, retry = "", "", None
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event_type = value
        elif field == "data":
            buffer += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry" and value and all(c in "0123456789" for c in value):
            retry = int(value)
    return events


def message(data: bytes, id: str = "", retry: int | None = None) -> Plain:
    return "message", data, id, retry


CASES: list[tuple[str, bytes, list[Plain]]] = [
    ("one event", b"data: x\n\n", [message(b"x")]),
    ("no space after the colon", b"data:x\n\n", [message(b"x")]),
    ("only one space is taken", b"data:  x\n\n", [message(b" x")]),
    ("a tab is no space", b"data:\tx\n\n", [message(b"\tx")]),
    ("several data lines", b"data: a\ndata: b\n\n", [message(b"a\nb")]),
    ("an empty data field dispatches", b"data\n\n", [message(b"")]),
    ("two empty data fields are a newline", b"data\ndata:\n\n", [message(b"\n")]),
    ("no data, no event", b"event: x\nid: 1\n\n", []),
    ("field names know case", b"Data: x\nDATA: y\n\n", []),
    ("unknown fields are ignored", b"data: x\nfoo: y\n\n", [message(b"x")]),
    ("a space before the field", b" data: x\n\n", []),
    ("CR ends a line", b"data: x\r\r", [message(b"x")]),
    ("CRLF ends a line", b"data: x\r\n\r\n", [message(b"x")]),
    ("all ends mixed", b"data: x\r\ndata: y\rdata: z\n\n", [message(b"x\ny\nz")]),
    ("LF CR is two ends", b"data: x\n\rdata: y\n\n", [message(b"x"), message(b"y")]),
    ("event and its default", b"event: e\ndata: 1\n\ndata: 2\n\n",
     [("e", b"1", "", None), message(b"2")]),
    ("the last event field counts", b"event: a\nevent: b\ndata: x\n\n", [("b", b"x", "", None)]),
    ("an empty event is message", b"event: a\nevent\ndata: x\n\n", [message(b"x")]),
    ("an event type without data is forgotten", b"event: a\n\ndata: x\n\n",
     [message(b"x")]),
    ("the id stays", b"id: 1\ndata: x\n\ndata: y\n\n",
     [message(b"x", "1"), message(b"y", "1")]),
    ("an id without data stays too", b"id: 7\n\ndata: y\n\n", [message(b"y", "7")]),
    ("an empty id resets", b"id: 1\ndata: x\n\nid\ndata: y\n\n",
     [message(b"x", "1"), message(b"y")]),
    ("an id with NUL is ignored", b"id: 1\nid: 2\x003\ndata: x\n\n", [message(b"x", "1")]),
    ("retry", b"retry: 3000\ndata: x\n\ndata: y\n\n",
     [message(b"x", "", 3000), message(b"y")]),
    ("retry with letters is ignored", b"retry: 10x\ndata: x\n\n", [message(b"x")]),
    ("retry with a sign is ignored", b"retry: -1\ndata: x\n\n", [message(b"x")]),
    ("Arabic digits are none", "retry: ٣\ndata: x\n\n".encode(), [message(b"x")]),
    ("comments", b":\n: a\n:data: x\ndata: y\n:\n\n", [message(b"y")]),
    ("a BOM is stripped", b"\xef\xbb\xbfdata: x\n\n", [message(b"x")]),
    ("a second BOM is not", b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n",
     [message(b"y")]),
    ("half a BOM is a field's name", b"\xef\xbbdata: x\n\ndata: y\n\n",
     [message(b"y")]),
    ("unfinished at the end", b"data: x\n\ndata: y\n", [message(b"x")]),
    ("nothing", b"", []),
    ("other line ends of Unicode are text",
     "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
     [message("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg".encode())]),
    ("invalid UTF-8 is replaced", b"data: a\xffb\n\n", [message("a\ufffdb".encode())]),
    ("NUL is text", b"data: a\0b\n\n", [message(b"a\0b")]),
]  # fmt: skip


@each_case(("stream", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_rules_written_out(stream: bytes, expected: list[Plain]) -> None:
    assert decode([stream]) == expected
    assert reference(stream) == expected, "the reference itself"


@each_case("stream", [c[1] for c in CASES], ids=[c[0] for c in CASES])
def test_every_cut_gives_the_same_events(stream: bytes) -> None:
    whole = decode([stream])
    assert decode(in_pieces(stream, 1)) == whole
    for first in range(len(stream)):
        for second in range(first, len(stream)):
            assert decode([stream[:first], stream[first:second], stream[second:]]) == whole


LINES = st.sampled_from(
    [b"data: x", b"data:", b"data", b"data: {\"a\": 1}", b"event: e", b"event", b"id: 1", b"id",
     b"id: \0", b"retry: 5", b"retry: x", b": c", b"", b"", b"", b"x\xffy", b"data: \xff",
     b"data: \xe2\x82", b"\xef\xbb\xbfdata: b", b"event: \xe2\x82\xac", b"data: \xe2\x82\xac"]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])
STREAMS = st.one_of(
    st.lists(st.tuples(LINES, ENDS), max_size=12).map(lambda x: b"".join(a + b for a, b in x)),
    st.lists(st.sampled_from([b"data: 1\n\n", b"event: e\ndata: 2\n\n", b"\n", b": c\n\n"])).map(
        b"".join
    ),
    st.binary(max_size=40),
)


@settings(max_examples=examples(600))
@given(STREAMS, st.lists(st.integers(0, 200), max_size=8))
@example(b"data: a\n\ndata: b\n\ndata: c\n\n", [9])
@example(b"data: a\r\r\ndata: b\r\n\r\n", [8, 9])
def test_any_stream_in_any_pieces_is_what_the_reference_says(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert decode(pieces) == reference(data)


@pytest.mark.skipif(not VECTORS.exists(), reason="the corpus is not here")
def test_all_vectors_of_the_web_platform_tests() -> None:
    passed = 0
    for vector in json.loads(VECTORS.read_text()):
        if not vector["whatwg_conformant"] or vector["expected"] is None:
            continue
        stream = base64.b64decode(vector["input_bytes_base64"])
        expected = [
            (e["event"], e["data"].encode(), e["last_event_id"]) for e in vector["expected"]
        ]
        for size in (1, 2, 3, 7, len(stream) or 1):
            events = [event[:3] for event in decode(in_pieces(stream, size))]
            assert events == expected, (vector["name"], size)
        passed += 1
    assert passed >= 161


def test_replaced_bytes_are_counted_by_record() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: \xff\xff\n\ndata: fine\n\ndata: a\xe2\n\n")
    assert decoder.replaced == 2


def test_retry_is_remembered_without_an_event() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"retry: 250\n\n") == []
    assert decoder.retry == 250


@each_case("digits", [13, 16, 100, 100_000])
def test_a_retry_of_any_length_is_a_long_one(digits: int) -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: 1\nretry: " + b"9" * digits + b"\nretry: x\nretry:\nretry: 1e9\n\n")
    assert decoder.retry is not None and decoder.retry > 30 * 365 * 86_400_000


# -- limits ------------------------------------------------------------------------------------


def limited(limit: int, *chunks: bytes) -> list[Plain]:
    decoder = SSEDecoder(max_event_bytes=limit)
    return plain(record for chunk in chunks for record in decoder.feed(chunk))


def test_an_event_over_the_limit_is_an_error_that_names_the_limit() -> None:
    with pytest.raises(ProtocolError, match="max_event_bytes=100") as caught:
        limited(100, b"data: " + b"x" * 101 + b"\n\n")
    assert caught.value.category is Category.PROTOCOL


@each_case("size", [1, 7, 1000])
def test_the_limit_is_the_same_however_the_bytes_come(size: int) -> None:
    fits = b"data: " + b"x" * 94 + b"\n\n"
    assert limited(100, *in_pieces(fits, size)) == [("message", b"x" * 94, "", None)]
    with pytest.raises(ProtocolError):
        limited(100, *in_pieces(b"data: " + b"x" * 95 + b"\n\n", size))


@pytest.mark.parametrize("size", [1, 1000])
def test_many_short_lines_of_one_event_are_limited_too(size: int) -> None:
    with pytest.raises(ProtocolError):
        limited(1000, *in_pieces(b"data: x\n" * 1000, size))


def test_events_before_one_that_is_too_large_are_handed_over_first() -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    records = decoder.feed(b"data: a\n\ndata: b\n\ndata: " + b"x" * 200)
    assert [record.data for record in records] == [b"a", b"b"]
    for _ in range(2):
        with pytest.raises(ProtocolError):
            decoder.feed(b"\n\ndata: c\n\n")
    with pytest.raises(ProtocolError):
        decoder.finish()


def test_many_events_in_one_chunk_may_be_larger_than_the_limit_together() -> None:
    assert len(limited(100, b"data: 0123456789\n\n" * 100)) == 100


def peak_over(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@each_case("start", [b"data: ", b": ", b"id: ", b"nothing known"])
def test_an_endless_line_stops_at_the_limit_plus_one_mebibyte(start: bytes) -> None:
    limit = 4 * MIB
    decoder = SSEDecoder(max_event_bytes=limit)
    piece = b"x" * 1460

    def flood() -> None:
        decoder.feed(start)
        with pytest.raises(ProtocolError):
            for _ in range(2 * limit // len(piece)):
                decoder.feed(piece)

    assert peak_over(flood) < limit + MIB


@pytest.mark.slow
@pytest.mark.parametrize("noise", [b": ping\n", b": ping\n\n", b"\n", b"\r\n", b"event: ping\n\n"])
def test_a_flood_without_events_takes_no_memory(noise: bytes) -> None:
    decoder = SSEDecoder()
    chunk = noise * 1000

    def flood() -> None:
        for _ in range(50):
            assert decoder.feed(chunk) == []

    assert peak_over(flood) < MIB


@each_case("cut", range(0, 60, 2))
@each_case("breaks", [b"\n", b"\r\n", b"\r"])
def test_what_is_skipped_in_bulk_says_nothing(breaks: bytes, cut: int) -> None:
    lines = (
        b"x: y\n\n\n:c\n:\nz\ndata: a\n: c\n:d\nx: y\ndata: b\n\n\nq:\n\n: e\n\n"
        b"data: :\n\ndate: 3\n:\n"
    )
    stream = lines.replace(b"\n", breaks) * 2
    decoder = SSEDecoder()
    records = decoder.feed(stream[:cut]) + decoder.feed(stream[cut:])
    assert [record.data for record in records] == [b"a\nb", b":"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "noise", [b": ping\n", b": ping\n\n", b"\n", b"\r\n", b"x: y\n", b"xyz\r\n", b": c\nx: y\n"]
)
def test_what_says_nothing_costs_next_to_nothing(noise: bytes) -> None:
    """A fifth at most of the time that lines of a field take, which do mean something."""
    fields = seconds_for([b"id: y\n" * 2730] * 20)
    assert seconds_for([(noise * 16384)[:16384]] * 20) < fields / 5


def seconds_for(chunks: list[bytes]) -> float:
    """Processor time of decoding, the best of three."""

    def once() -> float:
        decoder = SSEDecoder(max_event_bytes=64 * MIB)
        start = process_time()
        for chunk in chunks:
            decoder.feed(chunk)
        return process_time() - start

    return min(once() for _ in range(3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "piece"),
    [
        (b"x", 1460),  # one line that never ends
        (b"data: 0123456789\n", 1460),  # one event of many lines
        (b"data: 0123456789\n\n", 100),  # events cut across chunks
        (b": c\n", 1460),
        (b"data: 0123456789\r\n\r\n", 1460),
    ],
)
def test_time_is_linear_in_the_bytes(unit: bytes, piece: int) -> None:
    small, large = 2 * MIB, 16 * MIB
    if len(unit) > 1:
        small, large = small // 8, large // 8

    def stream(size: int) -> list[bytes]:
        start = b"data: " if len(unit) == 1 else b""
        return in_pieces(start + unit * (size // len(unit)), piece)

    assert seconds_for(stream(large)) <= 20 * seconds_for(stream(small)) + 0.005
