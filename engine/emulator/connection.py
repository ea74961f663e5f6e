"""One connection of a client: requests in, replies out, each at its pace."""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from http.client import responses
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import h11

from engine.emulator.contract import Request
from engine.emulator.respond import Ending, Reply

__all__ = ["Connection", "Host"]

_READ_BYTES: Final = 65536
# As much of a stream as is written in one turn; then the others have theirs.
_TURN_BYTES: Final = 65536
# Longest request. A conversation with images is some MB; the vendors' own limits are 20 to 32 MB.
_MOST_BODY_BYTES: Final = 64 * 1024 * 1024


class Host(Protocol):
    """What a connection needs of the server it belongs to.

    Attributes:
        now: when this turn began, by time.monotonic.
    """

    now: float

    def respond(self, request: Request) -> Reply:
        """The reply to `request`."""

    def next_request_id(self) -> str:
        """An id for a response's head."""

    def call_at(self, when: float, call: Callable[[float], None]) -> None:
        """Call `call` with the time when `when` has come, by time.monotonic; in the next turn at
        the earliest."""

    def watch(self, connection: Connection, sock: socket.socket, *, write: bool) -> None:
        """Say when `sock` can be read, and written too if `write`."""

    def forget(self, connection: Connection, sock: socket.socket) -> None:
        """`sock` is about to close."""


