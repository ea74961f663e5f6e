"""An agent with two tools, its events as they come."""

from __future__ import annotations

import os

import engine
import engine.emulator
from engine.agents import FunctionAgent, tool

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start()
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url


@tool
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@tool
def population(city: str) -> int:
    """How many people live in a city.

    Args:
        city: its English name.
    """
    return {"Paris": 2_100_000, "Lyon": 520_000}.get(city, 0)


with engine.Client() as client:
    agent = FunctionAgent(client, MODEL, [add, population])
    run = agent.run_stream('Use population for "Paris", and add 2 and 3. What do you get?')
    for event in run:
        if event.type == "token" and event.data != "thought":
            print(event.content, end="", flush=True)
        elif event.type == "tool_start":
            print(f"→ {event.content}({event.data.arguments})")
        elif event.type == "tool_end":
            print(f"← {event.content}")
        elif event.type == "error":
            print(f"\nfailed: {event.error}")
    print(f"\n{len(run.trace)} turns, {run.result().usage.total_tokens} tokens")
