"""A batch from its input to its files."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.batch import Batch, Options, Price, flow, load_prices
from engine.batch.estimate import estimate
from engine.batch.keeping import order
from engine.batch.keeping.merge import merge
from engine.errors import ConfigError, ResourceError
from engine.transport.multi import Multi
from tests.batch.support import (
    USAGE,
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


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def errors_of(output: Path) -> list[dict[str, Any]]:
    return read(output.with_suffix(".errors.jsonl"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_answers_that_are_cut_off_are_done_and_told(tmp_path: Path, stream: bool) -> None:
    """Of a model that thinks up to its limit nothing at all may be left (wippyai/framework#115)."""
    reasons = {"a": "stop", "b": "length", "c": "content_filter", "d": "length"}

    def handler(peer: Peer) -> None:
        name = json.loads(peer.request.body)["messages"][0]["content"].rpartition(" ")[2]
        peer.json(answer("" if name == "b" else "Some", reasons[name]))

    rows = [openai_row(name, f"say {name}") for name in reasons]
    with provider(handler) as server:
        summary = run_batch(rows, tmp_path / "out.jsonl", server, stream=stream)
    assert (summary.done, summary.exit_code) == (4, 0)
    assert summary.partial == {"LENGTH": 2, "CONTENT_FILTER": 1}


def test_an_output_row_is_openais_with_facts_beside(output: Path) -> None:
    row = {**openai_row("a"), "metadata": {"label": 3}}
    with provider(lambda peer: peer.json(answer(), headers="x-request-id: req_1\r\n")) as server:
        summary = run_batch([row], output, server, prices={"m": Price(input=1.0, output=2.0)})
    (line,) = read(output)
    assert line["id"].startswith("batch_req_")
    assert line["custom_id"] == "a"
    assert line["response"] == {
        "status_code": 200,
        "request_id": "req_1",
        "body": json.loads(answer()),
    }
    assert line["error"] is None
    assert line["usage"] == {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
    assert line["attempts"] == 1
    assert line["finish_reason"] == "STOP"
    assert line["cost"] == pytest.approx(50e-6)
    assert line["metadata"] == {"label": 3}
    assert line["timing"]["e2e_ms"] >= line["timing"]["first_byte_ms"] > 0
    assert summary.exit_code == 0
    assert summary.output_tokens == USAGE["completion_tokens"]


def test_a_body_goes_through_unchanged_but_for_what_options_set(output: Path) -> None:
    row = openai_row("a")
    row["body"] |= {"logit_bias": {"5": 1}, "temperature": 1, "vendor_thing": [1, {"x": None}]}
    with provider() as server:
        run_batch([row], output, server, body={"temperature": 0}, model="other")
    sent = json.loads(server.requests[0].body)
    assert sent == {**row["body"], "temperature": 0, "model": "other"}


def test_an_answer_over_several_lines_takes_one(output: Path) -> None:
    pretty = json.dumps(json.loads(answer()), indent=2).encode()
    with provider(lambda peer: peer.json(pretty)) as server:
        run_batch([openai_row("a")], output, server)
    assert read(output)[0]["response"]["body"] == json.loads(pretty)


def test_a_finished_batch_asks_nothing_again(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(5)))
    with provider() as server:
        run_batch(input, output, server)
        before = output.read_bytes()
        summary = run_batch(input, output, server)
    assert len(server.requests) == 5
    assert output.read_bytes() == before
    assert (summary.done, summary.begun, summary.requests) == (5, 5, 0)


def test_an_edited_input_is_matched_by_id_and_the_differences_are_told(
    tmp_path: Path, output: Path
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(4)))
    notices: list[str] = []
    with provider() as server:
        run_batch(input, output, server)
        changed = [openai_row("r3"), openai_row("r1", "edited"), openai_row("new")]
        write_rows(input, [*changed, openai_row("r0")])
        run_batch(input, output, server, notices)
    assert custom_ids(output)[4:] == ["new"]
    assert len(server.requests) == 5
    assert any("1 rows were edited" in notice and "(lines 2)" in notice for notice in notices)
    assert any("1 rows of the output are not in" in notice for notice in notices)


