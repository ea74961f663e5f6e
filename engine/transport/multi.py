"""The event-loop engine: many transfers on one thread, in whatever loop its user has."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from os import PathLike, fspath
from typing import Any, Final

import msgspec

from engine.callback import check_callback
from engine.errors import ConfigError, MisuseError
from engine.request import HttpRequest, check_way
from engine.transport.deadlines import Timeouts
from engine.transport.descriptors import descriptor_limit, raise_descriptor_limit
from engine.transport.driver import Driver
from engine.transport.exchange import Exchange, OnData, OnResponse
from engine.transport.signals import SignalsHeld
from engine.transport.transfer import State
from engine.transport.turn import OnTurn, Turn

__all__ = ["Multi", "Statistics", "driver_of"]

# How much longer turns may be where no loop waits for their end: there each is one round of what
# was ready. Where it is cut after a few requests, or goes on with what came meanwhile, each step
# finds less of itself in the caches, and a server on the same core works beside all of it (CPU of
# 300 agents, median of seven: 1.12 s; cut after 50 ms and going on, 1.30).
_UNWAITED: Final = 100


class Statistics(msgspec.Struct, frozen=True):
    """What a `Multi` holds and has done.

    Attributes:
        queued, connecting, streaming, backing_off: requests in that state now.
        done, failed, cancelled: requests that ended so, since the beginning.
        pending: requests that ended and wait for `info_read`.
        sockets: descriptors libcurl wants watched.
        turns: calls of `perform`.
        descriptors: how many files this process may have open; None: no limit. The first `Multi`
            raises the soft limit to the hard one, where the system allows that.
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
    descriptors: int | None


