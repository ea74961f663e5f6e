"""An HTTP/2 server that misbehaves on purpose, over TLS: one thread a connection.

    with play_h2(handler, home) as server: engine.Client(base_url=server.url, …)

The handler is called with an `H2Peer` for each request, when it is whole. Where it has a handler
for requests of HTTP/1.1 as well it offers both; `offer` says what from the next connection on.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from tests.servers.certificate import certify

ErrorCodes = h2.errors.ErrorCodes


@dataclass
class H2Peer:
    """One request.

    Attributes:
        number: of the request on its server, from 0.
        on_connection: of the request on its connection, from 0.
    """

    connection: H2Connection
    stream: int
    number: int
    on_connection: int
    headers: dict[str, str] = field(default_factory=dict)

    def head(self, status: int = 200, kind: str = "text/event-stream") -> None:
        fields = [(":status", str(status)), ("content-type", kind)]
        self.connection.h2.send_headers(self.stream, fields)

    def data(self, data: bytes, end: bool = False) -> None:
        self.connection.h2.send_data(self.stream, data, end_stream=end)

    def answer(self, pieces: list[bytes]) -> None:
        self.head()
        for number, piece in enumerate(pieces):
            self.data(piece, end=number == len(pieces) - 1)

    def reset(self, code: int) -> None:
        self.connection.h2.reset_stream(self.stream, code)

    def goaway(self, last: int, code: int = 0) -> None:
        """GOAWAY, by hand: the library would take the connection for closed."""
        self.connection.flush()
        payload = last.to_bytes(4, "big") + int(code).to_bytes(4, "big")
        self.connection.send((8).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + payload)

    def kill(self) -> None:
        """The connection is gone."""
        self.connection.flush()
        self.connection.dead = True


@dataclass
class H1Peer:
    """One request over HTTP/1.1.

    Attributes:
        number: of the request on its server, from 0.
        path: what is asked for.
    """

    socket: ssl.SSLSocket
    number: int
    path: str
    headers: dict[str, str]
    body: bytes

    def answer(self, pieces: list[bytes]) -> None:
        chunks = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        self.socket.sendall(head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(chunks))


class H2Connection:
    def __init__(self, sock: ssl.SSLSocket, settings: dict[int, int]) -> None:
        self.socket = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.dead = False
        self.requests = 0

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.send(data)


Handler = Callable[[H2Peer], object]
Handler1 = Callable[[H1Peer], object]


class H2Server:
    """What `play_h2` gives.

    Attributes:
        url: https, without a trailing slash.
        ca_file: whom to trust.
        requests: how many came, over HTTP/2 and HTTP/1.1.
        requests1: how many came over HTTP/1.1.
        connections: how many were made.
    """

    def __init__(
        self, handler: Handler, home: Path, settings: dict[int, int], handler1: Handler1 | None
    ) -> None:
        certify(home)
        self.ca_file = str(home / "ca.pem")
        self.requests = self.requests1 = 0
        self.connections = 0
        self.keys: list[str] = []
        self.errors: list[BaseException] = []
        self._handler, self._handler1 = handler, handler1
        self._settings = settings
        self._lock = threading.Lock()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(home / "server.pem", home / "server.key")
        self.offer("h2") if handler1 is None else self.offer("h2", "http/1.1")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: set[ssl.SSLSocket] = set()
        self._closing = False

    def offer(self, *protocols: str) -> None:
        """What the connections from now on may speak: ``"h2"``, ``"http/1.1"``."""
        self._tls.set_alpn_protocols(protocols)

    def kill_all(self) -> None:
        """Every connection is gone, from any thread."""
        for each in list(self._sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self) -> None:
        while not self._closing:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                continue  # a client that left before
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(plain, server_side=True) as sock:
                self._sockets.add(sock)
                self.connections += 1
                if sock.selected_alpn_protocol() == "h2":
                    self._talk(H2Connection(sock, self._settings))
                elif self._handler1 is not None:
                    self._talk1(sock, self._handler1)
        except OSError:
            pass
        except BaseException as error:
            if not self._closing:
                self.errors.append(error)

    def _talk1(self, sock: ssl.SSLSocket, handler: Handler1) -> None:
        with sock.makefile("rb") as lines:
            while first := lines.readline():
                heads: dict[str, str] = {}
                while line := lines.readline().strip():
                    name, _, value = line.decode().partition(":")
                    heads[name.lower()] = value.strip()
                body = lines.read(int(heads.get("content-length", "0")))
                with self._lock:
                    number = self.requests
                    self.requests += 1
                    self.requests1 += 1
                    self.keys.append(heads.get("idempotency-key", ""))
                handler(H1Peer(sock, number, first.split()[1].decode(), heads, body))

    def _talk(self, connection: H2Connection) -> None:
        connection.h2.initiate_connection()
        connection.flush()
        heads: dict[int, dict[str, str]] = {}
        while not connection.dead:
            received = connection.socket.recv(65536)
            if not received:
                return
            for event in connection.h2.receive_data(received):
                if isinstance(event, h2.events.RequestReceived):
                    pairs = ((_text(name), _text(value)) for name, value in event.headers)
                    heads[event.stream_id] = dict(pairs)
                elif isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    # Else the window of the connection is used up by requests: 65,535 bytes of all.
                    connection.h2.increment_flow_control_window(event.flow_controlled_length)
                elif isinstance(event, h2.events.StreamEnded):
                    self._handle(connection, event.stream_id, heads.pop(event.stream_id))
                if connection.dead:
                    return
            connection.flush()

    def _handle(self, connection: H2Connection, stream: int, headers: dict[str, str]) -> None:
        with self._lock:
            number = self.requests
            self.requests += 1
            self.keys.append(headers.get("idempotency-key", ""))
        peer = H2Peer(connection, stream, number, connection.requests, headers)
        connection.requests += 1
        self._handler(peer)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def play_h2(
    handler: Handler,
    home: Path,
    settings: dict[int, int] | None = None,
    handler1: Handler1 | None = None,
) -> Iterator[H2Server]:
    """A server whose every request is given to `handler`.

    Args:
        handler: what is done; it runs in a thread of the connection.
        home: an empty folder, for the certificates.
        settings: of HTTP/2, by number; see `h2.settings.SettingCodes`.
        handler1: what is done with a request of HTTP/1.1; None: none is taken.
    """
    server = H2Server(handler, home, settings or {}, handler1)
    threading.Thread(target=server._accept, daemon=True).start()
    try:
        yield server
    finally:
        server._closing = True
        server._listener.shutdown(socket.SHUT_RDWR)
        server._listener.close()
        server.kill_all()
    if server.errors:
        raise server.errors[0]
