"""aiohttp, its lines, and the standard library's JSON: the usual hand-written fast client."""

from __future__ import annotations

import asyncio
import json

from benchmarks.clients.job import run
from benchmarks.clients.on_aiohttp import read

if __name__ == "__main__":
    run(lambda job: asyncio.run(read(job, json.loads)))
