"""A server's own loop over `selectors` (epoll, kqueue, poll: the best there is) that streams, too.

Each line that a client sends is a question; the answer streams back. One who hangs up ends his
answer. Try it with `nc 127.0.0.1 8080`.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
from collections.abc import Callable

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

selector = selectors.DefaultSelector()
multi = engine.Multi()
client = engine.Client(multi)


def accept(listener: socket.socket) -> None:
    peer, _ = listener.accept()
    answers: list[engine.Stream[None]] = []

    def send(delta: str) -> None:
        peer.sendall(delta.encode())

    def read() -> None:
        try:
            line = peer.recv(65536)  # one line at a time, as `nc` sends them
        except ConnectionError:
            line = b""
        if line:
            question = line.decode(errors="replace")
            answers.append(client.stream(MODEL, question, on_text=send))
            return
        for stream in answers:
            stream.cancel()
        selector.unregister(peer)
        peer.close()

    selector.register(peer, selectors.EVENT_READ, read)


def serve(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    selector.register(listener, selectors.EVENT_READ, lambda: accept(listener))
    selector.register(multi, selectors.EVENT_READ, lambda: None)  # it has a fileno()
    while True:
        for key, _ in selector.select(multi.timeout()):
            ready: Callable[[], None] = key.data
            ready()
        multi.perform()
        multi.info_read()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    try:
        serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
    except KeyboardInterrupt:
        multi.close()
