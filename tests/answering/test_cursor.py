"""Cursor: which request asks for the rest of an answer, and what is taken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.answering.cursor import Cursor, with_key
from engine.errors import ProtocolError
from engine.providers import dialect
from engine.request import HttpRequest
from engine.wire.sse import SSERecord

ASKED = HttpRequest("POST", "https://api.test/v1/responses?api-version=1", body=b"{}")
BACKGROUND = ASKED.with_body(b'{"background":true}')


def chunk(text: str, id: str = "", answer: str = "c1") -> SSERecord:
    choice = {"index": 0, "delta": {"content": text}}
    return SSERecord(json.dumps({"id": answer, "choices": [choice]}).encode(), id=id)


def numbered(number: int | None, **more: Any) -> SSERecord:
    step = {"type": "response.created", "response": {"id": "resp/1"}, "sequence_number": number}
    return SSERecord(json.dumps(step | more).encode())


def read(format: str, *records: SSERecord) -> Cursor:
    """A cursor behind `records`."""
    parser = dialect(format).parser
    cursor = Cursor(format, parser)
    cursor.answered(parser().feed(cursor.passed([*records], None)))
    return cursor


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("came", "taken"),
    [
        (REST, REST),
        ([SSERecord(b"{}", "ping"), *REST], REST),
        ([chunk("b", "2"), *REST], REST),  # from where "after" is meant
        ([chunk("a", "1"), *REST], None),  # from the beginning
        ([chunk("c"), *REST], None),  # without a place
        ([chunk("c", "3", "c2"), *REST], None),  # another answer
    ],
)
def test_the_rest_is_told_by_its_ids(came: list[SSERecord], taken: list[SSERecord] | None) -> None:
    cursor = read("chat", chunk("a", "1"), chunk("b", "2"))
    assert cursor.request(ASKED) is not None
    cursor.expect_rest()
    if taken is None:
        with pytest.raises(ProtocolError, match="something else"):
            cursor.passed(came, None)
        return
    assert cursor.passed(came, None) == taken
    assert cursor.passed([chunk("a", "1")], None) == [
        chunk("a", "1")
    ]  # only the first are looked at
    assert cursor.advanced


@pytest.mark.parametrize(
    ("came", "taken"),
    [([4, 5], [4, 5]), ([2, 3, 4], [4]), ([1, 2], []), ([5, 6], None), ([None], None)],
)
def test_the_rest_is_told_by_its_numbers(
    came: list[int | None], taken: list[int | None] | None
) -> None:
    cursor = read("responses", *map(numbered, range(4)))
    assert cursor.request(BACKGROUND) is not None
    cursor.expect_rest()
    if taken is None:
        with pytest.raises(ProtocolError, match="something else"):
            cursor.passed([numbered(n) for n in came], None)
    else:
        assert cursor.passed([numbered(n) for n in came], None) == [numbered(n) for n in taken]
        assert cursor.advanced is bool(taken)


# As a server ends a stream that has no end marker of its own, and what a proxy may put in between.
UNNUMBERED = [b"[DONE]", b"{cut", b"", b"[]", b'{"sequence_number":"4"}', b"\xff"]


@pytest.mark.parametrize("data", UNNUMBERED)
def test_where_the_last_record_has_no_number_the_rest_cannot_be_asked_for(data: bytes) -> None:
    cursor = read("responses", numbered(3))
    cursor.passed([data], None)
    assert cursor.request(BACKGROUND) is None


@pytest.mark.parametrize("data", UNNUMBERED)
def test_what_has_no_number_is_not_the_rest(data: bytes) -> None:
    cursor = read("responses", numbered(3))
    assert cursor.request(BACKGROUND) is not None
    cursor.expect_rest()
    with pytest.raises(ProtocolError, match="have no number"):
        cursor.passed([data], None)


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
