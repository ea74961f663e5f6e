"""Answers in a trio nursery: each task reads one, cancel scopes end what takes too long.

To cancel a task that reads cancels its stream: nobody pays for tokens that nobody reads.
"""

from __future__ import annotations

import os

import trio

import engine
import engine.emulator
from engine.loops.trio import AsyncClient

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
QUESTIONS = ["Why is the sky blue?", "Why is the sea salt?", "Why do cats purr?"]


async def answer(client: AsyncClient, question: str, seconds: float) -> None:
    words = 0
    try:
        with trio.move_on_after(seconds) as scope:
            async for delta in client.stream(MODEL, question).text_deltas():
                words += len(delta.split())
    except engine.EngineError as error:
        print(f"{question} {error}")
    else:
        print(f"{question} {words} words{', then no more time' if scope.cancelled_caught else ''}")


async def main() -> None:
    async with AsyncClient() as client, trio.open_nursery() as nursery:
        for number, question in enumerate(QUESTIONS):
            nursery.start_soon(answer, client, question, 1.0 + number)


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=40, tokens=60)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    trio.run(main)
