"""A transfer: one HTTP request on its way, over as many attempts as its owner allows."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import random
from time import monotonic
from typing import Final, Protocol

import pycurl

from engine.errors import EngineError, ResourceError
from engine.request import HttpRequest
from engine.response import Timing
from engine.transport.connections import Connections
from engine.transport.easy import address, failure_of, measure, pause, phase_of, prepare
from engine.transport.hosts import Hosts, host_of
from engine.transport.inbox import MOST, Inbox, Taker
from engine.transport.lane import Lane
from engine.transport.owner import Owner
from engine.transport.retry import Retry, Sent, how_sent
from engine.transport.sending import Sending, goes_again, repeat_wait
from engine.transport.signals import SignalsHeld
from engine.transport.state import LEGAL_MOVES, State
from engine.transport.templates import Key, Templates
from engine.transport.timers import Timer
from engine.transport.work import Work
from engine.wire.headers import Head, read_head

__all__ = ["LEGAL_MOVES", "Carrier", "State", "Transfer"]


class Carrier(Protocol):
    """What a transfer needs of what drives it: see `Driver`."""

    ca_file: str | None
    hosts: Hosts
    inbox: Inbox
    templates: Templates
    counts: dict[State, int]

    def new_key(self) -> str: ...
    def enqueue(self, transfer: Transfer) -> None: ...
    def release(self, easy: pycurl.Curl, transfer: Transfer, kind: Key | None) -> None: ...
    def catch_up(self, easy: pycurl.Curl, taker: Taker) -> bool: ...
    def call_later(self, delay: float, call: Callable[[], None]) -> Timer: ...
    def wake(self) -> None: ...


_NO_TIMING: Final = Timing()
_NOTHING_SENT: Final = Sending(Connections(), False)

# By a short way: an enum's member is looked up in its class each time.
_QUEUED, _CONNECTING, _STREAMING = State.QUEUED, State.CONNECTING, State.STREAMING
_HEADERFUNCTION: Final = pycurl.HEADERFUNCTION
_WRITEFUNCTION: Final = pycurl.WRITEFUNCTION
_PREREQFUNCTION: Final = pycurl.PREREQFUNCTION


class _OfEachWrite:
    """What each write touches, side by side: slots of a base class come first. Where a thousand
    streams get an event now and then, what counts is how many lines of the processor's cache each
    has in it."""

    __slots__ = ("_inbox", "_wary", "owner")


class Transfer(_OfEachWrite):
    """One request on its way. Made by a `Driver`; see `Owner` for what it tells.

    Attributes:
        request: what is asked; see `ask`.
        host: its scheme, host and port, and the unix socket where it goes to one.
        state: see `State`.
        attempt: number of the current attempt, from 1; 0 before the first.
        began_at: when the attempt left the queue (seconds of time.monotonic).
        over: nothing more will happen.
        work: what it is done for.
        repeats, again: times it was sent again, uncounted; whether the next start does so.
        possibly_billed: requests that the server may have read and that got no head.
        lane: with whom it waits at the gate; None: with nobody.
        passed: it counts among those of its lane that are under way.
        owner: who is told.
        timing: of the last attempt, once it is over.
        created: when it was made (seconds of time.monotonic).
    """

    __slots__ = (
        *("_asked", "_carrier", "_connect_timeout", "_easy", "_flooded", "_fresh", "_head"),
        *("_held_back", "_key", "_kind", "_lines", "_lost", "_queued", "_retry", "_secrets"),
        *("_sending", "_since", "again", "attempt", "began_at", "created", "host"),
        *("lane", "over", "passed", "possibly_billed", "repeats", "request", "state"),
        *("timing", "work"),
    )

    def __init__(
        self,
        carrier: Carrier,
        request: HttpRequest,
        owner: Owner,
        work: Work,
        connect_timeout: float | None,
        retry: Retry,
        lane: Lane[Transfer] | None,
    ) -> None:
        self._carrier, self._inbox, self._retry = carrier, carrier.inbox, retry
        self.lane: Lane[Transfer] | None = lane
        self.passed: bool = False
        self.repeats: int = 0
        self.possibly_billed: int = 0
        self._lost = 0  # repeats that followed a request that may have been read
        self._sending = _NOTHING_SENT
        self.again: bool = False
        self._fresh = False  # the next connection is not to be a pooled one
        self._asked: HttpRequest | None = None  # what the key was made for
        self._key = ""
        self.work: Work = work
        self._connect_timeout = connect_timeout
        self.ask(request)
        self.owner: Owner = owner
        self.state: State = _QUEUED
        self.over: bool = False
        self.attempt: int = 0
        self.timing: Timing = _NO_TIMING
        self._since = monotonic()
        self.created: float = self._since
        self.began_at: float = self._since
        self._queued = 0.0
        self._easy: pycurl.Curl | None = None
        self._lines: list[bytes] = []
        self._head: Head | None = None
        self._held_back = False  # by its owner
        self._wary = False  # perhaps held back, or of a sending that is unsure
        self._flooded = False  # by the inbox: it sends faster than its work takes

    def __repr__(self) -> str:
        return f"<Transfer {self.state.value} {self.request!r} attempt {self.attempt}>"

    def ask(self, request: HttpRequest) -> None:
        """Let the next attempt ask `request`."""
        self.request: HttpRequest = request
        self.host: str = host_of(request.url, request.unix_socket)

    @property
    def head(self) -> Head | None:
        """Status and headers of the response, once its head is whole."""
        if self._head is None and self._lines:
            self._head = read_head(self._lines, self._secrets)
            if self._head is not None:
                if self._lines[0].startswith(b"HTTP/2"):
                    self._carrier.hosts.multiplexes(self.host, self._sending)
                    if self._easy is not None:
                        self._easy.setopt(pycurl.VERBOSE, 0)  # see `Hosts.send`
                self._lines.clear()  # held for the life of the stream otherwise
        return self._head

    def move(self, to: State) -> None:
        """Change the state, along `LEGAL_MOVES`."""
        before = self.state
        if to not in LEGAL_MOVES[before]:
            raise AssertionError(f"transfer cannot go from {before} to {to}")
        counts = self._carrier.counts
        counts[before] -= 1
        counts[to] += 1
        self.state = to
        self.over = not LEGAL_MOVES[to]

    # -- an attempt: `Transfers` and `Inbox` call these, with signals held ----------------------

    def start(self) -> pycurl.Curl:
        """An easy handle for the next attempt: no option of an earlier one can linger."""
        carrier, request, templates = self._carrier, self.request, self._carrier.templates
        self.began_at = monotonic()
        self._queued += self.began_at - self._since
        if self.attempt:
            self._lines, self._head, self._flooded = [], None, False
            self._sending = _NOTHING_SENT
        prepared, self._kind = templates.handle(request, self._connect_timeout)
        self._easy = easy = pycurl.Curl() if prepared is None else prepared
        self.move(_CONNECTING)
        if not self.again:
            self.attempt += 1
            self.owner.began()
        self.again = False
        if prepared is None:
            prepare(easy, request, carrier.ca_file, self._connect_timeout)
            templates.keep(self._kind, easy)
        self._sending = carrier.hosts.send(self.host, easy, self._fresh)
        self._fresh = False
        if self._asked is not request:
            self._asked, self._key = request, carrier.new_key()
        self._secrets = address(easy, request, self._key)
        easy.setopt(_HEADERFUNCTION, self._lines.append)
        easy.setopt(_WRITEFUNCTION, self._on_write)
        easy.setopt(_PREREQFUNCTION, self._on_prereq)
        return easy

    def _on_write(self, data: bytes) -> int | None:
        # Inside libcurl: store, or have it brought again later; nothing else.
        inbox = self._inbox
        if (self._wary or inbox.size > inbox.room) and (answer := self._not_stored()) is not None:
            return answer
        inbox.size += len(data)
        inbox.pieces.append((self.owner, data))
        return None

    def _not_stored(self) -> int | None:
        if self._held_back:
            return int(pycurl.WRITEFUNC_PAUSE)
        if self._sending.unsure and self._sending.crossed(self._head, self._lines):
            return 0  # it ends here
        self._wary = self._sending.unsure
        if self._inbox.size <= MOST and self.work not in self._inbox.behind:
            return None
        self._flooded = True
        self._inbox.flooded.append(self)
        return int(pycurl.WRITEFUNC_PAUSE)

    def _on_prereq(self, _: str, ip: str, __: int, port: int) -> int:
        # Inside libcurl. Called when the connection is made or taken from the pool.
        answer = self._sending.look((ip, port), self._lines, self._head is not None)
        self._wary = self._held_back or self._sending.unsure
        if not answer:
            self._inbox.connected.append(self)
        return answer

    def connection_made(self) -> None:
        """The attempt has its connection."""
        if self.state is _CONNECTING and self._easy is not None:
            self.move(_STREAMING)
            self._carrier.hosts.connected(self.host, self._easy, self._sending)
            self.owner.connected()

    def attempt_over(self, code: int, text: str) -> None:
        """libcurl is done with the attempt; tell the owner and do what it decides."""
        if self._inbox.pieces:
            self._inbox.give(self.owner, inf)
        easy = self._easy
        if easy is None:
            return
        head = self._head or self.head
        error: EngineError | None = None
        if self._sending.unsure and self._sending.crossed(self._head, self._lines):
            self._head, head, code = None, None, pycurl.E_GOT_NOTHING
        if code and head is None and self._goes_again(easy, code):
            return
        if code or head is None:
            status, refused = head.status if head else None, self._sending.refused
            error = failure_of(easy, self.request, code, text, status, refused)
        self._attempt_ended(error, well=not code and head is not None)

    def _goes_again(self, easy: pycurl.Curl, code: int) -> bool:
        """Whether the request goes out again, uncounted: nobody read it, or it was lost on a pooled
        connection and is asked once more under the same key."""
        sending = self._sending
        os_errno = int(easy.getinfo(pycurl.OS_ERRNO))
        self._carrier.hosts.failed(self.host, sending, code, os_errno)
        if not goes_again(code, sending, self.repeats, self._lost, self._retry.unknown):
            return False
        wait = repeat_wait(sending, self.repeats, random())
        self.repeats = number = self.repeats + 1
        self._lost += sending.out
        self.again, self._fresh = True, not (sending.refused or sending.downgraded)
        self._drop_easy()
        self.move(State.QUEUED)
        self._since = monotonic()
        if wait:
            self._carrier.call_later(wait, lambda: self._repeat(number))
        else:
            self._carrier.enqueue(self)
        return True

    def _repeat(self, number: int) -> None:
        # Unless a deadline struck meanwhile, or it was cancelled.
        if self.again and self.repeats == number and self.state is _QUEUED:
            self._carrier.enqueue(self)

    def fail_attempt(self, error: EngineError) -> None:
        """Give this attempt up because of `error`; the owner is asked about the next one."""
        if not self.over:
            self._attempt_ended(error)

    def could_not_start(self, cause: EngineError | pycurl.error) -> None:
        """libcurl did not take the request."""
        error = cause
        if not isinstance(error, EngineError):
            error = ResourceError(f"libcurl refused the request: {cause}", retryable=False)
            error.__cause__ = cause
        self._attempt_ended(error)

    def _attempt_ended(self, error: EngineError | None, *, well: bool = False) -> None:
        self.again = False
        self._drop_easy(well=well)
        delay = self.owner.attempt_ended(error)
        if self.over:
            return
        if delay is None:
            self.move(State.DONE if error is None else State.FAILED)
        else:
            self.move(State.BACKOFF)
            self._since = monotonic()
            self._carrier.call_later(delay, self._waited)

    def _waited(self) -> None:
        if self.state is State.BACKOFF:
            self.move(State.QUEUED)
            self._carrier.enqueue(self)

    # -- for the owner ------------------------------------------------------------------------

    def end(self, state: State) -> None:
        """Stop here, in the final `state`; the owner knows and is not told. Idempotent."""
        if not self.over:
            if self._easy is not None or self.passed:
                with SignalsHeld():  # a callback may be the one that stops it
                    self._drop_easy()
            self.move(state)

    def forget_owner(self) -> None:
        """Let go of the owner of a transfer that is over: they hold each other, in a cycle."""
        assert self.over
        del self.owner

    def pause(self) -> None:
        """Take no more bytes from the peer until `resume`; the socket's flow control holds it.
        Before there is a connection: from its first byte on."""
        if not self._held_back:
            self._held_back = self._wary = True
            if self._easy is not None:
                pause(self._easy, pycurl.PAUSE_RECV)

    def resume(self) -> None:
        """Take bytes again. Bytes libcurl held back are stored at once, handed over next turn."""
        if self._held_back:
            self._held_back = False
            if not self._flooded:
                self._take_again()

    def go_on(self) -> None:
        """The flood was taken: read on, unless the owner holds it back."""
        if self._flooded:
            self._flooded = False
            if not self._held_back:
                self._take_again()

    def catch_up(self) -> bool:
        """Take what came before a deadline judges by it; False: the turn is over before all is."""
        if self._easy is None or self._held_back:
            return True
        return self._carrier.catch_up(self._easy, self.owner)

    def _take_again(self) -> None:
        if self._easy is not None:
            with SignalsHeld():  # libcurl calls the write callback in here
                pause(self._easy, pycurl.PAUSE_CONT)
            self._carrier.wake()

    @property
    def phase(self) -> str:
        """What the attempt is waiting for: see `phase_of`, and ``body``."""
        easy = self._easy
        if easy is None or self.state is not State.CONNECTING:
            return "body"
        return phase_of(easy, self.request)

    @property
    def longest_hold(self) -> float:
        """Seconds it waits at the gate at most; for a longer wait it is not sent at all."""
        return self._retry.max_retry_after

    def sent(self, error: EngineError) -> Sent:
        """What is known of the last attempt, which failed for `error`."""
        return how_sent(self._sending.out, self.head is not None, error)

    def _drop_easy(self, *, well: bool = False) -> None:
        """Done with libcurl; `well`: it brought the whole of the response."""
        easy = self._easy
        if easy is not None:
            out = self._sending.name is not None
            self.timing = measure(easy, self.created, self._queued, out)
            head = self._head or self.head
            if head is None:
                self.possibly_billed += self._sending.out
            self._carrier.hosts.over(self.host, self._sending, head)
            self._easy = None
            apart = self._held_back or self._sending.apart or self._sending.downgraded
            self._carrier.release(easy, self, self._kind if well and not apart else None)
        if self.passed and self.lane is not None:
            self.passed = False
            self.lane.left()
