"""A batch in a loop of one's own: `python examples/batch_beside_a_loop.py`.

The loop has other things to do (here: it counts its turns); the batch takes what time it needs and
gives it back. Stop it with Ctrl-C, run it again with the same output, and it goes on.
"""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile

import engine
import engine.emulator
from engine.batch import Batch, Options

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
OUTPUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tempfile.mkdtemp(), "answers.jsonl")

if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(ttft=0.05, tps=500, tokens=20)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

questions = [{"custom_id": f"q{n}", "prompt": f"What is special about {n}?"} for n in range(200)]

turns = 0
with engine.Multi() as multi:
    batch = Batch(multi, questions, OUTPUT, Options(model=MODEL), on_notice=print).start()
    while batch.summary is None:
        select.select(*multi.fdset(), multi.timeout())
        multi.perform()
        multi.info_read()
        turns += 1

summary = batch.summary
print(f"{summary.done} of {summary.rows} in {summary.seconds:.1f} s, {turns} turns: {OUTPUT}")
print(f"at most {summary.limit} at once, {summary.output_tokens} tokens")
with open(OUTPUT) as file:
    first = json.loads(file.readline())
print(first["custom_id"], first["response"]["body"]["choices"][0]["message"]["content"][:60])
sys.exit(summary.exit_code)
