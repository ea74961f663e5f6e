"""aiohttp, its lines, and the standard library's JSON: the usual hand-written fast client."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from benchmarks.clients.job import Job, Meter, Report, run
from benchmarks.clients.on_asyncio import characters, read_all


async def read(job: Job) -> Report:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
    ) as session:

        async def read_one(meter: Meter) -> int:
            async with session.post(job.chat_url, json=job.chat_body) as response:
                response.raise_for_status()
                return await characters(response.content, json.loads, meter)

        return await read_all(job, read_one)


if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job)))
