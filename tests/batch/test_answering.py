"""`for answer in batch.answers(…)`, a callback, and tables: how programs take what comes."""

from __future__ import annotations

import asyncio
import csv
import subprocess
import sys
from pathlib import Path

import pytest

from engine import batch
from engine.batch import Answer, Options
from engine.errors import CallbackError, ConfigError, EngineError, ResourceError
from tests.batch.support import (
    answer,
    custom_ids,
    ids,
    openai_row,
    provider,
    question,
    run_batch,
    write_rows,
)
from tests.cases import each_case
from tests.server import Peer, Server


def options(server: Server, **given: object) -> Options:
    return Options(base_url=f"{server.url}/v1", concurrency=4, **given)  # type: ignore[arg-type]


def echo(peer: Peer) -> None:
    if question(peer).endswith("r1"):
        peer.json(b'{"error": {"message": "no"}}', status="400 Bad")
    else:
        peer.json(answer(question(peer)))


def test_every_row_is_given_once_with_its_text(tmp_path: Path) -> None:
    rows = [{**openai_row(name), "metadata": {"n": name}} for name in ids(20)]
    with provider(echo) as server:
        found = {each.custom_id: each for each in batch.answers(rows, None, options(server))}
    assert sorted(found) == sorted(ids(20))
    assert found["r7"].text == "question r7" and found["r7"].metadata == {"n": "r7"}
    assert found["r7"].usage is not None and found["r7"].usage.total_tokens == 30
    assert found["r7"].body["object"] == "chat.completion"
    bad = found["r1"]
    assert bad.error is not None and (bad.error.category, bad.text) == ("INVALID_ARG", "")


def test_to_leave_the_loop_stops_and_the_next_loop_gives_all(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(40)))
    output = tmp_path / "out.jsonl"
    with provider(echo) as server:
        for number, _ in enumerate(batch.answers(input, output, options(server)), 1):
            if number == 5:
                break
        asked = len(server.requests)
        assert asked < 20
        again = [each.custom_id for each in batch.answers(input, output, options(server))]
    assert sorted(again) == sorted(ids(40))
    assert len(server.requests) <= 40 + 4


def test_what_is_asked_again_is_given_once(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with provider(echo) as server:
        run_batch(map(openai_row, ids(3)), output, server)
        again = options(server, retry_errors=True)
        found = list(batch.answers(map(openai_row, ids(3)), output, again))
    assert sorted(each.custom_id for each in found) == ids(3)


def test_a_run_that_stops_raises_after_its_answers(tmp_path: Path) -> None:
    refusing = provider(lambda peer: peer.json(b"{}", status="401 Unauthorized"))
    with refusing as server, pytest.raises(EngineError, match="OPENAI_API_KEY"):
        list(batch.answers(["a"], None, options(server, model="m")))
    with provider() as server:
        found = []
        with pytest.raises(ResourceError, match="max_tokens_total"):
            for each in batch.answers(
                map(openai_row, ids(9)), None, options(server, max_tokens_total=90)
            ):
                found.append(each)
    assert len(found) == 3


def test_a_callback_is_called_once_for_each_row_after_it_was_written(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    seen: list[Answer] = []

    def note(each: Answer) -> None:
        assert each.error is not None or each.custom_id in custom_ids(output)
        seen.append(each)

    with provider(echo) as server:
        rows = map(openai_row, ids(9))
        summary = batch.run(rows, output, options(server), on_answer=note)
    assert (summary.done, sorted(each.custom_id for each in seen)) == (8, ids(9))


def test_a_callback_that_raises_stops_and_nothing_is_lost(tmp_path: Path) -> None:
    def fail(each: Answer) -> None:
        raise ZeroDivisionError("oops")

    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(30)))
    output = tmp_path / "out.jsonl"
    with provider() as server:
        summary = batch.run(input, output, options(server), on_answer=fail)
        assert isinstance(summary.error, CallbackError)
        assert isinstance(summary.error.__cause__, ZeroDivisionError)
        assert len(custom_ids(output)) >= 1
        batch.run(input, output, options(server))
    assert sorted(custom_ids(output)) == sorted(ids(30))


