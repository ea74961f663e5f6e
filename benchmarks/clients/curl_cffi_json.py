"""curl_cffi's AsyncSession, its chunks cut into lines, and the standard library's JSON."""

from __future__ import annotations

import asyncio
import json

from curl_cffi.requests import AsyncSession

from benchmarks.clients.job import Job, Meter, Report, run
from benchmarks.clients.on_asyncio import characters, lines_of, read_all


async def read(job: Job) -> Report:
    async with AsyncSession(max_clients=job.at_once, timeout=None) as session:

        async def read_one(meter: Meter) -> int:
            async with session.stream("POST", job.chat_url, json=job.chat_body) as response:
                response.raise_for_status()
                return await characters(lines_of(response.aiter_content()), json.loads, meter)

        return await read_all(job, read_one)


if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job)))
