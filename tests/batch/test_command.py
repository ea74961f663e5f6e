"""`engine batch` and `engine merge`, as people type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.support import answer, custom_ids, ids, openai_row, provider, read, write_rows
from tests.server import Peer, Server

# Each starts a program, or two.
pytestmark = pytest.mark.slow


def engine(*arguments: object, input: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    return subprocess.run(command, input=input, capture_output=True, text=True, timeout=30)


def base(server: Server) -> list[str]:
    return ["--base-url", f"{server.url}/v1"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", map(openai_row, ids(5)))


def test_a_file_in_a_file_out(tmp_path: Path, rows: Path) -> None:
    output = tmp_path / "out.jsonl"
    with provider() as server:
        done = engine("batch", rows, "-o", output, *base(server))
        assert done.returncode == 0, done.stderr
        again = engine("batch", rows, "-o", output, *base(server))
    assert "5 of 5 rows done" in done.stderr
    assert "going on: 5 rows are done" in again.stderr
    assert done.stdout == ""
    assert sorted(custom_ids(output)) == ids(5)
    assert len(server.requests) == 5


def test_stdin_to_stdout(tmp_path: Path) -> None:
    with provider() as server:
        done = engine("batch", "-", "-o", "-", "-m", "m", *base(server), input="one\ntwo\n")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["error"] for line in done.stdout.splitlines()] == [None, None]


def test_a_reader_that_leaves_stops_the_batch(tmp_path: Path, rows: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "engine", "batch", str(rows), "-o", "-"]
    with provider() as server:
        done = subprocess.run(
            [*command, *base(server)], stdout=writer, stderr=subprocess.PIPE, text=True
        )
    os.close(writer)
    assert done.returncode == 3
    assert "stopped: cannot write to stdout: Broken pipe" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("progress", ["plain", "json", "rich"])
def test_nobody_has_to_look(tmp_path: Path, rows: Path, progress: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "engine", "batch", str(rows), "-o", str(output)]
    with provider() as server:
        done = subprocess.run([*command, *base(server), "--progress", progress], stderr=writer)
    os.close(writer)
    assert done.returncode == 0
    assert sorted(custom_ids(output)) == ids(5)


def test_exit_codes_tell_how_it_ended(tmp_path: Path, rows: Path) -> None:
    def handler(peer: Peer) -> None:
        if b"r3" in peer.request.body:
            peer.json(b"{}", status="400 Bad Request")
        else:
            peer.json(answer())

    prices = tmp_path / "prices.json"
    prices.write_text('{"m": {"input": 0, "output": 50000}}')  # a dollar a row
    with provider(handler) as server:
        some_failed = engine("batch", rows, "-o", tmp_path / "1.jsonl", *base(server))
        assert some_failed.returncode == 1
        assert "failed: 1 INVALID_ARG" in some_failed.stderr
        spent = ["--max-cost", "2", "--prices", prices, "--concurrency", "1"]
        assert (
            engine("batch", rows, "-o", tmp_path / "4.jsonl", *base(server), *spent).returncode == 4
        )
    usage = engine("batch", tmp_path / "missing", "-o", tmp_path / "2.jsonl")
    assert usage.returncode == 2
    assert "cannot read" in usage.stderr
    nowhere = engine("batch", rows, "-o", tmp_path / "no" / "3.jsonl", *base(server))
    assert nowhere.returncode == 3
    assert "Traceback" not in nowhere.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--concurrency", "0"], "concurrency must be at least 1"),
        (["--concurrency", "many"], "must be a number or auto, not 'many'"),
        (["--shard", "3/2"], "shard must be I/N"),
        (["--shard", "3"], "must be I/N, as in 1/8, not '3'"),
        (["--rpm", "nan"], "rpm must be at least 1"),
        (["--max-tokens-total", "0"], "max_tokens_total must be at least 1"),
        (["--max-cost", "0"], "max_cost must be more than 0 USD"),
        (["--body", "[1]"], "--body must be a JSON object"),
        (["--body", "{"], "--body is not JSON"),
        (["--schema", "/nowhere"], "cannot be read"),
        (["--report", "/nowhere/page.html"], "the report /nowhere/page.html cannot be written"),
        (["--max-tok", "5"], "unrecognized arguments: --max-tok 5"),
        (["--retry"], "unrecognized arguments: --retry"),
        (["--header", "X-Team"], "--header must be NAME:VALUE"),
        (["--header", "a b: c"], "header name 'a b' is not allowed"),
        (["--timeout", "0"], "--timeout must be more than 0 seconds"),
        (["--endpoint", "embeddings"], "endpoint: url must be a path"),
        (["-n", "0"], "samples must be at least 1"),
        (["--max-wait", "0"], "max_wait must be at least 1"),
        (["--prompt", "{a!r}"], "prompt: {a!r} is no name of a column"),
        (["--text-field", "error"], "is a field of every row already"),
        (["--table", "out.xlsx"], "a table ends in .csv"),
    ],
)
def test_a_wrong_option_is_named(
    tmp_path: Path, rows: Path, options: list[str], words: str
) -> None:
    done = engine("batch", rows, "-o", tmp_path / "out.jsonl", *options)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_template_parameters_and_samples_from_the_command_line(tmp_path: Path) -> None:
    input = tmp_path / "in.csv"
    input.write_text("text,max_tokens\ngood,\nbad,7\n")
    options = ["-m", "m", "--prompt", "Classify: {text}", "--system", "Be brief.", "-n", "2"]
    options += [
        "--max-tokens",
        "5",
        "--temperature",
        "0",
        "--header",
        "X-Team: a",
        "--timeout",
        "9",
    ]
    with provider() as server:
        done = engine("batch", input, "-o", tmp_path / "o.jsonl", *base(server), *options)
    assert done.returncode == 0, done.stderr
    bodies = [json.loads(request.body) for request in server.requests]
    asked = sorted((body["messages"][1]["content"], body["max_tokens"]) for body in bodies)
    assert asked == [("Classify: bad", 7)] * 2 + [("Classify: good", 5)] * 2
    assert {body["temperature"] for body in bodies} == {0.0}
    assert {request.headers["x-team"] for request in server.requests} == {"a"}


def test_json_progress_is_json_to_the_end(tmp_path: Path, rows: Path) -> None:
    with provider() as server:
        done = engine("batch", rows, "-o", tmp_path / "o", *base(server), "--progress", "json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[-1]["event"] == "summary"
    assert (events[-1]["done"], events[-1]["exit_code"]) == (5, 0)


def test_a_dry_run_asks_nothing(tmp_path: Path, rows: Path) -> None:
    done = engine("batch", rows, "-o", tmp_path / "out.jsonl", "-m", "emulator/demo", "--dry-run")
    assert done.returncode == 0
    assert "5 rows: 0 done, 0 failed, 5 to ask" in done.stdout
    assert os.listdir(tmp_path) == ["in.jsonl"]


def test_shards_are_merged(tmp_path: Path, rows: Path) -> None:
    parts = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    with provider() as server:
        for index, part in enumerate(parts, 1):
            engine("batch", rows, "-o", part, "--shard", f"{index}/2", *base(server))
    done = engine("merge", "-o", tmp_path / "all.jsonl", *parts, "--input", rows)
    assert (done.returncode, done.stdout) == (0, "5 rows done, 0 failed\n")
    assert custom_ids(tmp_path / "all.jsonl") == ids(5)
    assert engine("merge", "-o", tmp_path / "all.jsonl", *parts).returncode == 2


def test_a_report_is_written(tmp_path: Path, rows: Path) -> None:
    page = tmp_path / "report.html"
    with provider() as server:
        engine("batch", rows, "-o", tmp_path / "o.jsonl", *base(server), "--report", page)
    assert "5 of 5 rows done" in page.read_text()
    assert len(read(tmp_path / "o.jsonl")) == 5


def test_on_a_terminal_a_table_is_drawn(tmp_path: Path, rows: Path) -> None:
    pytest.importorskip("rich")
    seen = b""
    with provider() as server:
        command = [sys.executable, "-m", "engine", "batch", str(rows), "-o", str(tmp_path / "o")]
        leader, follower = os.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen([*command, *base(server)], stderr=follower, env=environment)
        os.close(follower)
        try:
            while data := os.read(leader, 65536):
                seen += data
        except OSError:
            pass  # the other end is closed
        os.close(leader)
        assert process.wait() == 0
    assert b"5 of 5 rows done" in seen
    assert b"in flight" in seen
