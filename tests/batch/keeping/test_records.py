"""What is accepted can be read back: every line that is written, by the one reader."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from engine.batch.keeping.records import (
    failure_record,
    invalid_record,
    read_entry,
    success_record,
)
from engine.batch.reading.rows import Row, RowParser
from engine.errors import Category, ProviderError
from engine.wire.json import decode_json
from tests.cases import each_case

ROW = RowParser().parse(b'{"custom_id": "a", "params": {"model": "m"}}', 1)
assert isinstance(ROW, Row)

# Half a surrogate pair too: a model that stops within one sends it, as an escape.
anything = st.text(st.characters(codec=None))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


def read_back(line: bytes) -> Any:
    """What a strict reader finds in `line`, which must be one line."""
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    return msgspec.json.decode(line)


@given(st.dictionaries(anything, values, max_size=5), st.booleans(), st.sampled_from([None, 2]))
@example({"text": "\ud83d"}, True, None)
@example({"text": "\\\ud83d\ude00\ud83d"}, True, None)
def test_any_answer_is_read_back_equal(body: dict[str, Any], ascii: bool, indent: Any) -> None:
    sent = json.dumps(body, ensure_ascii=ascii, indent=indent).encode("utf-8", "surrogatepass")
    line = success_record(ROW, 200, None, sent, usage={"total_tokens": 7}, cost=0.5).line_bytes()
    assert read_back(line)["response"]["body"] == decode_json(sent)
    entry = read_entry(line)
    assert entry is not None
    assert (entry.key, entry.failed, entry.content) == (ROW.key, False, ROW.content)
    assert (entry.spent.cost, entry.spent.tokens) == (0.5, 7)


def mildly_read(body: bytes) -> Any:
    """What Python's own reader finds, NaN being nothing."""
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text, strict=False, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return text


@given(st.binary(max_size=200))
@example(b'{"a": NaN}')
@example(b"{" * 2000)
@example(b"\x00\xff\n\r")
@example(b"")
def test_whatever_a_paid_answer_is_its_line_is_read_back(body: bytes) -> None:
    for line in (
        success_record(ROW, 200, None, body).line_bytes(),
        failure_record(ROW, ProviderError("no", category=Category.SERVER), 200, body).line_bytes(),
    ):
        kept = read_back(line)["response"]["body"]
        assert read_entry(line) is not None
        assert kept in (body.decode("utf-8", "replace"), mildly_read(body))


@each_case("depth", [90, 300, 700, 950])
def test_brackets_however_deep_are_read_back(depth: int) -> None:
    body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    line = success_record(ROW, 200, None, body).line_bytes()

    def deeper(frames: int) -> object:
        return deeper(frames - 1) if frames else read_entry(line)

    assert deeper(50) is not None


def test_a_message_that_is_no_text_is_written() -> None:
    for record in (
        failure_record(ROW, ProviderError("\udcff is bad", category=Category.SERVER)),
        invalid_record(ROW, "line 1: \udcff"),
    ):
        assert read_entry(record.line_bytes()) is not None


def test_lines_of_versions_that_wrote_bodies_as_they_came_are_read() -> None:
    line = b'{"custom_id":"a","response":{"body":{"t":"\\ud83d"}},"error":null,"cost":1}'
    entry = read_entry(line)
    assert entry is not None and entry.spent.cost == 1


def test_fields_of_the_users_own_stand_beside_the_others() -> None:
    record = success_record(ROW, 200, None, b"{}", flat={"answer": "yes"})
    assert read_back(record.line_bytes())["answer"] == "yes"


@each_case("line", [b"", b"{}", b"[]", b'{"custom_id": 5}', b"\x00\x00", b'{"cust'])
def test_what_is_no_line_of_ours_is_none(line: bytes) -> None:
    assert read_entry(line) is None
