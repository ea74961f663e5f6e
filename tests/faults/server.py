"""A server that plays scripts: one thread for all connections, raw sockets, no library.

    def script(request: Request) -> Iterator[Step]:
        yield OK_SSE            # bytes, as they are
        yield 0.2               # seconds of nothing
        yield RESET             # an action

    with play(script) as server: engine.Client(base_url=server.url, …)

A script is asked for its next step when the bytes of the last one are in the kernel: an endless
generator is an endless server, held back by its reader. `tests.server` is for few connections and
handlers that block; this one holds thousands.
"""

from __future__ import annotations

import heapq
import itertools
import random
import selectors
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic

from tests.server import Request


class Action(Enum):
    """What a connection does instead of sending."""

    CLOSE = "close: a FIN, in both directions"
    RESET = "a RST"
    SHUT = "half-close: a FIN, and goes on reading"
    KEEP = "wait for the next request, as the script's end does not"
    STALL = "nothing more, until the client leaves"


CLOSE, RESET, SHUT, KEEP, STALL = Action
Step = bytes | float | Action
Script = Callable[[Request], Iterable[Step]]

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    script: Iterator[Step] | None = None
    request: Request | None = None
    inbox: bytes = b""
    outbox: memoryview = field(default_factory=lambda: memoryview(b""))
    until: float = 0.0  # nothing is sent before; 0: no pause
    handshaking: bool = False
    stalled: bool = False
    interest: int = _READ


