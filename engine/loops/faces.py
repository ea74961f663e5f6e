"""What a client and a stream look like where a host loop awaits them; asyncio and trio share it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    overload,
)

from engine.answering.listeners import Listener
from engine.answering.listening import Listenable
from engine.answering.reader import AsyncReader, AsyncTexts, Place
from engine.asking.input import Input
from engine.client import Client, StreamOptions
from engine.completion import Completion, Parsed
from engine.errors import MisuseError
from engine.events import Event
from engine.loops.host import Attachment
from engine.loops.runs import AsyncRun, ReadRun
from engine.loops.waiting import Waiting
from engine.messages import Message, Usage
from engine.stream import Stream
from engine.transport.multi import Multi

__all__ = ["Agent", "AsyncClientBase", "AsyncStream"]

P = ParamSpec("P")
E = TypeVar("E")
R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Agent(Protocol[E, R_co]):
    """What `AsyncClientBase.run` runs: see `engine.agents`."""

    def run_stream(self, input: Input, **options: Any) -> ReadRun[E, R_co]: ...


class AsyncStream(Listenable[Stream[Any]], Generic[Parsed]):
    """A `Stream` that a host loop drives: ``await`` it for its `Completion`, ``async for`` event in
    it, or use it with callbacks, which are given the `Stream`.

    To leave it before its end, by a cancelled ``await``, by leaving the last loop over it, or by
    the end of ``async with``, cancels it, unless a callback takes its events.
    """

    __slots__ = ("__weakref__", "_stream", "_waiting", "_within")

    def __init__(self, stream: Stream[Parsed], waiting: Waiting) -> None:
        self._stream = stream
        self._waiting = waiting
        self._within: list[tuple[object, Place[Event]]] | None = None

    def __repr__(self) -> str:
        return f"<Async{repr(self._stream)[1:]}"

    # -- as a `Stream` ---------------------------------------------------------------------------

    @property
    def completion(self) -> Completion[Parsed] | None:
        """See `Stream.completion`."""
        return self._stream.completion

    @property
    def text(self) -> str:
        """See `Stream.text`."""
        return self._stream.text

    @property
    def thinking(self) -> str:
        """See `Stream.thinking`."""
        return self._stream.thinking

    @property
    def message(self) -> Message:
        """See `Stream.message`."""
        return self._stream.message

    @property
    def usage(self) -> Usage | None:
        """See `Stream.usage`."""
        return self._stream.usage

    @property
    def request_id(self) -> str | None:
        """See `Stream.request_id`."""
        return self._stream.request_id

    @property
    def user_data(self) -> Any:
        """See `Stream.user_data`."""
        return self._stream.user_data

    @user_data.setter
    def user_data(self, value: Any) -> None:
        self._stream.user_data = value

    def partial_arguments(self, index: int) -> Any:
        """See `Stream.partial_arguments`."""
        return self._stream.partial_arguments(index)

    def _listen(self, name: str, listener: Listener, *, once: bool) -> None:
        self._stream._listen(name, listener, once=once)

    def _unlisten(self, name: str, listener: Listener) -> None:
        self._stream._unlisten(name, listener)

    def cancel(self) -> None:
        """See `Stream.cancel`."""
        self._stream.cancel()

    abort = cancel

    def pause(self) -> None:
        """See `Stream.pause`."""
        self._stream.pause()

    def resume(self) -> None:
        """See `Stream.resume`."""
        self._stream.resume()

    # -- what awaits -------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, Completion[Parsed]]:
        """How it ended; nothing is raised for that."""
        return self.result().__await__()

    async def result(self) -> Completion[Parsed]:
        """How it ended; nothing is raised for that. Readers do not hold it up: what one has not
        taken is joined for it."""
        return await self._waiting.ending(self._stream._delivery)

    async def final_message(self) -> Message:
        """The complete message.

        Raises:
            EngineError: the stream was cancelled, truncated, or failed.
        """
        return (await self.result()).raise_for_status().message

    def __aiter__(self) -> AsyncReader[Event]:
        """A reader of the events from the beginning: see `AsyncReader`."""
        return self.events()

    def events(self, *, cancel: bool = True) -> AsyncReader[Event]:
        """As ``aiter(stream)``.

        Args:
            cancel: False: to leave it cancels nothing.
        """
        place = Place(self._stream._delivery, cancel=cancel)
        if self._within is not None:
            self._within.append((self._waiting.task(), place))
        return self._waiting.reader(place)

    def text_deltas(self) -> AsyncTexts:
        """A reader of the pieces of the text.

        Raises:
            EngineError: while reading: the stream failed, after the last piece. Cancelled: it
                only ends.
        """
        return AsyncTexts(self.events())

    async def __aenter__(self) -> Self:
        self._within = []
        return self

    async def __aexit__(self, *_: object) -> None:
        within, self._within = self._within or [], None
        here = self._waiting.task()
        for task, place in within:
            if task is here:
                place.close()  # other tasks may go on reading
        delivery = self._stream._delivery
        if not delivery.is_read:
            delivery.leave()


def _as_client(
    init: Callable[Concatenate[Any, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Takes what `init` takes: the signature stands once."""
    return lambda made: made


