"""The event-loop engine: many transfers on one thread, in whatever loop its user has."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec
import pycurl

from engine.errors import EngineError, MisuseError, ResourceError
from engine.request import HttpRequest
from engine.transport.admission import Admission, descriptors_left
from engine.transport.closing import close_curl_multi
from engine.transport.deadlines import Timeouts
from engine.transport.exchange import Exchange, OnData, OnResponse
from engine.transport.options import MULTI_OPTIONS
from engine.transport.poller import BATCH, IN, OUT, new_poller
from engine.transport.signals import SignalsHeld
from engine.transport.timers import Timer, TimerHeap
from engine.transport.transfer import Owner, State, Transfer
from engine.transport.wakeup import Wakeup

__all__ = ["Multi", "Statistics"]

_process = object()  # a new one in every forked child


def _forked() -> None:
    global _process
    _process = object()


os.register_at_fork(after_in_child=_forked)

_open_multis: weakref.WeakSet[Multi] = weakref.WeakSet()

# libcurl's own timers and wake-ups have been lost before (curl 8.10 endless still_running,
# curl#21960): while transfers run, perform() is wanted at least so often (seconds).
_HEARTBEAT = 1.0
# Decoded bytes that are delivered before more are taken: so that they are still in the cache of
# the processor when they are used (reading everything first costs half as much again).
_DELIVER_BYTES = 128 * 1024
_BATCH_READS = int(__import__("os").environ.get("BR", "256"))
_LARGE_READ = 4096
# Connections kept for reuse beyond those in use.
_SPARE_CONNECTIONS = 32
# libcurl asks for 0 ms again while a transfer goes through its first states.
_CURL_ROUNDS = 8


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
        ca_file: str | None = None,
    ) -> None:
        self.ca_file = ca_file
        self.now = monotonic()
        # What libcurl's write callbacks stored, and whose it is.
        self.received: list[tuple[Callable[[bytes], None], bytes]] = []
        self.connected: list[Transfer] = []
        self.deliverable: deque[Owner] = deque()  # `Owner.deliver` is wanted of these
        self._admission = Admission(
            max_connections, max_host_connections, max_streams_per_connection
        )
        try:
            self._poller = new_poller()
            self._wakeup = Wakeup()
        except OSError as error:
            raise ResourceError(
                "no file descriptor is left for the poller; raise the limit (ulimit -n)"
            ) from error
        self._poller.watch(self._wakeup.fileno(), IN)
        self._wakeup_fd = self._wakeup.fileno()
        self._ready: list[tuple[int, int]] = []
        self._full_batch = False
        self._curl_due: float | None = None
        self._heartbeat = self.now
        self._sockets: set[int] = set()
        self._curl = pycurl.CurlMulti()
        for option, value in (
            *MULTI_OPTIONS,
            (pycurl.M_MAX_CONCURRENT_STREAMS, max_streams_per_connection),
            (pycurl.M_MAX_HOST_CONNECTIONS, max_host_connections),
            (pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections),
        ):
            self._curl.setopt(option, value)
        self._curl.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._curl.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._cache_size = 0
        self._transfers: dict[pycurl.Curl, Transfer] = {}
        self._timers = TimerHeap()
        self._finished: deque[Owner] = deque()
        self._announcements: deque[Owner] = deque()
        self._results: list[Any] = []
        self._failures: list[Exception] = []
        self._owners: dict[int, Owner] = {}
        self._counts = dict.fromkeys(State, 0)
        self._turns = 0
        self._running: str | None = None
        self._process = _process
        self._thread: int | None = None
        self._closing = self._closed = False
        _open_multis.add(self)

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
        if self.deliverable or self._finished or self._announcements:
            return 0.0
        if self._admission.waiting and not self._out_of_descriptors:
            return 0.0
        due = self._timers.next_time()
        if self._curl_due is not None and (due is None or self._curl_due < due):
            due = self._curl_due
        wait = None if due is None else max(due - monotonic(), 0.0)
        if self._transfers and (wait is None or wait > _HEARTBEAT):
            return _HEARTBEAT
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
                deliverable = self.deliverable
                while deliverable:
                    deliverable[0].deliver()
                    deliverable.popleft()
        finally:
            self._running = None
        return len(self._owners)

    def info_read(self) -> list[Any]:
        """Hand over what completed since the last call: calls the completion handlers.

        Returns:
            a `Completion` for each stream or request and an `HttpResponse` for each plain HTTP
            request that ended, in order.

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
                    announcements[0].announce()
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
            if self._closing and not self._owners:
                self._shut()
        return results

    # -- what a script needs ------------------------------------------------------------------

    def poll(self, timeout: float | None = None) -> int:
        """One blocking turn: wait until something is ready, `perform`, `info_read`.

        Args:
            timeout: seconds to wait at most; None: as long as it takes. 0 never blocks.

        Returns:
            the number of requests still open; 0 at once where nothing is open.
        """
        self._turn(timeout)
        return len(self._owners)

    def run(self) -> None:
        """Drive until no request is open."""
        while self._owners:
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
            MisuseError: the `Multi` is closed, or this is another thread or a forked child.
        """
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
        if self._process is not _process:
            self._closed = True
            return
        self._usable("close")
        self._closing = True
        self.cancel_all()
        if self._running is None:
            try:
                while self._owners and not self._closed:
                    self.perform()
                    self.info_read()
            finally:
                if not self._closed:
                    self._shut()

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
        """Requests still open: added, and not yet handed over by `info_read`."""
        return len(self._owners)

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

    # -- for owners of transfers (Stream, Exchange) -------------------------------------------

    def open(self, request: HttpRequest, owner: Owner, connect_timeout: float | None) -> Transfer:
        """A new transfer, queued. `owner` must end with `finished`, once.

        `connect_timeout` is for libcurl, which spreads it over a host's addresses; the deadline
        that counts is the owner's.
        """
        self._usable("a new request")
        if self._closing or self._closed:
            raise MisuseError("this Multi is closed; make a new one for new requests")
        transfer = Transfer(self, request, owner, connect_timeout)
        self._counts[State.QUEUED] += 1
        self._owners[id(owner)] = owner
        self.enqueue(transfer)
        return transfer

    def enqueue(self, transfer: Transfer) -> None:
        """Queue `transfer` for its next attempt."""
        self._admission.enqueue(transfer)
        self.wake()

    def wants_delivery(self, owner: Owner) -> None:
        """Call ``owner.deliver`` later in this turn, or in the next."""
        self.deliverable.append(owner)
        if self._running is None:
            self._wakeup.note()

    def finished(self, owner: Owner) -> None:
        """`owner` is over and everything before its completion was delivered."""
        self._finished.append(owner)
        self.wake()

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call `call` in the `perform` after `when` (seconds of time.monotonic), signals held."""
        timer = self._timers.add(when, call)
        self.wake()
        return timer

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        """`call_at` so many seconds from now."""
        return self.call_at(monotonic() + delay, call)

    def wake(self) -> None:
        """Tell a loop that waits that its `timeout` changed; nothing while `perform` runs."""
        if self._running is None:
            self._wakeup.note()

    def count(self, before: State, after: State) -> None:
        """A transfer changed its state."""
        self._counts[before] -= 1
        self._counts[after] += 1

    def multiplexes(self, transfer: Transfer) -> None:
        """The host of `transfer` speaks HTTP/2."""
        self._admission.multiplexes(transfer)

    def release(self, easy: pycurl.Curl, transfer: Transfer) -> None:
        """Take `easy` out of libcurl, wherever its transfer is."""
        with SignalsHeld():
            if self._transfers.pop(easy, None) is not None:
                self._curl.remove_handle(easy)
            self._admission.release(transfer)
            self._out_of_descriptors = False
            easy.close()

    def check_thread(self, what: str) -> None:
        """MisuseError unless this is the thread and process the `Multi` belongs to."""
        self._usable(what)

    @property
    def running(self) -> str | None:
        """``"perform"`` or ``"info_read"`` while that runs, else None."""
        return self._running

    # -- the turn ----------------------------------------------------------------------------

    _out_of_descriptors = False

    def _turn(self, timeout: float | None) -> None:
        self._usable("poll")
        if not self._owners:
            return
        wait = self.timeout()
        if timeout is not None and (wait is None or timeout < wait):
            wait = timeout
        if wait != 0 and self._running is None:
            self._poller.poll(wait)
        self.perform()
        self.info_read()

    def _drive(self) -> bool:
        """Part of a turn: libcurl, then decoding; no user code, signals held. True: call again,
        after what was decoded has been delivered."""
        ready = self._ready
        if not ready:
            ready.extend(self._poller.poll(0))
            self._turns += 1
            self._full_batch = len(ready) == BATCH
            self.now = monotonic()
        stored, received = 0, self.received
        socket_action, masks = self._curl.socket_action, self._poller.masks
        while ready:
            fd, events = ready.pop()
            if fd == self._wakeup_fd:
                self._wakeup.clear()
                continue
            socket_action(fd, masks[events & 63])
            # Many small reads are taken together, so that libcurl's code and ours do not drive
            # each other out of the processor's cache; large ones at once, while they are in it.
            if received and (len(received) >= _BATCH_READS or len(received[-1][1]) > _LARGE_READ):
                stored += self._hand_over()
                if stored > _DELIVER_BYTES:
                    return True
        self._admit()
        self._run_curl_timer()
        self._hand_over()
        self._reap()
        # A deadline must not pass for a stream whose bytes lie in a socket not yet read: after a
        # long pause of the host loop, the timers wait until every ready socket had its turn.
        if not self._full_batch:
            self._timers.run(self.now)
        return False

    def _run_curl_timer(self) -> None:
        now = self.now
        if now - self._heartbeat > _HEARTBEAT:
            self._heartbeat = self._curl_due = now
        for _ in range(_CURL_ROUNDS):
            if self._curl_due is None or self._curl_due > monotonic():
                break
            self._curl_due = None
            self._curl.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _hand_over(self) -> int:
        """Give their owners the bytes stored since the last time; how many they were."""
        if self.connected:
            for transfer in self.connected:
                transfer.connection_made()
            self.connected.clear()
        stored = 0
        received = self.received
        for take, data in received:
            take(data)
            stored += len(data)
        received.clear()
        return stored

    def _reap(self) -> None:
        """Attempts libcurl is done with."""
        left = 1
        while left:
            left, good, bad = self._curl.info_read()
            for easy in good:
                transfer = self._transfers.get(easy)
                if transfer is not None:
                    transfer.attempt_over(0, "")
            for easy, code, text in bad:
                transfer = self._transfers.get(easy)
                if transfer is not None:
                    transfer.attempt_over(code, text)

    def _admit(self) -> None:
        if not self._admission.waiting:
            return
        room = descriptors_left()
        if room is not None:
            # Those that are connecting have taken, or will take, a descriptor each.
            room = max(room - self._counts[State.CONNECTING], 0 if self._transfers else 1)
        for transfer in self._admission.take(room):
            assert isinstance(transfer, Transfer)
            try:
                easy = transfer.start()
                self._transfers[easy] = transfer
                self._curl.add_handle(easy)
            except (EngineError, pycurl.error) as error:
                transfer.could_not_start(error)
        self._out_of_descriptors = self._admission.waiting
        needed = self._admission.active + _SPARE_CONNECTIONS
        if not needed <= self._cache_size <= 4 * needed:
            # libcurl closes a connection that comes free while more than this are open, so the
            # bound follows the load: reuse under load, no pile of descriptors after it.
            self._cache_size = 2 * needed
            self._curl.setopt(pycurl.M_MAXCONNECTS, self._cache_size)

    def _conclude(self) -> None:
        finished = self._finished
        while finished:
            owner = finished[0]
            if self._owners.pop(id(owner), None) is not None:
                self._results.append(owner.conclude())
                self._announcements.append(owner)
            finished.popleft()

    # -- inside libcurl: store, nothing else ---------------------------------------------------

    def _on_socket(self, what: int, fd: int, *_: object) -> None:
        if self._process is not _process:
            return  # the poller is shared with the parent, whose sockets these are
        if what == pycurl.POLL_REMOVE:
            self._sockets.discard(fd)
            self._poller.unwatch(fd)
        else:
            self._sockets.add(fd)
            self._poller.watch(fd, what & (IN | OUT))

    def _on_timer(self, timeout_ms: int) -> None:
        self._curl_due = None if timeout_ms < 0 else monotonic() + timeout_ms / 1000

    # -- guards ------------------------------------------------------------------------------

    def _usable(self, what: str) -> None:
        if self._process is not _process:
            raise MisuseError(
                f"{what}: this Multi belongs to the parent process and would steal its bytes; "
                "make a new one after fork()"
            )
        thread = threading.get_ident()
        if self._thread is None:
            self._thread = thread
        elif self._thread != thread:
            raise MisuseError(
                f"{what}: this Multi belongs to another thread; use one Multi a thread, and "
                "wakeup() to have the owner's loop look at a queue of yours"
            )
        if self._closed and what in ("fdset", "fileno"):
            raise MisuseError(f"{what}: this Multi is closed")

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

    def _shut(self) -> None:
        """Free descriptors and libcurl's handles."""
        self._closed = True
        _open_multis.discard(self)
        resolving = any(t.phase == "resolve" for t in self._transfers.values())
        with SignalsHeld():
            for easy in list(self._transfers):
                self._curl.remove_handle(easy)
                easy.close()
            self._transfers.clear()
            close_curl_multi(self._curl, in_background=resolving)
        self._poller.close()
        self._wakeup.close()
