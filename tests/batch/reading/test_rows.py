"""Every shape of row is read; a line that is none costs that line alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from engine.batch.reading.rows import BadRow, Row, RowParser
from engine.batch.reading.source import Source
from engine.errors import ConfigError
from tests.batch.support import answer, openai_row, provider, read, run_batch
from tests.cases import each_case
from tests.server import Peer


def parse(row: Any) -> Row | BadRow:
    return RowParser().parse(json.dumps(row).encode(), 7)


def rows_of(path: Path, content: bytes, **arguments: Any) -> list[Row | BadRow]:
    path.write_bytes(content)
    source = Source(path, **arguments)
    try:
        first, second = list(source.rows()), list(source.rows())
    finally:
        source.close()
    assert first == second
    return first


BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@each_case(
    ("row", "custom_id", "shape", "body", "metadata"),
    [
        (
            {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": BODY},
            "a",
            "chat",
            BODY,
            None,
        ),
        (
            {"custom_id": "a", "url": "/v1/responses", "body": {"x": 1}},
            "a",
            "responses",
            {"x": 1},
            None,
        ),
        ({"url": "/v1/completions", "body": {"x": 1}}, None, "completions", {"x": 1}, None),
        ({"url": "/v1/embeddings", "body": {"x": 1}}, None, "other", {"x": 1}, None),
        (
            {"model": "embed-1", "input": "hi"},
            None,
            "other",
            {"model": "embed-1", "input": "hi"},
            None,
        ),
        (
            {"model": "m", "input": ["a", "b"]},
            None,
            "other",
            {"model": "m", "input": ["a", "b"]},
            None,
        ),
        ({"query": "q", "documents": []}, None, "other", {"query": "q", "documents": []}, None),
        (
            {"model": "m", "prompt": "hi", "suffix": ".", "max_tokens": 3},
            None,
            "completions",
            {"model": "m", "prompt": "hi", "suffix": ".", "max_tokens": 3},
            None,
        ),
        (
            {"prompt": "hi", "temperature": 0.2, "max_tokens": 3, "label": 1},
            None,
            "prompt",
            {"prompt": "hi", "temperature": 0.2, "max_tokens": 3},
            {"label": 1},
        ),
        ({"custom_id": "a", "params": BODY}, "a", "messages", BODY, None),
        ({"key": "k", "request": {"contents": []}}, "k", "gemini", {"contents": []}, None),
        ({**BODY, "metadata": {"row": 4}}, None, "chat", BODY, {"row": 4}),
        ({"model": "m", "input": "hi"}, None, "responses", {"model": "m", "input": "hi"}, None),
        ({"prompt": "hi"}, None, "prompt", {"prompt": "hi"}, None),
        (
            {"prompt": "hi", "system": "be brief", "label": 1},
            None,
            "prompt",
            {"prompt": "hi", "system": "be brief"},
            {"label": 1},
        ),
        ("hi", None, "prompt", {"prompt": "hi"}, None),
    ],
)
def test_each_shape_is_told_by_its_keys(
    row: Any, custom_id: str | None, shape: str, body: dict[str, Any], metadata: Any
) -> None:
    read_row = parse(row)
    assert isinstance(read_row, Row), read_row
    assert (read_row.shape, read_row.body, read_row.metadata) == (shape, body, metadata)
    assert read_row.custom_id == (custom_id or f"row-{read_row.content}-1")


@each_case(
    ("row", "why"),
    [
        ({"custom_id": "a", "body": BODY}, "url is missing"),
        ({"url": "https://elsewhere/v1", "body": BODY}, "url must be a path"),
        ({"url": "/v1/../admin", "body": BODY}, "url must be a path"),
        ({"url": ["/v1/responses"], "body": BODY}, "url must be a path"),
        ({"url": "/v1/responses", "body": {}, "priority": 1}, "'priority' is no key of this kind"),
        ({"custom_id": "a", "params": {}, "label": 1}, "goes under 'metadata'"),
        ({"url": "/v1/responses", "method": "GET", "body": {}}, "method must be POST"),
        ({"url": "/v1/responses"}, "body is missing"),
        ({"url": "/v1/responses", "body": []}, "body must be an object"),
        ({"custom_id": 5, "params": {}}, "custom_id must be a string"),
        ({"custom_id": "", "params": {}}, "custom_id must be a string"),
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": 5}, "prompt must be"),
        ({"text": "hi"}, "none of the keys"),
        ([1], "not a list"),
        (None, "not null"),
        (5, "not a number"),
    ],
)
def test_what_is_no_row_says_why(row: Any, why: str) -> None:
    bad = parse(row)
    assert isinstance(bad, BadRow)
    assert bad.message.startswith("line 7: ")
    assert why in bad.message


def test_equal_rows_are_told_apart_by_their_order_and_written_alike_is_equal() -> None:
    parser = RowParser()
    lines = [b'{"prompt":"a","system":"s"}', b'{"system": "s", "prompt": "a"}', b'{"prompt":"b"}']
    first, second, other = (parser.parse(line, n) for n, line in enumerate(lines))
    assert first.content == second.content != other.content
    assert first.custom_id == f"row-{first.content}-1"
    assert second.custom_id == f"row-{first.content}-2"
    assert len({first.key, second.key, other.key}) == 3


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf"a"\n"b"\n',
        b'"a"\r\n"b"\r\n',
        b'\n"a"\n\n  \n"b"',
    ],
    ids=["BOM", "CRLF", "blank lines, no last break"],
)
def test_lines_are_read_whatever_ends_them(tmp_path: Path, content: bytes) -> None:
    rows = rows_of(tmp_path / "in.jsonl", content)
    assert [row.body["prompt"] for row in rows if isinstance(row, Row)] == ["a", "b"]


def test_line_separators_of_unicode_do_not_end_lines(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "in.jsonl", '"a\u2028b\x85c"\n'.encode())
    assert [row.body["prompt"] for row in rows if isinstance(row, Row)] == ["a\u2028b\x85c"]


def test_text_is_a_prompt_a_line(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "in.txt", b'say "hi"\n{"prompt": "as it is"}\n\xff\xfe\x00\n'[:-4])
    assert [row.body["prompt"] for row in rows if isinstance(row, Row)] == [
        'say "hi"',
        '{"prompt": "as it is"}',
    ]


def test_text_that_is_not_utf_8_stops_with_its_place(tmp_path: Path) -> None:
    for name in ("in.txt", "in.jsonl", "in.csv"):
        with pytest.raises(ConfigError, match=rf"{name}:2 is not UTF-8: byte 0xe9"):
            rows_of(tmp_path / name, b'"prompt"\n"\xe9t\xe9"\n')


def test_the_first_line_tells_the_format_of_a_file_without_an_ending(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "in", b'{"prompt": "a"}\n')
    assert row == RowParser().parse(b'{"prompt": "a"}', 1)
    (row,) = rows_of(tmp_path / "in2", b"why?\n")
    assert isinstance(row, Row) and row.body == {"prompt": "why?"}
    (row,) = rows_of(tmp_path / "in3", b'{"prompt": "a"}\n', format="text")
    assert isinstance(row, Row) and row.body == {"prompt": '{"prompt": "a"}'}


def test_csv_has_a_column_prompt_and_the_others_are_kept(tmp_path: Path) -> None:
    content = (
        b'custom_id,prompt,label\r\na,"two\nlines, ""quoted""",x\r\n,only,\r\nc,,z\r\nd,e,f,g\r\n'
    )
    two, only, empty, long = rows_of(tmp_path / "in.csv", content)
    assert isinstance(two, Row) and isinstance(only, Row)
    assert (two.custom_id, two.number) == ("a", 3)
    assert (two.body["prompt"], two.metadata) == ('two\nlines, "quoted"', {"label": "x"})
    assert (only.body["prompt"], only.metadata) == ("only", None)
    assert isinstance(empty, BadRow) and "prompt is empty" in empty.message
    assert isinstance(long, BadRow) and "more fields" in long.message


