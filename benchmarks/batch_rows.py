"""Rows of a batch: ``python -m benchmarks.batch_rows``.

Each runner reads a file of chat requests and writes a file of answers of 20 tokens, from nginx,
which answers at once. What counts is the CPU time of its process, start and imports included; the
engine syncs its output to the disk meanwhile, the other does not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.origins import BenchmarkError, nginx, raise_descriptor_limit
from benchmarks.streams import WireStream
from benchmarks.table import Goal, Table, number, times

__all__ = ["batch_rows"]

_WORDS = " ".join(f"word{n}" for n in range(20))


def batch_rows(rows: int, cookbook_rows: int, concurrency: int = 1000) -> Table:
    """The engine with `rows`, the cookbook's way with fewer: it would take minutes."""
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _WORDS},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40},
    }
    body = json.dumps(answer).encode()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nginx(
            folder, {"answer": WireStream("application/json", body, (), b"", _WORDS)}
        ) as url:
            took = {
                client: _run(client, folder, f"{url}/answer", count, concurrency)
                for client, count in (("engine", rows), ("cookbook", cookbook_rows))
            }
    speeds = {
        name: count / took[name]["cpu"]
        for name, count in (("engine", rows), ("cookbook", cookbook_rows))
    }
    table = [
        (
            name,
            number(speeds[name], 0),
            number(took[name]["megabytes"], 0),
            times(speeds["engine"] / speeds[name]),
            f"{rows if name == 'engine' else cookbook_rows} rows",
        )
        for name in took
    ]
    goals = [
        Goal("rows a CPU second", speeds["engine"], 3000, at_least=True),
        Goal("times the cookbook's", speeds["engine"] / speeds["cookbook"], 10, at_least=True),
        Goal("megabytes", took["engine"]["megabytes"], 200),
    ]
    return Table(
        f"Batch, answers of 20 tokens, {concurrency} in flight",
        ("", "rows a CPU s", "MB", "engine is", ""),
        table,
        goals,
    )


def _run(client: str, folder: Path, url: str, rows: int, concurrency: int) -> dict[str, float]:
    input, output = folder / f"{client}.in.jsonl", folder / f"{client}.out.jsonl"
    with open(input, "w") as file:
        for number_ in range(rows):
            messages = [{"role": "user", "content": f"Question {number_}: is it so, and why?"}]
            row = {
                "custom_id": f"row-{number_}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "m", "messages": messages},
            }
            file.write(json.dumps(row) + "\n")
    command = [sys.executable, "-m", "benchmarks.batch_clients", client]
    command += [str(input), str(output), url, str(concurrency)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{client} failed: {done.stderr.strip().splitlines()[-1:]}")
    with open(output) as file:
        ids = {json.loads(line)["custom_id"] for line in file}
    if len(ids) != rows:
        raise BenchmarkError(f"{client} answered {len(ids)} of {rows} rows")
    took: dict[str, float] = json.loads(done.stdout)
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cookbook-rows", type=int, default=3_000)
    parser.add_argument("--concurrency", type=int, default=1000)
    arguments = parser.parse_args()
    raise_descriptor_limit()
    print(batch_rows(arguments.rows, arguments.cookbook_rows, arguments.concurrency).render())
