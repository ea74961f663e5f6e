"""The part of a `Multi` that drives libcurl: its handle, its sockets, its timers, its queue."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol, cast

import pycurl

from engine.errors import EngineError, MisuseError, ResourceError
from engine.request import HttpRequest
from engine.transport.admission import Admission, descriptors_left
from engine.transport.closing import close_curl_multi
from engine.transport.options import MULTI_OPTIONS
from engine.transport.poller import BATCH, IN, OUT, Poller, new_poller
from engine.transport.signals import SignalsHeld
from engine.transport.timers import Timer, TimerHeap
from engine.transport.transfer import Owner, State, Transfer, Work
from engine.transport.wakeup import Wakeup

__all__ = ["HEARTBEAT", "Driver"]

_process = object()  # a new one in every forked child


def _forked() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

_open: weakref.WeakSet[Driver] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """Free what is still open when the process ends: the interpreter would wait for look-ups that
    hang."""
    for driver in list(_open):
        if not driver.forked:
            driver._shut()


# libcurl's own timers and wake-ups have been lost before (curl 8.10 endless still_running,
# curl#21960): while transfers run, perform() is wanted at least so often (seconds).
HEARTBEAT: Final = 1.0
# Decoded bytes that are delivered before more are taken: so that they are still in the cache of
# the processor when they are used (reading everything first costs half as much again).
_DELIVER_BYTES = 128 * 1024
# Small reads are handed over so many at a time, larger ones at once.
_BATCH_READS = 256
_LARGE_READ = 4096
# Connections kept for reuse beyond those in use.
_SPARE_CONNECTIONS = 32
# libcurl asks for 0 ms again while a transfer goes through its first states.
_CURL_ROUNDS = 8


def _new_poller() -> tuple[Poller, Wakeup]:
    try:
        poller, wakeup = new_poller(), Wakeup()
    except OSError as error:
        raise ResourceError(
            "no file descriptor is left for the poller; raise the limit (ulimit -n)"
        ) from error
    poller.watch(wakeup.fileno(), IN)
    return poller, wakeup


class Attached(Protocol):
    """A host loop's watch of the descriptor."""

    def detach(self) -> None:
        """Watch it no more. Idempotent; from the thread of the `Multi`."""


