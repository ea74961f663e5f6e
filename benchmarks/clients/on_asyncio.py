"""What the asyncio clients share: so many streams at once, one task each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.clients.job import Job, Meter, Report

__all__ = ["read_all"]


async def read_all(job: Job, read_one: Callable[[Meter], Awaitable[int]]) -> Report:
    """Run `read_one`, which returns the characters it got, once for each stream."""
    places = asyncio.Semaphore(job.at_once)
    meter = Meter()

    async def place() -> int:
        async with places:
            received = await read_one(meter)
            meter.end()
            return received

    received = await asyncio.gather(*(place() for _ in range(job.streams)))
    return meter.report(sum(received))
