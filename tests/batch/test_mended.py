"""A row refused for a field, or a stream, that the server does not know is asked without it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.batch import Batch, Options
from engine.transport.multi import Multi
from tests.batch.support import answer, custom_ids, ids, openai_row, provider, read, run_batch
from tests.batch.support import write_rows as write
from tests.server import Peer


def refusal(words: str) -> bytes:
    return json.dumps({"error": {"message": words, "type": "invalid_request_error"}}).encode()


# What a row says beside its messages; what the server refuses of it, and how; what is sent then.
REFUSALS: dict[str, tuple[dict[str, Any], str, str, dict[str, Any]]] = {
    "max_tokens": (
        {"max_tokens": 9},
        "max_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        {"max_completion_tokens": 9},
    ),
    "max_completion_tokens": (
        {"max_completion_tokens": 9},
        "max_completion_tokens",
        "Unrecognized request argument supplied: max_completion_tokens",
        {"max_tokens": 9},
    ),
    "seed": ({"seed": 1}, "seed", "Unsupported parameter: 'seed'", {}),
    "user": ({"user": "u"}, "user", "Unsupported parameter: 'user'", {}),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_field_the_server_does_not_know_is_left_out_or_named_anew(
    tmp_path: Path, name: str, stream: bool
) -> None:
    beside, refused, words, sent = REFUSALS[name]
    rows = [{**openai_row(id), "body": {**openai_row(id)["body"], **beside}} for id in ids(20)]
    output = tmp_path / "out.jsonl"
    bodies: list[dict[str, Any]] = []
    keys: list[str] = []

    def handler(peer: Peer) -> None:
        body = json.loads(peer.request.body)
        bodies.append(body)
        keys.append(peer.request.headers["idempotency-key"])
        if refused in body:
            peer.json(refusal(words), "400 Bad Request")
        else:
            peer.json(answer())

    notices: list[str] = []
    with provider(handler) as server:
        summary = run_batch(
            write(tmp_path / "in.jsonl", rows), output, server, notices, stream=stream
        )
    assert (summary.done, summary.failed) == (20, 0)
    good = [body for body in bodies if refused not in body]
    assert len(good) == 20
    for body in good:
        assert {k: body[k] for k in body if k in ("max_tokens", "max_completion_tokens")} == {
            k: v for k, v in sent.items()
        }
    if not stream:
        # The first to be answered tells the others: those in flight meanwhile are the only ones.
        assert len(bodies) <= 20 + 2 * 8
        assert len(set(keys)) == len(keys)
        assert any(words[:20] in notice for notice in notices)


def test_a_server_without_streams_is_asked_for_whole_answers(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    def handler(peer: Peer) -> None:
        if json.loads(peer.request.body).get("stream"):
            peer.json(refusal("streaming is not supported for this model"), "400 Bad Request")
        else:
            peer.json(answer())

    with provider(handler) as server:
        input = write(tmp_path / "in.jsonl", map(openai_row, ids(20)))
        summary = run_batch(input, output, server, stream=True)
    assert (summary.done, summary.failed) == (20, 0)
    assert sorted(custom_ids(output)) == sorted(ids(20))


def test_rows_whose_json_breaks_off_are_asked_again_and_whole_ones_are_not(tmp_path: Path) -> None:
    """Their connections close each time, as if in order: it is the JSON that tells."""
    output = tmp_path / "out.jsonl"
    asked: dict[str, int] = {}
    lock = threading.Lock()

    def handler(peer: Peer) -> None:
        said = peer.request.body.decode()
        with lock:
            asked[said] = asked.get(said, 0) + 1
            broken = asked[said] == 1 and len(asked) % 2 == 0
        length = len(answer()) + 9  # also a whole one ends before its time
        head = "" if broken else f"Content-Length: {length}\r\n"
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n".encode())
        peer.send(answer()[:-20] if broken else answer())
        peer.socket.close()

    with provider(handler) as server:
        rows = [openai_row(id) for id in ids(20)]
        for number, row in enumerate(rows):
            row["body"]["messages"] = [{"role": "user", "content": f"row {number}"}]
        summary = run_batch(write(tmp_path / "in.jsonl", rows), output, server)
    assert (summary.done, summary.failed) == (20, 0)
    assert sorted(custom_ids(output)) == sorted(ids(20))
    assert sorted(asked.values()) == [1] * 10 + [2] * 10


def test_what_shapes_the_answer_is_never_left_out_and_a_row_is_mended_once(tmp_path: Path) -> None:
    rows = [
        {**openai_row("a"), "body": {**openai_row("a")["body"], "temperature": 3}},
        {**openai_row("b"), "body": {**openai_row("b")["body"], "seed": 1, "user": "u"}},
    ]
    asked: list[str] = []

    def handler(peer: Peer) -> None:
        body = json.loads(peer.request.body)
        asked.append(body["messages"][0]["content"])
        for name in ("temperature", "seed", "user"):
            if name in body:
                words = f"Unsupported parameter: '{name}'"
                peer.json(refusal(words), "400 Bad Request")
                return
        peer.json(answer())

    with provider(handler) as server:
        input = write(tmp_path / "in.jsonl", rows)
        summary = run_batch(input, tmp_path / "out.jsonl", server)
    assert (summary.done, summary.failed) == (0, 2)
    assert sorted(asked) == ["question a", "question b", "question b"]
    failures = read(tmp_path / "out.errors.jsonl")
    words = {row["custom_id"]: row["error"]["message"] for row in failures}
    assert "temperature" in words["a"] and "user" in words["b"]


def test_a_second_asking_for_the_schema_goes_without_it_too(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["a"]}
    turn = iter(["no json", '{"a": 1}'])

    def handler(peer: Peer) -> None:
        if "seed" in json.loads(peer.request.body):
            peer.json(refusal("Unsupported parameter: 'seed'"), "400 Bad Request")
        else:
            peer.json(answer(next(turn)))

    rows = [{**openai_row("a"), "body": {**openai_row("a")["body"], "seed": 1}}]
    with provider(handler) as server:
        input = write(tmp_path / "in.jsonl", rows)
        summary = run_batch(input, tmp_path / "out.jsonl", server, schema=schema)
    assert (summary.done, len(server.requests)) == (1, 3)


def test_a_row_that_could_be_mended_is_not_asked_of_who_is_given_up(tmp_path: Path) -> None:
    looked_at = threading.Event()

    def handler(peer: Peer) -> None:
        if b"question a" in peer.request.body:
            peer.json(refusal("bad key"), "401 Unauthorized")
        else:
            looked_at.wait(60)
            peer.json(refusal("Unsupported parameter: 'seed'"), "400 Bad Request")

    rows = [
        openai_row("a"),
        {**openai_row("b"), "body": {**openai_row("b")["body"], "seed": 1}},
    ]
    with provider(handler) as server, Multi() as multi:
        batch = Batch(multi, rows, tmp_path / "out.jsonl", Options(base_url=f"{server.url}/v1"))
        batch.start()
        while batch.summary is None:
            multi.poll(0.01)
            if batch.progress().requests:
                looked_at.set()
    summary = batch.summary
    assert (summary.stopped, summary.done, len(server.requests)) == ("error", 0, 2)