def test_a_field_of_a_csv_file_may_be_as_long_as_a_line(tmp_path: Path) -> None:
    content = b'prompt,n\n"' + b"long\n" * 100_000 + b'",1\nshort,2\n'
    long, short = rows_of(tmp_path / "in.csv", content)
    assert isinstance(long, Row) and isinstance(short, Row)
    assert len(long.body["prompt"]) == 500_000
    assert (short.body, short.metadata) == ({"prompt": "short"}, {"n": "2"})


def test_csv_without_the_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column 'prompt'; its columns are question"):
        rows_of(tmp_path / "in.csv", b"question\nwhy?\n")


def test_utf_16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="UTF-16"):
        rows_of(tmp_path / "in.jsonl", '{"prompt": "a"}'.encode("utf-16"))


def test_stdin_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b'"a"\n"b"\n')

    monkeypatch.setattr("sys.stdin", Stdin)
    source = Source("-")
    assert len(list(source.rows())) == len(list(source.rows())) == 2
    source.close()


def test_an_iterable_is_taken_once(tmp_path: Path) -> None:
    source = Source(row for row in [{"prompt": "a"}, "b"])
    assert len(list(source.rows())) == len(list(source.rows())) == 2
    source.close()
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        Source([{"prompt": {1, 2}.__iter__()}])


