"""What a delivery needs of those it stands between: whose events they are, who is told, who reads,
and where what was handed over goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NoReturn, Protocol, TypeVar

__all__ = ["Callbacks", "History", "Kept", "Over", "Reading", "Source", "Step"]

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)
R_contra = TypeVar("R_contra", contravariant=True)


class Source(Protocol[R_co]):
    """Whose events they are."""

    def cancel(self) -> None:
        """End it: a callback returned `STOP`, or the last reader left before the end."""

    def failed(self, error: Exception) -> None:
        """End it: a callback or a step raised."""

    def interrupted(self) -> None:
        """KeyboardInterrupt or the like came in the middle of a step."""

    def hold_back(self, why: str) -> None:
        """Let no more come: a reader is far behind, or the user said so."""

    def go_on(self, why: str) -> None:
        """The opposite of `hold_back`, for the same reason."""

    def conclude(self) -> R_co:
        """How it ended; asked once, after `Delivery.finish`."""


class Over:
    """The source of what has ended: there is nothing left to ask of it. It takes the other one's
    place, so that what is over is in no cycle and needs no garbage collector."""

    def cancel(self) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def interrupted(self) -> None: ...

    def hold_back(self, why: str) -> None: ...

    def go_on(self, why: str) -> None: ...

    def conclude(self) -> NoReturn:
        raise AssertionError("it was concluded already")


class Callbacks(Protocol[E, R_contra]):
    """Who is told in `perform` and in `info_read`.

    Attributes:
        face: what the user holds; `on_event` is given it.
        on_event: called with (event, face); None: there is none.
        others: called with the event, for all other callbacks; None: there are none.
        changed: to be called when there are others than before.
    """

    face: Any
    on_event: Callable[..., object] | None
    others: Callable[[E], None] | None
    changed: Callable[[], None]

    @property
    def take_events(self) -> bool:
        """Whether a callback reads the answer: a reader that leaves does not end it then."""

    def announce(self, completion: R_contra) -> bool:
        """Call the next completion handler; False where none is left."""


class History(Protocol[E]):
    """What was handed over, for who begins to read late."""

    def extend(self, events: Iterable[E]) -> None:
        """Take `events`, in order."""

    def events(self) -> list[E]:
        """What was taken, joined where that loses nothing."""

    def fresh(self) -> History[E]:
        """An empty one, for what comes from now on."""


class Kept(Generic[E]):
    """A history that joins nothing."""

    def __init__(self) -> None:
        self._events: list[E] = []

    def extend(self, events: Iterable[E]) -> None:
        """Take `events`, in order."""
        self._events.extend(events)

    def events(self) -> list[E]:
        """What was taken."""
        return self._events[:]

    def fresh(self) -> Kept[E]:
        """An empty one."""
        return Kept()


class Reading(Protocol[E]):
    """A reader's place in a delivery.

    Attributes:
        position: number of the first item it has not taken.
        lent: what it may take without asking: see `Handover`.
        rest: what it has not taken, once it was let go; None before.
    """

    position: int
    lent: Iterator[E]
    rest: History[E] | None


class Step:
    """Work between two events."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] = work