class Multi:
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
        turn_seconds: how long `perform` and `info_read` take together, besides the one callback
            that runs; what is left then comes in the next turn. None: as long as there is
            something to do, which a fast server can make long.
        on_exception: called with (exception,) for each that a completion handler or a call of
            `call_soon` raised. None: `info_read` raises it.
        ca_file: file of trusted certificates for https; None: SSL_CERT_FILE or the system's.

    Raises:
        ConfigError: an argument is wrong.
        ResourceError: no file descriptor is left.
    """

    def __init__(
        self,
        max_connections: int = 0,
        max_host_connections: int = 0,
        max_streams_per_connection: int = 100,
        turn_seconds: float | None = 0.005,
        on_exception: Callable[[Exception], object] | None = None,
        *,
        ca_file: str | PathLike[str] | None = None,
    ) -> None:
        _check_limits(
            max_connections=max_connections,
            max_host_connections=max_host_connections,
            max_streams_per_connection=max_streams_per_connection,
        )
        _check_seconds("turn_seconds", turn_seconds)
        if on_exception is not None:
            check_callback(on_exception, "on_exception")
        if not isinstance(ca_file, str | PathLike | None):
            raise ConfigError(f"ca_file must be a path, not {type(ca_file).__name__}")
        raise_descriptor_limit()
        self._driver = Driver(
            max_connections,
            max_host_connections,
            max_streams_per_connection,
            fspath(ca_file) if ca_file is not None else None,
        )
        self._turn = Turn(self._driver, turn_seconds, on_exception)

    # -- what a host loop needs ---------------------------------------------------------------

    def fdset(self) -> tuple[list[int], list[int], list[int]]:
        """Three lists of descriptors for select().

        On Linux, BSD and macOS: the engine's own poller and nothing else, however many streams are
        open. Where the platform has no such descriptor: the sockets themselves.

        Raises:
            MisuseError: the `Multi` is closed.
            ResourceError: a descriptor's number is too large for select(); wait for `fileno` with
                poll() or epoll().
        """
        self._check_watched("fdset")
        return self._driver.sockets.fdset()

    def fileno(self) -> int:
        """The one descriptor to watch for readability, so a `Multi` can be given to select().

        Raises:
            MisuseError: the `Multi` is closed.
            ResourceError: the platform has no such descriptor; use `fdset`.
        """
        self._check_watched("fileno")
        return self._driver.sockets.fileno()

    def timeout(self) -> float | None:
        """Seconds until `perform` must run even if no descriptor is ready; None: no deadline."""
        return self._turn.timeout()

    def perform(self, max_seconds: float | None = None) -> int:
        """Do what can be done now, without waiting, for the time of a turn. Stream callbacks are
        called in here.

        Args:
            max_seconds: the time of this call, in place of ``turn_seconds``; None: that. However
                short, every part of the work comes on a little.

        Returns:
            the number of requests still open: those whose completion `info_read` has not given.

        Raises:
            MisuseError: called from a callback, another thread, or a forked child.
            BaseException: KeyboardInterrupt and the like, from a signal handler or a callback.
                Nothing is lost by it: call again to go on.
        """
        _check_seconds("max_seconds", max_seconds)
        return self._turn.perform(max_seconds)

    def info_read(self, max_seconds: float | None = None) -> list[Any]:
        """Hand over what completed since the last call: calls the completion handlers.

        Args:
            max_seconds: the time of this call; None: what `perform` left of the turn, a quarter
                of it at least.

        Returns:
            a `Completion` for each stream or request, an `HttpResponse` for each plain HTTP
            request, and the result of each agent's run, in the order they ended.

        Raises:
            MisuseError: called from a callback, another thread, or a forked child.
            Exception: what a completion handler raised, after all the others of this turn were
                called; the completions are returned by the next call.
        """
        _check_seconds("max_seconds", max_seconds)
        return self._turn.info_read(max_seconds)

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
        return self._poll(timeout)

    def run(self) -> None:
        """Drive until no request is open. No loop waits for the end of a turn in here, so each is
        a round of all that is ready, of up to a hundred times ``turn_seconds``. Where callbacks
        keep the thread busy, a new connection takes four or five such turns of its connect limit;
        `poll` in a loop keeps them short."""
        seconds = self._turn.seconds
        most = inf if seconds is None else seconds * _UNWAITED
        while self._poll(None, most):
            pass

    def wakeup(self) -> None:
        """Make the descriptor readable, so that the loop calls `perform` soon. From any thread,
        and from signal handlers."""
        self._driver.sockets.wakeup.set()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Have `call` called on the thread of the `Multi`, in the next `perform`, in order. From
        any thread, and from signal handlers and finalizers. What it raises is told as what a
        completion handler raises. A ConfigError where `call` cannot be called.
        """
        check_callback(call, "what call_soon takes")
        self._turn.call_soon(call)

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
                response's ``body`` is empty then. None: the body is kept.
            on_done: called with (response, exchange) once, in `info_read`; None: nobody is.
            timeouts: limits; ``first_event`` is the first byte of the body. None: the defaults.
            max_body_bytes: the most a body without `on_data` may have.
            user_data: whatever you like; kept as ``exchange.user_data``; None too.

        Returns:
            the exchange, not yet begun: no I/O was done.

        Raises:
            ConfigError: an argument is wrong, or a header would carry a key over plain http.
            MisuseError: the `Multi` is closed, or this is another thread or a forked child.
        """
        for name, call in (("on_data", on_data), ("on_done", on_done)):
            if call is not None:
                check_callback(call, name)
        if not isinstance(http_request, HttpRequest):
            raise ConfigError("http_request must be an engine.HttpRequest")
        if not isinstance(timeouts, Timeouts | None):
            raise ConfigError("timeouts must be an engine.Timeouts")
        check_way(http_request)
        with SignalsHeld():
            return Exchange(
                self._driver,
                http_request,
                on_data,
                on_done,
                timeouts or Timeouts(),
                max_body_bytes,
                user_data,
            )

    def on_turn(self, call: OnTurn) -> Callable[[], None]:
        """Call `call` last in each `perform` that brought text, once for all streams, for those
        who draw a screen a turn and not a token: with ([(stream, its text of this turn), …],).
        What it raises is told as what a completion handler raises.

        Returns:
            a function that undoes it; idempotent.

        Raises:
            ConfigError: `call` cannot be called.
        """
        check_callback(call, "on_turn")
        return self._turn.hook(call)

    def cancel_all(self) -> None:
        """Cancel every open request; each still gets its one completion from `info_read`. Nothing
        more is handed over from now on, but the completions may take some turns."""
        self._driver.check_thread("cancel_all")
        self._turn.cancel_all()

    def close(self) -> None:
        """Cancel what is open, call its completion handlers, and free everything. Idempotent.

        From a callback: what is open is cancelled at once; the rest follows at the end of the next
        `info_read`. In a forked child: only forgets what belongs to the parent.
        """
        driver = self._driver
        if driver.closed:
            return
        if driver.affinity.forked:
            driver.closed = True
            return
        driver.check_thread("close")
        self._turn.close()

    def statistics(self) -> Statistics:
        """Counts of what is held and was done; cheap, from any callback."""
        counts = self._driver.transfers.counts
        return Statistics(
            queued=counts[State.QUEUED],
            connecting=counts[State.CONNECTING],
            streaming=counts[State.STREAMING],
            backing_off=counts[State.BACKOFF],
            done=counts[State.DONE],
            failed=counts[State.FAILED],
            cancelled=counts[State.CANCELLED],
            pending=len(self._driver.ended),
            sockets=len(self._driver.sockets),
            turns=self._turn.count,
            descriptors=descriptor_limit(),
        )

    def __len__(self) -> int:
        """Requests still open: added, and their completion handlers not all called yet."""
        return len(self._turn)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        if self._driver.closed:
            return "<Multi closed>"
        counts = self._driver.transfers.counts
        parts = [f"{counts[State.STREAMING]} streaming"]
        for state in (State.CONNECTING, State.QUEUED, State.BACKOFF):
            if counts[state]:
                parts.append(f"{counts[state]} {state.value}")
        if self._driver.ended:
            parts.append(f"{len(self._driver.ended)} to be read")
        return f"<Multi {', '.join(parts)}>"

    def __enter__(self) -> Multi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------

    def _poll(self, timeout: float | None, round_seconds: float | None = None) -> int:
        attached = self._driver.attached
        if attached is None or not len(self) or not attached.wait(timeout):
            self._wait(timeout)
            self._turn.perform(round_seconds, one_round=round_seconds is not None)
            self.info_read()
        return len(self)

    def _wait(self, timeout: float | None) -> None:
        self._driver.check_thread("poll")
        works = self._driver.works
        if not len(self):
            return
        # What waits to be handed over is no reason: a turn ends in the middle of it.
        if timeout is None and works and not self._turn.pending:
            for work in works.values():
                if not work.stalled:
                    break
            else:
                raise MisuseError(
                    "every open stream is paused, or waits for a reader that is max_unread_bytes "
                    "behind, so waiting here would never end; read there, resume(), or call "
                    "result()"
                )
        self._turn.wait(timeout)

    def _check_watched(self, what: str) -> None:
        self._driver.check_thread(what)
        if self._driver.closed:
            raise MisuseError("this Multi is closed; make a new one for new requests")


def driver_of(multi: Multi) -> Driver:
    """The machinery of `multi`, for what makes requests on it or waits in it."""
    return multi._driver


def _check_limits(**limits: int) -> None:
    for name, limit in limits.items():
        least = 1 if name == "max_streams_per_connection" else 0
        # libcurl takes a C long for each.
        if not isinstance(limit, int) or not least <= limit < 2**31:
            raise ConfigError(f"{name} must be a whole number from {least}, not {limit!r}")


def _check_seconds(name: str, seconds: float | None) -> None:
    # not NaN, which no comparison holds for
    if seconds is not None and not (isinstance(seconds, int | float) and seconds >= 0):
        raise ConfigError(f"{name} must be seconds, 0 or more, or None; not {seconds!r}")
