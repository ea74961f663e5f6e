"""What the tests of batches share: a provider, inputs, and a look at the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.batch import Batch, Options, Summary
from engine.transport.multi import Multi
from tests.server import Peer, Server, serve

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


def answer(text: str = "yes", finish: str = "stop") -> bytes:
    """A chat completion, not streamed."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
    }
    body = {"id": "c1", "object": "chat.completion", "model": "m", "choices": [choice]}
    return json.dumps({**body, "usage": USAGE}).encode()


def question(peer: Peer) -> str:
    """The last message a request asks."""
    return str(json.loads(peer.request.body)["messages"][-1]["content"])


@contextmanager
def provider(handler: Callable[[Peer], object] | None = None) -> Iterator[Server]:
    """A server that answers every question, or does what `handler` says."""
    with serve(handler or (lambda peer: peer.json(answer()))) as server:
        yield server


def openai_row(custom_id: str, content: str | None = None) -> dict[str, Any]:
    messages = [{"role": "user", "content": content or f"question {custom_id}"}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "messages": messages},
    }


def write_rows(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(count: int) -> list[str]:
    return [f"r{n}" for n in range(count)]


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, each of which must be whole."""
    data = path.read_bytes() if path.exists() else b""
    assert not data or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def custom_ids(path: Path) -> list[str]:
    return [row["custom_id"] for row in read(path)]


def run_batch(
    input: Any, output: Path, server: Server, notices: list[str] | None = None, **options: Any
) -> Summary:
    """Run to the end against `server`; `concurrency` is 8 unless given."""
    options = {"base_url": f"{server.url}/v1", "concurrency": 8, **options}
    with Multi() as multi:
        batch = Batch(
            multi,
            input,
            output,
            Options(**options),
            on_notice=notices.append if notices is not None else None,
        )
        batch.start()
        multi.run()
    assert batch.summary is not None
    return batch.summary
