"""The files of a run: what somebody else does to them is noticed, and nobody else reads them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.batch import Batch, Options
from engine.errors import ConfigError, ResourceError
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


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def rewritten(path: Path) -> None:
    path.write_bytes(b'{"custom_id": "x"}\n' * 1000)


def deleted(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("missing", [False, True], ids=["", "no jsonschema"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schema": {"type": 5}}, "schema"),
        ({"base_url": "localhost:1"}, "http://localhost:1"),
        ({"base_url": '"http://localhost:1"'}, "quotes"),
    ],
)
def test_a_run_that_could_not_begin_says_why_and_leaves_no_file_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    words: str,
    missing: bool,
) -> None:
    if missing:
        monkeypatch.setitem(sys.modules, "jsonschema", None)
    output = tmp_path / "out.jsonl"
    with provider() as server, engine.Multi() as multi:
        with pytest.raises(ConfigError, match=words):
            Batch(multi, [openai_row("a")], output, Options(**options))
        # The lock stays, whoever held it last.
        assert set(os.listdir(tmp_path)) <= {"out.jsonl.lock"}
        summary = run_batch([openai_row("a")], output, server)
        assert (summary.done, summary.exit_code) == (1, 0)


@pytest.mark.parametrize("harm", [cut, empty, rewritten, deleted])
@pytest.mark.parametrize("when", ["in the middle", "at the end"])
def test_an_output_that_somebody_changes_ends_the_run_and_is_left_alone(
    tmp_path: Path, harm: Callable[[Path], None], when: str
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(60)))
    output = tmp_path / "out.jsonl"
    at = 30 if when == "in the middle" else 59
    done = threading.Event()

    def handler(peer: Peer) -> None:
        asked = len(server.requests)
        if asked > at and not done.is_set():
            done.set()
            # Not while a line is written: what is cut between the look at the file and the line is
            # seen after the line, which then stands behind half of another.
            while output.read_bytes().count(b"\n") < asked - 1:
                threading.Event().wait(0.005)
            harm(output)
        peer.json(answer())

    with provider(handler) as server:
        summary = run_batch(input, output, server, concurrency=1)
        assert summary.exit_code == 3
        assert "while the batch was writing to it" in str(summary.reason)
        if harm is rewritten:
            assert output.read_bytes().startswith(b'{"custom_id": "x"}\n' * 1000)
        elif harm is not deleted:
            assert run_batch(input, output, server).exit_code == 0
            assert set(custom_ids(output)) >= set(ids(60))


def test_what_holds_prompts_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(4)))

        def handler(peer: Peer) -> None:
            bad = question(peer).endswith("r1")
            peer.json(b"{}", status="400 Bad") if bad else peer.json(answer())

        with provider(handler) as server:
            run_batch(input, tmp_path / "out.jsonl", server, ordered=True)
            run_batch(input, tmp_path / "out.jsonl", server, retry_errors=True)
    finally:
        os.umask(before)
    made = [path for path in tmp_path.iterdir() if path != input and path.suffix != ".lock"]
    assert len(made) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


def test_an_input_that_grows_is_not_asked_beyond_the_plan(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(20)))
    output = tmp_path / "out.jsonl"

    def handler(peer: Peer) -> None:
        if len(server.requests) == 3:
            with open(input, "a") as file:
                file.write(input.read_text().replace('"r', '"new'))
        peer.json(answer())

    with provider(handler) as server:
        summary = run_batch(input, output, server, concurrency=2)
        assert (summary.done, summary.exit_code) == (20, 0)
        assert sorted(custom_ids(output)) == sorted(ids(20))
        assert run_batch(input, output, server).rows == 40


@pytest.mark.parametrize(
    "name",
    [
        "in.csv",
        *(
            pytest.param(f"in.{kind}", marks=pytest.mark.slow)
            for kind in ("tsv", "txt", "json", "csv.gz")
        ),
    ],
)
def test_an_interrupted_run_of_any_kind_leaves_no_traceback(tmp_path: Path, name: str) -> None:
    import gzip

    input = tmp_path / name
    words = [f"q{n}" for n in range(50)]
    content = {
        "in.json": '["' + '","'.join(words) + '"]',
        "in.txt": "\n".join(words),
    }.get(name, "prompt\n" + "\n".join(words)).encode()
    input.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    def handler(peer: Peer) -> None:
        if len(server.requests) == 5:
            process.terminate()
        peer.json(answer())

    with provider(handler) as server:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "engine", "batch", str(input), "-m", "m",
             "-o", str(tmp_path / "o"), "--base-url", f"{server.url}/v1", "--concurrency", "2"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    for word in ("Traceback", "Exception ignored", "Warning"):
        assert word not in said
    assert 5 <= len(read(tmp_path / "o")) < 50


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_that_could_not_begin_leaves_nothing_that_binds_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    input = write_rows(tmp_path / "in.jsonl", ["one", "two"])
    output = tmp_path / "out.jsonl"
    with provider() as server:
        summary = run_batch(
            input, output, server, base_url=None, model="anthropic/claude-haiku-4-5"
        )
        assert summary.stopped == "error" and "ANTHROPIC_API_KEY" in str(summary.reason)
        assert files(tmp_path) == {"in.jsonl", "out.jsonl.lock"}
        assert run_batch(input, output, server, model="m").done == 2


def test_a_run_to_which_nothing_came_does_not_bind_the_output(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", ["one", "two"])
    output = tmp_path / "out.jsonl"

    def handler(peer: Peer) -> None:
        if b"wrong" in peer.request.body:
            peer.json(b'{"error": {"message": "bad key"}}', "401 Unauthorized")
        else:
            peer.json(answer())

    with provider(handler) as server:
        assert run_batch(input, output, server, model="wrong").stopped == "error"
        assert run_batch(input, output, server, model="m").done == 2
        with pytest.raises(ConfigError, match="model was"):
            run_batch(input, output, server, model="other")


def test_a_run_that_died_before_its_first_answer_is_gone_on_with_under_its_name(
    tmp_path: Path,
) -> None:
    input = write_rows(tmp_path / "in.jsonl", ["one"])
    keys: list[str | None] = []

    def handler(peer: Peer) -> None:
        keys.append(peer.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            peer.json(b'{"error": {"message": "bad key"}}', "401 Unauthorized")
        else:
            peer.json(answer())

    with provider(handler) as server:
        for _ in range(2):
            run_batch(input, tmp_path / "out.jsonl", server, model="m")
    assert keys[0] and keys[0] == keys[1]


def test_two_runs_do_not_write_one_errors_file(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(4)))
    errors = tmp_path / "errors.jsonl"
    began, go_on = threading.Event(), threading.Event()

    def handler(peer: Peer) -> None:
        began.set()
        go_on.wait(20)
        peer.json(answer())

    with provider(handler) as server:
        first = threading.Thread(
            target=run_batch, args=(input, tmp_path / "a.jsonl", server), kwargs={"errors": errors}
        )
        first.start()
        assert began.wait(20)
        try:
            with pytest.raises(ResourceError, match="another batch"):
                run_batch(input, tmp_path / "b.jsonl", server, errors=errors)
        finally:
            go_on.set()
            first.join()
        assert run_batch(input, tmp_path / "b.jsonl", server, errors=errors).done == 4


def test_a_file_that_was_there_is_left_where_a_run_could_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    output = tmp_path / "out.jsonl"
    output.touch()
    with provider() as server:
        run_batch(["one"], output, server, base_url=None, model="anthropic/claude-haiku-4-5")
    assert output.exists()
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_a_run_that_spent_binds_its_output_though_no_line_tells(tmp_path: Path) -> None:
    from engine.batch.keeping.store import Store
    from engine.batch.pacing.cost import Spent
    from engine.batch.reading.manifest import Manifest

    output = tmp_path / "out.jsonl"
    store = Store(output, None, Manifest(model="m"))
    store.begin()
    store.carry(Spent(cost=0.1, tokens=5))
    store.close()
    with pytest.raises(ConfigError, match="model was"):
        Store(output, None, Manifest(model="other"))