def test_equal_rows_without_ids_are_all_asked_and_stay_done(tmp_path: Path, output: Path) -> None:
    input = tmp_path / "prompts.txt"
    input.write_text("same\nsame\n\nother\nsame\n")
    with provider() as server:
        run_batch(input, output, server, model="m")
        assert len(server.requests) == 4
        input.write_text("new\nother\nsame\nsame\nsame\n")
        run_batch(input, output, server, model="m")
    assert [question(peer_of(request)) for request in server.requests[4:]] == ["new"]
    assert len(set(custom_ids(output))) == 5


def peer_of(request: Any) -> Any:
    class Asked:
        def __init__(self) -> None:
            self.request = request

    return Asked()


def test_ids_that_occur_twice_are_refused_with_their_lines_before_anything_is_asked(
    tmp_path: Path, output: Path
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ["a", "b", "a", "c", "b"]))
    with provider() as server:
        summary = run_batch(input, output, server)
    assert summary.exit_code == 2
    assert "'a' (lines 1 and 3), 'b' (lines 2 and 5)" in str(summary.reason)
    assert server.requests == []


def test_another_run_is_refused_unless_forced(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(2)))
    with provider() as server:
        run_batch(input, output, server, limit=1)
        with pytest.raises(ConfigError, match=r'model was null, is now "other".*--force'):
            run_batch(input, output, server, model="other")
        run_batch(input, output, server, model="other", force=True)
    assert [json.loads(request.body)["model"] for request in server.requests] == ["m", "other"]


def test_a_file_no_batch_wrote_is_left_alone(output: Path) -> None:
    output.write_text("precious, without a line break")
    with provider() as server, pytest.raises(ConfigError, match="no batch wrote it"):
        run_batch([openai_row("a")], output, server)
    assert output.read_text() == "precious, without a line break"
    notes = output.with_name("notes.txt")
    output.rename(notes)
    with provider() as server:
        with pytest.raises(ConfigError, match=r"notes\.txt exists and no batch wrote it"):
            run_batch([openai_row("a")], output, server, errors=notes)
        assert notes.read_text() == "precious, without a line break"
        run_batch([openai_row("a")], notes, server, force=True)
    assert notes.read_text().startswith("precious, without a line break\n{")


def test_input_and_output_may_not_be_one_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [openai_row("a")])
    with provider() as server, pytest.raises(ConfigError, match="the same file"):
        run_batch(path, path, server)


def test_an_output_that_is_no_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for output in (tmp_path, pipe, Path(os.devnull)):
        with Multi() as multi, pytest.raises(ConfigError, match="is not a file; give a file, or -"):
            Batch(multi, ["a"], output)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_second_runner_leaves_with_the_first_ones_pid(output: Path) -> None:
    with provider() as server, Multi() as multi:
        options = Options(base_url=f"{server.url}/v1")
        first = Batch(multi, [openai_row("a")], output, options)
        program = "import sys; from engine.batch import run\nrun([], sys.argv[1])"
        second = subprocess.run(
            [sys.executable, "-c", program, str(output)], capture_output=True, text=True
        )
        assert f"(pid {os.getpid()})" in second.stderr
        first.start()
        multi.run()
        assert first.summary is not None and first.summary.exit_code == 0
        again = Batch(multi, [openai_row("a")], output, options)
        again.cancel()


@pytest.mark.parametrize(
    ("status", "category"), [("400 Bad Request", "INVALID_ARG"), ("404 Not Found", "NOT_FOUND")]
)
def test_a_refused_row_goes_to_the_errors_file_with_its_category(
    output: Path, status: str, category: str
) -> None:
    body = b'{"error": {"message": "no good", "type": "invalid_request_error", "code": null}}'

    def handler(peer: Peer) -> None:
        if question(peer).endswith("bad"):
            peer.json(body, status=status)
        else:
            peer.json(answer())

    with provider(handler) as server:
        summary = run_batch([openai_row("bad"), openai_row("good")], output, server)
    assert summary.exit_code == 1
    assert custom_ids(output) == ["good"]
    (line,) = errors_of(output)
    assert line["custom_id"] == "bad"
    assert line["error"]["category"] == category
    assert line["response"]["status_code"] == int(status[:3])
    assert line["response"]["body"] == json.loads(body)


