"""Agents in an asyncio program: `async for` over one, `await` for others beside it."""

from __future__ import annotations

import asyncio
import os

import engine
import engine.emulator
from engine.agents import FunctionAgent, calculator
from engine.loops.asyncio import AsyncioLoop

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start()
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url


async def main() -> None:
    with engine.Client() as client:
        agent = FunctionAgent(client, MODEL, [calculator])
        async with AsyncioLoop(client.multi) as loop:
            others = [
                asyncio.create_task(
                    loop.result(agent.run_stream(f'Use the calculator for "{n} * {n}".'))
                )
                for n in range(3)
            ]
            async for event in loop.events(agent.run_stream('Use the calculator for "6 * 7".')):
                print(event.type, event.content)
            for result in await asyncio.gather(*others):
                print(result.answer)


asyncio.run(main())