class Connection:
    """A client's socket in the server's loop. No method blocks; none raises for what a peer does.

    h11 reads requests, and writes heads and ends. The chunks of a stream are framed here: through
    h11 a chunk takes 3 µs of a core, framed here 0.3 µs, beside 5 µs for the send itself.
    """

    __slots__ = (
        "_answering",
        "_blocked",
        "_body",
        "_body_size",
        "_chunked",
        "_early",
        "_ending",
        "_http",
        "_interval",
        "_lead",
        "_next_time",
        "_out",
        "_request",
        "_server",
        "_socket",
        "_steps",
        "_then_close",
        "closed",
    )

    def __init__(self, sock: socket.socket, server: Host) -> None:
        self._socket = sock
        self._server = server
        self._http = h11.Connection(h11.SERVER)
        self._request: Any = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._early = 0  # bytes that came while a reply was under way
        self._answering = False
        self._steps: Iterator[bytes] = iter(())
        self._lead = b""  # the head, where it goes out with the first step
        self._chunked = False
        self._interval = 0.0
        self._next_time = 0.0
        self._ending = Ending.DONE
        self._out = bytearray()  # what the socket would not take yet
        self._blocked = False  # a step is due, and waits for that
        self._then_close = False
        self.closed: bool = False

    def ready(self, mask: int) -> None:
        """The socket can be read or written."""
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ and not self.closed:
            self._receive()

    def due(self, now: float) -> None:
        """The time of the next step has come; `now` by time.monotonic."""
        if self.closed or not self._answering:
            return
        if self._out:
            self._blocked = True
            return
        pieces: list[bytes] = []
        size = 0
        # One that is late catches up: all that is due goes out in one write.
        for step in self._steps:
            pieces.append(step)
            size += len(step)
            self._next_time += self._interval
            if size >= _TURN_BYTES or self._next_time > now:
                self._send_steps(b"".join(pieces))
                self._server.call_at(self._next_time, self.due)
                return
        self._finish(b"".join(pieces))

    def close(self) -> None:
        """Let the socket go. May be called again."""
        if not self.closed:
            self.closed = True
            self._steps = iter(())
            self._server.forget(self, self._socket)
            self._socket.close()

    # ------------------------------------------------------------------------------ requests in

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()  # a client that hangs up does not wait for the rest
            return
        self._http.receive_data(data)
        if not self._answering:
            self._next_events()
            return
        self._early += len(data)
        if self._early > _MOST_BODY_BYTES:
            self.close()  # more requests ahead of their turn than anyone has reason to send

    def _next_events(self) -> None:
        """Read on, up to the end of one request."""
        try:
            while not self.closed and not self._answering:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                    self._body.clear()
                    self._body_size = 0
                elif isinstance(event, h11.Data):
                    self._add_body(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._answer(self._server.respond(self._read_request()))
                elif event is h11.NEED_DATA and self._http.they_are_waiting_for_100_continue:
                    head = h11.InformationalResponse(status_code=100, headers=[])
                    self._send(self._http.send(head) or b"")
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, str(error))

    def _add_body(self, data: bytes) -> None:
        self._body.append(data)
        self._body_size += len(data)
        if self._body_size > _MOST_BODY_BYTES:
            self._refuse(413, f"the body is longer than {_MOST_BODY_BYTES} bytes")

    def _read_request(self) -> Request:
        path, _, query = self._request.target.decode("ascii").partition("?")
        headers = {
            name.decode("ascii"): value.decode("latin-1") for name, value in self._request.headers
        }
        method = self._request.method.decode("ascii")
        body = b"".join(self._body)
        self._body.clear()
        return Request(method, path, dict(parse_qsl(query)), headers, body)

    # ------------------------------------------------------------------------------ replies out

    def _answer(self, reply: Reply) -> None:
        """Begin a reply. It is all sent from `due`, so that no reply starts another one."""
        self._answering = True
        self._early = 0
        self._ending = reply.ending
        self._interval = reply.interval
        self._next_time = self._server.now + reply.delay
        if isinstance(reply.steps, bytes):
            self._chunked = False
            self._lead = b""
            self._steps = iter([self._whole(reply, reply.steps)])
        else:
            self._chunked = self._http.their_http_version != b"1.0"
            framing = [("transfer-encoding", "chunked")] if self._chunked else []
            self._lead = self._head(reply, framing)
            self._steps = reply.steps
            if reply.delay:
                self._send(self._lead)
                self._lead = b""
        self._server.call_at(self._next_time, self.due)

    def _whole(self, reply: Reply, body: bytes) -> bytes:
        """A response in one piece; half of its body, if it is to be cut."""
        if not reply.head:
            return b""
        head = self._head(reply, [("content-length", str(len(body)))])
        if self._request.method == b"HEAD":
            return head
        body = self._http.send(h11.Data(data=body)) or b""
        return head + (body if reply.ending is Ending.DONE else body[: len(body) // 2])

    def _head(self, reply: Reply, framing: list[tuple[str, str]]) -> bytes:
        request_id = ("x-request-id", self._server.next_request_id())
        headers = [*reply.headers, request_id, *framing]
        reason = responses.get(reply.status, "")
        head = h11.Response(status_code=reply.status, headers=headers, reason=reason)
        return self._http.send(head) or b""

    def _send_steps(self, data: bytes) -> None:
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._lead:
            data, self._lead = self._lead + data, b""
        self._send(data)

    def _finish(self, last: bytes) -> None:
        """Send `last`, then do what the ending asks for."""
        self._send_steps(last)
        if self._ending is Ending.STALL:
            self._steps = iter(())  # and still answering: nothing follows until the client leaves
            return
        if self._ending is Ending.DONE:
            self._send(self._http.send(h11.EndOfMessage()) or b"")
        if self._ending is Ending.RESET and not self.closed:
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if self._ending is not Ending.DONE or self._http.our_state is h11.MUST_CLOSE:
            self._close_when_sent()
            return
        self._answering = False
        self._http.start_next_cycle()
        self._next_events()

    def _refuse(self, status: int, message: str) -> None:
        """What came is not a request: say so and close."""
        body = message.encode("utf-8", "replace")
        headers = [("content-length", str(len(body))), ("connection", "close")]
        try:
            head = self._http.send(h11.Response(status_code=status, headers=headers))
            self._send((head or b"") + body)
        except h11.LocalProtocolError:
            pass  # a response began before the peer went wrong
        self._close_when_sent()

    def _close_when_sent(self) -> None:
        self._answering = True  # whatever comes now is not read
        self._steps = iter(())
        if self._out:
            self._then_close = True
        else:
            self.close()

    def _send(self, data: bytes) -> None:
        if self.closed or not data:
            return
        if self._out:
            self._out += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._out += data[sent:]
            self._server.watch(self, self._socket, write=True)

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if self._out:
            return
        self._server.watch(self, self._socket, write=False)
        if self._then_close:
            self.close()
        elif self._blocked:
            self._blocked = False
            self._server.call_at(self._server.now, self.due)
