"""pyreqwest, in Rust on reqwest, its chunks cut into lines, and the standard library's JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from pyreqwest.client import ClientBuilder
from pyreqwest.response import ResponseBodyReader

from benchmarks.clients.job import Job, Meter, Report, run
from benchmarks.clients.on_asyncio import characters, lines_of, read_all


async def chunks(body: ResponseBodyReader) -> AsyncIterator[bytes]:
    while (chunk := await body.read_chunk()) is not None:
        yield bytes(chunk)


async def read(job: Job) -> Report:
    async with ClientBuilder().error_for_status(True).build() as client:

        async def read_one(meter: Meter) -> int:
            request = client.post(job.chat_url).body_json(job.chat_body)
            # By default it holds text back until there are 64 KiB of it, or the answer is complete.
            async with request.streamed_read_buffer_limit(0).build_streamed() as response:
                return await characters(lines_of(chunks(response.body_reader)), json.loads, meter)

        return await read_all(job, read_one)


if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job)))