def test_run_blocks_inside_a_running_loop(tmp_path: Path) -> None:
    async def main(server: Server) -> int:
        return batch.run(["a"], tmp_path / "o", options(server, model="m")).done

    with provider() as server:
        assert asyncio.run(main(server)) == 1


@each_case(
    ("body", "text"),
    [
        ({"choices": [{"message": {"content": "a"}}]}, "a"),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}, "a"),
        ({"choices": [{"text": "a"}]}, "a"),
        ({"choices": []}, ""),
        ({"content": [{"type": "thinking", "thinking": "b"}, {"type": "text", "text": "a"}]}, "a"),
        ({"candidates": [{"content": {"parts": [{"text": "b", "thought": True}, {"text": "a"}]}}]},
         "a"),
        ({"output": [{"type": "reasoning"}, {"type": "message", "content": [{"text": "a"}]}]}, "a"),
        ({"message": {"role": "assistant", "content": "a"}}, "a"),
        ({"response": "a"}, "a"),
        ({"data": [{"embedding": [1.0]}]}, ""),
        ("a transcript", "a transcript"),
        (None, ""),
        ({"choices": 5, "candidates": 7, "output": {"x": 1}}, ""),
    ],
)  # fmt: skip
def test_the_text_of_each_format_is_found(body: object, text: str) -> None:
    from engine.batch.answer import text_of

    assert text_of(body) == text


@pytest.mark.parametrize(
    "suffix", [".csv", pytest.param(".tsv", marks=pytest.mark.slow), ".parquet"]
)
def test_a_table_has_a_row_for_each_outcome(tmp_path: Path, suffix: str) -> None:
    rows = [
        {**openai_row(name), "metadata": {"label": n, "text": "x"}} for n, name in enumerate(ids(3))
    ]
    input = write_rows(tmp_path / "in.jsonl", rows)
    table = tmp_path / f"out{suffix}"
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    with provider(echo) as server:
        done = subprocess.run(
            [sys.executable, "-m", "engine", "batch", str(input), "-o", str(tmp_path / "o.jsonl"),
             "--base-url", f"{server.url}/v1", "--table", str(table), "--ordered"],
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    if suffix == ".parquet":
        import pyarrow.parquet

        found = pyarrow.parquet.read_table(table).to_pylist()
    else:
        with open(table, newline="") as file:
            found = list(csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ","))
    good, other, bad = found
    assert (good["custom_id"], good["text"], str(good["input_tokens"])) == (
        "r0",
        "question r0",
        "10",
    )
    assert (other["custom_id"], other["label"]) == ("r2", "2")
    assert (bad["custom_id"], bad["text"] or "") == ("r1", "") and "no" in bad["error"]


def test_a_table_that_cannot_be_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    from engine.batch.showing.table import check_table

    for path in (tmp_path / "out.xlsx", tmp_path / "no" / "out.csv"):
        with pytest.raises(ConfigError):
            check_table(path)


def test_a_column_called_as_one_of_ours_is_in_the_table_too(tmp_path: Path) -> None:
    from engine.batch.answer import answer_of
    from engine.batch.showing.table import write_table

    lines = [
        b'{"custom_id":"a","response":null,"error":null,"metadata":{"text":"asked","label":1}}',
        b'{"custom_id":"b","response":null,"error":null,"metadata":{"cost":5}}',
        b'{"custom_id":"c","response":null,"error":null,"metadata":"plain"}',
    ]
    table = tmp_path / "t.csv"
    write_table(table, lambda: map(answer_of, lines))
    with open(table, newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["given_text"] for row in found] == ["asked", "", ""]
    assert [row["given_cost"] for row in found] == ["", "5", ""]
    assert [row["label"] for row in found] == ["1", "", ""]
    assert [row["metadata"] for row in found] == ["", "", "plain"]
    assert [row["text"] for row in found] == ["", "", ""]
