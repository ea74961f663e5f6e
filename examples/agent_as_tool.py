"""An agent as a tool of another: both run in the same loop, and each asks a model of its own."""

from __future__ import annotations

import os

import engine
import engine.emulator
from engine.agents import AgentEvent, FunctionAgent, calculator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start()
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url


def show(event: AgentEvent) -> None:
    if event.type in ("tool_start", "tool_end", "answer", "error"):
        print(f"{event.type}: {event.content}")


with engine.Client() as client:
    mathematician = FunctionAgent(
        client, MODEL, [calculator], system="You compute with the calculator and tell the result."
    )
    writer = FunctionAgent(
        client,
        MODEL,
        [mathematician.as_tool("mathematician", "Computes whatever it is told.")],
        system="You write; leave all numbers to the mathematician.",
    )
    run = writer.run_stream(
        'Ask the mathematician {"task": "Use calculator {\\"expression\\": \\"6 * 7\\"}"}.',
        on_event=show,
    )
    result = run.result()
    # Tokens of the inner agent are counted, too.
    print(f"{result.status}, {result.usage.total_tokens} tokens")
