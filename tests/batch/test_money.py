"""Money: caps cap, what was paid is kept, and what was kept can be read."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.batch import Price
from tests.batch.support import (
    answer,
    custom_ids,
    ids,
    openai_row,
    provider,
    question,
    read,
    run_batch,
    write_rows,
)
from tests.server import Peer

PRICES = {"m": Price(input=0, output=1000)}  # a tenth of a cent a token


def counting(spent: list[int]) -> Any:
    """A provider whose answers take from 1 to 199 tokens, the later the more."""
    lock = threading.Lock()

    def handler(peer: Peer) -> None:
        with lock:
            tokens = min(1 + len(spent), 199)
            spent.append(tokens)
        usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5}
        if json.loads(peer.request.body).get("stream"):
            choice = {"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}
            events = [{"id": "c", "choices": [choice]}, {"id": "c", "choices": [], "usage": usage}]
            lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
            peer.stream([*lines, b"data: [DONE]\n\n"])
        else:
            peer.json(json.dumps({**json.loads(answer()), "usage": usage}).encode())

    return handler


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("concurrency", [1, pytest.param(50, marks=pytest.mark.slow), 500])
def test_a_cap_is_passed_by_one_row_at_most_also_when_resumed(
    tmp_path: Path, concurrency: int, stream: bool
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(600)))
    spent: list[int] = []
    with provider(counting(spent)) as server:
        for _ in range(3):
            summary = run_batch(
                input, tmp_path / "out.jsonl", server,
                concurrency=concurrency, stream=stream, max_cost=5.0, prices=PRICES,
            )  # fmt: skip
            assert summary.exit_code == 4
            assert sum(spent) / 1000 <= 5.0 + max(spent) / 1000
            assert summary.cost == pytest.approx(sum(spent) / 1000)
    assert sum(spent) / 1000 > 4.7


def test_a_row_asked_again_keeps_what_it_took_before(tmp_path: Path) -> None:
    """Failures that were paid count in later runs, and after --retry-errors."""
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(4)))
    output = tmp_path / "out.jsonl"
    schema = {"type": "object"}
    good = False

    def handler(peer: Peer) -> None:
        peer.json(answer("{}" if good else "no"))

    with provider(handler) as server:
        options: dict[str, Any] = {"schema": schema, "max_attempts": 2, "prices": PRICES}
        first = run_batch(input, output, server, **options)
        assert (first.failed, len(server.requests)) == (4, 8)
        assert first.cost == pytest.approx(8 * 0.02)
        good = True
        second = run_batch(input, output, server, retry_errors=True, **options)
        assert second.cost == pytest.approx(12 * 0.02)
        assert read(tmp_path / "out.errors.jsonl") == []
        third = run_batch(input, output, server, **options)
        assert (third.requests, third.cost) == (0, pytest.approx(12 * 0.02))
        capped = run_batch(input, output, server, max_tokens_total=360, **options)
        assert capped.exit_code == 0  # nothing is left


def test_an_answer_that_does_not_fit_is_kept_with_what_it_took(tmp_path: Path) -> None:
    said = answer("I would rather not")
    with provider(lambda peer: peer.json(said)) as server:
        run_batch(
            [openai_row("a")], tmp_path / "out.jsonl", server, schema={"type": "object"},
            max_attempts=3,
        )  # fmt: skip
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 3
    (line,) = read(tmp_path / "out.errors.jsonl")
    assert line["error"]["code"] == "schema_mismatch"
    assert line["response"]["status_code"] == 200
    assert line["response"]["body"] == json.loads(said)
    assert line["usage"]["total_tokens"] == 30
    assert (line["tokens"], line["attempts"]) == (90, 3)


@pytest.mark.parametrize("text", ['```json\n{"a": 1}\n```', '```\n{"a": 1}```\n', '{"a": 1}'])
def test_json_in_a_fence_is_json(tmp_path: Path, text: str) -> None:
    with provider(lambda peer: peer.json(answer(text))) as server:
        schema = {"type": "object", "required": ["a"]}
        summary = run_batch([openai_row("a")], tmp_path / "out.jsonl", server, schema=schema)
    assert (summary.done, summary.requests) == (1, 1)


def test_the_second_request_is_another_and_says_what_was_wrong(tmp_path: Path) -> None:
    texts = iter(["no", '{"a": 1}'])
    with provider(lambda peer: peer.json(answer(next(texts)))) as server:
        schema = {"type": "object", "required": ["a"]}
        run_batch([openai_row("a")], tmp_path / "out.jsonl", server, schema=schema)
    first, second = server.requests
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    before = json.loads(first.body)["messages"]
    asked, said, told = json.loads(second.body)["messages"]
    assert [asked] == before
    assert said == {"role": "assistant", "content": "no"}
    assert "not JSON" in told["content"] and told["role"] == "user"


@pytest.mark.parametrize(
    "body",
    [
        answer("x").replace(b'"x"', b'"\\ud83d"'),
        answer("x").replace(b'"x"', b'"\xff\xfe"'),
        answer("x").replace(b'"x"', b'"x", "deep": ' + b"[" * 600 + b"]" * 600),
        json.dumps(json.loads(answer("a\u2028b")), ensure_ascii=False, indent=3).encode(),
    ],
    ids=["half a pair", "no UTF-8", "deep", "pretty"],
)
def test_no_answer_is_paid_twice(tmp_path: Path, body: bytes) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(3)))
    output = tmp_path / "out.jsonl"
    with provider(lambda peer: peer.json(body)) as server:
        for _ in range(3):
            assert run_batch(input, output, server, ordered=True).done == 3
    assert len(server.requests) == 3
    assert custom_ids(output) == ids(3)


def test_a_body_that_is_no_json_is_kept_as_it_came(tmp_path: Path) -> None:
    broken = answer("x")[:-9]
    with provider(lambda peer: peer.json(broken)) as server:
        run_batch([openai_row("a")], tmp_path / "out.jsonl", server, max_attempts=1)
    (line,) = read(tmp_path / "out.errors.jsonl")
    assert line["response"]["body"] == broken.decode()


def test_what_is_nearly_json_is_kept_as_json(tmp_path: Path) -> None:
    nearly = answer("x")[:-1] + b', "score": NaN, "note": "a\x01b"}'
    with provider(lambda peer: peer.json(nearly)) as server:
        run_batch([openai_row("a")], tmp_path / "out.jsonl", server, max_attempts=1)
    (line,) = read(tmp_path / "out.jsonl")
    assert line["response"]["body"] == {**json.loads(answer("x")), "score": None, "note": "a\x01b"}


def test_failed_rows_leave_the_errors_file_only_for_another_outcome(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(6)))
    output, errors = tmp_path / "out.jsonl", tmp_path / "out.errors.jsonl"
    bad = set(ids(6))

    def handler(peer: Peer) -> None:
        if question(peer).rpartition(" ")[2] in bad:
            peer.json(b"{}", status="400 Bad Request")
        else:
            peer.json(answer())

    with provider(handler) as server:
        run_batch(input, output, server)
        assert sorted(custom_ids(errors)) == ids(6)
        bad = {"r0", "r1"}
        summary = run_batch(input, output, server, retry_errors=True, concurrency=1, limit=3)
        assert (summary.done, summary.failed) == (1, 2)
        assert sorted(custom_ids(errors)) == ["r0", "r1", "r3", "r4", "r5"]
        assert custom_ids(output) == ["r2"]
        bad = set()
        assert run_batch(input, output, server, retry_errors=True).exit_code == 0
    assert (errors.read_bytes(), sorted(custom_ids(output))) == (b"", ids(6))


def test_a_run_that_died_before_it_tidied_up_is_tidied_by_the_next(tmp_path: Path) -> None:
    """The answer is written, and the failure before it still there: it goes, what it cost stays."""
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(2)))
    output, errors = tmp_path / "out.jsonl", tmp_path / "out.errors.jsonl"
    text = "no"
    options: dict[str, Any] = {"schema": {"type": "object"}, "max_attempts": 1, "prices": PRICES}
    with provider(lambda peer: peer.json(answer(text))) as server:
        run_batch(input, output, server, **options)
        before = errors.read_bytes()
        manifest = (tmp_path / "out.jsonl.manifest.json").read_bytes()
        text = "{}"
        run_batch(input, output, server, retry_errors=True, **options)
        errors.write_bytes(before + before)
        (tmp_path / "out.jsonl.manifest.json").write_bytes(manifest)
        summary = run_batch(input, output, server, **options)
    assert errors.read_bytes() == b""
    assert (summary.done, summary.requests) == (2, 0)
    assert summary.cost == pytest.approx((2 + 2 + 2) * 0.02)
