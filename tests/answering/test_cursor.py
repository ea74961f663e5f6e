"""Cursor: which request asks for the rest of an answer, and what is taken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from engine.answering.cursor import Cursor
from engine.answering.marks import with_key
from engine.errors import ProtocolError
from engine.events import Done
from engine.providers import dialect
from engine.request import HttpRequest
from engine.wire.sse import SSERecord
from tests.cases import each_case

ASKED = HttpRequest("POST", "https://api.test/v1/responses?api-version=1", body=b"{}")
SAID = "response.output_text.done"  # of which no event is made
BACKGROUND = ASKED.with_body(b'{"background":true}')
STORED = ASKED.with_body(b'{"store":true}')


def chunk(text: str, id: str = "", answer: str = "c1") -> SSERecord:
    choice = {"index": 0, "delta": {"content": text}}
    return SSERecord(json.dumps({"id": answer, "choices": [choice]}).encode(), id=id)


def numbered(number: int | None, **more: Any) -> SSERecord:
    step = {"type": "response.created", "response": {"id": "resp/1"}, "sequence_number": number}
    return SSERecord(json.dumps(step | more).encode())


def tokened(
    token: str | None, answer: str = "int/1", kind: str = "interaction.created"
) -> SSERecord:
    step = {"event_type": kind, "interaction": {"id": answer, "model": "m"}}
    return SSERecord(json.dumps(step | ({"event_id": token} if token else {})).encode())


def read(format: str, *records: SSERecord) -> Cursor:
    """A cursor behind `records`."""
    parser = dialect(format).parser
    cursor = Cursor(format, parser)
    cursor.answered(parser().feed(cursor.passed([*records], None)))
    return cursor


@each_case(
    ("cursor", "asked", "method", "url", "last_id"),
    [
        (read("chat"), ASKED, None, "", None),  # nothing came
        (read("chat", chunk("a")), ASKED, None, "", None),  # no ids
        (read("chat", chunk("a", "7")), ASKED, "POST", ASKED.url, "7"),
        (read("chat", chunk("a", "7"), chunk("b", "8")), ASKED, "POST", ASKED.url, "8"),
        (read("chat", chunk("a", "é")), ASKED, None, "", None),  # no header can carry it
        (read("chat", chunk("a", "a\x7f")), ASKED, None, "", None),
        (read("responses", numbered(3)), ASKED, None, "", None),  # it does not run by itself
        (
            read("responses", numbered(3)),
            BACKGROUND,
            "GET",
            "https://api.test/v1/responses/resp%2F1?api-version=1&stream=true&starting_after=3",
            None,
        ),
        (read("responses", numbered(None)), BACKGROUND, None, "", None),
        (read("chat", numbered(3)), BACKGROUND, None, "", None),
        (read("responses", numbered(3)), ASKED.with_body(b"no JSON"), None, "", None),
        (read("responses", numbered(3)), ASKED.with_body(b'{"background":"yes"}'), None, "", None),
        (
            read("interactions", tokened("a=/"), tokened("é&")),
            STORED,
            "GET",
            "https://api.test/v1/responses/int%2F1?api-version=1&stream=true"
            "&last_event_id=%C3%A9%26",
            None,
        ),
        # Who asks anew by a place that only its own answer has would be given another answer.
        (read("interactions", tokened("a")), ASKED.with_body(b'{"store":false}'), None, "", None),
        (read("interactions", tokened("a"), tokened(None)), STORED, None, "", None),
        (read("interactions", tokened("a"), tokened("a")), STORED, None, "", None),
        (read("interactions", tokened("a", "")), STORED, None, "", None),  # it has no name
        (read("interactions", tokened("a")), ASKED.with_body(b"no JSON"), None, "", None),
        (read("interactions", replace(tokened(None), id="7")), STORED, "POST", ASKED.url, "7"),
        (read("chat", tokened("a")), STORED, None, "", None),
    ],
)
def test_what_asks_for_the_rest(
    cursor: Cursor, asked: HttpRequest, method: str | None, url: str, last_id: str | None
) -> None:
    request = cursor.request(asked)
    if method is None:
        assert request is None
        return
    assert request is not None
    assert (request.method, request.url) == (method, url)
    assert request.body == (None if method == "GET" else asked.body)
    assert request.headers.get("Last-Event-ID") == last_id


REST = [chunk("c", "3"), chunk("d", "4")]
PING = SSERecord(b"{}", "ping")
UNNAMED_PING = SSERecord(b'{"type":"ping"}')
HELLO = SSERecord(b'{"room":1}', "connected")
LIMITS = SSERecord(b'{"type":"vendor.limits","left":1}')
NAMED_LIMITS = SSERecord(b'{"left":1}', "limits")
ERROR = SSERecord(b'{"error":{"message":"boom","type":"server_error"}}')


def rest(cursor: Cursor, asked: HttpRequest, came: list[Any]) -> list[Any]:
    """What of `came`, one by one, on another connection is new."""
    assert cursor.request(asked) is not None
    cursor.expect_rest()
    return passed(cursor, *([one] for one in came))


def passed(cursor: Cursor, *reads: list[Any]) -> list[Any]:
    """What of `reads` is new; raises why it is not the rest."""
    told = [record for read in reads for record in cursor.passed(read, None)]
    if cursor.failure is not None:
        raise cursor.failure
    return told


BESIDE = [PING, UNNAMED_PING, LIMITS, NAMED_LIMITS, replace(LIMITS, id="2", inherited=True)]


@each_case("after", [*BESIDE, replace(PING, id="2", inherited=True)])
def test_what_is_no_part_of_the_answer_is_no_place_and_hides_none(after: SSERecord) -> None:
    """Signs of life, and kinds that only their vendor knows."""
    for cursor, asked in (
        (read("chat", chunk("a", "1"), chunk("b", "2"), after), ASKED),
        (read("responses", numbered(2), numbered(3), after), BACKGROUND),
        (read("interactions", tokened("1"), tokened("2"), after), STORED),
    ):
        request = cursor.request(asked)
        assert request is not None
        assert request.headers.get("Last-Event-ID") == "2" or request.url.endswith(("=3", "=2"))


@each_case(
    ("cursor", "asked"),
    [
        (read("chat", chunk("a", "1"), chunk("b")), ASKED),
        (read("chat", chunk("a", "1"), replace(chunk("b", "1"), inherited=True)), ASKED),
        (read("chat", chunk("a", "1"), chunk("b", "1")), ASKED),
        (read("chat", chunk("a", "1"), chunk("b", "2"), chunk("c", "1")), ASKED),
        (read("responses", numbered(3), numbered(3)), BACKGROUND),
        (read("responses", numbered(3), numbered(2), numbered(4)), BACKGROUND),
        (read("responses", numbered(3), numbered(None)), BACKGROUND),
        (
            read("responses", numbered(3), numbered(None, type="response.output_text.done")),
            BACKGROUND,
        ),
    ],
)
def test_where_content_has_no_place_of_its_own_there_is_none(
    cursor: Cursor, asked: HttpRequest
) -> None:
    assert cursor.request(asked) is None


@each_case(
    ("came", "taken"),
    [
        (REST, REST),
        ([PING, UNNAMED_PING, *REST], REST),
        ([HELLO, *REST], REST),  # as the first connection began
        ([replace(HELLO, data=b"{}"), *REST], None),
        ([chunk("b", "2"), *REST], REST),  # from where "after" is meant
        ([chunk("z", "1"), chunk("b", "2"), *REST], REST),  # from before it
        ([chunk("z", "1"), *REST], None),  # with a part left out
        ([chunk("Z", "1"), *REST], None),  # told anew in other words
        ([chunk("a", "0"), chunk("z", "1"), chunk("b", "2"), *REST], None),  # from the beginning
        ([chunk("b", "2"), replace(chunk("B", "2"), inherited=True), *REST], REST),
        ([chunk("c"), *REST], None),  # without a place
        ([chunk("c", "3", "c2"), *REST], None),  # another answer
        ([*REST, REST[1]], REST),
        ([*REST, *REST], REST),
        ([*REST, chunk("z", "1")], REST),
        ([*REST, chunk("e", "4")], None),
        ([*REST, replace(chunk("e", "4"), inherited=True)], [*REST, chunk("e", "4")]),
        ([ERROR], [ERROR]),
        ([chunk("b", "2"), replace(ERROR, id="2", inherited=True)], [ERROR]),
        ([replace(ERROR, id="1")], [ERROR]),
    ],
)
def test_the_rest_is_told_by_its_ids(came: list[SSERecord], taken: list[SSERecord] | None) -> None:
    cursor = read("chat", HELLO, chunk("a", "0"), chunk("z", "1"), chunk("b", "2"))
    if taken is None:
        with pytest.raises(ProtocolError, match="something else"):
            rest(cursor, ASKED, came)
        assert cursor.failure
        return
    told = rest(cursor, ASKED, came)
    assert [record.data for record in told] == [record.data for record in taken]
    assert cursor.advanced and not cursor.failure


FAILED = {"type": "response.failed", "response": {"status": "failed", "error": {"code": "x"}}}


@each_case(
    ("came", "taken"),
    [
        ([4, 5], [4, 5]),
        ([2, 3, 4], [4]),
        ([1, 2], []),
        ([4, 4, 5], [4, 5]),
        ([4, 2, 3, 4, 5], [4, 5]),
        ([5, 6], None),
        ([4, 6], None),
        ([None], None),
        ([4, None, 5], [4, None, 5]),
        ([PING, UNNAMED_PING, 4], [4]),
        ([PING], []),
        ([LIMITS, 4, LIMITS, 5], [4, LIMITS, 5]),
        ([NAMED_LIMITS, 3, 4], [4]),
        ([4, {"response": {"id": "resp/2"}, "sequence_number": 5}], None),
        ([{"response": {"id": "resp/2"}, "sequence_number": 4}], None),  # another answer
        *(([FAILED | {"sequence_number": n}],) * 2 for n in (None, 0, 3, 4, 9)),
    ],
)
@each_case("at_once", [False, True])
def test_the_rest_is_told_by_its_numbers(
    came: list[Any], taken: list[Any] | None, at_once: bool
) -> None:
    cursor = read("responses", *map(numbered, range(4)))
    records = [_record(one) for one in came]
    if taken is None:
        with pytest.raises(ProtocolError, match="something else"):
            rest(cursor, BACKGROUND, records)
        assert cursor.failure
        return
    if at_once:
        assert cursor.request(BACKGROUND) is not None
        cursor.expect_rest()
        told = passed(cursor, records)
    else:
        told = rest(cursor, BACKGROUND, records)
    assert told == [_record(one) for one in taken]
    assert cursor.advanced is bool(taken) and not cursor.failure


def ids(*all: str) -> list[SSERecord]:
    return [chunk(id, id) for id in all]


COUNTED = ids("s-0", "s-1", "s-2")


@each_case(
    ("before", "came", "whole"),
    [
        (COUNTED, ["s-3", "s-4"], True),
        (COUNTED, ["s-1", "s-2", "s-3"], True),
        (COUNTED, ["s-3", "s-3", "s-4", "s-4"], True),
        (COUNTED, ["s-4"], False),
        (COUNTED, ["s-3", "s-5"], False),
        (COUNTED, ["s-4", "s-3"], False),
        (COUNTED, ["s-003", "s-end"], True),  # as the marker of the end may be called
        (COUNTED, ["t-1"], True),
        (ids(*(f"s-{n}" for n in range(1, 11))), ["s-12"], False),
        (ids("0", "1", "2"), ["4"], False),
        (ids("1", "2", "3"), ["5"], False),
        (ids("resp_1:0", "resp_1:1", "resp_1:2"), ["resp_1:4"], False),
        (ids("2f:01", "2f:02", "2f:03"), ["2f:05"], False),
        (COUNTED[:2], ["s-3"], True),  # too few to say
        ([*COUNTED, *ids("s-4")], ["s-6"], True),  # they do not count
        (ids("s-7", *(f"s-{n}" for n in range(3))), ["s-4"], True),
        (ids("0x", "1x", "2x"), ["4x"], True),
        # A count that did not begin here may be that of all streams of a server.
        (ids("100", "101", "102", "103"), ["180", "260"], True),
        (ids("2", "3", "4"), ["6", "5"], True),
        (ids("s-8", "s-9", "s-10"), ["s-12", "s-7"], True),
        (ids(*(f"resp_1:{n}" for n in range(7, 40))), ["resp_1:41"], True),
        # So may one that begins anew with each moment, or in each partition.
        (ids("1700000-0", "1700000-1", "1700000-2"), ["1700000-4"], True),
        (ids("3:1", "3:2", "3:3"), ["3:5"], True),
        (ids("0.1", "0.2", "0.3"), ["0.5"], True),
    ],
)
def test_where_ids_count_what_is_missing_is_missed(
    before: list[SSERecord], came: list[str], whole: bool
) -> None:
    cursor = read("chat", *before)
    texts = {record.id: record for record in before}
    records = [texts.get(id, chunk(id, id)) for id in came]
    if whole:
        new = [record for record in dict.fromkeys(records) if record not in before]
        assert rest(cursor, ASKED, records) == new
    else:
        with pytest.raises(ProtocolError, match="follows on"):
            rest(cursor, ASKED, records)
        assert cursor.failure


@each_case(
    ("came", "taken"),
    [
        (["c", "d"], ["c", "d"]),
        (["a", "b", "c"], ["c"]),  # from its beginning: it is the same answer, by its name
        (["b", "c", "c", "b", "d"], ["c", "d"]),
        (["a"], []),
        (["a", "c"], None),  # with a part left out
        ([LIMITS, "c", LIMITS], ["c", LIMITS]),
        ([tokened(None)], None),
        ([tokened("b", kind="told.anew"), "c"], ["c"]),
        ([tokened("c", "int/2")], None),
        (["c", tokened("d", "int/2", "interaction.completed")], None),
        ([SSERecord(b'{"event_type":"error","error":{"message":"boom"}}')] * 1, "the error"),
    ],
)
def test_the_rest_of_an_interaction_is_told_by_its_event_ids(came: list[Any], taken: Any) -> None:
    cursor = read("interactions", tokened("a"), tokened("b"))
    records = [one if isinstance(one, SSERecord) else tokened(one) for one in came]
    if taken is None:
        with pytest.raises(ProtocolError, match="something else"):
            rest(cursor, STORED, records)
        assert cursor.failure
        return
    told = (
        records
        if taken == "the error"
        else [r if isinstance(r, SSERecord) else tokened(r) for r in taken]
    )
    assert rest(cursor, STORED, records) == told
    assert not cursor.failure


class Decoder:
    retry = 2500


@pytest.mark.parametrize("records", [[], [chunk("b", "2")]])
def test_the_wait_that_is_asked_for_is_noted_also_where_nothing_else_came(
    records: list[SSERecord],
) -> None:
    cursor = read("chat", chunk("a", "1"))
    assert cursor.reconnection_time is None
    assert cursor.passed(records, Decoder()) == records
    assert cursor.passed([], None) == []
    assert cursor.reconnection_time == 2.5


def _record(one: SSERecord | dict[str, Any] | int | None) -> SSERecord:
    if isinstance(one, SSERecord):
        return one
    return numbered(None, **one) if isinstance(one, dict) else numbered(one)


def test_the_next_break_is_where_the_last_rest_ended() -> None:
    cursor = read("responses", *map(numbered, range(4)))
    for first in (4, 6, 8):
        came = [numbered(first - 1), numbered(first), PING, numbered(first), numbered(first + 1)]
        assert [r for r in rest(cursor, BACKGROUND, came) if r is not PING] == [
            numbered(first),
            numbered(first + 1),
        ]
        request = cursor.request(BACKGROUND)
        assert request is not None and request.url.endswith(f"starting_after={first + 1}")


@pytest.mark.parametrize("start", [0, 5000, 9990])
def test_what_was_read_long_before_is_forgotten_and_found_out(start: int) -> None:
    """However far back a server begins, nothing that was read twice is taken for the answer."""
    all = [chunk(f"w{n}", f"{n}") for n in range(10_001)]
    cursor = read("chat", *all[:10_000])
    remembered = start == 9990
    if remembered:
        assert rest(cursor, ASKED, all[start:]) == all[10_000:]
    else:
        with pytest.raises(ProtocolError, match="something else"):
            rest(cursor, ASKED, all[start:])
    known = [cursor._known_before, cursor._known_since]
    assert sum(map(len, known)) < 5000


# As a server ends a stream that has no end marker of its own, and what a proxy may put in between.
UNNUMBERED = [b"[DONE]", b"{cut", b"", b"[]", b'{"sequence_number":"4"}', b"\xff"]


@each_case("data", UNNUMBERED)
def test_where_the_last_record_has_no_number_the_rest_cannot_be_asked_for(data: bytes) -> None:
    cursor = read("responses", numbered(3))
    cursor.passed([data], None)
    assert cursor.request(BACKGROUND) is None


@each_case("data", UNNUMBERED)
def test_what_has_no_number_is_not_the_rest(data: bytes) -> None:
    cursor = read("responses", numbered(3))
    assert cursor.request(BACKGROUND) is not None
    cursor.expect_rest()
    with pytest.raises(ProtocolError, match="have no number"):
        passed(cursor, [data])


@pytest.mark.parametrize("at_once", [False, True])
def test_what_came_before_the_failure_is_kept_however_it_is_cut(at_once: bool) -> None:
    cursor = read("responses", numbered(3))
    assert cursor.request(BACKGROUND) is not None
    cursor.expect_rest()
    came = [numbered(4), numbered(5), numbered(7), numbered(6), numbered(8)]
    reads = [came] if at_once else [[one] for one in came]
    told = [record for read in reads for record in cursor.passed(read, None)]
    assert told == came[:2]
    assert "event 7 follows on 5" in str(cursor.failure)


def test_what_comes_behind_the_end_of_the_answer_undoes_nothing() -> None:
    parser = dialect("responses").parser()
    cursor = Cursor("responses", dialect("responses").parser)
    cursor.events([numbered(3)], None, parser)
    assert cursor.request(BACKGROUND) is not None
    cursor.expect_rest()
    whole = {"id": "resp/1", "status": "completed"}
    last = numbered(4, type="response.completed", response=whole)
    told = cursor.events([last, numbered(9)], None, parser)
    assert parser.complete and type(told[-1]) is Done


def test_a_replay_in_pieces_is_passed_over() -> None:
    cursor = read("responses", *map(numbered, range(4)))
    assert cursor.request(BACKGROUND) is not None
    cursor.expect_rest()
    told = [record for n in range(7) for record in cursor.passed([numbered(n)], None)]
    assert told == [numbered(4), numbered(5), numbered(6)]


def test_what_asks_again_has_the_same_key() -> None:
    once = with_key(ASKED)
    assert with_key(once) is once
    assert once.headers["Idempotency-Key"] != with_key(ASKED).headers["Idempotency-Key"]
    assert with_key(HttpRequest("GET", ASKED.url)).headers == {}
