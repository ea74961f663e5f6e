"""Several agents at once, each with a line that shows what it is doing (rich)."""

from __future__ import annotations

import os
import time

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import engine
import engine.emulator
from engine.agents import AgentEvent, AgentRun, FunctionAgent, tool

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(ttft=0.1, tps=100, tokens=30)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url


@tool(run_in="thread")
def measure(what: str) -> str:
    """Measure something; it takes a while."""
    time.sleep(0.3)
    return f"{what}: {len(what)} cm"


columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
with engine.Client() as client, Progress(*columns) as progress:
    agent = FunctionAgent(client, MODEL, [measure])

    def show(event: AgentEvent, run: AgentRun) -> None:
        name, line = run.user_data
        doing = {
            "token": "is speaking",
            "tool_start": f"waits for {event.content}",
            "tool_end": "reads the result",
            "complete": "is done",
            "error": f"failed: {event.content}",
        }
        if event.type in doing:
            progress.update(line, description=f"{name} {doing[event.type]}")
        if event.type in ("complete", "error"):
            progress.update(line, total=1, completed=1)

    for name in ("table", "chair", "lamp"):
        line = progress.add_task(f"{name} begins", total=None)
        agent.run_stream(f'Use measure for "{name}".', on_event=show, user_data=(name, line))
    client.multi.run()