def test_bad_lines_become_error_rows_with_their_number_and_the_run_goes_on(tmp_path: Path) -> None:
    input = tmp_path / "in.jsonl"
    with open(input, "wb") as file:
        file.write(b'\xef\xbb\xbf{"prompt": "one", "model": "m"}\r\n')
        file.write(b"not json\r\n")
        file.write(b'{"prompt": "' + b"x" * 40_000_000 + b'"}\n')
        file.write(json.dumps({**openai_row("a"), "url": "nothing"}).encode() + b"\n")
        file.write(b'{"custom_id": "b", "url": "/v1/responses", "body": {"input": "hi"}}\n')
        file.write(b'{"torn": \n')
        file.write(b'{"prompt": "two", "model": "m"}')
    output = tmp_path / "out.jsonl"
    with provider() as server:
        summary = run_batch(input, output, server)
        errors = read(tmp_path / "out.errors.jsonl")
        assert (summary.exit_code, summary.done, summary.failed) == (1, 2, 5)
        assert sorted(row["line"] for row in errors) == [2, 3, 4, 5, 6]
        assert "a" in {row["custom_id"] for row in errors}
        assert {row["error"]["code"] for row in errors} == {"invalid_line"}
        assert all(row["error"]["message"].startswith(f"line {row['line']}: ") for row in errors)
        assert run_batch(input, output, server).requests == 0
    assert len(read(tmp_path / "out.errors.jsonl")) == 5
    assert len(server.requests) == 2


def test_prompts_without_a_model_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with provider() as server:
        summary = run_batch(["hi"], tmp_path / "out.jsonl", server)
    assert (summary.exit_code, server.requests) == (2, [])
    assert "give -m MODEL" in str(summary.reason)


@pytest.mark.parametrize(
    ("row", "path", "reply"),
    [
        (
            {"custom_id": "a", "params": {"model": "claude-x", "max_tokens": 9, "messages": []}},
            "/v1/messages",
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-x",
                "content": [{"type": "text", "text": "yes"}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 3, "output_tokens": 4},
            },
        ),
        (
            {"key": "a", "request": {"contents": [], "model": "gemini-x"}},
            "/v1beta/models/gemini-x:generateContent",
            {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": [{"text": "yes"}]},
                        "finishReason": "STOP",
                    }
                ],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4},
            },
        ),
        (
            {"custom_id": "a", "url": "/v1/responses", "body": {"model": "m", "input": "hi"}},
            "/v1/responses",
            {
                "id": "resp_1",
                "object": "response",
                "status": "completed",
                "model": "m",
                "output": [
                    {
                        "type": "message",
                        "id": "msg_1",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "yes", "annotations": []}],
                    }
                ],
                "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            },
        ),
    ],
)
def test_rows_of_every_provider_keep_its_body(
    tmp_path: Path, row: dict[str, Any], path: str, reply: dict[str, Any]
) -> None:
    output = tmp_path / "out.jsonl"
    bases = {"/v1/messages": "", "/v1/responses": "/v1"}

    def handler(peer: Peer) -> None:
        peer.json(json.dumps(reply).encode())

    with provider(handler) as server:
        base_url = server.url + bases.get(path, "/v1beta")
        summary = run_batch([row], output, server, base_url=base_url)
    assert summary.exit_code == 0, read(tmp_path / "out.errors.jsonl")
    assert server.requests[0].path == path
    (line,) = read(output)
    assert line["response"]["body"] == reply
    assert (line["usage"]["input_tokens"], line["usage"]["output_tokens"]) == (3, 4)


def test_an_answer_must_fit_the_schema_or_is_asked_again(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    schema = {"type": "object", "required": ["name"]}
    texts = iter(["no json", '{"nam": 1}', '{"name": "x"}'])
    output = tmp_path / "out.jsonl"
    with provider(lambda peer: peer.json(answer(next(texts)))) as server:
        summary = run_batch([openai_row("a")], output, server, schema=schema)
    assert (summary.exit_code, read(output)[0]["attempts"]) == (0, 3)
    wanted = json.loads(server.requests[0].body)["response_format"]
    assert wanted == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
