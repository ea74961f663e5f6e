"""A plain HTTP request on a `Multi`, for whatever is not an LLM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.request import HttpRequest
from engine.response import HttpResponse
from engine.transport.deadlines import Timeouts
from engine.transport.driver import Driver
from engine.transport.reply import Reply
from engine.transport.signals import SignalsHeld

__all__ = ["Exchange", "OnData", "OnResponse"]

OnData = Callable[[bytes, "Exchange"], object]
OnResponse = Callable[[HttpResponse, "Exchange"], object]


class Exchange:
    """What `Multi.add` returns: one request, one response, no retry.

    Attributes:
        request: what was asked.
        user_data: yours.
    """

    __slots__ = ("__weakref__", "_driver", "_reply", "request", "user_data")

    def __init__(
        self,
        driver: Driver,
        request: HttpRequest,
        on_data: OnData | None,
        on_done: OnResponse | None,
        timeouts: Timeouts,
        max_body_bytes: int,
        user_data: Any,
    ) -> None:
        self.request: HttpRequest = request
        self.user_data: Any = user_data
        self._driver = driver
        self._reply = Reply(driver, request, timeouts, max_body_bytes)
        if on_data is not None:
            self._reply.on_data = lambda piece: on_data(piece, self)
        if on_done is not None:
            self.add_done(on_done)
        self._reply.ask()

    def __repr__(self) -> str:
        return f"<Exchange {self._reply.state.value} {self.request!r}>"

    @property
    def response(self) -> HttpResponse | None:
        """The outcome; None until it is over."""
        return self._reply.response

    def add_done(self, on_done: OnResponse) -> None:
        """Call `on_done`, too, with (response, exchange) once it is over, in `info_read`; where it
        is already, and all who waited were told, at once, in here."""
        if self._reply.told and self.response is not None:
            on_done(self.response, self)
        else:
            self._reply.on_done.append(lambda response: on_done(response, self))

    def cancel(self) -> None:
        """End it now; its response has the status ``cancelled``, and `on_data` is not called again.
        From anywhere; idempotent; nothing where all of it was handed over."""
        self._driver.check_thread("cancel")
        with SignalsHeld():
            self._reply.cancel()
