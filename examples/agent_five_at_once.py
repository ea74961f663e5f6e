"""Five agents on one thread, in a `select` loop that is yours."""

from __future__ import annotations

import os
import select

import engine
import engine.emulator
from engine.agents import AgentEvent, AgentRun, FunctionAgent, Limits, Pending, ToolContext, tool

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(ttft=0.05)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

multi = engine.Multi()
client = engine.Client(multi)


@tool
def ask_warehouse(item: str, context: ToolContext) -> Pending:
    """How many pieces of an item are in stock."""
    pending = Pending()
    # Whatever answers later, in the same loop: here, a model that plays the warehouse.
    stream = context.client.stream(MODEL, f"How many of {item}? A number only.", max_tokens=8)
    stream.on("end", lambda: pending.resolve(f"{item}: {stream.text}"))
    return pending


def show(event: AgentEvent, run: AgentRun) -> None:
    if event.type in ("tool_start", "tool_end", "complete", "error"):
        print(f"[{run.user_data}] {event.type}: {event.content:.60}")


agent = FunctionAgent(client, MODEL, [ask_warehouse], limits=Limits(iterations=5, seconds=120))
for item in ("nuts", "bolts", "screws", "nails", "pins"):
    agent.run_stream(f'Use ask_warehouse for "{item}".', on_event=show, user_data=item)

turns = 0
while len(multi):
    select.select(*multi.fdset(), multi.timeout())
    multi.perform()
    multi.info_read()
    turns += 1
print(f"{turns} turns of the loop")
multi.close()
