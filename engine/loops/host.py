"""The one seam to a host loop: it watches a descriptor, keeps a timer, and outlives a mistake.

To write an adapter is to give `attach` a `Host`: three calls that every loop has. See
`engine.loops.asyncio` for one.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol, TypeVar

from engine.errors import MisuseError, ResourceError
from engine.transport.multi import Multi, driver_of
from engine.transport.poller import FD_SETSIZE

__all__ = ["Attachment", "Cancellable", "Host", "Then", "attach", "for_select"]

B = TypeVar("B")

Then = Callable[[Any, BaseException | None], None]
"""What is told how an awaitable ended: (its result, None), or (None, what it raised)."""

# Seconds between two turns where the host cannot watch a descriptor: while something is open (a
# token is seen 2.5 ms late on average), and while nothing is (a request begins so late at worst).
_BUSY_POLL = 0.005
_IDLE_POLL = 0.05
# A timer this much too late is not worth a new one (seconds).
_SLACK = 0.0005


class Cancellable(Protocol):
    """A timer of the host's."""

    def cancel(self) -> object:
        """Never make the call; also after it was made."""


class Host(Protocol):
    """What a loop can do. It may have more: ``failed(error)``, called with what a handler raised
    (without it, the traceback goes to stderr); ``closed``, true when the loop runs no more;
    ``run(awaitable, then)``, as `Attachment.run`; and, where tasks switch in the middle of a call
    (greenlets), ``event()``, something with ``set()`` and ``wait(seconds)``, and ``current()``,
    which tells the tasks apart: `Multi.poll`, and with it ``stream.result()`` and the loop over a
    stream, then lets the others run."""

    @property
    def loop(self) -> object:
        """The loop itself, to tell one from another."""

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call `call` whenever `fd` is readable, until `unwatch`. NotImplementedError: it cannot;
        timers do then."""

    def unwatch(self, fd: int) -> None:
        """The opposite of `watch`."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Cancellable:
        """Call `call` once, so many seconds from now."""


def for_select(fd: int) -> int:
    """`fd`, for `watch` in a loop that waits by select(), which takes no number of 1,024 or more:
    Tk ends the process then, others raise in the middle of the loop.

    Raises:
        NotImplementedError: so that timers do.
    """
    if fd >= FD_SETSIZE:
        raise NotImplementedError
    return fd


class Attachment:
    """A `Multi` in a host loop, until `close`. Belongs to the thread of the loop."""

    __slots__ = ("_closed", "_hook")

    def __init__(self, hook: _Hook) -> None:
        self._hook = hook
        self._closed = False
        hook.holders += 1

    @property
    def closed(self) -> bool:
        """Whether the loop drives the `Multi` no more: closed itself, or the `Multi`, or the loop
        is over."""
        return self._closed or self._hook.closed

    def park(self, bell: B, ring: Callable[[B], object]) -> Callable[[], None]:
        """What calls ``ring(bell)``, once; so does the end of the attachment, so that nobody waits
        for what will not come.

        Raises:
            MisuseError: it has ended.
        """
        hook = self._hook
        if self._closed or hook.over:
            raise MisuseError(
                "nothing drives this stream: its client, or the attachment to this loop, is closed"
            )
        bells = hook.bells
        bells[bell] = ring

        def wake() -> None:
            if bells.pop(bell, None) is not None:
                ring(bell)

        return wake

    def run(self, awaitable: Awaitable[Any], then: Then) -> Callable[[], None] | None:
        """Await `awaitable` in the loop, beside what it does, and there call `then` with (result,
        exception). Returns what cancels it; None where the host awaits nothing."""
        return self._hook.run(awaitable, then)

    def close(self) -> None:
        """Drive no more, once every attachment to this loop is closed. What is open stays open: go
        on in another loop, or close the `Multi`. Idempotent."""
        if not self._closed:
            self._closed = True
            self._hook.holders -= 1
            if not self._hook.holders:
                self._hook.detach()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def attach(multi: Multi, host: Host) -> Attachment:
    """Have `host` drive `multi` from now on. Twice to the same loop is counted.

    Raises:
        MisuseError: it is closed, another thread's, or driven by another loop that still lives.
    """
    driver = driver_of(multi)
    driver.check_thread("attach")
    hook = driver.attached
    if isinstance(hook, _Hook) and not hook.closed:
        if hook.host.loop is host.loop:
            return Attachment(hook)
        raise MisuseError(
            f"{multi!r} is driven by another loop, {hook.host.loop!r}; close that attachment "
            "first, or use one Multi a loop"
        )
    return Attachment(_Hook(multi, host))


