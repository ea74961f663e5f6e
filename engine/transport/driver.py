"""What drives libcurl for a `Multi`: the queue before it, its sockets, the timers, what is open."""

from __future__ import annotations

import atexit
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from os import urandom
from time import monotonic
from typing import Any, Final, Protocol

import pycurl

from engine.errors import MisuseError
from engine.request import HttpRequest
from engine.transport.admission import Admission
from engine.transport.affinity import Affinity
from engine.transport.attached import Attached
from engine.transport.hosts import Hosts
from engine.transport.inbox import Inbox, Taker
from engine.transport.lane import Lane, Lanes
from engine.transport.owner import Owner
from engine.transport.poller import IN, PEER_SPOKE
from engine.transport.retry import Retry
from engine.transport.signals import SignalsHeld
from engine.transport.sockets import Sockets
from engine.transport.templates import Key, Templates
from engine.transport.timers import Timer, TimerHeap
from engine.transport.transfer import State, Transfer
from engine.transport.transfers import Transfers
from engine.transport.work import Work

__all__ = ["Driver"]

_open: weakref.WeakSet[Driver] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """Free what is still open when the process ends: the interpreter would wait for look-ups that
    hang."""
    for driver in list(_open):
        if not driver.affinity.forked:
            driver.shut()


_QUEUED: Final = State.QUEUED
# Decoded bytes that are delivered before more are taken: so that they are still in the cache of
# the processor when they are used (reading everything first costs half as much again).
_DELIVER_BYTES: Final = 128 * 1024
# Small reads are handed over so many at a time, larger ones at once.
_BATCH_READS: Final = 256
_LARGE_READ: Final = 4096
_BATCH_BYTES: Final = 64 * 1024
# Ready sockets of a look after which it is worth to look again in the same turn.
_BUSY: Final = 4
# Seconds between two looks at the timers, where a round of all ready sockets takes that long.
_TIMERS_EVERY: Final = 0.02
# Seconds within which all ends are told, if turns come to their end at all.
_REAPED_WITHIN: Final = 0.1


class Lingering(Protocol):
    """An answer that is whole, on a connection that stays open."""

    def linger(self) -> None: ...