class FaultServer:
    """What `play` gives.

    Attributes:
        url: without a trailing slash; RuntimeError where its thread has ended by a mistake.
        requests: all that came, in order.
        connections: how many were accepted.
        left: (path, seconds of time.monotonic) of each connection its client closed while a
            script still ran.
        bytes_sent: by path.
        random: for scripts that draw; seeded.
        errors: what ended its thread, a mistake of a script for one. All its connections are reset
            then and none is accepted any more, so that nobody waits for its answer; `play` raises
            it.
    """

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None, seed: int, greeting: Sequence[Step]
    ) -> None:
        self.random = random.Random(seed)
        self.requests: list[Request] = []
        self.connections = 0
        self.left: list[tuple[str, float]] = []
        self.bytes_sent: dict[str, int] = {}
        self.errors: list[BaseException] = []
        self._script = script
        self._greeting = greeting
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16384)
        self._listener.setblocking(False)
        scheme = "http" if tls is None else "https"
        self._url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, _READ)
        self._due: list[tuple[float, int, _Connection]] = []
        self._order = itertools.count()
        self._calls: deque[Callable[[], None]] = deque()
        self._bell, ring = socket.socketpair()
        self._ring = ring
        self._bell.setblocking(False)
        self._selector.register(self._bell, _READ)
        self._open: set[_Connection] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        self._check()
        return self._url

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def kill_all(self) -> None:
        """A RST on every connection, as a server that is killed gives; from any thread."""
        done = threading.Event()

        def kill() -> None:
            for connection in list(self._open):
                self._reset(connection)
            done.set()

        self._calls.append(kill)
        self._ring.send(b"!")
        while not done.wait(0.1):
            self._check()

    def _check(self) -> None:
        if self.errors:
            raise RuntimeError("the thread of this server has ended") from self.errors[0]

    # -- the loop ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                for key, events in self._selector.select(self._wait()):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is self._bell:
                        self._bell.recv(4096)
                    elif key.data in self._open:
                        self._serve(key.data, events)
                while self._calls:
                    self._calls.popleft()()
                while self._due and self._due[0][0] <= monotonic():
                    when, _, connection = heapq.heappop(self._due)
                    # This thread may have stood still for the length of a pause: it went on then
                    # without waiting, and may be where its script has nothing to say.
                    if connection in self._open and connection.until == when:
                        self._write(connection)
        except BaseException as error:
            self.errors.append(error)
            self._listener.close()
            for connection in list(self._open):
                self._reset(connection)

    def _wait(self) -> float | None:
        return max(self._due[0][0] - monotonic(), 0.0) if self._due else None

    def _accept(self) -> None:
        for _ in range(1000):
            try:
                accepted, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    accepted = self._tls.wrap_socket(
                        accepted, server_side=True, do_handshake_on_connect=False
                    )
            except OSError:  # the client left meanwhile
                accepted.close()
                continue
            connection = _Connection(accepted, handshaking=self._tls is not None)
            self._open.add(connection)
            self._selector.register(accepted, _READ, connection)
            if self._greeting:
                connection.request = Request("", "", {}, b"")
                connection.script = iter(self._greeting)
                self._write(connection)

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if connection.handshaking:
                assert isinstance(connection.socket, ssl.SSLSocket)
                connection.socket.do_handshake()
                connection.handshaking = False
            if events & _READ:
                self._read(connection)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except OSError:
            self._leave(connection)
            return
        if events & _WRITE and connection in self._open:
            self._write(connection)

    def _read(self, connection: _Connection) -> None:
        data = connection.socket.recv(1 << 18)
        if not data:
            self._leave(connection)
            return
        connection.inbox += data
        self._next_request(connection)

    def _next_request(self, connection: _Connection) -> None:
        if connection.script is not None:
            return
        head, found, body = connection.inbox.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(body) < length:
            return
        method, path, _version = first.split(" ", 2)
        connection.request = Request(method, path, headers, body[:length])
        connection.inbox = body[length:]
        self.requests.append(connection.request)
        connection.script = iter(self._script(connection.request))
        self._write(connection)

    def _write(self, connection: _Connection) -> None:
        """Send until the kernel takes no more, a pause, or the end."""
        for _ in range(64):  # then others have their turn
            if connection.until > monotonic():
                return self._watch(connection, _READ)
            connection.until = 0.0
            if not connection.outbox:
                self._step(connection)
            if connection not in self._open or connection.stalled:
                return None
            if not connection.outbox:
                if connection.script is None:
                    return self._watch(connection, _READ)
                continue
            try:
                sent = connection.socket.send(connection.outbox)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return self._watch(connection, _READ | _WRITE)
            except OSError:
                return self._leave(connection)
            assert connection.request is not None
            path = connection.request.path
            self.bytes_sent[path] = self.bytes_sent.get(path, 0) + sent
            connection.outbox = connection.outbox[sent:]
        return self._watch(connection, _READ | _WRITE)

    def _step(self, connection: _Connection) -> None:
        assert connection.script is not None
        step = next(connection.script, CLOSE)
        if isinstance(step, bytes):
            connection.outbox = memoryview(step)
        elif isinstance(step, float | int):
            connection.until = monotonic() + step
            heapq.heappush(self._due, (connection.until, next(self._order), connection))
        elif step is CLOSE:
            self._drop(connection)
        elif step is RESET:
            self._reset(connection)
        elif step is SHUT:
            self._shut_down(connection)
        elif step is STALL:
            self._stall(connection)
        else:
            connection.script = None
            self._next_request(connection)

    def _shut_down(self, connection: _Connection) -> None:
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._leave(connection)
        else:
            self._stall(connection)

    def _stall(self, connection: _Connection) -> None:
        connection.stalled = True
        self._watch(connection, _READ)

    def _watch(self, connection: _Connection, interest: int) -> None:
        if connection.interest != interest and connection in self._open:
            connection.interest = interest
            self._selector.modify(connection.socket, interest, connection)

    def _leave(self, connection: _Connection) -> None:
        """The client closed."""
        if connection.script is not None and connection.request is not None:
            self.left.append((connection.request.path, monotonic()))
        self._drop(connection)

    def _reset(self, connection: _Connection) -> None:
        linger = struct.pack("ii", 1, 0)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if connection in self._open:
            self._open.discard(connection)
            self._selector.unregister(connection.socket)
            connection.socket.close()

    def _shut(self) -> None:
        self._closing = True
        self._ring.send(b"!")
        self._thread.join()
        for connection in list(self._open):
            self._drop(connection)
        self._selector.close()
        for each in (self._listener, self._bell, self._ring):
            each.close()


@contextmanager
def play(
    script: Script,
    tls: ssl.SSLContext | None = None,
    seed: int = 0,
    *,
    greeting: Sequence[Step] = (),
) -> Iterator[FaultServer]:
    """A server whose every request is answered by `script`.

    Args:
        script: a function of the request that gives its steps; after the last the connection is
            closed.
        tls: its certificate; None: plain http.
        seed: of ``server.random``.
        greeting: what every connection gets as soon as it is made, asked or not; KEEP at its end
            waits for a request.
    """
    server = FaultServer(script, tls, seed, greeting)
    server._thread.start()
    try:
        yield server
    finally:
        server._shut()
    if server.errors:
        raise server.errors[0]
