"""A real inference server: llama.cpp's, with a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import engine
from engine import Category, FinishReason
from engine.batch import Options, run
from tests.servers import llama
from tests.servers.llama import Llama

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

DIALECTS = ("chat", "responses", "messages")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    with llama.running(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(params=["streamed", "whole"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(server: Llama, multi: engine.Multi, dialect: str = "chat", **more: Any) -> Any:
    url = server.root if dialect == "messages" else server.url
    more.setdefault("api_key", server.key)
    return engine.Client(multi, dialect=dialect, base_url=url, **more)


def start(client: engine.Client, way: str, question: str, **more: Any) -> engine.Stream:
    ask = client.stream if way == "streamed" else client.request
    return ask("smollm2", question, temperature=0, **more)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_is_whole_with_its_usage(
    server: Llama, multi: engine.Multi, dialect: str, way: str
) -> None:
    completion = start(
        client_of(server, multi, dialect), way, "Name a colour.", max_tokens=8
    ).result()
    assert completion.status == "complete", completion.error
    assert completion.text
    assert completion.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
    assert completion.usage is not None
    assert completion.usage.input_tokens and completion.usage.output_tokens
    assert completion.attempts == 1


def test_streamed_and_whole_give_the_same_words(server: Llama, multi: engine.Multi) -> None:
    client = client_of(server, multi)
    texts = [
        start(client, way, "Count to five.", max_tokens=12, seed=1).result().text
        for way in ("streamed", "whole")
    ]
    assert texts[0] == texts[1] != ""


def test_fifty_in_a_row_cost_fifty_answers(server: Llama, multi: engine.Multi, way: str) -> None:
    """It announces Keep-Alive and closes after each streamed answer."""
    before = server.generations
    client = client_of(server, multi, retry=engine.Retry(max_attempts=1))
    unsure = 0
    for _ in range(50):
        completion = start(client, way, "Hi", max_tokens=2).result()
        assert completion.status == "complete", completion.error
        assert completion.attempts == 1
        unsure += completion.possibly_billed
    assert server.generations - before == 50
    # Its first connection is watched for 30 ms before it is used again. A server that gets to close
    # it later may cross one request with its reset, which does not tell whether that was read.
    assert unsure <= 1


def test_twenty_at_once_all_end_and_one_more_does(server: Llama, multi: engine.Multi) -> None:
    before = server.generations
    client = client_of(server, multi, retry=engine.Retry(max_attempts=1))
    streams = [start(client, "streamed", f"Say {n}", max_tokens=6) for n in range(20)]
    multi.run()
    assert [s.completion.status for s in streams if s.completion] == ["complete"] * 20
    assert start(client, "streamed", "Again", max_tokens=2).result().status == "complete"
    assert server.generations - before == 21


def test_to_cancel_a_stream_frees_the_slot(server: Llama, multi: engine.Multi) -> None:
    """Of an answer that is not streamed this server does not notice that nobody waits for it, not
    even where a bare socket asked and was closed."""
    client = client_of(server, multi)
    stream = start(client, "streamed", "Tell a very long story.", max_tokens=900)
    while not server.busy(multi):
        multi.poll(0.05)
    stream.cancel()
    assert stream.result().status == "cancelled"
    since = monotonic()
    while server.busy(multi):
        assert monotonic() - since < 10  # 900 tokens take it a minute
        multi.poll(0.05)


def test_json_and_a_schema_are_kept(server: Llama, multi: engine.Multi, way: str) -> None:
    client = client_of(server, multi)
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    completion = start(client, way, "Which colour?", response_format=schema, max_tokens=40).result()
    assert completion.status == "complete", completion.error
    assert json.loads(completion.text)["colour"] in ("red", "green")
    anything = start(client, way, "Give JSON.", response_format="json", max_tokens=200).result()
    assert anything.status == "complete", anything.error
    if anything.finish_reason is FinishReason.STOP:
        json.loads(anything.text)


def test_log_probabilities_are_given(server: Llama, multi: engine.Multi, way: str) -> None:
    completion = start(
        client_of(server, multi),
        way,
        "Hi",
        max_tokens=4,
        extra_body={"logprobs": True, "top_logprobs": 2},
    ).result()
    assert completion.status == "complete", completion.error
    assert len(completion.logprobs) >= 1
    assert all("logprob" in entry for entry in completion.logprobs)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_key_is_told(server: Llama, multi: engine.Multi, dialect: str, way: str) -> None:
    client = client_of(server, multi, dialect, api_key="sk-not-this-one")
    completion = start(client, way, "Hi", max_tokens=2).result()
    assert completion.status == "error"
    assert completion.error is not None
    assert completion.error.category is Category.AUTH
    assert completion.attempts == 1
    assert "sk-not-this-one" not in str(completion.error)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_too_long_a_prompt_is_told_once(
    server: Llama, multi: engine.Multi, dialect: str, way: str
) -> None:
    before = server.generations
    words = "word " * (llama.CONTEXT_TOKENS + 200)
    completion = start(client_of(server, multi, dialect), way, words, max_tokens=2).result()
    assert completion.status == "error"
    assert completion.error is not None
    assert completion.error.category is Category.INVALID_ARG
    assert "context" in str(completion.error)
    assert completion.attempts == 1
    assert server.generations - before <= 1


def test_an_unknown_path_is_told(server: Llama, multi: engine.Multi, way: str) -> None:
    client = engine.Client(multi, dialect="chat", base_url=f"{server.root}/v9", api_key=server.key)
    completion = start(client, way, "Hi", max_tokens=2).result()
    assert completion.error is not None
    assert completion.error.category is Category.NOT_FOUND


def test_a_batch_of_200_rows_costs_200_answers(server: Llama, tmp_path: Path) -> None:
    before = server.generations
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text(
        "".join(json.dumps({"id": f"r{n}", "prompt": f"Say {n}"}) + "\n" for n in range(200))
    )
    options = Options(
        model="smollm2",
        base_url=server.url,
        api_key=server.key,
        stream=True,
        concurrency=20,
        body={"max_tokens": 3},
    )
    summary = run(rows, out, options)
    assert summary.done == 200
    assert len(out.read_text().splitlines()) == 200
    assert server.generations - before == 200