def test_failed_rows_are_asked_again_only_when_told_to(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(3)))
    broken = True

    def handler(peer: Peer) -> None:
        if broken and question(peer).endswith("r1"):
            peer.json(b"{}", status="400 Bad Request")
        else:
            peer.json(answer())

    with provider(handler) as server:
        run_batch(input, output, server)
        broken = False
        assert run_batch(input, output, server).exit_code == 1
        assert len(server.requests) == 3
        assert run_batch(input, output, server, retry_errors=True).exit_code == 0
    assert len(server.requests) == 4
    assert sorted(custom_ids(output)) == ids(3)
    assert errors_of(output) == []


def test_failures_of_the_server_are_tried_again_with_one_idempotency_key(output: Path) -> None:
    seen: dict[str, list[str]] = {}

    def handler(peer: Peer) -> None:
        keys = seen.setdefault(question(peer), [])
        keys.append(peer.request.headers["idempotency-key"])
        if len(keys) < 3:
            peer.json(b"{}", status="503 Service Unavailable", headers="retry-after-ms: 1\r\n")
        else:
            peer.json(answer())

    with provider(handler) as server:
        summary = run_batch(map(openai_row, ids(3)), output, server)
    assert summary.exit_code == 0
    assert [len(keys) for keys in seen.values()] == [3, 3, 3]
    assert all(len(set(keys)) == 1 for keys in seen.values())
    assert len({keys[0] for keys in seen.values()}) == 3
    assert {row["attempts"] for row in read(output)} == {3}


def test_the_idempotency_key_of_a_row_outlives_the_process(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", [openai_row("a")])
    with provider() as server:
        run_batch(input, output, server)
        output.write_bytes(b"")
        run_batch(input, output, server)
        run_batch(input, tmp_path / "other.jsonl", server)
    first, second, other = (request.headers["idempotency-key"] for request in server.requests)
    assert first == second != other


def test_attempts_end_and_the_last_error_is_kept(output: Path) -> None:
    body = b'{"error": {"message": "sorry"}}'
    with provider(
        lambda peer: peer.json(body, status="500 Oops", headers="retry-after-ms: 1\r\n")
    ) as server:
        summary = run_batch([openai_row("a")], output, server, max_attempts=2)
    assert len(server.requests) == 2
    assert summary.errors == {"SERVER": 1}
    assert errors_of(output)[0]["attempts"] == 2


def test_refusals_for_reasons_of_rate_do_not_use_up_attempts(output: Path) -> None:
    def handler(peer: Peer) -> None:
        if len(server.requests) < 6:
            peer.json(b"{}", status="429 Slow", headers="retry-after-ms: 1\r\n")
        else:
            peer.json(answer())

    with provider(handler) as server:
        # The fourth refusal in a row without any answer waits longest: 1 s at first.
        server.requests.extend([peer_request()] * 4)
        summary = run_batch([openai_row("a")], output, server, max_attempts=1)
    assert summary.exit_code == 0
    assert summary.refused == 1


def peer_request() -> Any:
    from tests.server import Request

    return Request("POST", "/", {}, b"")


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        ("401 Unauthorized", b'{"error": {"message": "wrong key"}}', "check OPENAI_API_KEY"),
        (
            "429 Too Many Requests",
            b'{"error": {"message": "quota", "code": "insufficient_quota"}}',
            "add credit",
        ),
    ],
)
def test_what_every_row_would_fail_of_stops_the_run_at_once(
    tmp_path: Path, output: Path, status: str, body: bytes, advice: str
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(200)))
    with provider(lambda peer: peer.json(body, status=status)) as server:
        summary = run_batch(input, output, server)
        assert summary.exit_code == 3
        assert advice in str(summary.reason)
        assert len(server.requests) <= 8
        assert errors_of(output) == []
    with provider() as server:  # nothing was given up
        run_batch(input, output, server, force=True)
    assert sorted(custom_ids(output)) == sorted(ids(200))


def test_a_403_after_answers_is_about_its_row(output: Path) -> None:
    def handler(peer: Peer) -> None:
        if question(peer).endswith("r1"):
            peer.json(b'{"error": {"message": "not you"}}', status="403 Forbidden")
        else:
            peer.json(answer())

    with provider(handler) as server:
        summary = run_batch(map(openai_row, ids(3)), output, server, concurrency=1)
    assert (summary.done, summary.errors) == (2, {"AUTH": 1})


