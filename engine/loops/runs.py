"""A run of an agent that a host loop drives; asyncio and trio share it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, Protocol, Self, TypeVar

from engine.answering.reader import AsyncReader, Place, Reader
from engine.loops.waiting import Run, Waiting, ended

__all__ = ["AsyncRun", "ReadRun"]

E = TypeVar("E")
R = TypeVar("R")
E_co = TypeVar("E_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


class ReadRun(Run[R_co], Protocol[E, R_co]):
    """A run whose events can be read: see `engine.agents.AgentRun`."""

    def events(self, *, details: bool = False, cancel: bool = True) -> Reader[E]: ...


class AsyncRun(Generic[E, R]):
    """An `AgentRun` that a host loop drives: ``await`` it for its `AgentResult`, ``async for``
    event in it, or use it with callbacks.

    To leave it before its end, by a cancelled ``await``, by leaving the last loop over it, or by
    the end of ``async with``, cancels it, unless a callback takes its events.

    Attributes:
        run: the `AgentRun`, for what is not awaited: `approve`, `on`, `export`, `messages` …
    """

    __slots__ = ("__weakref__", "_places", "_waiting", "run")

    def __init__(self, run: ReadRun[E, R], waiting: Waiting) -> None:
        self.run: Any = run
        self._waiting = waiting
        self._places: list[tuple[object, Place[E]]] | None = None

    def __repr__(self) -> str:
        return f"<Async{repr(self.run)[1:]}"

    @property
    def completion(self) -> R | None:
        """How it ended; None until then."""
        completion: R | None = self.run.completion
        return completion

    def cancel(self) -> None:
        """See `AgentRun.cancel`."""
        self.run.cancel()

    def __await__(self) -> Generator[Any, Any, R]:
        """How it ended; nothing is raised for that."""
        return self.result().__await__()

    async def result(self) -> R:
        """How it ended; nothing is raised for that. Readers do not hold it up."""
        run: ReadRun[E, R] = self.run
        return await ended(run, self._waiting)

    def __aiter__(self) -> AsyncReader[E]:
        """A reader of the events from the beginning: see `AgentRun.events`."""
        return self.events()

    def events(self, *, details: bool = False, cancel: bool = True) -> AsyncReader[E]:
        """As ``aiter(run)``.

        Args:
            details: with those that only a user interface wants, from now on.
            cancel: False: to leave it cancels nothing.
        """
        reader: Reader[E] = self.run.events(details=details, cancel=cancel)
        if self._places is not None:
            self._places.append((self._waiting.task(), reader.place))
        return self._waiting.moved(reader)

    async def __aenter__(self) -> Self:
        self._places = []
        return self

    async def __aexit__(self, *_: object) -> None:
        places, self._places = self._places or [], None
        here = self._waiting.task()
        for task, place in places:
            if task is here:
                place.close()  # other tasks may go on reading
        self.run._leave()
