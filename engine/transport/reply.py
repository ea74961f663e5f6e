"""The answer to a plain HTTP request, from its first byte to its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, Literal

from engine.errors import (
    CallbackError,
    CancelledError,
    EngineError,
    ProtocolError,
    TruncatedError,
    describe,
)
from engine.request import HttpRequest, shown_url
from engine.response import HttpResponse
from engine.telemetry.hooks import answered, listens
from engine.transport.deadlines import Deadlines, Phase, Timeouts
from engine.transport.driver import Driver
from engine.transport.retry import Retry
from engine.transport.transfer import State, Transfer

__all__ = ["Reply"]

# It is tried once; what was lost on a pooled connection is asked once more.
_POLICY: Final = Retry()


class Reply:
    """What an `Exchange` holds: told by its transfer, asked by the `Multi` as a piece of work.

    Attributes:
        on_data: called with each piece of the body; None: the body is kept.
        on_done: called with the response once it is over, each once.
        response: the outcome; None until `conclude`.
        told: all of `on_done` were called.
    """

    __slots__ = (
        "_body",
        "_deadlines",
        "_driver",
        "_ended",
        "_error",
        "_limit",
        "_next",
        "_over",
        "_request",
        "_size",
        "_timeouts",
        "_transfer",
        "on_data",
        "on_done",
        "response",
        "told",
    )

    _transfer: Transfer
    _deadlines: Deadlines

    def __init__(
        self, driver: Driver, request: HttpRequest, timeouts: Timeouts, max_body_bytes: int
    ) -> None:
        self.on_data: Callable[[bytes], object] | None = None
        self.on_done: deque[Callable[[HttpResponse], object]] = deque()
        self.response: HttpResponse | None = None
        self.told: bool = False
        if listens():
            self.on_done.append(partial(_tell, request))
        self._driver = driver
        self._request = request
        self._timeouts = timeouts
        self._limit = max_body_bytes
        self._body: list[bytes] = []
        self._size = 0
        self._next = 0  # the first piece of _body that on_data has not seen
        self._over = False
        self._error: EngineError | None = None
        self._ended: State | None = None  # how, once there is a response

    @property
    def state(self) -> State:
        """Where its transfer is."""
        return self._ended if self._ended is not None else self._transfer.state

    def ask(self) -> None:
        """Begin, having done no I/O; signals held."""
        self._transfer = self._driver.open(
            self._request, self, self._timeouts.connect, self, _POLICY
        )
        self._deadlines = Deadlines(
            self._driver, self._timeouts, self._expired, self._transfer.catch_up
        )

    # -- Owner of the transfer -----------------------------------------------------------------

    def began(self) -> None:
        self._deadlines.connecting()

    def connected(self) -> None:
        self._deadlines.waiting()

    def received(self, data: bytes) -> None:
        if self._over:
            return
        deadlines = self._deadlines
        if not self._size:
            deadlines.flowing()
        self._size += len(data)
        deadlines.heard_at = deadlines.content_at = self._driver.now
        self._body.append(data)
        if self.on_data is not None:
            self._driver.wants_delivery(self)
        elif self._size > self._limit:
            self._fail(
                ProtocolError(
                    f"the body is larger than max_body_bytes={self._limit}; raise it, or take the "
                    "body piece by piece with on_data="
                ),
                State.FAILED,
            )

    def attempt_ended(self, error: EngineError | None) -> float | None:
        if not self._over:
            self._error = error
            self._finish(State.DONE if error is None else State.FAILED)
        return None

    # -- Work of the Multi ---------------------------------------------------------------------

    def deliver(self, until: float) -> bool:
        on_data = self.on_data
        while on_data is not None and self._next < len(self._body):
            piece = self._body[self._next]
            self._body[self._next] = b""
            self._next += 1
            try:
                on_data(piece)
            except Exception as error:
                failure = CallbackError(f"on_data raised {describe(error)}")
                failure.__cause__ = error
                self._error = failure  # also where the body had ended before it was delivered
                del self._body[self._next :]
                self._fail(failure, State.FAILED)
            if monotonic() >= until and self._next < len(self._body):
                return True
        if on_data is not None:
            self._body, self._next = [], 0
        if self._over:
            self._driver.finished(self)
        return False

    def conclude(self) -> HttpResponse:
        if self.response is None:
            head = self._transfer.head
            self.response = HttpResponse(
                status=self._status(),
                http_status=head.status if head is not None else None,
                headers=head.headers if head is not None else {},
                body=b"".join(self._body) if self.on_data is None else b"",
                error=self._error,
                timing=self._transfer.timing,
                possibly_billed=self._transfer.possibly_billed,
            )
            self._body, self.on_data = [], None
            # They hold each other, and what is in no cycle needs no garbage collector.
            self._transfer.forget_owner()
            self._ended = self._transfer.state
            del self._deadlines, self._transfer
        return self.response

    def announce(self) -> bool:
        if not self.on_done or self.response is None:
            self.told = True
            return False
        self.on_done.popleft()(self.response)
        return True

    def recall(self) -> None:
        """It has no text."""

    def cancel(self) -> None:
        error = CancelledError("the request was cancelled")
        if not self._over:
            self._fail(error, State.CANCELLED)
        elif self.on_data is not None and self._next < len(self._body):
            self._error = error  # the body had ended before it was handed over
            del self._body[self._next :]

    @property
    def stalled(self) -> bool:
        return False

    # ----------------------------------------------------------------------------------------

    def _status(self) -> Literal["complete", "truncated", "cancelled", "error"]:
        if self._error is None:
            return "complete"
        if isinstance(self._error, CancelledError):
            return "cancelled"
        return "truncated" if isinstance(self._error, TruncatedError) else "error"

    def _expired(self, phase: Phase, limit: float) -> None:
        host = self._request.peer
        self._fail(self._deadlines.error(phase, limit, host, self._transfer.phase), State.FAILED)

    def _fail(self, error: EngineError, state: State) -> None:
        if not self._over:
            self._error = error
            if self.on_data is not None:
                del self._body[self._next :]
            self._finish(state)

    def _finish(self, state: State) -> None:
        self._over = True
        self._transfer.end(state)
        self._deadlines.stop()
        self._driver.wants_delivery(self)  # and then finished: on_done comes after all of on_data


def _tell(request: HttpRequest, response: HttpResponse) -> None:
    why = response.error.message if response.error is not None else None
    what, seconds = f"{request.method} {shown_url(request.url)}", response.timing.total
    answered(what, response.status, response.http_status, seconds, why)
