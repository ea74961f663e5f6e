"""A conversation with an agent that remembers. Ctrl-D ends it; /reset begins anew."""

from __future__ import annotations

import os
import sys

import engine
import engine.emulator
from engine.agents import ConversationalAgent, Window, calculator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(tokens=20)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

with engine.Client() as client:
    agent = ConversationalAgent(
        client, MODEL, [calculator], memory=Window(20), system="You are brief and kind."
    )
    print("> ", end="", flush=True)
    for question in map(str.strip, sys.stdin):
        if question == "/reset":
            agent.reset()
        elif question:
            for event in agent.run_stream(question):
                if event.type == "token" and event.data != "thought":
                    print(event.content, end="", flush=True)
                elif event.type == "tool_end":
                    print(f"[{event.data.name}: {event.content}]")
                elif event.type == "error":
                    print(event.content, end="")
            print()
        print("> ", end="", flush=True)
    print(f"\n{len(agent.messages)} messages")
