"""Many streams at once on one thread: `python examples/many_streams.py 2000`."""

from __future__ import annotations

import os
import sys
import time

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 300

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(ttft=0.2, tps=100, tokens=50)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

began = time.monotonic()
with engine.Multi() as multi:
    client = engine.Client(multi)
    streams = [client.stream(MODEL, f"Tell me about the number {n}.") for n in range(COUNT)]
    print(multi)
    multi.run()

completions = [stream.result() for stream in streams]
complete = [c for c in completions if c.status == "complete"]
tokens = sum(c.usage.output_tokens or 0 for c in complete if c.usage is not None)
print(f"{len(complete)} of {COUNT} complete, {tokens} tokens, {time.monotonic() - began:.1f} s")
for error in {str(c.error) for c in completions if c.error is not None}:
    print(error)
sys.exit(len(complete) != COUNT)
