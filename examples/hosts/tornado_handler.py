"""A Tornado handler that streams an answer, and ends it when its browser goes.

    python examples/hosts/tornado_handler.py 8080
    curl -N '127.0.0.1:8080/?question=Why+is+the+sky+blue?'

Tornado's loop is asyncio's, so its client is `engine.loops.asyncio.AsyncClient`.
"""

from __future__ import annotations

import asyncio
import os
import sys

import tornado.web
from tornado.iostream import StreamClosedError

import engine
import engine.emulator
from engine.loops.asyncio import AsyncClient, AsyncStream

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Answer(tornado.web.RequestHandler):
    stream: AsyncStream[None] | None = None

    def initialize(self, client: AsyncClient) -> None:
        self.client = client

    async def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.stream = self.client.stream(MODEL, self.get_query_argument("question"))
        try:
            async for delta in self.stream.text_deltas():
                self.write(delta)
                await self.flush()
        except engine.EngineError as error:
            self.write(f"\n[{error}]\n")
        except StreamClosedError:
            pass  # nobody reads any more; to leave the loop has ended the answer

    def on_connection_close(self) -> None:
        if self.stream is not None:
            self.stream.cancel()  # also where the model is silent and nothing is written


async def main() -> None:
    async with AsyncClient() as client:
        app = tornado.web.Application([("/", Answer, {"client": client})])
        app.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, "127.0.0.1")
        await asyncio.Event().wait()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
