"""openai-python, AsyncOpenAI, as its README streams."""

from __future__ import annotations

import asyncio

import openai

from benchmarks.clients.job import Job, Meter, Report, run
from benchmarks.clients.on_asyncio import read_all


async def read(job: Job) -> Report:
    async with openai.AsyncOpenAI(
        base_url=job.url, api_key="sk-bench", max_retries=0, timeout=600
    ) as client:

        async def read_one(meter: Meter) -> int:
            received = 0
            async for chunk in await client.chat.completions.create(**job.chat_body):
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    received += len(text)
                else:
                    meter.event()
            return received

        return await read_all(job, read_one)


if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job)))
