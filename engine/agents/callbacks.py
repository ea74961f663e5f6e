"""Who is told of a run: callbacks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from engine.agents.event import DETAILS, EVENT_TYPES, AgentEvent
from engine.agents.result import AgentResult
from engine.answering.listeners import STOP, Listener, fitted
from engine.answering.listening import Told
from engine.callback import check_callback
from engine.errors import CallbackError, ConfigError, describe

__all__ = ["OnAgentDone", "OnAgentEvent", "RunCallbacks"]

# Each may take fewer arguments.
OnAgentEvent = Told[AgentEvent, Any]
OnAgentDone = Told[AgentResult, Any]

_NAMES: Final = ("event", "detail", "end", *EVENT_TYPES, *DETAILS)
_DETAILS: Final = frozenset(DETAILS)


class _Entry:
    __slots__ = ("call", "listener", "once")

    def __init__(self, listener: Listener, call: Listener, once: bool) -> None:
        self.listener = listener
        self.call = call
        self.once = once


class RunCallbacks:
    """The callbacks of one run: see `engine.answering.contract.Callbacks`.

    Attributes:
        face: the run, which each is given last.
        on_event: None: `others` calls all of them.
        others: called with each event.
        changed: called when there are others than before.
        detailed: somebody may want details, or did; see `wants`.
        told: the handlers of the end were called, or are called just now.
    """

    __slots__ = ("_by_name", "_details_read", "_ends", "_only", "_stop", "changed", "detailed",
                 "face", "on_event", "others", "told")  # fmt: skip

    def __init__(
        self,
        face: Any,
        stop: Callable[[], None],
        on_event: OnAgentEvent | None,
        on_detail: OnAgentEvent | None,
        on_done: OnAgentDone | None,
    ) -> None:
        self.face: Any = face
        self.on_event: Callable[..., object] | None = None
        self.others: Callable[[AgentEvent], None] | None = None
        self.changed: Callable[[], None] = _nothing
        self.detailed: bool = False
        self.told: bool = False
        self._only: Listener = _nothing
        self._stop = stop
        self._by_name: dict[str, tuple[_Entry, ...]] = {}
        self._ends: tuple[Callable[[AgentResult], object], ...] = ()
        self._details_read = False
        if on_event is not None:
            check_callback(on_event, "on_event")
            self.add("event", on_event, face)
        if on_detail is not None:
            check_callback(on_detail, "on_detail")
            self.add("detail", on_detail, face)
        if on_done is not None:
            check_callback(on_done, "on_done")
            call = fitted(on_done, 2)
            self._ends = (lambda result: call(result, self.face),)

    @property
    def take_events(self) -> bool:
        """Whether anybody is told what happens."""
        return bool(self._by_name)

    def wants(self, detail: str) -> bool:
        """Whether anybody asked for details of this name."""
        return self._details_read or detail in self._by_name or "detail" in self._by_name

    def read_details(self) -> None:
        """A reader wants all details, from now on."""
        self._details_read = self.detailed = True
        self._choose()

    def tell_first(self, call: Callable[[AgentResult], object]) -> None:
        """Call `call` with the result before the handlers of the end."""
        self._ends = (call, *self._ends)

    def add(self, name: str, listener: Listener, run: Any, *, once: bool = False) -> None:
        """Call `listener` at each `name`, or at the next one only; at the end that `run` has come
        to, at once.

        Raises:
            ConfigError: nothing of that name can be listened to, or it cannot be called.
        """
        if name not in _NAMES:
            raise ConfigError(f"nothing called {name!r} to listen to; there are {[*_NAMES]}")
        check_callback(listener, f"the listener of {name!r}")
        if name == "end":
            call = fitted(listener, 1)
            if self.told:
                call(run)
            else:
                self._ends = (*self._ends, _End(listener, lambda _: call(self.face)))
            return
        if self.told:
            return  # no more of these will come
        entry = _Entry(listener, fitted(listener, 2), once)
        self._by_name[name] = (*self._by_name.get(name, ()), entry)
        self.detailed = self.detailed or name == "detail" or name in _DETAILS
        self._choose()

    def remove(self, name: str, listener: Listener) -> None:
        """Forget `listener`; nothing where it is not there."""
        if name == "end":
            self._ends = tuple(e for e in self._ends if getattr(e, "listener", None) != listener)
            return
        kept = tuple(e for e in self._by_name.get(name, ()) if e.listener != listener)
        self._keep(name, kept)

    def announce(self, result: AgentResult) -> bool:
        """Call the next handler of the end; False where none is left."""
        self.told = True
        if not self._ends:
            self._forget()
            return False
        call, *rest = self._ends
        self._ends = (*rest,)
        call(result)
        return True

    def _forget(self) -> None:
        """Nobody is called any more; what is not in a cycle needs no garbage collector."""
        self.face = self.others = None
        self._by_name.clear()
        self._stop = self._only = self.changed = _nothing

    def _choose(self) -> None:
        """Who is told of an event; mostly there is one, who wants all but details."""
        entries = self._by_name.get("event", ())
        if len(entries) == len(self._by_name) == 1 and not (entries[0].once or self.detailed):
            self._only, self.others = entries[0].call, self._tell_only
        else:
            self._only, self.others = _nothing, self._tell if self._by_name else None
        self.changed()

    def _tell_only(self, event: AgentEvent) -> None:
        try:
            if self._only(event, self.face) is STOP:
                self._stop()
        except Exception as error:
            raise self._failure(error) from error
        if event.type in self._by_name:  # asked for by the one who was told just now
            self._tell_as(event.type, event)

    def _tell(self, event: AgentEvent) -> None:
        self._tell_as("detail" if event.type in _DETAILS else "event", event)
        self._tell_as(event.type, event)

    def _tell_as(self, name: str, event: AgentEvent) -> None:
        entries = self._by_name.get(name, ())
        kept = [entry for entry in entries if not entry.once]
        if len(kept) < len(entries):
            self._keep(name, tuple(kept))
        for entry in entries:
            self._call(entry, event)

    def _call(self, entry: _Entry, event: AgentEvent) -> None:
        try:
            if entry.call(event, self.face) is STOP:
                self._stop()
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> CallbackError:
        """What ends the run; whoever raised is not called again."""
        self._by_name.clear()
        self.others = None
        self.changed()
        return CallbackError(
            f"a callback of the run raised {describe(error)}; the run was ended, the others go on"
        )

    def _keep(self, name: str, kept: tuple[_Entry, ...]) -> None:
        if kept:
            self._by_name[name] = kept
        else:
            self._by_name.pop(name, None)
        self._choose()


class _End:
    """A listener of the end."""

    __slots__ = ("_call", "listener")

    def __init__(self, listener: Listener, call: Callable[[AgentResult], object]) -> None:
        self.listener = listener
        self._call = call

    def __call__(self, result: AgentResult) -> object:
        return self._call(result)


def _nothing() -> None:
    pass
