"""What the asyncio clients share: so many streams at once, one task each; and for those without a
library for it, the text in the lines of Chat Completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

from benchmarks.clients.job import Job, Meter, Report

__all__ = ["characters", "lines_of", "read_all", "text_in"]


async def read_all(job: Job, read_one: Callable[[Meter], Awaitable[int]]) -> Report:
    """Run `read_one`, which returns the characters it got, once for each stream."""
    places = asyncio.Semaphore(job.at_once)
    meter = Meter(job.at_once)

    async def place() -> int:
        async with places:
            received = await read_one(meter)
            meter.end()
            return received

    received = await asyncio.gather(*(place() for _ in range(job.streams)))
    return meter.report(sum(received))


_DONE = (b"data: [DONE]", b"data: [DONE]\n")


async def characters(
    lines: AsyncIterable[bytes], loads: Callable[[bytes], Any], meter: Meter
) -> int:
    """How many characters of text an answer has. Its lines may come with their ends or without."""
    received = 0
    async for line in lines:
        if not line.startswith(b"data: ") or line in _DONE:
            continue
        received += text_in(loads(line[6:]), meter)
    return received


def text_in(chunk: dict[str, Any], meter: Meter) -> int:
    """How many characters of text a chunk of Chat Completions brings."""
    choices = chunk["choices"]
    text = choices[0]["delta"].get("content") if choices else None
    if not text:
        meter.event()
        return 0
    return len(text)


async def lines_of(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The lines, without the empty ones, of a body whose chunks may end anywhere."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
    if rest:
        yield rest
