"""Merged: several streams read as one."""

from __future__ import annotations

from collections import deque
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


class _News:
    """Of whom there may be news, in order. It holds no reader: who is read knows it, and a reader
    that nobody else holds is to be dropped.

    Attributes:
        ready: numbers of the readers that may have something.
        wakes: called once when there is one more.
    """

    __slots__ = ("ready", "wakes")

    def __init__(self, count: int) -> None:
        self.ready = deque(range(count))
        self.wakes: list[Callable[[], None]] = []

    def of(self, number: int) -> Callable[[], None]:
        """What tells of news of that reader."""

        def tell() -> None:
            self.ready.append(number)
            wakes, self.wakes = self.wakes, []
            for wake in wakes:
                wake()

        return tell


class _Turns(Generic[S, E]):
    """Who is next: each reader that has something in its turn, whatever the number of others."""

    __slots__ = ("news", "pairs")

    def __init__(self, pairs: list[tuple[S, Any]]) -> None:
        self.pairs = dict(enumerate(pairs))
        self.news = _News(len(pairs))

    def take(self) -> tuple[S, E] | None:
        """The next event there is, with its stream; None where none waits."""
        ready = self.news.ready
        while ready:
            number = ready[0]
            source, reader = self.pairs[number]
            event = reader.take()
            if event is not None:
                ready.rotate(-1)
                return source, event
            ready.popleft()
            if reader.ended:
                del self.pairs[number]
                reader.close()
            else:
                reader.watch(self.news.of(number))
        return None

    def drive(self) -> None:
        """Wait for news of any: they are of one `Multi`. One that another reader holds up is no
        mistake while another may go on."""
        pairs = self.pairs.values()
        going_on = (reader for _, reader in pairs if not reader.held_back)
        next(going_on, next(iter(pairs))[1]).drive()

    def close(self) -> None:
        """Leave all."""
        self.news.ready.clear()
        while self.pairs:
            self.pairs.popitem()[1][1].close()


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
                turns.drive()
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
            news, wake = self._park()
            wakes = turns.news.wakes
            wakes.append(wake)
            try:
                await news
            except BaseException:
                if wake in wakes:
                    wakes.remove(wake)
                wake()
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
