"""A turn of a `Multi`: `perform` and `info_read`, each of bounded length."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, Final

from engine.errors import MisuseError, describe
from engine.transport.driver import Driver
from engine.transport.signals import SignalsHeld
from engine.transport.sockets import HEARTBEAT
from engine.transport.work import Work

__all__ = ["OnTurn", "Turn"]

OnTurn = Callable[[list[tuple[Any, str]]], object]

# What is concluded between two looks at the clock.
_SLICE: Final = 16
# Works that are delivered between two looks, where those take less than `_FAST` seconds.
_LOOK: Final = 8
_FAST: Final = 0.0005


class Turn:
    """Takes turns for a `Driver`: calls what the user gave, outside libcurl.

    A turn that is over leaves the rest to the next and makes the descriptor readable, so that a
    host that watches nothing else goes on.

    Args:
        driver: what is driven.
        seconds: how long `perform` and `info_read` take together; None: as long as they need.
        on_exception: called with what a completion handler raised, instead of raising it.

    Attributes:
        seconds: as given.
    """

    def __init__(
        self,
        driver: Driver,
        seconds: float | None,
        on_exception: Callable[[Exception], object] | None,
    ) -> None:
        self._driver = driver
        self.seconds: float | None = seconds
        self._on_exception = on_exception
        self._marked: deque[Work] = deque()  # to be cancelled
        # Concluded, and how; the handlers are called next.
        self._announced: deque[tuple[Work, object]] = deque()
        self._delivering: Work | None = None
        self._hooks: tuple[OnTurn, ...] = ()
        self._results: list[Any] = []
        self._soon: deque[Callable[[], object]] = deque()
        self._over_at = 0.0  # the end of the turn that `perform` began
        self.count: int = 0

    def __len__(self) -> int:
        """Works still open: their completion handlers not all called yet."""
        return len(self._driver.works) + len(self._announced)

    @property
    def pending(self) -> bool:
        """Whether a turn has something to do, ready sockets or not."""
        return bool(self._driver.pending or self._marked or self._announced or self._soon)

    def timeout(self) -> float | None:
        """Seconds until `perform` must run; None: no deadline."""
        driver = self._driver
        if driver.closed:
            return None
        if self.pending:
            return 0.0
        due = driver.next_time()
        wait = None if due is None else max(due - monotonic(), 0.0)
        if driver.transfers and (wait is None or wait > HEARTBEAT):
            return HEARTBEAT
        return wait

    def perform(self, seconds: float | None, *, one_round: bool = False) -> int:
        """See `Multi.perform`; `one_round`: leave what comes meanwhile to the next turn."""
        if not self._enter("perform"):
            return 0
        driver = self._driver
        try:  # from here on, an interrupt must not leave `running` as it is
            self.count += 1
            if seconds is None:
                seconds = inf if self.seconds is None else self.seconds
            begun = monotonic()
            self._over_at = begun + seconds
            # Where handlers wait for `info_read`, the turn is not for `perform` alone.
            seconds *= 0.75 if driver.ended or self._announced else 1.0
            until = begun + seconds
            if self._marked:
                self._cancel_marked(until)
            if driver.deliverable:
                # What is behind is not read further; but the others are, in the time that is left.
                self._deliver(begun + seconds / 2)
            driver.inbox.wait_for(driver.deliverable)
            more = True
            while more and not self._marked:
                with SignalsHeld():
                    more = driver.drive(until, again=not one_round)
                self._call_soon(until)
                self._deliver(until)
                more = more and monotonic() < until
            if driver.texts:
                self._tell_hooks(driver.texts)
        finally:
            driver.running = self._delivering = None
            self._wake_if_pending()
        return len(self)

    def info_read(self, seconds: float | None) -> list[Any]:
        """See `Multi.info_read`."""
        if not self._enter("info_read"):
            return []
        driver = self._driver
        try:  # from here on, an interrupt must not leave `running` as it is
            until = self._info_read_until(seconds)
            while True:
                if driver.ended:
                    with SignalsHeld():
                        self._conclude()
                self._announce(until)
                if not driver.ended or monotonic() >= until:
                    break
            if driver.failures:
                (first, *others), driver.failures = driver.failures, []
                for other in others:
                    first.add_note(f"another completion handler raised {describe(other)}")
                raise first
            results, self._results = self._results, []
        finally:
            driver.running = None
            if driver.closing and not len(self):
                driver.shut()
            else:
                self._wake_if_pending()
        return results

    def wait(self, seconds: float | None) -> None:
        """Block until there is something to do, or so long; None: as long as it takes."""
        wait = self.timeout()
        if seconds is not None and (wait is None or seconds < wait):
            wait = seconds
        if wait != 0 and self._driver.running is None:
            self._driver.sockets.wait(wait)

    def call_soon(self, call: Callable[[], object]) -> None:
        """See `Multi.call_soon`."""
        self._soon.append(call)
        self._driver.sockets.wakeup.set()

    def hook(self, call: OnTurn) -> Callable[[], None]:
        """See `Multi.on_turn`."""
        entry: OnTurn = lambda texts: call(texts)  # noqa: E731  # the same one may be hooked twice
        self._hooks = (*self._hooks, entry)
        if self._driver.texts is None:
            self._driver.texts = {}
            for work in self._driver.works.values():
                work.recall()

        def unhook() -> None:
            self._hooks = tuple(other for other in self._hooks if other is not entry)
            if not self._hooks:
                self._driver.texts = None

        return unhook

    def cancel_all(self) -> None:
        """Mark all that is open; the next turns cancel it, before they do anything else."""
        self._marked = deque(self._driver.works.values())
        self._driver.wake()
        if self._delivering is not None:
            # Whose callback this is called from, perhaps: it gets no more of them.
            with SignalsHeld():
                self._delivering.cancel()

    def close(self) -> None:
        """Cancel all, call the handlers, free everything; from a callback: begin to."""
        driver = self._driver
        driver.closing = True
        self.cancel_all()
        if driver.running is not None:
            return
        failures: list[Exception] = []
        while len(self):
            try:
                self.perform(inf)
                self.info_read(inf)
            except Exception as error:  # of a completion handler; the others are still to come
                failures.append(error)
        if not driver.closed:
            driver.shut()
        if failures:
            raise failures[0]

    # ----------------------------------------------------------------------------------------

    def _enter(self, what: str) -> bool:
        driver = self._driver
        driver.check_thread(what)
        if driver.running is not None:
            raise MisuseError(
                f"{what}() was called from a callback of {driver.running}(); start streams with "
                "callbacks there (on_done=) and return, instead of waiting for them"
            )
        if driver.closed:
            return False
        driver.running = what
        return True

    def _info_read_until(self, seconds: float | None) -> float:
        if seconds is not None:
            return monotonic() + seconds
        if self.seconds is None:
            return inf
        # What `perform` left of the turn, and its share where it left nothing.
        return max(self._over_at, monotonic() + self.seconds / 4)

    def _wake_if_pending(self) -> None:
        if self.pending:
            self._driver.wake()

    def _cancel_marked(self, until: float) -> None:
        marked = self._marked
        while marked:
            with SignalsHeld():
                marked.popleft().cancel()
            if monotonic() >= until:
                break

    def _call_soon(self, until: float) -> None:
        soon = self._soon
        for _ in range(len(soon)):  # those that they add are for the next turn
            try:
                soon.popleft()()
            except Exception as error:
                self._raised(error)
            if monotonic() >= until:
                break

    def _tell_hooks(self, texts: dict[Any, list[str]]) -> None:
        self._driver.texts = {}
        told = [(face, "".join(pieces)) for face, pieces in texts.items()]
        for hook in self._hooks:
            try:
                hook(told[:])
            except Exception as error:
                self._raised(error)

    def _deliver(self, until: float) -> None:
        deliverable, looked, stride = self._driver.deliverable, 0.0, 1
        while deliverable and not self._marked:
            for _ in range(stride):
                self._delivering = work = deliverable[0]
                more = work.deliver(until)
                # Not before: what interrupts it must not lose its place.
                if more:
                    deliverable.rotate(-1)
                else:
                    deliverable.popleft()
                if not deliverable or self._marked:
                    break
            now = monotonic()
            if now >= until:
                break
            # Where they take long, the clock is looked at after each.
            stride = min(2 * stride, _LOOK) if now - looked < _FAST else 1
            looked = now
        self._delivering = None

    def _conclude(self) -> None:
        driver = self._driver
        for _ in range(min(len(driver.ended), _SLICE)):
            work = driver.ended[0]
            if driver.works.pop(id(work), None) is not None:
                self._announced.append((work, work.conclude()))
            driver.ended.popleft()

    def _announce(self, until: float) -> None:
        announced = self._announced
        while announced:
            work, result = announced[0]
            try:
                more = work.announce()
            except Exception as error:
                self._raised(error)
                more = True
            if not more:
                self._results.append(result)
                announced.popleft()
            if monotonic() >= until:
                break

    def _raised(self, error: Exception) -> None:
        if self._on_exception is None:
            self._driver.failures.append(error)
            return
        try:
            self._on_exception(error)
        except Exception as another:
            self._driver.failures.append(another)
