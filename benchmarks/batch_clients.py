"""Those who run a batch, each in a process of its own: ``python -m benchmarks.batch_clients``.

    engine     engine.batch
    cookbook   what people write: asyncio, a semaphore and openai-python, after the
               openai-cookbook's api_request_parallel_processor.py

Prints what it took as JSON: CPU seconds (user and system), clock seconds, and the most memory.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time


def run_engine(input: str, output: str, base_url: str, concurrency: int) -> None:
    """The batch runner."""
    from engine.batch import Options, run

    summary = run(input, output, Options(base_url=base_url, concurrency=concurrency))
    assert summary.exit_code == 0, summary


def run_cookbook(input: str, output: str, base_url: str, concurrency: int) -> None:
    """A task a row, so many at once, a line appended for each answer."""
    asyncio.run(_cookbook(input, output, base_url, concurrency))


async def _cookbook(input: str, output: str, base_url: str, concurrency: int) -> None:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    client = AsyncOpenAI(
        base_url=base_url, api_key="none", http_client=DefaultAsyncHttpxClient(trust_env=False)
    )
    free = asyncio.Semaphore(concurrency)
    tasks: set[asyncio.Task[None]] = set()

    async def ask(row: dict[str, object]) -> None:
        try:
            answer = await client.chat.completions.create(**row["body"])  # type: ignore[call-overload]
            with open(output, "a") as file:
                line = {"custom_id": row["custom_id"], "response": {"body": answer.model_dump()}}
                file.write(json.dumps(line) + "\n")
        finally:
            free.release()

    with open(input) as lines:
        for line in lines:
            await free.acquire()
            task = asyncio.create_task(ask(json.loads(line)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


def main() -> None:
    """Run the client named first."""
    name, input, output, base_url, concurrency = sys.argv[1:]
    began = time.monotonic()
    {"engine": run_engine, "cookbook": run_cookbook}[name](
        input, output, base_url, int(concurrency)
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/status") as status:
        # Not ru_maxrss: that of a process counts its parent's memory at the time of the fork.
        peak = next(line for line in status if line.startswith("VmHWM:"))
    took = {
        "cpu": used.ru_utime + used.ru_stime,
        "clock": time.monotonic() - began,
        "megabytes": int(peak.split()[1]) / 1024,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
