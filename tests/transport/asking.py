"""A client that asks a server of its own, once: for tests of connections that die."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import engine
from engine import Multi, Retry
from tests.server import HEALTHY, Peer, Server, chat, serve

TEXT = "".join(HEALTHY)
ONCE = Retry(max_attempts=1)


def whole(peer: Peer) -> None:
    """A whole answer, streamed or not as it was asked for."""
    if b'"stream":true' in peer.request.body:
        peer.stream(chat(*HEALTHY))
    else:
        choice = f'{{"index":0,"message":{{"content":"{TEXT}"}},"finish_reason":"stop"}}'
        peer.json(f'{{"id":"c1","choices":[{choice}]}}'.encode())


@contextmanager
def asking(
    handle: Callable[[Peer], object], tls: Path | None = None, retry: Retry = ONCE
) -> Iterator[tuple[engine.Client, Server]]:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
    with (
        serve(handle, context) as server,
        Multi(ca_file=str(tls / "ca.pem") if tls is not None else None) as multi,
    ):
        yield engine.Client(multi, base_url=server.url, retry=retry), server


def keys(server: Server) -> list[str]:
    return [request.headers["idempotency-key"] for request in server.requests]
