"""The event-loop engine: many transfers on one thread, in whatever loop its user has."""

from __future__ import annotations

from collections import deque
from os import PathLike, fspath
from time import monotonic
from typing import Any

import msgspec

from engine.errors import ConfigError, MisuseError
from engine.request import HttpRequest, check_way
from engine.transport.deadlines import Timeouts
from engine.transport.driver import HEARTBEAT, Driver
from engine.transport.exchange import Exchange, OnData, OnResponse
from engine.transport.signals import SignalsHeld
from engine.transport.transfer import State, Work

__all__ = ["Multi", "Statistics"]


class Statistics(msgspec.Struct, frozen=True):
    """What a `Multi` holds and has done.

    Attributes:
        queued, connecting, streaming, backing_off: requests in that state now.
        done, failed, cancelled: requests that ended so, since the beginning.
        pending: requests that ended and wait for `info_read`.
        sockets: descriptors libcurl wants watched.
        turns: calls of `perform`.
    """

    queued: int
    connecting: int
    streaming: int
    backing_off: int
    done: int
    failed: int
    cancelled: int
    pending: int
    sockets: int
    turns: int


class Multi(Driver):
    """Drives any number of requests without ever blocking.

    A loop waits for the descriptors of `fdset` or for `timeout` seconds, then calls `perform` and
    `info_read`::

        while len(multi):
            select.select(*multi.fdset(), multi.timeout())
            multi.perform()
            multi.info_read()

    All methods but `wakeup` belong to one thread: the one that calls the first of them. Every
    method but `perform`, `info_read`, `poll` and `run` may be called from any callback.

    Args:
        max_connections: connections open at once; 0: as many as the process may have files.
        max_host_connections: the same for one host.
        max_streams_per_connection: requests that share an HTTP/2 connection.
        ca_file: file of trusted certificates for https; None: SSL_CERT_FILE or the system's.

    Raises:
        ResourceError: no file descriptor is left.
    """

    def __init__(
        self,
        max_connections: int = 0,
        max_host_connections: int = 0,
        max_streams_per_connection: int = 100,
        *,
        ca_file: str | PathLike[str] | None = None,
    ) -> None:
        _check_limits(
            max_connections=max_connections,
            max_host_connections=max_host_connections,
            max_streams_per_connection=max_streams_per_connection,
        )
        if not isinstance(ca_file, str | PathLike | None):
            raise ConfigError(f"ca_file must be a path, not {type(ca_file).__name__}")
        ca_file = fspath(ca_file) if ca_file is not None else None
        super().__init__(max_connections, max_host_connections, max_streams_per_connection, ca_file)
        self._announcements: deque[Work] = deque()
        self._results: list[Any] = []
        self._failures: list[Exception] = []

    # -- what a host loop needs ---------------------------------------------------------------

    def fdset(self) -> tuple[list[int], list[int], list[int]]:
        """Three lists of descriptors for select().

        On Linux, BSD and macOS: the engine's own poller and nothing else, however many streams are
        open. Where the platform has no such descriptor: the sockets themselves.

        Raises:
            MisuseError: the `Multi` is closed.
            ResourceError: a socket's number is too large for select(), on such a platform.
        """
        self._usable("fdset")
        return self._poller.fdset()

    def fileno(self) -> int:
        """The one descriptor to watch for readability, so a `Multi` can be given to select().

        Raises:
            MisuseError: the `Multi` is closed.
            ResourceError: the platform has no such descriptor; use `fdset`.
        """
        self._usable("fileno")
        return self._poller.fileno()

    def timeout(self) -> float | None:
        """Seconds until `perform` must run even if no descriptor is ready; None: no deadline."""
        if self._closed:
            return None
        if self.deliverable or self._soon or self._finished or self._announcements:
            return 0.0
        if self._admission.waiting and not self._out_of_descriptors:
            return 0.0
        due = self._timers.next_time()
        if self._curl_due is not None and (due is None or self._curl_due < due):
            due = self._curl_due
        wait = None if due is None else max(due - monotonic(), 0.0)
        if self._transfers and (wait is None or wait > HEARTBEAT):
            return HEARTBEAT
        return wait

    def perform(self) -> int:
        """Do whatever can be done now, without waiting. Stream callbacks are called in here.

        Returns:
            the number of requests still open: those whose completion `info_read` has not given.

        Raises:
            MisuseError: called from a callback, another thread, or a forked child.
            BaseException: KeyboardInterrupt and the like, from a signal handler or a callback.
                Nothing is lost by it: call again to go on.
        """
        if not self._enter("perform"):
            return 0
        try:
            more = True
            while more:
                with SignalsHeld():
                    more = self._drive()
                while self._soon:
                    self._soon.popleft()()
                deliverable = self.deliverable
                while deliverable:
                    deliverable[0].deliver()
                    deliverable.popleft()
        finally:
            self._running = None
        return len(self)

    def info_read(self) -> list[Any]:
        """Hand over what completed since the last call: calls the completion handlers.

        Returns:
            a `Completion` for each stream or request, an `HttpResponse` for each plain HTTP
            request, and the result of each agent's run, in the order they ended.

        Raises:
            MisuseError: called from a callback, another thread, or a forked child.
            Exception: what a completion handler raised, after all the others were called; the
                completions are returned by the next call.
        """
        if not self._enter("info_read"):
            return []
        try:
            with SignalsHeld():
                self._conclude()
            announcements = self._announcements
            while announcements:
                try:
                    while announcements[0].announce():
                        pass
                except Exception as error:
                    self._failures.append(error)  # and go on with the next handler of the same
                else:
                    announcements.popleft()
            if self._failures:
                (first, *others), self._failures = self._failures, []
                for other in others:
                    first.add_note(f"another completion handler raised: {other!r}")
                raise first
            results, self._results = self._results, []
        finally:
            self._running = None
            if self._closing and not len(self):
                self._shut()
        return results

    # -- what a script needs ------------------------------------------------------------------

    def poll(self, timeout: float | None = None) -> int:
        """One blocking turn: wait until something is ready, `perform`, `info_read`.

        Args:
            timeout: seconds to wait at most; None: as long as it takes. 0 never blocks.

        Returns:
            the number of requests still open; 0 at once where nothing is open.

        Raises:
            MisuseError: without a timeout, where all that is open waits for a loop over its events.
        """
        self._turn(timeout)
        return len(self)

    def run(self) -> None:
        """Drive until no request is open."""
        while len(self):
            self._turn(None)

    def wakeup(self) -> None:
        """Make the descriptor readable, so that the loop calls `perform` soon. From any thread,
        and from signal handlers."""
        self._wakeup.set()

    def add(
        self,
        http_request: HttpRequest,
        on_data: OnData | None = None,
        on_done: OnResponse | None = None,
        *,
        timeouts: Timeouts | None = None,
        max_body_bytes: int = 64 * 1024 * 1024,
        user_data: Any = None,
    ) -> Exchange:
        """Make a plain HTTP request, for whatever is not an LLM.

        Args:
            http_request: what to ask.
            on_data: called with (bytes, exchange) for each piece of the body, in `perform`; the
                response's ``body`` is empty then.
            on_done: called with (response, exchange) once, in `info_read`.
            timeouts: limits; ``first_event`` is the first byte of the body. None: the defaults.
            max_body_bytes: the most a body without `on_data` may have.
            user_data: whatever you like; kept as ``exchange.user_data``.

        Returns:
            the exchange, not yet begun: no I/O was done.

        Raises:
            ConfigError: an argument is wrong, or a header would carry a key over plain http.
            MisuseError: the `Multi` is closed, or this is another thread or a forked child.
        """
        for name, call in (("on_data", on_data), ("on_done", on_done)):
            if call is not None and not callable(call):
                raise ConfigError(f"{name} must be callable, not {type(call).__name__}")
        if not isinstance(http_request, HttpRequest):
            raise ConfigError("http_request must be an engine.HttpRequest")
        if not isinstance(timeouts, Timeouts | None):
            raise ConfigError("timeouts must be an engine.Timeouts")
        check_way(http_request)
        return Exchange(
            self, http_request, on_data, on_done, timeouts or Timeouts(), max_body_bytes, user_data
        )

    def cancel_all(self) -> None:
        """Cancel every open request; each still gets its one completion from `info_read`."""
        self._usable("cancel_all")
        for owner in list(self._owners.values()):
            cancel = getattr(owner, "cancel", None)
            if cancel is not None:
                cancel()

    def close(self) -> None:
        """Cancel what is open, call its completion handlers, and free everything. Idempotent.

        From a callback: what is open is cancelled at once; the rest follows at the end of the next
        `info_read`. In a forked child: only forgets what belongs to the parent.
        """
        if self._closed:
            return
        if self.forked:
            self._closed = True
            return
        self._usable("close")
        self._closing = True
        self.cancel_all()
        if self._running is not None:
            return
        failures: list[Exception] = []
        while len(self):
            try:
                self.perform()
                self.info_read()
            except Exception as error:  # of a completion handler; the others are still to come
                failures.append(error)
        if not self._closed:
            self._shut()
        if failures:
            raise failures[0]

    def statistics(self) -> Statistics:
        """Counts of what is held and was done; cheap, from any callback."""
        counts = self._counts
        return Statistics(
            queued=counts[State.QUEUED],
            connecting=counts[State.CONNECTING],
            streaming=counts[State.STREAMING],
            backing_off=counts[State.BACKOFF],
            done=counts[State.DONE],
            failed=counts[State.FAILED],
            cancelled=counts[State.CANCELLED],
            pending=len(self._finished),
            sockets=len(self._sockets),
            turns=self._turns,
        )

    def __len__(self) -> int:
        """Requests still open: added, and their completion handlers not all called yet."""
        return len(self._owners) + len(self._announcements)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        if self._closed:
            return "<Multi closed>"
        counts = self._counts
        parts = [f"{counts[State.STREAMING]} streaming"]
        for state in (State.CONNECTING, State.QUEUED, State.BACKOFF):
            if counts[state]:
                parts.append(f"{counts[state]} {state.value}")
        if self._finished:
            parts.append(f"{len(self._finished)} to be read")
        return f"<Multi {', '.join(parts)}>"

    def __enter__(self) -> Multi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------

    def _turn(self, timeout: float | None) -> None:
        self._usable("poll")
        if not len(self):
            return
        wait = self.timeout()
        if timeout is None and self._owners and all(map(_stalled, self._owners.values())):
            raise MisuseError(
                "every open stream is paused, or waits for a reader that is max_unread_bytes "
                "behind, so waiting here would never end; read there, resume(), or call result()"
            )
        if timeout is not None and (wait is None or timeout < wait):
            wait = timeout
        if wait != 0 and self._running is None:
            self._poller.poll(wait)
        self.perform()
        self.info_read()

    def _conclude(self) -> None:
        finished = self._finished
        while finished:
            owner = finished[0]
            if self._owners.pop(id(owner), None) is not None:
                self._results.append(owner.conclude())
                self._announcements.append(owner)
            finished.popleft()

    def _enter(self, what: str) -> bool:
        self._usable(what)
        if self._running is not None:
            raise MisuseError(
                f"{what}() was called from a callback of {self._running}(); start streams with "
                "callbacks there (on_done=) and return, instead of waiting for them"
            )
        if self._closed:
            return False
        self._running = what
        return True


def _check_limits(**limits: int) -> None:
    for name, limit in limits.items():
        least = 1 if name == "max_streams_per_connection" else 0
        # libcurl takes a C long for each.
        if not isinstance(limit, int) or not least <= limit < 2**31:
            raise ConfigError(f"{name} must be a whole number from {least}, not {limit!r}")


def _stalled(owner: Work) -> bool:
    return bool(getattr(owner, "stalled", False))
