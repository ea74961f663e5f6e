"""The client: joins a provider's dialect to a `Multi`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, TypeVar, Unpack, overload

from engine.asking.form import Forms, render_question
from engine.asking.input import Input
from engine.asking.question import QuestionOptions, check_kind
from engine.asking.target import Sizes, Target
from engine.callback import check_callback
from engine.stream import OnDone, OnEvent, OnText, Stream
from engine.transport.deadlines import Timeouts
from engine.transport.multi import Multi
from engine.transport.retry import Retry

__all__ = ["Client", "StreamOptions"]

T = TypeVar("T")


class StreamOptions(QuestionOptions, total=False):
    """The keyword arguments of `Client.stream` and `Client.request`, for functions that hand them
    on: ``def ask(model: str, **options: Unpack[StreamOptions])``."""

    on_event: OnEvent | None
    on_text: OnText | None
    on_done: OnDone | None
    user_data: Any


class Client:
    """Starts streams and requests on a `Multi`.

    Args:
        multi: the engine that drives them; None: one of its own.
        provider: a name of the endpoint table; None: told by the model's name or the base URL.
        dialect: wire format; None: the provider's first.
        base_url: address of the server, as in the table (``…/v1`` for servers like OpenAI's); or
            of a whole endpoint (``…/chat/completions``, Azure's target URI), whose format is then
            the dialect. None: the provider's own, or that of its environment variable.
        api_key: None: from the provider's environment variable.
        timeouts: limits of each request; None: those of `Timeouts()`.
        retry: how often and how patiently each request is tried; None: as `Retry()` says.
        headers: sent with each request; None: none of yours.
        allow_insecure: let a key go over plain http to another machine.
        max_event_bytes: the most bytes one event of a stream may have; more is a `ProtocolError`.
        max_answer_bytes: the most bytes the body of an answer may have, after which it ends with a
            ProtocolError; None: no limit of a stream, 64 MiB of an answer that comes whole.
        max_unread_bytes: how many bytes the slowest reader of a stream may be behind before the
            server is held back.
        unix_socket: path of the Unix socket the server listens on (vLLM, llama.cpp, Docker's model
            runner), in place of the host and port of the URL; None: TCP.
        think_tags: whether ``<think>…</think>`` at the beginning of a text is thinking, for servers
            that do not tell them apart.
        gate: ``"shared"``: requests of one address, key and model go more slowly together while the
            provider refuses for reasons of rate; None: each goes at once, for who measures.

    Attributes:
        multi: the engine that drives its requests.
        owns_multi: whether `close` closes it.

    Raises:
        ConfigError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        multi: Multi | None = None,
        provider: str | None = None,
        dialect: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        allow_insecure: bool = False,
        max_event_bytes: int = 16 << 20,
        max_answer_bytes: int | None = None,
        max_unread_bytes: int = 1 << 20,
        unix_socket: str | None = None,
        think_tags: bool = False,
        gate: Literal["shared"] | None = "shared",
    ) -> None:
        check_kind(multi, Multi, "multi")
        self._target = Target(
            provider=provider,
            dialect=dialect,
            base_url=base_url,
            api_key=api_key,
            timeouts=timeouts if timeouts is not None else Timeouts(),
            retry=retry if retry is not None else Retry(),
            headers=headers if headers is not None else {},
            allow_insecure=allow_insecure,
            unix_socket=unix_socket,
            gate=gate,
            think_tags=think_tags,
            sizes=Sizes(max_event_bytes, max_answer_bytes, max_unread_bytes),
        )
        self._forms = Forms()
        self.owns_multi: bool = multi is None
        self.multi: Multi = Multi() if multi is None else multi

    def __repr__(self) -> str:
        return f"<Client {self._target!r} {self.multi!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the `Multi`, if it is the client's own; one that was given is left alone."""
        if self.owns_multi:
            self.multi.close()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Have `call` called in the next `perform`, after those given before. From any thread: the
        loop that drives the `Multi` is woken. What it raises is told as what a completion handler
        raises."""
        self.multi.call_soon(call)

    @overload
    def stream(
        self,
        model: str,
        input: Input,
        *,
        response_format: type[T],
        **options: Unpack[StreamOptions],
    ) -> Stream[T]: ...
    @overload
    def stream(
        self,
        model: str,
        input: Input,
        *,
        response_format: Mapping[str, Any] | Literal["json"] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Stream[None]: ...
    def stream(
        self,
        model: str,
        input: Input,
        *,
        response_format: Any = None,
        **options: Unpack[StreamOptions],
    ) -> Stream[Any]:
        """Ask `model` and stream the answer. Returns at once, having done no I/O; from any
        callback.

        Args:
            model: ``"provider/model"``, ``"provider:model"``, or a bare name.
            input: a string, a message, or messages (`Message`, or dicts with role and content).
            system: instructions; None: none beyond those in `input`.
            tools: `Tool`, or definitions as dicts in a provider's own shape.
            tool_choice: ``"auto"``, ``"none"``, ``"required"``, or the name of one tool.
            max_tokens: the most tokens to produce; None: the provider's limit.
            temperature, top_p, seed: sampling; None: the provider's default.
            stop: strings that end the answer.
            thinking: ``"none"``, ``"low"``, ``"medium"``, ``"high"``; None: the provider's default.
            response_format: ``"json"``; a JSON schema; or a msgspec Struct, dataclass or pydantic
                model, which the completion's ``parsed`` is then an instance of. None: text.
            extra_body: merged into the JSON body, last.
            extra_headers: sent along.
            fallback: models to go on with, in order, where this one fails and nothing was
                delivered yet; written like `model`.
            on_event: called with (event, stream) for each event, in ``perform``.
            on_text: called with (delta, stream) for each piece of text.
            on_done: called with (completion, stream) once, in ``info_read``.
            user_data: kept as ``stream.user_data``.

        Raises:
            ConfigError: an argument is wrong, or the key is missing; nothing was sent.
            MisuseError: the `Multi` is closed, or belongs to another thread or process.
        """
        return self._ask(model, input, response_format, True, options)

    @overload
    def request(
        self,
        model: str,
        input: Input,
        *,
        response_format: type[T],
        **options: Unpack[StreamOptions],
    ) -> Stream[T]: ...
    @overload
    def request(
        self,
        model: str,
        input: Input,
        *,
        response_format: Mapping[str, Any] | Literal["json"] | None = None,
        **options: Unpack[StreamOptions],
    ) -> Stream[None]: ...
    def request(
        self,
        model: str,
        input: Input,
        *,
        response_format: Any = None,
        **options: Unpack[StreamOptions],
    ) -> Stream[Any]:
        """`stream` without streaming: the server sends the whole answer at once. The events are
        the same, all at the end."""
        return self._ask(model, input, response_format, False, options)

    # ----------------------------------------------------------------------------------------

    def _ask(
        self,
        model: str,
        input: Input,
        response_format: object,
        streaming: bool,
        options: StreamOptions,
    ) -> Stream[Any]:
        # As a dict: to hand them on by name takes three times as long.
        on_event = options.pop("on_event", None)
        on_text = options.pop("on_text", None)
        on_done = options.pop("on_done", None)
        user_data = options.pop("user_data", None)
        callbacks = (("on_event", on_event), ("on_text", on_text), ("on_done", on_done))
        for name, callback in callbacks:
            if callback is not None:
                check_callback(callback, name)
        rendered = render_question(
            self._forms, self._target, model, input, response_format, options, streaming=streaming
        )
        unread = self._target.sizes.max_unread_bytes
        return Stream(self.multi, rendered, on_event, on_text, on_done, user_data, unread)
