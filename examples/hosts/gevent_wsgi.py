"""A WSGI application under gevent that streams answers: a thousand browsers on one thread.

    python examples/hosts/gevent_wsgi.py 8080
    curl -N '127.0.0.1:8080/?question=Why+is+the+sky+blue?'

The generator below is an ordinary WSGI body. While it waits for a token, other greenlets run; when
its browser has gone the server closes it, and that ends the answer.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import gevent
from gevent.pywsgi import WSGIServer

import engine
import engine.emulator
from engine.loops.gevent import attach

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
client = engine.Client()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    question = parse_qs(environ["QUERY_STRING"]).get("question", ["Hello!"])[0]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    try:
        for delta in client.stream(MODEL, question).text_deltas():
            yield delta.encode()
    except engine.EngineError as error:
        yield f"\n[{error}]\n".encode()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    server = WSGIServer(("127.0.0.1", port), application, log=None)
    signal.signal(signal.SIGINT, lambda *_: gevent.spawn(server.stop, 1))
    with attach(client.multi):
        server.serve_forever()
