"""What the aiohttp clients share: its lines, with whichever JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp

from benchmarks.clients.job import Job, Meter, Report
from benchmarks.clients.on_asyncio import characters, read_all

__all__ = ["read"]


async def read(job: Job, loads: Callable[[bytes], Any]) -> Report:
    """Do `job`, with `loads` for what a line holds."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
    ) as session:

        async def read_one(meter: Meter) -> int:
            async with session.post(job.chat_url, json=job.chat_body) as response:
                response.raise_for_status()
                return await characters(response.content, loads, meter)

        return await read_all(job, read_one)
