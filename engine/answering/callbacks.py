"""The callbacks of one stream: who is told of each event, and who of its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from engine.answering.listeners import STOP, Listener, Listeners, fitted
from engine.answering.observed import Observed
from engine.completion import Completion
from engine.events import Event, Restarted, Start, TextDelta, ThinkingDelta, ToolCallDone

__all__ = ["StreamCallbacks", "tell_late"]


# Who listens to one of these reads the answer: nobody who leaves a loop over it ends it for them.
_READS: Final = ("event", "text", "thinking", "tool_call", "message")
# Those that are called for an event; the others are called at the beginning, or at the end.
_TOLD_EVENTS: Final = _READS[:-1]


class _OfEachEvent:
    """What each event asks for, before all else: see `engine.transport.transfer`."""

    __slots__ = ("face", "on_event", "others")


class StreamCallbacks(_OfEachEvent):
    """What a `Delivery` calls for a stream: see its `Callbacks`.

    Args:
        stream: what each callback is given last.
        stop: called where one of them returns `STOP`.
        observed: told of the end before all others; None: nobody wants to know.

    Attributes:
        on_event: called with (event, stream); None: there is none.
        others: called with the event, for all the other callbacks; None: there are none.
        changed: called when there are others than before.
    """

    __slots__ = ("_ends", "_listeners", "_observed", "_on_done", "_on_text", "_snapshots",
                 "_stop", "changed")  # fmt: skip

    def __init__(
        self,
        stream: Any,
        stop: Callable[[], None],
        on_event: Listener | None,
        on_text: Listener | None,
        on_done: Listener | None,
        observed: Observed | None = None,
    ) -> None:
        self._observed = observed
        self.face: Any = stream
        self._stop = stop
        self.on_event: Listener | None = fitted(on_event, 2) if on_event is not None else None
        self._on_text = fitted(on_text, 2) if on_text is not None else None
        self._on_done = fitted(on_done, 2) if on_done is not None else None
        self._listeners: Listeners | None = None
        self._snapshots: dict[str, tuple[int, str]] | None = None
        self._ends: deque[Callable[[], object]] | None = None
        self.others: Callable[[Event], None] | None = None
        self.changed: Callable[[], None] = _nothing
        self._choose()

    @property
    def take_events(self) -> bool:
        """Whether anybody is told what the answer says."""
        if self.on_event is not None or self._on_text is not None:
            return True
        return self._listeners is not None and any(map(self.hears, _READS))

    def add(self, name: str, listener: Listener, *, once: bool = False) -> None:
        """See `Listeners.add`."""
        if self._listeners is None:
            self._listeners = Listeners()
        self._listeners.add(name, listener, once=once)
        self._choose()

    def remove(self, name: str, listener: Listener) -> None:
        """See `Listeners.remove`."""
        if self._listeners is not None:
            self._listeners.remove(name, listener)
            self._choose()

    @property
    def told(self) -> bool:
        """Whether the handlers of the end were called, or are called just now."""
        return self._ends is not None or self._stop is _nothing

    def hears(self, name: str) -> bool:
        """Whether anybody listens to `name`."""
        return self._listeners is not None and self._listeners.has(name)

    def connected(self) -> None:
        """Tell whoever listens that there is a connection."""
        self._call("connect", self.face)

    def announce(self, completion: Completion) -> bool:
        """Call the next completion handler; False where none is left then. One that raises, or is
        interrupted, is not called again."""
        if self._ends is None:
            # As nearly always: there is one call at most.
            if self._listeners is None and self._observed is None:
                on_done, face = self._on_done, self.face
                self._forget()
                if on_done is not None:
                    on_done(completion, face)
                return False
            self._ends = self._endings(completion)
        if not self._ends:
            self._forget()
            return False
        self._ends.popleft()()
        return True

    # ----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Nobody is called any more; what is not in a cycle needs no garbage collector."""
        self.face = self.on_event = self.others = None
        self._on_text = self._on_done = self._listeners = self._snapshots = self._observed = None
        self._stop = self.changed = _nothing

    def _choose(self) -> None:
        wanted = self._on_text is not None or (
            self._listeners is not None and any(map(self.hears, _TOLD_EVENTS))
        )
        self.others = self._tell if wanted else None
        self.changed()

    def _tell(self, event: Event) -> None:
        """The callbacks that are not `on_event`."""
        if (
            type(event) is TextDelta
            and self._on_text is not None
            and not event.choice  # as `text`: the first choice's
            and self._on_text(event.text, self.face) is STOP
        ):
            self._stop()
        if self._listeners is not None:
            self._tell_listeners(event)

    def _tell_listeners(self, event: Event) -> None:
        kind: type[Event] | None = type(event)
        self._call("event", event, self.face)
        if getattr(event, "choice", 0):
            return  # the other choices are told by `event` only, as `text` has none of them
        if kind is TextDelta:
            self._grown("text", event)
        elif kind is ThinkingDelta:
            self._grown("thinking", event)
        elif kind is Start or kind is Restarted:
            self._snapshots = None  # a second answer voids what came before
        elif kind is ToolCallDone:
            self._call("tool_call", event.call, self.face)  # type: ignore[union-attr]

    def _grown(self, name: str, event: Any) -> None:
        """Tell who listens to `name`; the snapshot is made for who takes it only."""
        assert self._listeners is not None
        entries = self._listeners.take(name)
        snapshot = ""
        if any(entry.arity is None or entry.arity > 1 for entry in entries):
            snapshot = self._snapshot(name, event)
        for entry in entries:
            if entry.call((event.text, snapshot, self.face)) is STOP:
                self._stop()

    def _snapshot(self, name: str, event: Any) -> str:
        """The text, or the reasoning, up to `event`."""
        snapshots = self._snapshots = self._snapshots or {}
        last, snapshot = snapshots.pop(name, (-1, ""))
        if 0 <= last <= event.index:
            # The one reference there is, in a local name: CPython then grows the string in place,
            # which makes n snapshots that nobody keeps cost O(n) and not O(n²).
            snapshot += str(event.text)
        else:
            snapshot = str(getattr(self.face, name))
            if event.index < last:
                return snapshot  # a block in the middle grew
        snapshots[name] = event.index, snapshot
        return snapshot

    def _call(self, name: str, *arguments: Any) -> None:
        if self._listeners is not None:
            for entry in self._listeners.take(name):
                if entry.call(arguments) is STOP:
                    self._stop()

    def _endings(self, completion: Completion) -> deque[Callable[[], object]]:
        calls: deque[Callable[[], object]] = deque()

        def listened(name: str) -> None:
            entries = self._listeners.take(name) if self._listeners is not None else ()
            arguments = _given_at_end(name, completion, self.face) if entries else None
            if arguments is not None:
                calls.extend(partial(entry.call, arguments) for entry in entries)

        if self._observed is not None:
            observed = self._observed
            calls.append(lambda: observed.ended(completion))
        for name in ("message", "final_message", "abort", "error"):
            listened(name)
        if self._on_done is not None:
            on_done, face = self._on_done, self.face
            calls.append(lambda: on_done(completion, face))
        listened("end")
        return calls


def tell_late(name: str, listener: Listener, completion: Completion, stream: Any) -> None:
    """Have `listener` told of the end that `stream` has come to, if `name` is called for it.

    Raises:
        ConfigError: nothing of that name can be listened to.
        Exception: what it raises.
    """
    late = Listeners()
    late.add(name, listener)
    arguments = _given_at_end(name, completion, stream)
    if arguments is not None:
        for entry in late.take(name):
            entry.call(arguments)


def _given_at_end(name: str, completion: Completion, stream: Any) -> tuple[Any, ...] | None:
    """What a listener of `name` is called with at the end; None: it is not called for this one."""
    if name == "end":
        return (stream,)
    if name in ("message", "final_message"):
        return (completion.message, stream) if completion.status == "complete" else None
    wanted = {"complete": None, "cancelled": "abort"}.get(completion.status, "error")
    return (completion.error, stream) if name == wanted else None


def _nothing() -> None:
    pass
