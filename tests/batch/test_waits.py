"""Every wait has a bound and a word, and holds up nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.batch import flow, waiting
from engine.transport import gate
from tests.batch.support import (
    answer,
    custom_ids,
    ids,
    openai_row,
    provider,
    read,
    run_batch,
    write_rows,
)
from tests.server import Peer

REFUSED = b'{"error": {"message": "slow down", "type": "rate_limit_error"}}'


def of(model: str, names: list[str]) -> list[dict[str, Any]]:
    rows = [openai_row(name) for name in names]
    for row in rows:
        row["body"]["model"] = model
    return rows


def refusing(model: str, status: str, body: bytes = REFUSED, headers: str = "") -> Any:
    def handler(peer: Peer) -> None:
        if json.loads(peer.request.body)["model"] == model:
            peer.json(body, status=status, headers=headers)
        else:
            peer.json(answer())

    return handler


@pytest.mark.parametrize("order", ["first", "last", "mixed"])
def test_one_models_401_stops_its_own_rows_alone(tmp_path: Path, order: str) -> None:
    bad, good = of("bad", [f"b{n}" for n in range(20)]), of("good", ids(180))
    rows = {
        "first": bad + good,
        "last": good + bad,
        "mixed": [row for n in range(20) for row in (bad[n], *good[9 * n : 9 * n + 9])],
    }[order]
    handler = refusing("bad", "401 Unauthorized", b'{"error": {"message": "wrong key"}}')
    with provider(handler) as server:
        summary = run_batch(rows, tmp_path / "out.jsonl", server)
        asked = sum(json.loads(r.body)["model"] == "bad" for r in server.requests)
    assert (summary.done, summary.failed, summary.left, summary.exit_code) == (180, 0, 20, 3)
    assert asked <= 8
    assert "check OPENAI_API_KEY" in str(summary.reason)


def test_one_models_429s_hold_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row for n in range(40) for row in (of("busy", [f"b{n}"]) + of("free", [f"f{n}"]))]
    handler = refusing("busy", "429 Slow", headers="retry-after: 7200\r\n")
    notices: list[str] = []
    with provider(handler) as server:
        summary = run_batch(
            rows, tmp_path / "out.jsonl", server, notices, concurrency=4, max_wait=60
        )
    assert (summary.done, summary.left, summary.exit_code) == (40, 40, 3)
    assert "asks to wait 2 h, longer than max_wait (60.0 s)" in str(summary.reason)


def test_a_wait_of_a_day_is_said_before_it_is_obeyed(tmp_path: Path) -> None:
    from engine.batch import Batch, Options
    from engine.transport.multi import Multi

    notices: list[str] = []
    handler = refusing("m", "429 Slow", headers="retry-after: 86400\r\n")
    with provider(handler) as server, Multi() as multi:
        options = Options(base_url=f"{server.url}/v1")
        rows = map(openai_row, ids(3))
        batch = Batch(multi, rows, tmp_path / "o", options, on_notice=notices.append).start()
        while not any("asks to wait 1 d" in notice for notice in notices):
            multi.poll(0.05)
        assert batch.progress().held > 86_000
        batch.cancel()
        multi.run()
    assert batch.summary is not None and batch.summary.exit_code == 130


@pytest.mark.parametrize("how", ["interrupted", "lost", "cut", "refused", "answered"])
def test_what_was_sent_and_brought_no_whole_answer_is_counted(tmp_path: Path, how: str) -> None:
    from engine.batch import Batch, Options
    from engine.batch.showing.progress import summary_lines
    from engine.transport.multi import Multi

    def handler(peer: Peer) -> None:
        if how == "interrupted":
            peer.wait_closed()
        elif how == "lost":
            peer.reset()
        elif how == "refused":
            peer.json(b'{"error": {"message": "no such thing"}}', status="422 No")
        else:
            peer.json(answer()[: 20 if how == "cut" else None], headers="Connection: close\r\n")

    with provider(handler) as server, Multi() as multi:
        options = Options(base_url=f"{server.url}/v1", max_attempts=1)
        rows = map(openai_row, ids(3))
        batch = Batch(multi, rows, tmp_path / "o", options).start()
        while how == "interrupted" and len(server.requests) < 3:
            multi.poll(0.05)
        if how == "interrupted":
            batch.cancel()
        multi.run()
        summary = batch.summary
        assert summary is not None
        doubtful = how not in ("refused", "answered")
        assert summary.unanswered == (len(server.requests) if doubtful else 0) >= 3 * doubtful
    said = [line for line in summary_lines(summary) if "may be billed" in line]
    assert len(said) == doubtful and all(
        f"{summary.unanswered} brought no" in line for line in said
    )


@pytest.mark.slow
def test_the_last_row_that_is_refused_for_ever_ends_after_its_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "_MAX_DELAY", 0.01)
    monkeypatch.setattr(gate, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(gate, "_LONGEST_WAIT", 0.01)

    def handler(peer: Peer) -> None:
        if b"too long" in peer.request.body:
            peer.json(REFUSED, status="429 Too Many Requests", headers="retry-after-ms: 1\r\n")
        else:
            peer.json(answer())

    for name, rows in (
        ("last", [*map(openai_row, ids(5)), openai_row("big", "too long")]),
        ("only", [openai_row("big", "too long")]),
    ):
        with provider(handler) as server:
            summary = run_batch(rows, tmp_path / name, server)
        assert summary.errors == {"RATE_LIMIT": 1}
        assert len(server.requests) <= len(rows) + 25


def test_a_404_on_every_row_stops_after_a_few_with_the_servers_words(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(200)))
    body = b'{"error": {"message": "the model m does not exist"}}'
    output = tmp_path / "out.jsonl"
    with provider(lambda peer: peer.json(body, status="404 Not Found")) as server:
        summary = run_batch(input, output, server)
        assert (summary.exit_code, summary.failed) == (3, 0)
        assert "the model m does not exist" in str(summary.reason)
        assert len(server.requests) <= 16
    with provider() as server:  # nothing was given up
        assert run_batch(input, output, server, force=True).done == 200


@pytest.mark.parametrize("count", [1, 4])
def test_few_rows_that_all_are_404_failed_each(tmp_path: Path, count: int) -> None:
    with provider(lambda peer: peer.json(b"{}", status="404 Not Found")) as server:
        summary = run_batch(map(openai_row, ids(count)), tmp_path / "out.jsonl", server)
    assert (summary.exit_code, summary.errors) == (1, {"NOT_FOUND": count})
    assert sorted(custom_ids(tmp_path / "out.errors.jsonl")) == ids(count)


def test_a_server_that_nobody_reaches_ends_the_run_and_gives_no_row_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "_MAX_DELAY", 0.01)
    monkeypatch.setattr(gate, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(gate, "_LONGEST_WAIT", 0.01)
    with provider() as server:
        pass  # its port is free again
    summary = run_batch(map(openai_row, ids(50)), tmp_path / "out.jsonl", server)
    assert (summary.exit_code, summary.failed, summary.left) == (3, 0, 50)
    assert "connect" in str(summary.reason)
    assert summary.requests <= 30


def test_silence_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_QUIET", 0.2)
    monkeypatch.setattr(flow, "_MAX_DELAY", 0.05)
    monkeypatch.setattr(gate, "_FIRST_WAIT", 0.05)
    monkeypatch.setattr(gate, "_LONGEST_WAIT", 0.05)
    body = b'{"error": {"message": "sorry"}}'
    with provider(lambda peer: peer.json(body, status="500 Oops")) as server:
        summary = run_batch(
            map(openai_row, ids(500)), tmp_path / "out.jsonl", server, max_attempts=50
        )
    assert summary.exit_code == 3
    assert "nothing was answered for" in str(summary.reason) and "sorry" in str(summary.reason)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [64, 256])
def test_few_descriptors_are_said_and_lived_with(tmp_path: Path, limit: int) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(400)))
    command = [sys.executable, "-m", "engine", "batch", str(input), "-o", str(tmp_path / "o")]
    with provider() as server:
        script = f'ulimit -n {limit}; exec "$@"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command, "--base-url", f"{server.url}/v1",
             "--concurrency", "300", "--progress", "plain"],
            capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": ""},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "descriptors for" in done.stderr and "ulimit -n" in done.stderr
    assert len(read(tmp_path / "o")) == 400