class Driver:
    """The machinery of a `Multi`, for those that make requests or wait on it: `driver_of` gives
    it. None of it calls user code; `drive` and what it calls need the signals held (`SignalsHeld`:
    no handler of Python's, which may raise, runs meanwhile).

    Attributes:
        affinity: the thread and process it belongs to.
        ca_file: file of trusted certificates, or None for the system's.
        now: seconds of time.monotonic at the beginning of this part of the turn.
        inbox: what libcurl's write callbacks stored, and who takes it.
        works: all that is open, by identity.
        deliverable, deliver_soon: works whose `deliver` is wanted; what adds one within a turn.
        ended: works that are over and not concluded yet.
        lingering: answers that are whole, on connections that are still open; those that are when
            all that libcurl is done with was told get a timer.
        soon: calls for the next `perform`, signals held.
        failures: what is to be raised from `info_read`.
        texts: the pieces of text of this turn, by whom they are of; None: nobody asked for it.
        transfers: those libcurl has, and the queue before it.
        running: ``"perform"`` or ``"info_read"`` while that runs, else None.
        closing: `close` was called.
        closed: everything is freed.
        hosts: what is learned of hosts and the connections to them.
        lanes: the gates before the queue.
        counts: how many transfers are, or ended, in each state.
        templates: prepared handles.
        attached: what hooks the `Multi` into a host loop, or None; told before the descriptors
            are closed.
    """

    attached: Attached | None = None
    closing: bool = False
    closed: bool = False
    _whole: bool = True  # the last part of a turn came to its end

    def __init__(
        self,
        max_connections: int,
        max_host_connections: int,
        max_streams_per_connection: int,
        ca_file: str | None,
    ) -> None:
        self.affinity: Affinity = Affinity()
        self.ca_file = ca_file
        self.now: float = monotonic()
        self._until = self._timers_at = self._reaped_at = self.now
        self.inbox: Inbox = Inbox()
        self.works: dict[int, Work] = {}
        self.deliverable: deque[Work] = deque()
        self.deliver_soon: Callable[[Work], None] = self.deliverable.append  # one for all
        self.ended: deque[Work] = deque()
        self.lingering: list[Lingering] = []
        self.soon: deque[Callable[[], object]] = deque()
        self.failures: list[Exception] = []
        self.texts: dict[Any, list[str]] | None = None
        self.running: str | None = None
        self._timers = TimerHeap()
        self.sockets: Sockets = Sockets(
            (
                (pycurl.M_MAX_CONCURRENT_STREAMS, max_streams_per_connection),
                (pycurl.M_MAX_HOST_CONNECTIONS, max_host_connections),
                (pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections),
            ),
            self.affinity,
        )
        admission = Admission(max_connections, max_host_connections, max_streams_per_connection)
        self.hosts: Hosts = Hosts(admission, self.sockets, self.call_later, self.call_soon)
        self.lanes: Lanes[Transfer] = Lanes(admission, self.call_at)
        self.transfers: Transfers = Transfers(self.sockets, self.inbox, admission, self.hosts)
        self.counts: dict[State, int] = self.transfers.counts
        self.templates: Templates = Templates(ca_file)
        # A forked child cannot use this driver, and has a prefix of its own with its own.
        self._keys = map(f"streamengine-{urandom(12).hex()}%08x".__mod__, count())
        _open.add(self)

    # -- for what is open: streams, exchanges, runs, batches -----------------------------------

    def open(
        self,
        request: HttpRequest,
        owner: Owner,
        connect_timeout: float | None,
        work: Work,
        retry: Retry,
        lane: Lane[Transfer] | None = None,
    ) -> Transfer:
        """A new transfer, queued; `owner` is told of its way. `work` counts as open until its
        `finished`, which must come once. Signals are held.

        Args:
            connect_timeout: seconds, for libcurl, which spreads them over a host's addresses; the
                deadline that counts is the owner's.
            retry: whether what may have been read is sent again; how long it waits at a gate.
            lane: whose gate it goes through; None: none.

        Raises:
            MisuseError: the `Multi` is closed, or belongs to another thread or process.
        """
        self.affinity.check("a new request")
        self._check_open()
        transfer = Transfer(self, request, owner, work, connect_timeout, retry, lane)
        self.counts[_QUEUED] += 1
        self.works[id(work)] = work
        self.enqueue(transfer)
        return transfer

    def hold(self, work: Work) -> None:
        """Count `work` as open until its `finished`, whether or not it has a transfer: for work
        that makes requests of its own, such as a batch. Raises as `open` does."""
        self.check_thread("new work")
        self._check_open()
        with SignalsHeld():
            self.works[id(work)] = work
            self.wake()

    def enqueue(self, transfer: Transfer) -> None:
        """Queue `transfer` for its next attempt."""
        self.lanes.enqueue(transfer)
        self.wake()

    def wants_delivery(self, work: Work) -> None:
        """Call ``work.deliver`` later in this turn, or in the next."""
        self.deliverable.append(work)
        self.wake()

    def finished(self, work: Work) -> None:
        """`work` is over and everything before its completion was delivered."""
        self.ended.append(work)
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
        """Have `call` called on the owner's thread in the next `perform`, in order, with signals
        held: it calls no code of the user's. From any thread, and from where nothing else may be
        called: a finalizer, a signal handler."""
        self.soon.append(call)
        self.sockets.wakeup.set()

    def check_thread(self, what: str) -> None:
        """MisuseError unless this is the thread and process the `Multi` belongs to."""
        self.affinity.check(what)

    @property
    def forked(self) -> bool:
        """Whether this is a forked child and the `Multi` its parent's."""
        return self.affinity.forked

    @property
    def at_rest(self) -> bool:
        """Whether this is the owner's thread, and outside of a turn."""
        return self.running is None and self.affinity.here

    def wake(self) -> None:
        """Tell a loop that waits that its `timeout` changed; nothing while `perform` runs."""
        if self.running is None:
            self.sockets.wakeup.note()

    def _check_open(self) -> None:
        if self.closing or self.closed:
            raise MisuseError("this Multi is closed; make a new one for new requests")

    # -- for transfers: see `Carrier` ----------------------------------------------------------

    def new_key(self) -> str:
        """An Idempotency-Key that no other request has, of this process or another."""
        return next(self._keys)

    def release(self, easy: pycurl.Curl, transfer: Transfer, kind: Key | None) -> None:
        """Take `easy` out of libcurl; `kind`: the requests that it may serve, too; None: none."""
        self.transfers.release(easy, transfer)
        if kind is None:
            easy.close()
        else:
            self.templates.put_back(kind, easy)

    def catch_up(self, easy: pycurl.Curl, taker: Taker) -> bool:
        """Read and hand over what lies in the socket of `easy`; False where this turn is over
        before `taker` had all of it."""
        if not self.inbox.give(taker, self._until):
            return False
        fd = easy.getinfo(pycurl.ACTIVESOCKET)
        if fd < 0:
            return True
        self.sockets.read(fd)
        if not self.inbox.give(taker, self._until):
            return False
        self.transfers.reap(self._until)
        return True

    # -- the turn ------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether there is something to do now, ready sockets or not."""
        return bool(
            not self._whole  # what libcurl is done with was not read: no socket says so again
            or self.deliverable
            or self.soon
            or self.ended
            or self.failures
            or self.inbox.pieces
            or self.inbox.connected
            or self.inbox.flooded
            or self.sockets.ready
            or self.transfers.pending
        )

    def next_time(self) -> float | None:
        """When a timer is due, ours or libcurl's (seconds of time.monotonic), or None."""
        due, curl_due = self._timers.next_time(), self.sockets.next_time()
        return curl_due if due is None or (curl_due is not None and curl_due < due) else due

    def drive(self, until: float, *, again: bool = True) -> bool:
        """Part of a turn, to its end or until the clock says `until`: every ready socket in turn,
        what was read, timers, beginnings and ends. Each of them comes on a little in any case.

        Args:
            again: whether to ask for another part where many sockets were ready: more came since.

        Returns:
            whether there is, or probably is, more to do after what was decoded is delivered.
        """
        self.now = now = monotonic()
        self._until = until
        for _ in range(len(self.soon)):
            self.soon.popleft()()
        inbox = self.inbox
        whole = not (inbox.pieces or inbox.connected) or inbox.hand_over(until)
        whole = whole and (bool(self.sockets.ready) or self._begin_round(until))
        found = len(self.sockets.ready)
        whole = whole and (not self.sockets.ready or self._serve(until))
        self.transfers.admit(until)
        self.sockets.run_timer(self.inbox.pieces)
        whole = whole and (not (inbox.pieces or inbox.connected) or inbox.hand_over(until))
        self._whole = whole
        if whole:
            self.transfers.reap(until)
            if not self.transfers.more_ended:
                self._reaped_at = now
        # A deadline reads its own socket before it judges, but to read all of them in turn first
        # is cheaper where the host paused for long.
        if whole or now - self._timers_at > _TIMERS_EVERY:
            self._timers_at = now
            self._timers.run(now, until)
        # All ends were just told, or that is overdue.
        if self.lingering and not 0 < now - self._reaped_at < _REAPED_WITHIN:
            self._linger()
        more = self.sockets.ready or inbox.pieces or self.transfers.more_ended
        # Where many came, more came meanwhile: what a turn costs by itself is then paid seldom.
        return bool(more) or not whole or (again and found >= _BUSY)

    def _linger(self) -> None:
        """All that libcurl is done with was told: a timer for those that are left. One for each
        would cost more than they take to close, as nearly all do."""
        lingering, self.lingering = self.lingering, []
        for answer in lingering:
            answer.linger()

    def _begin_round(self, until: float) -> bool:
        """Look what is ready; False where floods of the last round take this part of the turn."""
        inbox = self.inbox
        waiting, inbox.flooded = inbox.flooded, []
        while waiting:
            transfer = waiting.pop()
            if transfer.work in inbox.behind:
                inbox.flooded.append(transfer)
                continue
            transfer.go_on()
            if inbox.pieces and not inbox.hand_over(until):
                inbox.flooded += waiting
                return False
        self.sockets.look()
        return True

    def _serve(self, until: float) -> bool:
        """Ready sockets, until the clock says `until` or there is much to deliver; whether all
        had their turn and all that came was handed over."""
        sockets, inbox = self.sockets, self.inbox
        pieces, rest = inbox.pieces, iter(sockets.ready)
        socket_action, masks = sockets.curl.socket_action, sockets.masks
        wakeup_fd = sockets.wakeup.fileno()
        taken = 0
        try:
            for fd, events in rest:
                if events == IN and fd != wakeup_fd:  # as nearly always
                    socket_action(fd, IN)
                elif fd == wakeup_fd:
                    sockets.wakeup.clear()
                    continue  # no work done: a turn of no time would come no further
                elif events >= PEER_SPOKE:
                    sockets.notice(fd, events)
                else:
                    socket_action(fd, masks[events & 63])
                # Many small reads are taken together, so that libcurl's code and ours do not drive
                # each other out of the processor's cache; large ones at once, while they are in it.
                if pieces:
                    if (
                        len(pieces) >= _BATCH_READS
                        or len(pieces[-1][1]) > _LARGE_READ
                        or inbox.size > _BATCH_BYTES
                    ):
                        taken += inbox.size
                        if not inbox.hand_over(until) or taken > _DELIVER_BYTES:
                            return False
                elif monotonic() >= until:
                    return False
        finally:
            sockets.ready = list(rest)
        return inbox.hand_over(until)

    def shut(self) -> None:
        """Free descriptors and libcurl's handles."""
        if self.attached is not None:
            self.attached.detach()
        # All of it or nothing: an interrupt after `closed` would leave descriptors nobody closes.
        with SignalsHeld():
            self.closed = True
            _open.discard(self)
            self.transfers.close()
            self.templates.close()
            self.sockets.close()
