"""The loop: one thread, one selector, one heap of timers."""

from __future__ import annotations

import errno
import heapq
import selectors
import socket
import sys
import time
import traceback
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from engine.emulator.connection import Connection
from engine.emulator.contract import Request
from engine.emulator.respond import Reply, Responder
from engine.emulator.settings import Settings
from engine.errors import ConfigError

__all__ = ["Server"]

# Connections a burst of clients may have waiting; the kernel caps it at net.core.somaxconn.
_BACKLOG: Final = 4096
_ACCEPT_PAUSE: Final = 0.1  # seconds, when descriptors have run out


class Server:
    """An emulated provider on a socket, driven by the thread that calls `serve`.

    Args:
        host: address to listen on.
        port: 0: a free one, see `port`.
        settings: of every request that says nothing else.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, settings: Settings | None = None
    ) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"the emulator's port must be from 0 to 65535, got {port}")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"the emulator cannot listen on {host} port {port}: {error}; if one runs there "
                "already, use that, else choose another port"
            ) from error
        self._listener.setblocking(False)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.now: float = time.monotonic()
        self.requests: int = 0
        self._responder = Responder(settings or Settings())
        self._connections: set[Connection] = set()
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._running = True
        self._listen(self.now)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)

    def __repr__(self) -> str:
        return f"<Server {self.url} {len(self._connections)} connections, {self.requests} requests>"

    @property
    def url(self) -> str:
        """Address without a path."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def serve(self) -> None:
        """Run until `stop`, then close every socket."""
        try:
            while self._running:
                self._turn()
        finally:
            self._close()

    def stop(self) -> None:
        """End `serve`. From any thread, and from a signal handler."""
        self._running = False
        try:
            self._wake_write.send(b"\0")
        except OSError:
            pass  # closed already

    def stop_at_eof(self, fd: int) -> None:
        """`stop` when `fd`, a pipe's end, says that nobody holds the other one any more."""
        self._selector.register(fd, selectors.EVENT_READ, lambda _: self.stop())

    # ------------------------------------------------------------- Host: what connections need

    def respond(self, request: Request) -> Reply:
        self.requests += 1
        return self._responder.respond(request)

    def next_request_id(self) -> str:
        return f"req_{self.requests:08x}"

    def call_at(self, when: float, call: Callable[[float], None]) -> None:
        heapq.heappush(self._timers, (when, next(self._order), call))

    def watch(self, connection: Connection, sock: socket.socket, *, write: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        self._selector.modify(sock, events, connection.ready)

    def forget(self, connection: Connection, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self._connections.discard(connection)

    # ----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        timeout = None
        if self._timers:
            timeout = max(0.0, self._timers[0][0] - time.monotonic())
        ready = self._selector.select(timeout)
        self.now = time.monotonic()
        for key, mask in ready:
            self._guarded(key.data, mask)
        timers, due = self._timers, []
        while timers and timers[0][0] <= self.now:
            due.append(heapq.heappop(timers)[2])
        for call in due:
            self._guarded(call, self.now)

    def _guarded(self, call: Callable[[Any], None], argument: Any) -> None:
        """A mistake of ours ends one connection, and is told; the others go on."""
        try:
            call(argument)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            owner = getattr(call, "__self__", None)
            if isinstance(owner, Connection):
                owner.close()

    def _listen(self, _: float) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self, _: int) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    # The listener stays readable: without a pause the loop would only spin.
                    self._selector.unregister(self._listener)
                    self.call_at(self.now + _ACCEPT_PAUSE, self._listen)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, self)
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection.ready)

    def _woken(self, _: int) -> None:
        try:
            self._wake_read.recv(4096)
        except OSError:
            pass

    def _close(self) -> None:
        for connection in list(self._connections):
            connection.close()
        self._selector.close()
        for sock in (self._listener, self._wake_read, self._wake_write):
            sock.close()
