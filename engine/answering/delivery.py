"""Delivery: what came waits in one queue for callbacks and readers, and is handed over once."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, TypeVar

from engine.answering.backlog import Backlog, slowest
from engine.answering.contract import Callbacks, History, Over, Reading, Source, Step
from engine.answering.handover import Handover
from engine.answering.items import Items
from engine.answering.listeners import STOP
from engine.answering.turn_texts import note_texts
from engine.transport.driver import Driver
from engine.transport.multi import Multi, driver_of
from engine.transport.signals import SignalsHeld
from engine.transport.work import Work

__all__ = ["Delivery"]

_OVER: Final = Over()
E = TypeVar("E")
R = TypeVar("R")

# Delivered events folded at a time where a reader takes them one by one, and lent it at most.
_FOLD_READ: Final = 256
# Events that callbacks get between two looks at the clock, where those take less than `_FAST` s;
# and those that are copied at a time, since `fold` changes the queue in place.
_LOOK, _FAST, _COPIED = 8, 0.0005, 256


class Delivery(Items[E], Generic[E, R]):
    """Hands over the events of one `Source`: to its callbacks in `perform`, and to any number of
    readers, each at its own pace. To the `Multi` it is the open piece of work.

    Delivered are those that callbacks had, or the reader that is furthest ahead, or, where there is
    neither, that nobody wanted.

    Args:
        multi: what drives it.
        source: whose events they are.
        callbacks: who is told.
        history: where what was delivered goes.
        max_unread_bytes: how far the slowest reader may be behind before the source is held back.

    Attributes:
        over: nothing more comes.
        paused: no callback of an event is called.
        backlog: what readers have not taken; None before there is one.
        awaited: how many await the end.
        completion: how it ended; None until `info_read` handed it over.
    """

    __slots__ = (
        *("__weakref__", "_handed_in", "_let_go", "_max_unread", "_notes", "_source", "_watchers"),
        *("awaited", "backlog", "completion", "driver", "multi", "over", "paused"),
    )

    counted: int

    def __init__(
        self,
        multi: Multi,
        source: Source[R],
        callbacks: Callbacks[E, R],
        history: History[E],
        max_unread_bytes: int = 1 << 20,
    ) -> None:
        super().__init__(history)
        self.multi: Multi = multi
        self.driver: Driver = driver_of(multi)
        self.deliver_soon: Callable[[Work], None] = self.driver.deliver_soon
        self.callbacks: Callbacks[E, R] = callbacks
        self._source: Source[R] = source
        self.over: bool = False
        self.paused: bool = False
        self._handed_in = self._let_go = False
        self._due = False  # the driver will call `deliver`, or it hands over just now
        self._quiet = self.driver.texts is None  # see `_is_quiet`
        self.completion: R | None = None
        self._notes: list[Callable[[], None]] | None = None
        self._watchers: list[Callable[[], None]] | None = None
        self.awaited: int = 0
        self._max_unread = max_unread_bytes
        self.backlog: Backlog | None = None  # made for the first reader

    # -- for the source ------------------------------------------------------------------------

    def post(self, events: list[E], data: bytes = b"") -> None:
        """Hand `events` over, after all that came before; on the wire they were `data`."""
        self.queue.extend(events)
        if self.counted > self._fold_at:
            self.fold()
        if self._readers and self.backlog.add(self.base + len(self.queue), len(data)):  # type: ignore[union-attr]  # there is one then
            self._source.hold_back("reader")
        if not self._due:
            soon = self.deliver_soon  # a method call would look for it in the class first
            soon(self)
            self._due = True

    def step(self, work: Callable[[], None]) -> None:
        """Take the step `work` once everything posted before was handed over."""
        self._stepping, self._quiet = True, False
        self.queue.append(Step(work))
        self._wanted()

    def note(self, call: Callable[[], None]) -> None:
        """Call `call` outside libcurl, before the next event is handed over."""
        self._notes, self._quiet = [*(self._notes or ()), call], False
        self._wanted()

    def finish(self) -> None:
        """Nothing more will come."""
        self.over, self._quiet = True, False
        if self._due or self._notes or self._watchers or len(self.queue) > self.counted - self.base:
            self._wanted()
        elif not self._handed_in:  # all was handed over, and nobody waits to be told
            self._handed_in = True
            self.driver.finished(self)

    def pause(self) -> None:
        """Call no callback of an event, and hold the source back, until `resume`."""
        if not self.paused and not self.over:
            self.recall()
            self.paused, self._quiet = True, False
            self._source.hold_back("pause")

    def resume(self) -> None:
        """The opposite of `pause`."""
        if self.paused:
            self.paused = False
            self._quiet = self._is_quiet()
            self._source.go_on("pause")
            self._wanted()

    # -- for the `Multi` -----------------------------------------------------------------------

    def deliver(self, until: float = math.inf) -> bool:
        """Hand over what waits, until then (seconds of time.monotonic). True: there is more."""
        callbacks, queue, more = self.callbacks, self.queue, False
        after, on_event = self.counted + 1, callbacks.on_event
        try:
            if (
                self._quiet
                and after == self.base + len(queue)
                and (on_event is not None or callbacks.others is not None)
            ):  # one event, as nearly always: what the loop would do
                item = queue[-1]
                self.counted, self._due = after, False  # what it brings about asks anew
                if on_event is not None and on_event(item, callbacks.face) is STOP:
                    self._source.cancel()
                if (tell := callbacks.others) is not None:
                    tell(item)
                if self._quiet:
                    return False
            else:
                more = self._due = self._deliver(until)
        except Exception as error:
            self._due = more = True  # what came meanwhile, and what the source says of it
            self._source.failed(error)
        if self._watchers is not None:
            self.wake()
        if self.over and not self._handed_in and self.counted - self.base >= len(self.queue):
            self.driver.finished(self)
            self._handed_in = True
        return more

    def conclude(self) -> R:
        """How it ended."""
        if self.completion is None:
            self.fold()
            self.completion = self._source.conclude()
        return self.completion

    def announce(self) -> bool:
        """Call the next completion handler; False: there was none left."""
        assert self.completion is not None
        if self.callbacks.announce(self.completion):
            return True
        self._source = _OVER
        self.wake()
        return False

    def cancel(self) -> None:
        """End it, as `Multi.cancel_all` does."""
        self._source.cancel()

    @property
    def stalled(self) -> bool:
        """Whether it goes on only when a reader reads, or somebody resumes it."""
        if not self.over:
            return self.paused or (self.backlog is not None and self.backlog.held_back)
        waiting = self.counted - self.base < len(self.queue)
        return waiting and (self.paused or (self._readers is not None and not self._called))

    # -- for readers ---------------------------------------------------------------------------

    def begin(self, reader: Reading[E]) -> list[E]:
        """Have `reader` read; what was delivered before, joined."""
        with SignalsHeld():
            self.recall()
            self.fold()
            reader.position = self.counted
            self.callbacks.changed = self.changed
            if self._let_go:
                reader.rest = self._history.fresh()
                self._joined = [*(self._joined or ()), reader]
            else:
                self._readers = [*(self._readers or ()), reader]
                self.backlog = self.backlog or Backlog(self._max_unread)
            return self._history.events()

    def end(self, reader: Reading[E]) -> bool:
        """`reader` reads no more; True where another one does."""
        with SignalsHeld():
            self.recall()
            self._readers = [r for r in self._readers or () if r is not reader] or None
            self._joined = [r for r in self._joined or () if r is not reader] or None
            self.settle()
            self._wanted()
        return self.is_read

    @property
    def is_read(self) -> bool:
        """Whether there is a reader, or somebody who awaits the end."""
        return self._readers is not None or self._joined is not None or self.awaited > 0

    def leave(self) -> None:
        """Who read and owned it left before the end: cancel it, unless a callback takes events."""
        if not self._handed_in and not self.callbacks.take_events:
            self._source.cancel()

    def left(self) -> None:
        """One who awaited the end does so no more."""
        self.awaited -= 1
        if not self.is_read:
            self.leave()

    def let_go(self) -> None:
        """Let no reader hold the source back any more: what it has not taken is joined for it."""
        with SignalsHeld():
            self.recall()
            self.fold()
            self._let_go = True
            for reader in self._readers or ():
                reader.rest = self._history.fresh()
                reader.rest.extend(self._events(reader.position))
                self._joined = [*(self._joined or ()), reader]
            self._readers = None
            self.settle()
            self._wanted()

    def advance(self, reader: Reading[E]) -> bool:
        """Have the next item of `reader` delivered, which takes it then: where it is furthest
        ahead, after the steps before it. False: nothing waits, or callbacks go first."""
        if self._handover is not None:
            self._count(self._handover)
            if reader.position < self.counted:
                return True
            if self._handover.reader is reader:
                self._handover = None  # it had all of it
        if self._called:
            return False
        while (index := self.counted - self.base) < len(self.queue):
            item = self.queue[index]
            self.counted += 1
            if self.over and index + 1 == len(self.queue):
                self._wanted()
            if type(item) is not Step:
                if self.driver.texts is not None:
                    note_texts(self.driver.texts, self.callbacks.face, [item])
                if self.counted - self._folded > _FOLD_READ:
                    self.fold_now()
                return True
            self._take(item)
        return False

    def lend(self, reader: Reading[E]) -> None:
        """Give `reader` at once what waits of the same read, but for the last event: that one is
        asked for, so that whoever waits for the end, or for room, hears of it. Nothing where each
        event is somebody else's to see, too."""
        start, backlog = self.counted, self.backlog
        if (
            reader.position == start
            and backlog is not None
            and len(self._readers or ()) == 1
            and not self._stepping
            and self.driver.texts is None
            and not self._called
        ):
            end = min(backlog.next, self.base + len(self.queue), start + _FOLD_READ) - 1
            if start < end:
                items = self.queue[start - self.base : end - self.base]
                self._handover = Handover(items, start, reader)
                reader.lent = self._handover.rest

    def settle(self) -> None:
        """Let the source go on where the slowest reader is little behind."""
        if self.backlog is not None and self.backlog.taken(slowest(self._readers or ())):
            self._source.go_on("reader")

    def watch(self, call: Callable[[], None]) -> None:
        """Call `call` once, outside libcurl, when there is news."""
        self._watchers, self._quiet = [*(self._watchers or ()), call], False

    def unwatch(self, call: Callable[[], None]) -> None:
        """The opposite of `watch`, also where it was called."""
        if call in (watchers := self._watchers or []):
            watchers.remove(call)

    def wake(self) -> None:
        """Call whoever watches."""
        watchers, self._watchers = self._watchers, None
        for watcher in watchers or ():
            watcher()

    def result(self) -> R:
        """Drive the `Multi` until it is over and all were told, and let readers go.

        Raises:
            MisuseError: called from a callback.
        """
        if self.driver.running is None:
            self.let_go()
        while self.completion is None or (self._source is not _OVER and not self.driver.running):
            self.multi.poll()
        return self.completion

    def _deliver(self, until: float) -> bool:
        self._quiet = False
        notes, self._notes = self._notes, None
        for note in notes or ():
            note()
        deliver = self._to_callbacks if self.driver.texts is None else self._noted
        more = not self.paused and deliver(until)
        self._quiet = self._is_quiet()
        return more

    def _is_quiet(self) -> bool:
        """Whether the next event, if it comes alone, goes to callbacks as it is: no note, no step
        and nobody who watches comes with it, nor does anybody ask for the text of turns."""
        busy = self._stepping or self.over or self.paused or self._notes or self._watchers
        return not busy and self._handover is None and self.driver.texts is None

    def _to_callbacks(self, until: float) -> bool:
        callbacks, queue, on_event = self.callbacks, self.queue, self.callbacks.on_event
        if on_event is None and callbacks.others is None:
            if self._readers is not None:
                return False  # the one that is furthest ahead takes them
            if not self._stepping:  # nobody looks
                self.counted = self.base + len(queue)
                return False
        self.recall()  # there is one where an interrupt ended the last one
        face, stride, left, looked, late = callbacks.face, 1, 1, monotonic(), False
        while not late and not self.paused and (position := self.counted - self.base) < len(queue):
            items, stepping = queue[position : position + _COPIED], self._stepping
            self._handover = Handover(items, self.counted)
            try:
                for item in self._handover.rest:
                    if stepping and type(item) is Step:
                        self._take(item)
                    else:
                        if on_event is not None and on_event(item, face) is STOP:
                            self._source.cancel()
                        if (tell := callbacks.others) is not None:
                            tell(item)
                    left -= 1
                    if not left:
                        now = monotonic()
                        if late := now > until:
                            break
                        left = stride = 1 if now - looked >= _FAST else stride + stride % _LOOK
                        looked = now
            finally:
                self.recall()
        return late and not self.paused and self.counted - self.base < len(queue)

    def _noted(self, until: float) -> bool:
        start, waiting = self.counted, self.queue[self.counted - self.base :]
        try:
            return self._to_callbacks(until)
        finally:
            note_texts(self.driver.texts, self.callbacks.face, waiting[: self.counted - start])

    def _take(self, step: Step) -> None:
        try:
            step.work()
        except Exception as error:
            self._source.failed(error)
        except BaseException:
            self._source.interrupted()
            raise

    def _wanted(self) -> None:
        if not self._due:
            self.deliver_soon(self)
            self._due = True
        self.driver.wake()
