"""Merged: several streams read as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

from engine.answering.reader import AsyncReader, Reader
from engine.errors import ConfigError, MisuseError

__all__ = ["AsyncMerged", "AsyncReadable", "Merged", "Readable", "merged"]

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
S = TypeVar("S")


class Readable(Protocol[E]):
    """A `Stream`, or an agent's run."""

    def events(self) -> Reader[E]: ...


class AsyncReadable(Protocol[E]):
    """The same where a host loop awaits it."""

    def events(self) -> AsyncReader[E]: ...


class _Turns(Generic[S, E]):
    """Who is next: each reader in its turn."""

    __slots__ = ("_next", "pairs")

    def __init__(self, pairs: list[tuple[S, Any]]) -> None:
        self.pairs = pairs
        self._next = 0

    def take(self) -> tuple[S, E] | None:
        """The next event there is, with its stream; None where none waits."""
        for _ in range(len(self.pairs)):
            if self._next >= len(self.pairs):
                self._next = 0
            source, reader = self.pairs[self._next]
            event = reader.take()
            if event is not None:
                self._next += 1
                return source, event
            if reader.ended:
                del self.pairs[self._next]
                reader.close()
            else:
                self._next += 1
        return None

    def watch(self, call: Callable[[], None]) -> None:
        """Call `call` when there is news of any of them."""
        for _, reader in self.pairs:
            reader.watch(call)

    def close(self) -> None:
        """Leave all."""
        while self.pairs:
            self.pairs.pop()[1].close()


class Merged(Generic[S, E]):
    """An iterator over (stream, event) of several streams, as they come, until all have ended. It
    drives their `Multi`; to leave it leaves each: see `Reader`."""

    __slots__ = ("_turns",)

    def __init__(self, pairs: list[tuple[S, Reader[E]]]) -> None:
        self._turns: _Turns[S, E] = _Turns(pairs)

    def __iter__(self) -> Merged[S, E]:
        return self

    def __next__(self) -> tuple[S, E]:
        """The next event of any stream.

        Raises:
            MisuseError: none could ever come: see `Reader`.
        """
        turns = self._turns
        try:
            while (found := turns.take()) is None:
                if not turns.pairs:
                    break
                turns.pairs[0][1].drive()
            else:
                return found
        except BaseException:
            turns.close()
            raise
        raise StopIteration

    def close(self) -> None:
        """Read no more of any. Idempotent."""
        self._turns.close()


class AsyncMerged(Generic[S, E]):
    """As `Merged`, where a host loop drives."""

    __slots__ = ("_park", "_turns")

    def __init__(self, pairs: list[tuple[S, AsyncReader[E]]]) -> None:
        self._park = pairs[0][1].park
        self._turns: _Turns[S, E] = _Turns(pairs)

    def __aiter__(self) -> AsyncMerged[S, E]:
        return self

    async def __anext__(self) -> tuple[S, E]:
        """The next event of any stream."""
        turns = self._turns
        while (found := turns.take()) is None:
            if not turns.pairs:
                raise StopAsyncIteration
            try:
                await self._park(turns.watch)
            except BaseException:
                del self, turns  # as `AsyncReader` does
                raise
        return found

    async def aclose(self) -> None:
        """Read no more of any. Idempotent."""
        self._turns.close()


R = TypeVar("R", bound=Readable[Any])
A = TypeVar("A", bound=AsyncReadable[Any])


@overload
def merged(*streams: R) -> Merged[R, Any]: ...
@overload
def merged(*streams: A) -> AsyncMerged[A, Any]: ...
def merged(*streams: Any) -> Merged[Any, Any] | AsyncMerged[Any, Any]:
    """Read several streams as one: ``for stream, event in engine.merged(a, b)``, or ``async for``
    where they are a host loop's. Each is read from its beginning and at its own pace; to leave the
    loop leaves each of them.

    Args:
        streams: of one `Multi`; all asynchronous, or none.

    Raises:
        ConfigError: there is none, or there are both kinds.
        MisuseError: called from a callback, or they are of more than one `Multi`.
    """
    pairs = [(stream, stream.events()) for stream in streams]
    readers: Sequence[Any] = [reader for _, reader in pairs]
    kinds = {isinstance(reader, AsyncReader) for reader in readers}
    if len(kinds) != 1:
        raise ConfigError("merged() takes streams of one kind, and at least one")
    if len({id(reader.multi) for reader in readers}) != 1:
        raise MisuseError("merged() reads the streams of one Multi; give its Multi to each Client")
    return AsyncMerged(pairs) if kinds.pop() else Merged(pairs)
