"""A plain HTTP request on a `Multi`, for whatever is not an LLM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import (
    CallbackError,
    CancelledError,
    EngineError,
    ProtocolError,
    TruncatedError,
)
from engine.request import HttpRequest
from engine.response import HttpResponse
from engine.transport.deadlines import Deadlines, Phase, Timeouts
from engine.transport.transfer import State

if TYPE_CHECKING:
    from engine.transport.multi import Multi

__all__ = ["Exchange", "OnData", "OnResponse"]

OnData = Callable[[bytes, "Exchange"], object]
OnResponse = Callable[[HttpResponse, "Exchange"], object]


class Exchange:
    """What `Multi.add` returns: one request, one response, no retry.

    Attributes:
        request: what was asked.
        response: the outcome; None until it is over.
        user_data: yours.
    """

    def __init__(
        self,
        multi: Multi,
        request: HttpRequest,
        on_data: OnData | None,
        on_done: OnResponse | None,
        timeouts: Timeouts,
        max_body_bytes: int,
        user_data: Any,
    ) -> None:
        self._multi = multi
        self.request = request
        self.response: HttpResponse | None = None
        self.user_data = user_data
        self._on_data = on_data
        self._on_done: list[OnResponse] = [on_done] if on_done is not None else []
        self._limit = max_body_bytes
        self._body: list[bytes] = []
        self._size = 0
        self._next = 0  # the first piece of _body that on_data has not seen
        self._over = False
        self._error: EngineError | None = None
        self._transfer = multi.open(request, self, timeouts.connect)
        self._deadlines = Deadlines(multi, timeouts, self._expired)

    def __repr__(self) -> str:
        return f"<Exchange {self._transfer.state.value} {self.request!r}>"

    def add_done(self, on_done: OnResponse) -> None:
        """Call `on_done`, too, with (response, exchange) once it is over; from any callback before
        that."""
        self._on_done.insert(0, on_done)

    def cancel(self) -> None:
        """End it now; its response has the status ``cancelled``, and `on_data` is not called again.
        From anywhere; idempotent; nothing where all of it was handed over."""
        self._multi.check_thread("cancel")
        error = CancelledError("the request was cancelled")
        if not self._over:
            self._fail(error, State.CANCELLED)
        elif self._on_data is not None and self._next < len(self._body):
            self._error = error  # the body had ended before it was handed over
            del self._body[self._next :]

    # -- Owner -------------------------------------------------------------------------------

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
        deadlines.heard_at = deadlines.content_at = self._multi.now
        self._body.append(data)
        if self._on_data is not None:
            self._multi.wants_delivery(self)
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

    def deliver(self) -> None:
        on_data = self._on_data
        while on_data is not None and self._next < len(self._body):
            piece = self._body[self._next]
            self._body[self._next] = b""
            self._next += 1
            try:
                on_data(piece, self)
            except Exception as error:
                failure = CallbackError(f"on_data raised {type(error).__name__}: {error}")
                failure.__cause__ = error
                self._error = failure  # also where the body had ended before it was delivered
                del self._body[self._next :]
                self._fail(failure, State.FAILED)
        if on_data is not None:
            self._body, self._next = [], 0
        if self._over:
            self._multi.finished(self)

    def conclude(self) -> HttpResponse:
        if self.response is None:
            head = self._transfer.head
            self.response = HttpResponse(
                status=self._status(),
                http_status=head.status if head is not None else None,
                headers=head.headers if head is not None else {},
                body=b"".join(self._body) if self._on_data is None else b"",
                error=self._error,
                timing=self._transfer.timing,
            )
        return self.response

    def announce(self) -> None:
        while self._on_done and self.response is not None:
            on_done = self._on_done.pop()
            on_done(self.response, self)

    # ----------------------------------------------------------------------------------------

    def _status(self) -> Literal["complete", "truncated", "cancelled", "error"]:
        if self._error is None:
            return "complete"
        if isinstance(self._error, CancelledError):
            return "cancelled"
        return "truncated" if isinstance(self._error, TruncatedError) else "error"

    def _expired(self, phase: Phase, limit: float) -> None:
        host = self.request.peer
        self._fail(self._deadlines.error(phase, limit, host, self._transfer.phase), State.FAILED)

    def _fail(self, error: EngineError, state: State) -> None:
        if not self._over:
            self._error = error
            if self._on_data is not None:
                del self._body[self._next :]
            self._finish(state)

    def _finish(self, state: State) -> None:
        self._over = True
        self._transfer.end(state)
        self._deadlines.stop()
        self._multi.wants_delivery(self)  # and then finished: on_done comes after all of on_data