class _Hook:
    """The watch and the timer that all attachments of one `Multi` share."""

    def __init__(self, multi: Multi, host: Host) -> None:
        self.host = host
        self.holders = 0
        self.bells: dict[Any, Callable[[Any], object]] = {}  # to be rung: see `Attachment.park`
        self._multi = multi
        self._driver = driver_of(multi)
        self.over = False
        self._nested = False
        self._in_turn: object = None  # the host's task that makes one
        self._after_turn: list[Callable[[], None]] = []
        self._timer: Cancellable | None = None
        self._due = 0.0
        self._fd: int | None = None
        try:
            fd = multi.fileno()
            host.watch(fd, self._turn)
            self._fd = fd
        except (NotImplementedError, ResourceError):
            pass  # no watching of descriptors, or no descriptor of descriptors: timers do
        self._driver.attached = self
        self._set_timer()

    @property
    def closed(self) -> bool:
        return self.over or bool(getattr(self.host, "closed", False))

    def run(self, awaitable: Awaitable[Any], then: Then) -> Callable[[], None] | None:
        """See `Attachment.run`."""
        run = getattr(self.host, "run", None)
        if run is None or self.closed:
            return None
        cancel: Callable[[], None] = run(awaitable, then)
        return cancel

    def detach(self) -> None:
        """Unhook. The `Multi` calls it, too, before its descriptor is closed."""
        if self.over:
            return
        dead, self.over = self.closed, True
        self._driver.attached = None
        if not dead:
            if self._fd is not None and not self._nested:
                self.host.unwatch(self._fd)
            if self._timer is not None:
                self._timer.cancel()
        while self.bells:
            bell, ring = self.bells.popitem()
            ring(bell)
        self._tell_who_waits()

    def wait(self, seconds: float | None) -> bool:
        """See `engine.transport.attached.Attached`."""
        make = getattr(self.host, "event", None)
        if make is None or self._in_turn == self.host.current():  # type: ignore[attr-defined]
            return False
        event = make()
        self._after_turn.append(event.set)
        event.wait(seconds)
        return True

    def _turn(self) -> None:
        if self._driver.running is not None:
            self._wait_for_outer_turn()
            return
        current = getattr(self.host, "current", None)
        self._in_turn = current() if current is not None else None
        try:
            self._multi.perform()
            self._multi.info_read()
        except Exception as error:
            self._failed(error)
        finally:
            self._in_turn = None
            self._tell_who_waits()
            if not self.over:
                self._set_timer()

    def _tell_who_waits(self) -> None:
        calls, self._after_turn = self._after_turn, []
        for call in calls:
            call()

    def _timer_fired(self) -> None:
        self._timer = None
        if not self.over:
            self._turn()

    def _wait_for_outer_turn(self) -> None:
        """A callback runs the host's loop (a dialog does): nothing of ours until it returns, and
        no busy loop over a descriptor that is readable meanwhile."""
        if not self._nested and self._fd is not None:
            self._nested = True
            self.host.unwatch(self._fd)

    def _set_timer(self) -> None:
        # A request that begins, or a timer that is set, makes the descriptor readable: so it is
        # enough to look at `timeout` after each turn. A timer that is early enough stays: it costs
        # a turn with nothing in it, where a new one each turn would fill the host's heap.
        if self._nested and self._fd is not None:
            self._nested = False
            self.host.watch(self._fd, self._turn)
        wait = self._multi.timeout()
        if self._fd is None:
            poll = _BUSY_POLL if len(self._multi) else _IDLE_POLL
            wait = poll if wait is None else min(poll, wait)
        if wait is None:
            return
        due = monotonic() + wait
        if self._timer is not None:
            if self._due <= due + _SLACK:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self.host.call_later(wait, self._timer_fired)

    def _failed(self, error: Exception) -> None:
        tell = getattr(self.host, "failed", None)
        if tell is not None:
            tell(error)
        else:
            print("engine: a completion handler raised; the loop goes on", file=sys.stderr)
            traceback.print_exception(error)
