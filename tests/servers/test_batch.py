"""Batches against servers that others wrote, and files that others read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from engine.batch import Options, run
from engine.emulator import Emulator
from engine.emulator import start as start_emulator
from tests.batch.support import custom_ids, openai_row, read, write_rows
from tests.servers import aimock, litellm
from tests.servers.aimock import answer

pytestmark = pytest.mark.slow

ROWS = [f"r{n}" for n in range(200)]


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An aimock that answers every question."""
    home = tmp_path_factory.mktemp("aimock")
    with aimock.running([answer("question", {"content": "An answer."})], home) as url:
        yield url


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start_emulator(tokens=5) as emulator:
        yield emulator


def bodies(model: str) -> dict[str, Any]:
    """A row of each format, but for its id."""
    asked = [{"role": "user", "content": "question"}]
    return {
        "chat": {"url": "/v1/chat/completions", "body": {"model": model, "messages": asked}},
        "responses": {"url": "/v1/responses", "body": {"model": model, "input": "question"}},
        "messages": {"params": {"model": model, "max_tokens": 99, "messages": asked}},
    }


@pytest.mark.parametrize("format", ["chat", "responses", "messages"])
def test_aimock_answers_each_of_200_rows_once(mock: str, tmp_path: Path, format: str) -> None:
    rows = [{"custom_id": name, **bodies("gpt-4o")[format]} for name in ROWS]
    input = write_rows(tmp_path / "in.jsonl", rows)
    options = Options(base_url=f"{mock}/v1", api_key="k", text_field="text")
    summary = run(input, tmp_path / "out.jsonl", options)
    assert (summary.done, summary.exit_code, summary.requests) == (200, 0, 200)
    assert sorted(custom_ids(tmp_path / "out.jsonl")) == sorted(ROWS)
    assert {line["text"] for line in read(tmp_path / "out.jsonl")} == {"An answer."}


def test_aimock_streams_each_of_200_rows_once(mock: str, tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ROWS))
    options = Options(base_url=f"{mock}/v1", api_key="k", stream=True)
    summary = run(input, tmp_path / "out.jsonl", options)
    assert (summary.done, summary.exit_code) == (200, 0)
    texts = [
        line["response"]["body"]["choices"][0]["message"] for line in read(tmp_path / "out.jsonl")
    ]
    assert {text["content"] for text in texts} == {"An answer."}


ENDPOINTS: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/chat/completions": (
        {"messages": [{"role": "user", "content": "hi"}]},
        "openai.types.chat.ChatCompletion",
    ),
    "/v1/responses": ({"input": "hi"}, "openai.types.responses.Response"),
    "/v1/completions": ({"prompt": "hi"}, "openai.types.Completion"),
    "/v1/embeddings": ({"input": ["a", "b"]}, "openai.types.CreateEmbeddingResponse"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("url", ENDPOINTS)
def test_openais_own_types_and_pandas_read_the_lines(
    emulator: Emulator, tmp_path: Path, url: str, stream: bool
) -> None:
    body, name = ENDPOINTS[url]
    module, _, kind = name.rpartition(".")
    pytest.importorskip("openai")
    rows = [
        {"custom_id": row, "method": "POST", "url": url, "body": {"model": "demo", **body}}
        for row in ROWS
    ]
    input = write_rows(tmp_path / "in.jsonl", rows)
    output = tmp_path / "out.jsonl"
    options = Options(base_url=f"{emulator.url}/v1", stream=stream, text_field="text")
    summary = run(input, output, options)
    assert (summary.done, summary.requests) == (200, 200)
    assert summary.input_tokens > 0
    model = getattr(import_module(module), kind)
    for line in read(output):
        read_body = model.model_validate(line["response"]["body"], strict=False)
        assert read_body.usage is not None
        assert set(line) >= {"id", "custom_id", "response", "error"}
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_json(output, lines=True)
    assert sorted(frame.custom_id) == sorted(ROWS)


@pytest.mark.nightly  # 750 MB are installed for it
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_litellms_proxy_answers_each_of_200_rows_once(
    emulator: Emulator, tmp_path: Path, stream: bool
) -> None:
    with litellm.running(emulator.base_url, tmp_path) as url:
        rows = [{"custom_id": name, "prompt": f"Say {name}"} for name in ROWS]
        input = write_rows(tmp_path / "in.jsonl", rows)
        options = Options(model=litellm.MODEL, base_url=url, api_key=litellm.KEY, stream=stream)
        summary = run(input, tmp_path / "out.jsonl", options)
    assert (summary.done, summary.failed, summary.exit_code) == (200, 0, 0)
    assert sorted(custom_ids(tmp_path / "out.jsonl")) == sorted(ROWS)
    assert summary.output_tokens


@pytest.mark.timeout(1200)
def test_llama_answers_each_of_200_rows_once(tmp_path: Path) -> None:
    llama = pytest.importorskip("tests.servers.llama")
    with llama.running(tmp_path) as server:
        rows = [{"custom_id": name, "prompt": f"Say {name}", "max_tokens": 3} for name in ROWS]
        input = write_rows(tmp_path / "in.jsonl", rows)
        options = Options(model="smollm2", base_url=server.url, api_key=server.key, concurrency=16)
        before = server.generations
        summary = run(input, tmp_path / "out.jsonl", options)
        assert (summary.done, server.generations - before) == (200, 200)
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["usage"]
