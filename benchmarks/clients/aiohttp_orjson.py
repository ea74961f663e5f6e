"""aiohttp and its lines as in `aiohttp_json`, with what makes it faster: orjson, and uvloop."""

from __future__ import annotations

import orjson
import uvloop

from benchmarks.clients.job import run
from benchmarks.clients.on_aiohttp import read

if __name__ == "__main__":
    run(lambda job: uvloop.run(read(job, orjson.loads)))
