"""What is left to do is told once; the second pass reads no more than that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.batch.keeping.plan import Past, Plan
from engine.batch.reading.rows import Reading, RowParser
from engine.batch.reading.source import Source
from tests.batch.support import answer, custom_ids, provider, question, run_batch, write_rows
from tests.server import Peer


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


NAMED = [{"custom_id": f"r{n}", "prompt": f"p{n}"} for n in range(6)]
SAME = [{"prompt": "again"} for _ in range(6)]
MIXED = [NAMED[0], SAME[0], NAMED[1], SAME[1], SAME[2], NAMED[2]]


def planned(path: Path, done: set[int], samples: int = 1) -> tuple[Plan, Past, Source]:
    source = Source(path, None, Reading(samples=samples))
    past, plan = Past(), Plan()
    for place, row in enumerate(source.rows()):
        if place in done:
            line = json.dumps({"custom_id": row.custom_id, "error": None}).encode()
            list(past.read("out", iter([(1, line)])))
    list(plan.take(source, past, lambda row: True, lambda row: None, False, None))
    return plan, past, source


@pytest.mark.parametrize("rows", [NAMED, SAME, MIXED], ids=["named", "the same", "mixed"])
@pytest.mark.parametrize("done", [set(), {0}, {1, 3}, {0, 1, 2, 3, 4}, {5}, set(range(6))])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_the_second_pass_gives_what_is_left_whatever_was_done(
    tmp_path: Path, rows: list[Any], done: set[int], samples: int, ending: str
) -> None:
    path = tmp_path / f"in.{ending}"
    path.write_text(json.dumps(rows) if ending == "json" else lines(rows))
    plan, past, source = planned(path, done, samples)
    wanted = [r.custom_id for n, r in enumerate(source.rows()) if n not in done]
    again = [row.custom_id for row in plan.again(source, None) if past.wanted(row, False)]
    source.close()
    assert again == wanted
    assert plan.left == len(wanted)


def test_what_is_done_is_not_read_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(lines(NAMED))
    plan, _, source = planned(path, {0, 1, 2, 4, 5})
    read: list[int] = []
    parse = RowParser.parse

    def noted(self: RowParser, line: bytes, number: int) -> Any:
        read.append(number)
        return parse(self, line, number)

    monkeypatch.setattr(RowParser, "parse", noted)
    assert [row.custom_id for row in plan.again(source, None)] == ["r3"]
    assert read == [4]
    source.close()
    whole, _, source = planned(path, set(range(6)))
    read.clear()
    assert list(whole.again(source, None)) == []
    assert not read
    source.close()
    path.write_text(lines(SAME))
    whole, _, source = planned(path, set(range(6)))
    read.clear()
    assert list(whole.again(source, None)) == []
    assert not read
    source.close()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_rows_that_are_left_are_asked_with_a_limit(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"in.{ending}"
    if ending == "csv":
        path.write_text("custom_id,prompt\n" + "".join(f'r{n},"p\n{n}"\n' for n in range(6)))
    else:
        write_rows(path, NAMED)
    output = tmp_path / "out.jsonl"
    asked: list[str] = []

    def handler(peer: Peer) -> None:
        asked.append(question(peer))
        peer.json(answer())

    with provider(handler) as server:
        run_batch(path, output, server, limit=2, model="m")
        run_batch(path, output, server, limit=4, model="m")
        run_batch(path, output, server, model="m")
    assert sorted(custom_ids(output)) == [f"r{n}" for n in range(6)]
    assert len(asked) == 6