class AsyncClientBase:
    """A `Client` whose streams are awaited. Arguments are those of `Client`.

    Attributes:
        client: the `Client`, for what is not awaited: an agent, callbacks.
    """

    @_as_client(Client.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        self.client: Client = Client(*args, **options)
        self._waits: Waiting | None = None
        self._attachment: Attachment | None = None

    def __repr__(self) -> str:
        return f"<Async{repr(self.client)[1:]}"

    @property
    def multi(self) -> Multi:
        """What drives the requests; this loop drives it."""
        return self.client.multi

    @overload
    def stream(
        self,
        model: str,
        input: Input,
        *,
        response_format: type[T],
        **options: Unpack[StreamOptions],
    ) -> AsyncStream[T]: ...
    @overload
    def stream(
        self,
        model: str,
        input: Input,
        *,
        response_format: Mapping[str, Any] | Literal["json"] | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncStream[None]: ...
    def stream(
        self,
        model: str,
        input: Input,
        *,
        response_format: Any = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncStream[Any]:
        """`Client.stream`, in the running loop."""
        waiting = self._waiting()
        stream = self.client.stream(model, input, response_format=response_format, **options)
        return AsyncStream(stream, waiting)

    @overload
    def request(
        self,
        model: str,
        input: Input,
        *,
        response_format: type[T],
        **options: Unpack[StreamOptions],
    ) -> AsyncStream[T]: ...
    @overload
    def request(
        self,
        model: str,
        input: Input,
        *,
        response_format: Mapping[str, Any] | Literal["json"] | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncStream[None]: ...
    def request(
        self,
        model: str,
        input: Input,
        *,
        response_format: Any = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncStream[Any]:
        """`Client.request`, in the running loop."""
        waiting = self._waiting()
        stream = self.client.request(model, input, response_format=response_format, **options)
        return AsyncStream(stream, waiting)

    async def run(self, agent: Agent[Any, R], input: Input) -> R:
        """Have `agent` answer, and wait for it; its client must be of the same `Multi`. Never
        raises for how it ended. To cancel the task that waits cancels the run.

        Raises:
            MisuseError: the agent is another `Multi`'s, which nothing drives here.
        """
        return await self.run_stream(agent, input)

    def run_stream(self, agent: Agent[E, R], input: Input, **options: Any) -> AsyncRun[E, R]:
        """Have `agent` answer, with a run to be awaited, or read by ``async for``.

        Args:
            options: as in `Agent.run_stream`.

        Raises:
            MisuseError: as in `run`.
        """
        waiting = self._waiting()
        theirs = getattr(getattr(agent, "client", None), "multi", self.multi)
        if theirs is not self.multi:
            raise MisuseError("the agent's client has another Multi; give it this client's .client")
        return AsyncRun(agent.run_stream(input, **options), waiting)

    def call_soon(self, call: Callable[[], object]) -> None:
        """See `Client.call_soon`."""
        self.client.call_soon(call)

    async def __aenter__(self) -> Self:
        self._waiting()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        attachment: Attachment | None = getattr(self, "_attachment", None)
        if attachment is not None and not attachment.closed and self.client.owns_multi:
            # The loop goes on driving what callbacks wait for, and cannot know that no more will
            # come: a client for each request of a web server would use up the descriptors.
            warnings.warn(
                f"unclosed {self!r}: its connections stay until its loop ends; use `async with`, "
                "or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    async def aclose(self) -> None:
        """Leave the loop. A `Multi` of its own is closed with all that is open on it, in turns; one
        that was given stays as it is. Idempotent."""
        attachment, self._attachment = self._attachment, None
        try:
            if self.client.owns_multi and attachment is not None and not attachment.closed:
                self.multi.cancel_all()
                while len(self.multi):
                    await self._pass()
        finally:
            if attachment is not None:
                attachment.close()
            self.client.close()

    # -- what a loop gives -------------------------------------------------------------------------

    def _attach(self) -> Attachment:
        """Attach to the running loop."""
        raise NotImplementedError

    def _wait_in(self, attachment: Attachment) -> Waiting:
        """How its tasks wait."""
        raise NotImplementedError

    async def _pass(self) -> None:
        """Let the loop make a turn."""
        raise NotImplementedError

    # ----------------------------------------------------------------------------------------

    def _waiting(self) -> Waiting:
        if self._waits is None or self._attachment is None or self._attachment.closed:
            self._attachment = self._attach()
            self._waits = self._wait_in(self._attachment)
        return self._waits
