"""Event streams of model servers: what the standard ignores and they mean, in any cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.wire.event_stream import EventStreamDecoder
from engine.wire.sse import SSEDecoder, SSERecord
from tests.cases import each_case

Pair = tuple[str, bytes]


def read(*pieces: bytes, plain: str = "") -> list[Pair]:
    """Event name and data of each record, plain ones under their name."""
    decoder = EventStreamDecoder(plain=plain)
    records = [record for piece in pieces for record in decoder.feed(piece)]
    records += decoder.finish()
    name = plain or "message"
    return [(name, r) if isinstance(r, bytes) else (r.event, r.data) for r in records]


MARK = b"\xef\xbb\xbf"


@each_case("plain", ["", "x"])
@each_case(("before", "begins"), [(b"", True), (MARK, True), (b"\xef", False), (2 * MARK, False)])
def test_only_a_whole_mark_may_stand_before_the_first_event(
    before: bytes, begins: bool, plain: str
) -> None:
    first = b"event: x\ndata: 1\n\n" if plain else b"data: 1\n\n"
    whole = read(before + first + MARK + first + first, plain=plain)
    assert whole == read(before, first, MARK + first, first, plain=plain)
    # One that is in the middle, or is not whole, makes a field of it that nobody knows.
    assert (whole[0] == (plain or "message", b"1") and len(whole) > 1) is begins


def test_an_error_in_a_field_of_its_own_is_a_record() -> None:
    assert read(b'data: {"a":1}\n\nerror: {"code":400}\n\ndata: [DONE]\n\n') == [
        ("message", b'{"a":1}'),
        ("error", b'{"code":400}'),
        ("message", b"[DONE]"),
    ]
    assert read(b"error: out of memory\n\ndata: 1\n\n")[0] == ("error", b"out of memory")


def test_json_on_a_line_of_its_own_is_a_record() -> None:
    assert read(b': hi\n\n{"error":{"code":4}}\n') == [("message", b'{"error":{"code":4}}')]
    assert read(b'{"a":1}\n{"b":2}\n') == [("message", b'{"a":1}'), ("message", b'{"b":2}')]
    pretty = json.dumps({"error": {"message": "m"}}, indent=2).encode()
    assert [json.loads(data) for _, data in read(b"data: {}\n\n" + pretty)] == [
        {},
        {"error": {"message": "m"}},
    ]


@each_case("end", [b"", b"\n", b"\r\n"])
def test_the_last_event_may_lack_its_blank_line_if_it_is_whole(end: bytes) -> None:
    assert read(b'data: {"a":1}' + end) == [("message", b'{"a":1}')]
    assert read(b"data: [DONE]" + end) == [("message", b"[DONE]")]
    assert read(b'data: {"a":1}\ndata: [DONE]' + end) == [("message", b'{"a":1}\n[DONE]')]
    assert read(b'data: {"a":' + end) == []
    assert read(b"data: [DO" + end) == []


def test_what_is_no_event_stream_at_all_is_remembered() -> None:
    decoder = EventStreamDecoder()
    decoder.feed(b"\x00\x00\x01\x0bbinary")
    assert decoder.finish() == []
    assert decoder.strange is not None
    assert decoder.strange.startswith(b"\x00\x00\x01")
    tame = EventStreamDecoder()
    tame.feed(b": comment\n\nid: 1\nretry: 3\ndata: x\n\n")
    assert tame.strange is None


BODIES = st.lists(
    st.sampled_from(
        [
            b'data: {"a":"\xc3\xa9"}\n\n',
            b"data:x\n\n",
            b"data: a\ndata: b\n\n",
            b"event: e\ndata: 1\n\n",
            b"event: f\ndata: 2\n\n",
            b": ping\n\n",
            b"id: 7\ndata: i\n\n",
            b"retry: 5\n\n",
            b"data: c\r\n\r\n",
            b"data: d\r\n\r\n",
            b"data: r\r\r",
            b"event: e\r\ndata: 3\r\n\r\n",
            b"data: " + b"z" * 40 + b"\n\n",
            b"\n",
            b"data\n\n",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(BODIES, st.data(), st.sampled_from(["", "e"]))
def test_any_cut_gives_what_the_standard_gives(
    body: bytes, data: st.DataObject, plain: str
) -> None:
    standard = SSEDecoder()
    wanted = [(r.event, r.data) for r in standard.feed(body) + standard.finish()]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=9)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(*pieces, plain=plain) == wanted
    assert read(*(body[i : i + 1] for i in range(len(body))), plain=plain) == wanted


ODD = [
    b"event: f\ndata: 2\n\n",
    b"event: f\ndata: 2\n\nevent: g\ndata: 3\n\n",
    b": ping\n\n",
    b"\n",
    b"data: a\ndata: b\n\n",
    b"event: e\ndata: a\nid: 8\n\n",
    b"event: e\nid: 9\ndata: a\n\n",
    b"x: y\n\n",
    b"event: e\ndata:a\n\n",
    b"event: e\n\n",
    b"error: gone\n\n",
    b'{"a":1}\n\n',
    b"data: r\r\r",
]


@given(
    st.lists(st.one_of(st.integers(1, 12), st.sampled_from(ODD)), max_size=9),
    st.data(),
    st.sampled_from([b"event: e\ndata: ", b"data: "]),
)
def test_plain_events_are_cut_out_around_the_others_alike_in_any_cut(
    runs: list[int | bytes], data: st.DataObject, head: bytes
) -> None:
    body = b""
    for run in runs:
        for event in [run] if isinstance(run, bytes) else [head] * run:
            body += b"%b%d\n\n" % (head, len(body)) if event is head else event
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=3)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    plain = "e" if head.startswith(b"event") else ""
    assert read(*pieces, plain=plain) == read(
        *(body[i : i + 1] for i in range(len(body))), plain=plain
    )


@each_case("before", [b"", b": begin\n\n", b"id: 7\n\n"])
def test_an_event_too_large_takes_none_with_it_that_came_before_in_the_same_read(
    before: bytes,
) -> None:
    decoder = EventStreamDecoder()
    decoder.limit = 5000
    decoder.feed(before)
    got = decoder.feed(b"data: a\n\n" * 9 + b"data: " + b"x" * 6000)
    assert [r if isinstance(r, bytes) else r.data for r in got] == [b"a"] * 9
    for _ in range(2):
        with pytest.raises(ProtocolError, match="max_event_bytes=5000"):
            decoder.feed(b"y")


def test_the_id_of_an_event_stands_for_those_after_it() -> None:
    decoder = EventStreamDecoder()
    decoder.feed(b": begin\n\n")
    some = b"data: a\n\n" * 9
    got = decoder.feed(some + b"data: b\nid: 7\n\n" + some)
    later = SSERecord(b"a", id="7", inherited=True)
    assert got == [b"a"] * 9 + [SSERecord(b"b", id="7")] + [later] * 9
    got = decoder.feed(b"data: b\nid: 8\n\n" + some)
    assert got == [SSERecord(b"b", id="8")] + [SSERecord(b"a", id="8", inherited=True)] * 9


def test_an_event_that_was_open_and_is_too_large_is_refused_before_those_after_it() -> None:
    decoder = EventStreamDecoder()
    decoder.limit = 5000
    decoder.feed(b": begin\n\n")
    decoder.feed(b"data: " + b"x" * 4500)
    for _ in range(2):
        with pytest.raises(ProtocolError, match="max_event_bytes=5000"):
            decoder.feed(b"x" * 600 + b"\n\n" + b"data: a\n\n" * 9)


@each_case("size", [7, 100, 5000])
def test_an_event_over_the_limit_is_refused_and_those_before_it_are_not(size: int) -> None:
    decoder = EventStreamDecoder()
    decoder.limit = 64
    assert decoder.feed(b"data: a\n\n") != []
    event = b"data: " + b"x" * 65 * 100 + b"\n\n"
    with pytest.raises(ProtocolError, match="max_event_bytes=64"):
        for begin in range(0, len(event), size):
            decoder.feed(event[begin : begin + size])


def test_plain_events_are_bytes_and_others_are_records() -> None:
    decoder = EventStreamDecoder(plain="e")
    decoder.feed(b": begin\n\n")
    assert decoder.feed(b"event: e\ndata: 1\n\nevent: f\ndata: 2\n\nevent: e\ndata: 3\n\n") == [
        b"1",
        SSERecord(b"2", "f"),
        b"3",
    ]
    assert decoder.feed(b"event: e\ndata: 4\n\n") == [b"4"]


@each_case("begun", [b"d", b"dat", b"ev", b"i", b"ret"])
def test_a_line_that_is_cut_in_the_name_of_its_field_is_not_strange(begun: bytes) -> None:
    cut, whole = EventStreamDecoder(), EventStreamDecoder()
    cut.feed(begun)
    cut.finish()
    assert cut.strange is None
    whole.feed(begun + b"\n\n")
    whole.finish()
    assert whole.strange == begun


@each_case("size", [100, 4_000, 4_090, 4_100, 20_000])
@each_case("end", [b"\n", b"\r\n"])
def test_an_event_of_any_size_is_whole_wherever_it_is_cut(size: int, end: bytes) -> None:
    events = [b"x" * 10, b"y" * size, b"z" * 10]
    stream = b"".join(b"data: " + event + end + end for event in events)
    for cut in (*range(60), *range(len(stream) - 60, len(stream)), len(stream) // 2):
        decoder = EventStreamDecoder()
        given = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:]), *decoder.finish()]
        assert [r if isinstance(r, bytes) else r.data for r in given] == events, cut
        assert decoder.strange is None
    decoder = EventStreamDecoder()
    given = [r for at in range(0, len(stream), 1460) for r in decoder.feed(stream[at : at + 1460])]
    assert [r if isinstance(r, bytes) else r.data for r in given] == events


@each_case("told", [b"error: gone\n", b'{"a":1}\n', b' {"a":1}\n', b"data: 1\n"])
def test_what_model_servers_mean_is_heard_among_fields_that_mean_nothing(told: bytes) -> None:
    noise = b"x: y\nz\n: c\n"
    stream = b"x: y\n\n" + noise + told + b"\n" + noise + b"\n" + noise + told + b"\n"
    alone = read(told + b"\n" + told + b"\n")
    assert len(alone) == 2
    for cut in range(len(stream)):
        assert read(stream[:cut], stream[cut:]) == alone


def test_json_over_several_lines_is_whole_also_after_fields_that_mean_nothing() -> None:
    pretty = json.dumps({"error": {"message": "m"}}, indent=0).encode() + b"\n\n"
    assert len(read(pretty)) == 1
    for cut in range(len(pretty)):
        assert read(b"x: y\n\n" + pretty[:cut], pretty[cut:]) == read(pretty)


def test_long_json_over_several_lines_is_whole_also_after_fields_that_mean_nothing() -> None:
    long = json.dumps({"error": {"message": "m" * 5000, "code": 4}}, indent=0).encode() + b"\n\n"
    for cut in (len(long) - 12, len(long) - 6):
        assert read(b"x: y\n\n" + long[:cut], long[cut:]) == read(long)


@each_case("read", [b"data: a\rdata: b\n\n", b"data: a\n\ndata: b\rdata: c\n\ndata: d\n\n"])
def test_a_cr_ends_a_line_of_a_read_that_seems_plain(read: bytes) -> None:
    whole, cut = EventStreamDecoder(), EventStreamDecoder()
    first = b"data: 0\n\n"
    at_once = [*whole.feed(first), *whole.feed(read)]
    by_bytes = [record for n in first + read for record in cut.feed(bytes([n]))]
    assert [getattr(one, "data", one) for one in at_once] == [
        getattr(one, "data", one) for one in by_bytes
    ]