class Driver:
    """Everything of a `Multi` that its user does not see. All but `wake` needs the signals held
    or runs outside libcurl; none of it calls user code.

    Attributes:
        ca_file: file of trusted certificates, or None for the system's.
        now: seconds of time.monotonic at the beginning of this turn.
        received: what libcurl's write callbacks stored, and who takes it.
        connected: transfers that got their connection.
        deliverable: owners whose `deliver` is wanted.
        attached: what hooks the `Multi` into a host loop, or None; told before the descriptors
            are closed.
    """

    attached: Attached | None = None

    def __init__(
        self,
        max_connections: int,
        max_host_connections: int,
        max_streams_per_connection: int,
        ca_file: str | None,
    ) -> None:
        self.ca_file = ca_file
        self.now = monotonic()
        self.received: list[tuple[Callable[[bytes], None], bytes]] = []
        self.connected: list[Transfer] = []
        self.deliverable: deque[Work] = deque()
        self._soon: deque[Callable[[], object]] = deque()
        self._admission = Admission(
            max_connections, max_host_connections, max_streams_per_connection
        )
        self._poller, self._wakeup = _new_poller()
        self._ready: list[tuple[int, int]] = []
        self._full_batch = False
        self._curl_due: float | None = None
        self._heartbeat = self.now
        self._sockets: set[int] = set()
        self._curl = self._new_curl(
            (pycurl.M_MAX_CONCURRENT_STREAMS, max_streams_per_connection),
            (pycurl.M_MAX_HOST_CONNECTIONS, max_host_connections),
            (pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections),
        )
        self._cache_size = 0
        self._transfers: dict[pycurl.Curl, Transfer] = {}
        self._timers = TimerHeap()
        self._finished: deque[Work] = deque()
        self._owners: dict[int, Work] = {}
        self._counts = dict.fromkeys(State, 0)
        self._turns = 0
        self._out_of_descriptors = False
        self._running: str | None = None
        self._process = _process
        self._thread: int | None = None
        self._closing = self._closed = False
        _open.add(self)

    def _new_curl(self, *limits: tuple[int, int]) -> pycurl.CurlMulti:
        curl = pycurl.CurlMulti()
        for option, value in (*MULTI_OPTIONS, *limits):
            curl.setopt(option, value)
        curl.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        curl.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        return curl

    # -- for owners of transfers (Stream, Exchange) -------------------------------------------

    def open(
        self,
        request: HttpRequest,
        owner: Owner,
        connect_timeout: float | None,
        work: Work | None = None,
    ) -> Transfer:
        """A new transfer, queued. `work`, or else `owner`, must end with `finished`, once.

        `connect_timeout` is for libcurl, which spreads it over a host's addresses; the deadline
        that counts is the owner's.
        """
        self._usable("a new request")
        if self._closing or self._closed:
            raise MisuseError("this Multi is closed; make a new one for new requests")
        transfer = Transfer(self, request, owner, connect_timeout)
        self._counts[State.QUEUED] += 1
        work = cast("Work", owner) if work is None else work
        self._owners[id(work)] = work
        self.enqueue(transfer)
        return transfer

    def hold(self, owner: Work) -> None:
        """Count `owner` as open until its `finished`, whether or not it has a transfer: for work
        that makes requests of its own, such as a batch."""
        self._usable("a new task")
        if self._closing or self._closed:
            raise MisuseError("this Multi is closed; make a new one for new work")
        self._owners[id(owner)] = owner
        self.wake()

    def enqueue(self, transfer: Transfer) -> None:
        """Queue `transfer` for its next attempt."""
        self._admission.enqueue(transfer)
        self.wake()

    def wants_delivery(self, owner: Work) -> None:
        """Call ``owner.deliver`` later in this turn, or in the next."""
        self.deliverable.append(owner)
        if self._running is None:
            self._wakeup.note()

    def finished(self, owner: Work) -> None:
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

    def call_soon(self, call: Callable[[], object]) -> None:
        """Have `call` called on the owner's thread in the next `perform`, outside libcurl, before
        callbacks are. From any thread; it must not raise."""
        self._soon.append(call)
        self._wakeup.set()

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
    def forked(self) -> bool:
        """Whether this is a forked child and the `Multi` its parent's."""
        return self._process is not _process

    @property
    def at_rest(self) -> bool:
        """Whether this is the owner's thread, and outside of a turn."""
        return self._running is None and self._thread in (None, threading.get_ident())

    @property
    def running(self) -> str | None:
        """``"perform"`` or ``"info_read"`` while that runs, else None."""
        return self._running

    # -- the turn ----------------------------------------------------------------------------

    def _drive(self) -> bool:
        """Part of a turn: libcurl, then decoding; no user code, signals held. True: call again,
        after what was decoded has been delivered."""
        ready = self._ready
        if not ready:
            ready.extend(self._poller.poll(0))
            self._turns += 1
            self._full_batch = len(ready) == BATCH
            self.now = monotonic()
        stored, received, wakeup_fd = 0, self.received, self._wakeup.fileno()
        socket_action, masks = self._curl.socket_action, self._poller.masks
        while ready:
            fd, events = ready.pop()
            if fd == wakeup_fd:
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
        if now - self._heartbeat > HEARTBEAT:
            self._heartbeat = self._curl_due = now
        for _ in range(_CURL_ROUNDS):
            if self._curl_due is None or self._curl_due > monotonic() or self.received:
                break  # a transfer that has more to give waits until this was taken
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
                self._curl.add_handle(easy)
                self._transfers[easy] = transfer
            except (EngineError, pycurl.error) as error:
                transfer.could_not_start(error)
        self._out_of_descriptors = self._admission.waiting
        needed = self._admission.active + _SPARE_CONNECTIONS
        if not needed <= self._cache_size <= 4 * needed:
            # libcurl closes a connection that comes free while more than this are open, so the
            # bound follows the load: reuse under load, no pile of descriptors after it.
            self._cache_size = 2 * needed
            self._curl.setopt(pycurl.M_MAXCONNECTS, self._cache_size)

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

    def _shut(self) -> None:
        """Free descriptors and libcurl's handles."""
        if self.attached is not None:
            self.attached.detach()
        self._closed = True
        _open.discard(self)
        with SignalsHeld():
            for easy in list(self._transfers):
                self._curl.remove_handle(easy)
                easy.close()
            self._transfers.clear()
            close_curl_multi(self._curl)
        self._poller.close()
        self._wakeup.close()