def test_a_budget_stops_the_run_and_a_larger_one_goes_on(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(20)))
    prices = {"m": Price(input=0, output=1_000_000 / 20)}  # a dollar a row
    with provider() as server:
        summary = run_batch(input, output, server, concurrency=2, max_cost=7.5, prices=prices)
        assert summary.exit_code == 4
        assert "max_cost" in str(summary.reason)
        assert (summary.done, summary.cost) == (7, 7.0)
        summary = run_batch(input, output, server, max_tokens_total=300)
        assert (summary.exit_code, summary.done) == (4, 10)
        assert run_batch(input, output, server).exit_code == 0
    assert len(server.requests) == 20


def test_a_model_without_a_price_is_refused_where_there_is_a_most_to_spend(output: Path) -> None:
    with provider() as server:
        prices = {"other": Price(input=1, output=1)}
        summary = run_batch([openai_row("a")], output, server, max_cost=1, prices=prices)
    assert (summary.exit_code, server.requests) == (2, [])
    assert "no price for the model 'm'" in str(summary.reason)


def test_answers_without_usage_count_by_estimate(tmp_path: Path, output: Path) -> None:
    silent = json.loads(answer())
    del silent["usage"]
    with provider(lambda peer: peer.json(json.dumps(silent).encode())) as server:
        rows = map(openai_row, ids(20))
        summary = run_batch(rows, output, server, concurrency=1, max_tokens_total=100)
    assert summary.exit_code == 4
    assert 0 < summary.done < 20


def test_prices_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input": 1, "output": 4, "cached": 0.5}}')
    assert load_prices(path) == {"m": Price(input=1, output=4, cached=0.5)}
    path.write_text('{"m": {"in": 1}}')
    with pytest.raises(ConfigError, match="USD a million tokens"):
        load_prices(path)


def test_ordered_output_is_in_the_order_of_the_input(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(30)))
    late = threading.Event()

    def handler(peer: Peer) -> None:
        if question(peer).endswith(" r0"):
            late.wait(5)
        elif question(peer).endswith(" r29"):
            late.set()
        peer.json(answer())

    with provider(handler) as server:
        assert run_batch(input, output, server, ordered=True).exit_code == 0
    assert custom_ids(output) == ids(30)


def test_a_disk_too_full_to_order_the_output_leaves_it_whole(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(5)))
    with provider() as server:
        with monkeypatch.context() as patch:
            patch.setattr(order, "_copy", full)
            summary = run_batch(input, output, server, ordered=True)
        assert (summary.done, summary.exit_code) == (5, 3)
        assert "make room for another file of its size" in (summary.reason or "")
        assert sorted(custom_ids(output)) == ids(5)
        assert not list(tmp_path.glob("*.new"))
        assert run_batch(input, output, server, ordered=True).exit_code == 0
    assert custom_ids(output) == ids(5)


def test_a_limit_takes_the_first_rows_and_the_next_run_the_others(
    tmp_path: Path, output: Path
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(6)))
    with provider() as server:
        summary = run_batch(input, output, server, limit=2)
        assert (summary.rows, sorted(custom_ids(output))) == (2, ids(2))
        run_batch(input, output, server)
    assert sorted(custom_ids(output)) == ids(6)
    assert len(server.requests) == 6


def test_shards_are_disjoint_and_merge_into_one(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(30)))
    parts = [tmp_path / f"part{n}.jsonl" for n in (1, 2, 3)]
    merged = tmp_path / "all.jsonl"

    def handler(peer: Peer) -> None:
        if question(peer).endswith(" r7"):
            peer.json(b"{}", status="400 Bad Request")
        else:
            peer.json(answer())

    with provider(handler) as server:
        for index, part in enumerate(parts, 1):
            run_batch(input, part, server, shard=(index, 3))
        assert len(server.requests) == 30
        found = merge(str(merged), list(map(str, parts)), str(input))
        assert (found.done, found.failed, found.missing) == (29, 1, 0)
        assert custom_ids(merged) == [name for name in ids(30) if name != "r7"]
        assert [row["custom_id"] for row in errors_of(merged)] == ["r7"]
        assert run_batch(input, merged, server).requests == 0


