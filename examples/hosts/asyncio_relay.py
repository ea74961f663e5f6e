"""A relay (aiohttp): a small web page asks, the answer streams to it by server-sent events.

    python examples/hosts/asyncio_relay.py 8080

Stop, a closed tab, a timeout: whatever ends the request ends the upstream at once. The handler's
task is cancelled, and to leave the loop over a stream cancels the stream.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator

from aiohttp import web

import engine
import engine.emulator
from engine.loops.asyncio import AsyncClient

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
CLIENT = web.AppKey("client", AsyncClient)
PAGE = """<!doctype html><meta charset="utf-8"><title>relay</title>
<style>
  body { font: 17px/1.5 Georgia, serif; max-width: 36em; margin: 2em auto; padding: 0 1em }
  form { display: flex; gap: .5em } input { flex: 1 } input, button { font: inherit; padding: .3em }
  #answer { white-space: pre-wrap; min-height: 8em }
</style>
<form><input name="question" value="Why is the sky blue?" autofocus>
<button>Ask</button><button type="button" id="stop" disabled>Stop</button></form>
<p id="answer"></p><small id="state"></small>
<script>
  const id = name => document.getElementById(name), form = document.forms[0]
  let source
  function end(state) {
    source.close()
    id("stop").disabled = true
    id("state").textContent = state
  }
  form.onsubmit = event => {
    event.preventDefault()
    if (source) source.close()
    source = new EventSource("answer?question=" + encodeURIComponent(form.question.value))
    id("answer").textContent = id("state").textContent = ""
    id("stop").disabled = false
    source.onmessage = event => id("answer").append(JSON.parse(event.data))
    source.addEventListener("end", event => end(JSON.parse(event.data)))
    source.onerror = () => end("the relay is gone")
  }
  id("stop").onclick = () => end("stopped")
</script>"""


async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


def event(data: str, name: str = "message") -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    stream = request.app[CLIENT].stream(MODEL, request.query["question"])
    try:
        async for delta in stream.text_deltas():
            await response.write(event(delta))
        await response.write(event("complete", "end"))
    except engine.EngineError as error:
        await response.write(event(f"failed: {error}", "end"))
    except ConnectionResetError:
        pass  # the browser has gone; to leave the loop has ended the answer
    return response


async def client(app: web.Application) -> AsyncIterator[None]:
    async with AsyncClient() as app[CLIENT]:
        yield


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

    app = web.Application()
    app.cleanup_ctx.append(client)
    app.add_routes([web.get("/", page), web.get("/answer", answer)])
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    # Without handler_cancellation aiohttp lets a handler run on when its browser has gone.
    web.run_app(app, host="127.0.0.1", port=port, handler_cancellation=True)
