"""Any HTTP on the same engine: for what is not an LLM, beside what is one."""

from __future__ import annotations

import json
import os

import engine
import engine.emulator

emulator = None
url = os.environ.get("ENGINE_EMULATOR_URL")
if url is None:
    emulator = engine.emulator.start()
    url = emulator.base_url

multi = engine.Multi()


def listed(response: engine.HttpResponse, exchange: object) -> None:
    """Without `on_data` the body is in the response."""
    if response.error is not None:
        print(response.error)
        return
    names = [model["id"] for model in json.loads(response.body)["data"]]
    print(response.http_status, response.headers["content-type"], names)


multi.add(engine.HttpRequest("GET", f"{url}/models"), on_done=listed)

# With `on_data` the bytes are handed over as they come.
body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hi."}]})
multi.add(
    engine.HttpRequest(
        "POST", f"{url}/chat/completions", {"Content-Type": "application/json"}, body.encode()
    ),
    on_data=lambda data, exchange: print(f"{len(data)} bytes: {data[:60]!r}…"),
    on_done=lambda response, exchange: print(response.status, response.timing.total, "seconds"),
)

# A failure is a response, too.
multi.add(
    engine.HttpRequest("GET", "http://127.0.0.1:9/"),
    on_done=lambda response, exchange: print(response.status, "-", response.error),
)

multi.run()
multi.close()