def test_merging_refuses_what_would_not_be_one_batch(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(4)))
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    with provider() as server:
        run_batch(input, one, server)
        run_batch(input, two, server, body={"temperature": 0})
    parts = [str(one), str(two)]
    merged = tmp_path / "all.jsonl"
    with pytest.raises(ConfigError, match="run differently: body"):
        merge(str(merged), parts)
    with pytest.raises(ConfigError, match="the same row is in"):
        merge(str(merged), parts, force=True)
    assert not merged.exists()


def test_a_dry_run_counts_and_touches_nothing(tmp_path: Path, output: Path) -> None:
    rows = [openai_row("a"), {"nothing": 1}, openai_row("b", "x" * 4000)]
    input = write_rows(tmp_path / "in.jsonl", rows)
    prices = {"m": Price(input=1, output=1)}
    found = estimate(input, output, Options(base_url="http://127.0.0.1:9/v1", prices=prices))
    assert (found.plan.rows, found.plan.bad, found.plan.left) == (3, 1, 3)
    assert 1000 < found.tokens < 1100
    assert found.cost == pytest.approx(found.tokens / 1e6)
    assert os.listdir(tmp_path) == ["in.jsonl"]


def test_a_stream_gives_the_same_body_and_times_between_tokens(output: Path) -> None:
    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode()

    usage = b"data: " + json.dumps({"id": "c1", "choices": [], "usage": USAGE}).encode()
    pieces = [
        event({"role": "assistant", "content": "y"}),
        event({"content": "e"}),
        event({"content": "s"}),
        event({}, "stop"),
        usage,
        b"data: [DONE]",
    ]

    def handler(peer: Peer) -> None:
        peer.stream(piece + b"\n\n" for piece in pieces)

    with provider(handler) as server:
        summary = run_batch([openai_row("a")], output, server, stream=True)
    sent = json.loads(server.requests[0].body)
    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
    (line,) = read(output)
    body = line["response"]["body"]
    assert body["choices"][0]["message"]["content"] == "yes"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == USAGE
    assert 0 < line["timing"]["ttft_ms"] <= line["timing"]["e2e_ms"]
    assert summary.ttft is not None


def test_a_cut_answer_is_asked_again_and_never_written(output: Path) -> None:
    def handler(peer: Peer) -> None:
        if len(server.requests) == 1:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + answer()[:40])
        else:
            peer.json(answer())

    with provider(handler) as server:
        summary = run_batch([openai_row("a")], output, server)
    assert (summary.exit_code, summary.requests) == (0, 2)
    assert read(output)[0]["response"]["body"] == json.loads(answer())


def test_an_error_inside_a_200_is_no_answer(output: Path) -> None:
    body = b'{"error": {"message": "model not loaded", "type": "invalid_request_error"}}'
    with provider(lambda peer: peer.json(body)) as server:
        summary = run_batch([openai_row("a")], output, server)
    assert (summary.failed, read(output)) == (1, [])


def test_drain_finishes_what_is_under_way_and_begins_nothing(tmp_path: Path, output: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(50)))
    with Multi() as multi:

        def handler(peer: Peer) -> None:
            if len(server.requests) == 4:
                drain.set()
            assert drained.wait(10)
            peer.json(answer())

        drain, drained = threading.Event(), threading.Event()
        with provider(handler) as server:
            batch = Batch(
                multi, input, output, Options(base_url=f"{server.url}/v1", concurrency=4)
            ).start()
            while batch.summary is None:
                multi.poll(0.01)
                if drain.is_set() and not drained.is_set():
                    batch.drain(10.0)
                    drained.set()
            summary = batch.summary
            assert (summary.exit_code, summary.done) == (130, 4)
            assert run_batch(input, output, server).exit_code == 0
    assert sorted(custom_ids(output)) == sorted(ids(50))
    assert len(server.requests) == 50


def test_cancel_stops_at_once_and_everything_is_there_to_go_on(
    tmp_path: Path, output: Path
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(10)))
    silent = True

    def handler(peer: Peer) -> None:
        if silent:
            peer.wait_closed()
        else:
            peer.json(answer())

    with provider(handler) as server:
        with Multi() as multi:
            batch = Batch(multi, input, output, Options(base_url=f"{server.url}/v1")).start()
            while len(server.requests) < 5:
                multi.poll(0.01)
            batch.cancel()
            multi.run()
            assert batch.summary is not None and batch.summary.exit_code == 130
            assert len(multi) == 0
        silent = False
        assert run_batch(input, output, server).exit_code == 0
    assert sorted(custom_ids(output)) == sorted(ids(10))


