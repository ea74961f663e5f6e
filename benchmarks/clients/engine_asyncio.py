"""This engine in asyncio, as its documentation shows it: a task and an ``async for`` each."""

from __future__ import annotations

import asyncio

from benchmarks.clients.job import Job, Meter, Report, run
from benchmarks.clients.on_asyncio import read_all
from engine import Retry
from engine.events import TextDelta
from engine.loops.asyncio import AsyncClient


async def read(job: Job) -> Report:
    async with AsyncClient(
        base_url=f"{job.url}/v1",
        dialect=job.dialect,
        api_key="sk-bench",
        retry=Retry(max_attempts=1),
    ) as client:

        async def read_one(meter: Meter) -> int:
            received = 0
            stream = client.stream("gpt-4o-mini", "Why is the sky blue?")
            async for event in stream:
                if type(event) is TextDelta:
                    received += len(event.text)
                else:
                    meter.event()
            completion = await stream
            completion.raise_for_status()
            return received

        return await read_all(job, read_one)


if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job)))
