"""aiohttp, its lines, and the standard library's JSON: the usual hand-written fast client."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from benchmarks.clients.job import Job, Meter, Report, run
from benchmarks.clients.on_asyncio import read_all


async def read(job: Job) -> Report:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
    ) as session:

        async def read_one(meter: Meter) -> int:
            received = 0
            async with session.post(job.chat_url, json=job.chat_body) as response:
                response.raise_for_status()
                async for line in response.content:
                    if not line.startswith(b"data: ") or line == b"data: [DONE]\n":
                        continue
                    choices = json.loads(line[6:])["choices"]
                    text = choices[0]["delta"].get("content") if choices else None
                    if text:
                        received += len(text)
                    else:
                        meter.event()
            return received

        return await read_all(job, read_one)


if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job)))