def test_a_batch_is_one_open_request_whose_summary_info_read_returns(output: Path) -> None:
    done = []
    with provider() as server, Multi() as multi:
        options = Options(base_url=f"{server.url}/v1")
        batch = Batch(multi, [openai_row("a")], output, options, on_done=done.append).start()
        assert len(multi) == 1
        results = []
        while len(multi):
            select.select(*multi.fdset(), multi.timeout())
            multi.perform()
            results += multi.info_read()
    assert results[-1] is batch.summary
    assert done == [batch.summary]


def test_answers_that_come_at_once_do_not_hold_the_loop_up(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`info_read` notes them only; they are written a slice of time after the other."""
    monkeypatch.setattr(flow, "_SLICE", 0.0)
    count = 20
    together = threading.Barrier(count)

    def handler(peer: Peer) -> None:
        together.wait(10)
        peer.json(answer())

    most = 0
    with provider(handler) as server, Multi() as multi:
        options = Options(base_url=f"{server.url}/v1", concurrency=count)
        batch = Batch(multi, map(openai_row, ids(count)), output, options).start()
        while len(multi):
            select.select(*multi.fdset(), multi.timeout())
            before = batch.progress().done
            multi.perform()
            after = batch.progress().done
            most = max(most, after - before)
            multi.info_read()
            assert batch.progress().done == after
    assert most <= 3  # a turn that finds much looks again
    assert sorted(custom_ids(output)) == sorted(ids(count))


def test_closing_the_multi_ends_a_batch(output: Path) -> None:
    with provider(lambda peer: peer.wait_closed()) as server:
        multi = Multi()
        batch = Batch(multi, [openai_row("a")], output, Options(base_url=f"{server.url}/v1"))
        batch.start()
        while not server.requests:
            multi.poll(0.01)
        multi.close()
    assert batch.summary is not None and batch.summary.exit_code == 130


def test_no_key_is_in_any_file(tmp_path: Path, output: Path) -> None:
    key = "sk-canary0123456789abcdef"
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {key}"}}).encode()

    def handler(peer: Peer) -> None:
        if question(peer).endswith(" r0"):
            peer.json(body, status="400 Bad Request")
        else:
            peer.json(answer())

    with provider(handler) as server:
        run_batch(map(openai_row, ids(2)), output, server, api_key=key)
        assert server.requests[0].headers["authorization"] == f"Bearer {key}"
    assert key not in repr(Options(api_key=key))
    for file in tmp_path.iterdir():
        assert key.encode() not in file.read_bytes(), file


def test_a_disk_that_refuses_the_folder_is_told(tmp_path: Path) -> None:
    with provider() as server, pytest.raises(ResourceError, match="folder that can be written"):
        run_batch([openai_row("a")], tmp_path / "missing" / "out.jsonl", server)


def test_sigint_of_the_command_drains_and_the_next_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("engine.cli")
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(30)))
    output = tmp_path / "out.jsonl"

    def handler(peer: Peer) -> None:
        if len(server.requests) == 10:
            os.kill(process.pid, signal.SIGINT)
        peer.json(answer())

    with provider(handler) as server:
        program = (
            "import argparse, sys; from engine.cli import batch\n"
            "parser = argparse.ArgumentParser(); batch.add_arguments(parser)\n"
            "sys.exit(batch.run(parser.parse_args()))"
        )
        command = [sys.executable, "-c", program, str(input), "-o", str(output)]
        options = ["--base-url", f"{server.url}/v1", "--concurrency", "2", "--progress", "json"]
        process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        summary = json.loads(said.splitlines()[-1])
        assert (summary["event"], summary["stopped"]) == ("summary", "interrupted")
        assert 10 <= len(read(output)) <= 13
        assert run_batch(input, output, server).exit_code == 0
    assert sorted(custom_ids(output)) == sorted(ids(30))
    assert len(server.requests) == 30
