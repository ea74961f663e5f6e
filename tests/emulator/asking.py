"""Asking the emulator, without a socket and with one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from engine.emulator.contract import Request
from engine.emulator.respond import Reply, Responder
from engine.emulator.server import Server
from engine.emulator.settings import Settings
from engine.wire import NDJSONDecoder, SSEDecoder

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}


def ask(
    path: str,
    body: Any,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    responder: Responder | None = None,
    method: str = "POST",
) -> Reply:
    """What the emulator replies to one request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    responder = responder or Responder(settings or Settings())
    return responder.respond(Request(method, path, query or {}, headers or {}, data))


def body_of(reply: Reply) -> bytes:
    return reply.steps if isinstance(reply.steps, bytes) else b"".join(reply.steps)


def json_of(reply: Reply) -> Any:
    return json.loads(body_of(reply))


def events_of(reply: Reply) -> list[Any]:
    """The records of an event stream, decoded; the end marker as the text it is."""
    decoder = SSEDecoder()
    records = decoder.feed(body_of(reply)) + decoder.finish()
    return [
        record.data.decode() if record.data == b"[DONE]" else json.loads(record.data)
        for record in records
    ]


def lines_of(reply: Reply) -> list[Any]:
    """The records of a stream of JSON lines, decoded."""
    decoder = NDJSONDecoder()
    records = decoder.feed(body_of(reply)) + decoder.finish()
    return [json.loads(record) for record in records]


@contextmanager
def serving(settings: Settings | None = None) -> Iterator[Server]:
    """An emulator in a thread of this process."""
    server = Server(settings=settings)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def post(server: Server, path: str, body: Any) -> tuple[int, Mapping[str, str], bytes]:
    """One request on a connection of its own: status, headers, body."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()
