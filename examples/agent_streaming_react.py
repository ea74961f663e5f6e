"""An agent for models that cannot call tools: Thought, Action and Final Answer, read while they are
written. Try it with a small local model: `ENGINE_MODEL=ollama/llama3.2:1b`."""

from __future__ import annotations

import os

import engine
import engine.emulator
from engine.agents import ReActAgent, calculator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/react-tool=calculator")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start()
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

with engine.Client() as client:
    agent = ReActAgent(client, MODEL, [calculator])
    for event in agent.run_stream('What is "12 * 7 + 2^10"? Use the calculator.'):
        if event.type == "token":
            print(event.content, end="", flush=True)
        elif event.type == "thought":
            print("   (a thought)")
        elif event.type == "tool_start":
            print(f"→ {event.content}({event.data.arguments})")
        elif event.type == "tool_end":
            print(f"← {event.content}")
        elif event.type == "answer":
            print("   (the answer)")
