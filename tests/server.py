"""A loopback server that does exactly what a test says, byte for byte.

    with serve(lambda peer: peer.send(OK_SSE + b"data: …")) as url: …

The handler runs in a thread of its own for each connection; it may send, cut, stall, or look at
`peer.request`. What it raises fails the test when the server closes. `chat` and `chat_chunk` write
the bytes of a Chat Completions stream.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK_SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OK_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


DONE = b"data: [DONE]\n\n"


def chat_chunk(content: str | None = None, finish: str | None = None) -> bytes:
    """One event of a Chat Completions stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return (
        b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode() + b"\n\n"
    )


def chat(*pieces: str) -> list[bytes]:
    """A whole Chat Completions stream with `pieces` of text, an event each."""
    return [*map(chat_chunk, pieces), chat_chunk(finish="stop"), DONE]


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"


@dataclass
class Peer:
    """One connection, at one request."""

    socket: socket.socket
    request: Request
    server: Server
    keep_open: bool = False

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def chunk(self, data: bytes) -> None:
        """One chunk of a chunked body."""
        if data:
            self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """The last chunk; the connection stays open for another request."""
        self.send(b"0\r\n\r\n")
        self.keep_open = True

    def stream(self, pieces: Iterable[bytes]) -> None:
        """A whole event stream, a chunk a piece."""
        self.send(OK_SSE)
        for piece in pieces:
            self.chunk(piece)
        self.end()

    def at_once(self, pieces: Iterable[bytes], *, end: bool = True) -> None:
        """The same in one piece: no machine stops in the middle of it. Without its `end`: its
        beginning."""
        said = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        self.send(OK_SSE + said + (b"0\r\n\r\n" if end else b""))
        self.keep_open = end

    def json(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        """A whole answer."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}"
        self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.keep_open = True

    def reset(self) -> None:
        """Cut the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_closed(self) -> None:
        """Return when the client has gone, or the server closes."""
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass

    def sibling(self) -> bool:
        """Answer a request of `healthy` streams; False where the request is not one."""
        if not self.request.path.startswith("/healthy/"):
            return False
        self.stream(chat(*HEALTHY))
        return True


HEALTHY = ["All ", "is ", "well."]
"""The text of a stream beside one that is hurt, in pieces: see `Peer.sibling`."""


@dataclass
class Server:
    url: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    errors: list[BaseException] = field(default_factory=list)
    _sockets: set[socket.socket] = field(default_factory=set)
    _closing: bool = False

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def _accept(self, listener: socket.socket, handler: Callable[[Peer], object]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
                if connection.family is not socket.AF_UNIX:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                if self._closing:
                    return
                continue  # a client that left, in a TLS handshake for one
            self.connections += 1
            self._sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection, handler), daemon=True).start()

    def _serve(self, connection: socket.socket, handler: Callable[[Peer], object]) -> None:
        try:
            while (request := _read_request(connection)) is not None:
                self.requests.append(request)
                peer = Peer(connection, request, self)
                handler(peer)
                if not peer.keep_open:
                    break
        except OSError:
            pass  # the client left
        except BaseException as error:
            if not self._closing:
                self.errors.append(error)
        finally:
            self._sockets.discard(connection)
            connection.close()


def _read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, version = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return Request(method, path, headers, body, version)


@contextmanager
def serve(
    handler: Callable[[Peer], object],
    tls: ssl.SSLContext | None = None,
    unix_socket: str | None = None,
) -> Iterator[Server]:
    """A server on a free port of 127.0.0.1, or on a Unix socket; ``server.url`` has no trailing
    slash.

    `tls`: its certificate; None: plain http.
    """
    if unix_socket is None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        port = listener.getsockname()[1]
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(unix_socket)
        listener.listen(64)
        port = 0
    scheme = "http" if tls is None else "https"
    server = Server(f"{scheme}://127.0.0.1:{port}")
    if tls is not None:
        listener = tls.wrap_socket(listener, server_side=True)
    thread = threading.Thread(target=server._accept, args=(listener, handler), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._closing = True
        listener.shutdown(socket.SHUT_RDWR)
        # Else one that is about to accept does so on the next listener, which has the same number.
        thread.join(1)
        listener.close()
        for connection in list(server._sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    if server.errors:
        raise server.errors[0]
