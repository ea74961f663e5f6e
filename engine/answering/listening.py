"""What can be listened to, typed: which name calls a listener with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, Self, TypeVar, overload

from engine.answering.listeners import Listener
from engine.errors import EngineError
from engine.events import Event
from engine.messages import Message, ToolCall

__all__ = ["Listenable", "ListenedName", "Told", "ToldGrown"]

S = TypeVar("S")
V = TypeVar("V")

# A listener may take fewer arguments than it is given.
Told = Callable[[V, S], object] | Callable[[V], object] | Callable[[], object]
ToldGrown = (
    Callable[[str, str, S], object]
    | Callable[[str, str], object]
    | Callable[[str], object]
    | Callable[[], object]
)

ListenedName = Literal[
    "connect",
    "event",
    "text",
    "thinking",
    "tool_call",
    "message",
    "final_message",
    "error",
    "abort",
    "end",
]


class Listenable(Generic[S]):
    """A stream that can be listened to; listeners are given an `S` last."""

    __slots__ = ()

    @overload
    def on(
        self,
        name: Literal["connect", "end"],
        listener: Callable[[S], object] | Callable[[], object],
    ) -> Self: ...
    @overload
    def on(self, name: Literal["event"], listener: Told[Event, S]) -> Self: ...
    @overload
    def on(self, name: Literal["text", "thinking"], listener: ToldGrown[S]) -> Self: ...
    @overload
    def on(self, name: Literal["tool_call"], listener: Told[ToolCall, S]) -> Self: ...
    @overload
    def on(self, name: Literal["message", "final_message"], listener: Told[Message, S]) -> Self: ...
    @overload
    def on(self, name: Literal["error", "abort"], listener: Told[EngineError, S]) -> Self: ...
    def on(self, name: ListenedName, listener: Listener) -> Self:
        """Call `listener` at each `name`:

        ``connect`` (stream) · ``event`` (event, stream) · ``text`` and ``thinking`` (delta,
        snapshot, stream) · ``tool_call`` (call, stream), whole and valid · ``message`` and
        ``final_message`` (message, stream), once complete · ``error`` (error, stream), truncated
        too · ``abort`` (error, stream), cancelled · ``end`` (stream), always.

        A listener may take fewer arguments. The first five are called in `perform`, and end the
        stream where they return `STOP` or raise; the others are called in `info_read`.

        No listener is told of what was before it came, with one exception: where the stream is
        over already, who listens to how it ended is called at once, in here, as a future calls who
        asks late; what it raises is raised here. To read what was, iterate: that begins at the
        beginning.

        Returns:
            the stream itself.

        Raises:
            ConfigError: there is nothing of that name.
        """
        self._listen(name, listener, once=False)
        return self

    @overload
    def once(
        self,
        name: Literal["connect", "end"],
        listener: Callable[[S], object] | Callable[[], object],
    ) -> Self: ...
    @overload
    def once(self, name: Literal["event"], listener: Told[Event, S]) -> Self: ...
    @overload
    def once(self, name: Literal["text", "thinking"], listener: ToldGrown[S]) -> Self: ...
    @overload
    def once(self, name: Literal["tool_call"], listener: Told[ToolCall, S]) -> Self: ...
    @overload
    def once(
        self, name: Literal["message", "final_message"], listener: Told[Message, S]
    ) -> Self: ...
    @overload
    def once(self, name: Literal["error", "abort"], listener: Told[EngineError, S]) -> Self: ...
    def once(self, name: ListenedName, listener: Listener) -> Self:
        """`on`, for the next time only."""
        self._listen(name, listener, once=True)
        return self

    def off(self, name: ListenedName, listener: Listener) -> Self:
        """Undo `on` or `once`; nothing where it was not on."""
        self._unlisten(name, listener)
        return self

    def _listen(self, name: str, listener: Listener, *, once: bool) -> None:
        raise NotImplementedError

    def _unlisten(self, name: str, listener: Listener) -> None:
        raise NotImplementedError
