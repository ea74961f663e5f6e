"""A chat bot whose heartbeat never slips, as Discord's gateway demands: who misses one is put out.

    python examples/hosts/heartbeat_bot.py ws://…

Without an address it serves itself a small gateway that says hello, hands over ten messages at
once, and tells how late the heartbeats were. A message that is answered is edited as the answer
grows, not more often than the service likes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import pairwise
from typing import Any

import aiohttp
from aiohttp import web

import engine
import engine.emulator
from engine.loops.asyncio import AsyncClient

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
EDIT_SECONDS = 0.5


class Bot:
    def __init__(self, client: AsyncClient, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.client = client
        self.socket = socket

    async def run(self) -> None:
        hello = await self.socket.receive_json()
        async with asyncio.TaskGroup() as tasks:
            heart = tasks.create_task(self.beat(hello["heartbeat_interval"] / 1000))
            async for said in self.socket:
                message = said.json()
                tasks.create_task(self.answer(message["id"], message["content"]))
            heart.cancel()

    async def beat(self, seconds: float) -> None:
        while True:
            await self.socket.send_json({"op": "heartbeat"})
            await asyncio.sleep(seconds)

    async def answer(self, number: int, question: str) -> None:
        stream, edited = self.client.stream(MODEL, question), time.monotonic()
        async for _ in stream.text_deltas():
            if time.monotonic() - edited > EDIT_SECONDS:
                edited = time.monotonic()
                await self.edit(number, f"{stream.text} …")
        await self.edit(number, stream.text)

    async def edit(self, number: int, content: str) -> None:
        await self.socket.send_json({"op": "edit", "id": number, "content": content})


async def gateway(request: web.Request) -> web.WebSocketResponse:
    """The other side, for a demonstration."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"heartbeat_interval": 50})
    for number in range(10):
        await socket.send_json({"id": number, "content": f"Tell me about the number {number}."})
    answers: dict[int, str] = {}
    beats: list[float] = []
    async for said in socket:
        message: dict[str, Any] = said.json()
        if message["op"] == "heartbeat":
            beats.append(time.monotonic())
        else:
            answers[message["id"]] = message["content"]
        if len(answers) == 10 and not any(text.endswith("…") for text in answers.values()):
            break
    await socket.close()
    late = max(after - before for before, after in pairwise(beats)) - 0.05
    print(f"{len(answers)} answered, {len(beats)} heartbeats, at most {late * 1000:.0f} ms late")
    return socket


async def main(url: str | None) -> None:
    app = web.Application()
    app.add_routes([web.get("/", gateway)])
    runner = web.AppRunner(app)
    await runner.setup()
    if url is None:
        site = web.TCPSite(runner, "127.0.0.1", int(os.environ.get("GATEWAY_PORT", "8089")))
        await site.start()
        url = site.name
    async with (
        AsyncClient() as client,
        aiohttp.ClientSession() as session,
        session.ws_connect(url) as socket,
    ):
        await Bot(client, socket).run()
    await runner.cleanup()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=50, tokens=100)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
