"""What a dialect is, and how to add one.

A dialect is one wire format: how a `ModelRequest` is written as JSON, and how the records of the
answer become events. It is pure: bytes and plain data in, plain data out; it knows no socket, no
clock, and no other dialect. To add a provider:

1. If it speaks a format that is here, it is one row: ``register(Endpoint("name", base_url, …))``,
   or the same row in ``providers/endpoints.py``.
2. If its format is new, write one file with a class that has the members of `Dialect` and a
   `Parser`, and name it in the row: ``register_dialect(MyDialect())``.

``examples/custom_provider.py`` does both from outside the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from engine.events import Event
from engine.request import ModelRequest

__all__ = ["Decoder", "Dialect", "Endpoint", "Parser"]


class Endpoint(msgspec.Struct, frozen=True):
    """A provider: where it is, which key it wants, which dialects it speaks and how.

    Attributes:
        name: what users call it, the prefix of ``name/model``.
        base_url: the address the dialect's path is appended to; ``{…}`` in it must be given by
            the user.
        dialects: those it speaks, the default first.
        key_variables: environment variables that may hold the key, the first that is set wins;
            empty: no key.
        key_required: whether a request without a key is refused before it is sent.
        auth: name of the header that carries the key; ``authorization`` means ``Bearer``.
        base_variables: environment variables that may hold another base URL.
        include_usage: ask for usage with ``stream_options`` (chat and completions).
        max_tokens_field: the chat body's name of the output limit.
        headers: sent with each request.
        streams: False where it cannot stream: it is asked without, the events are the same.
        hosts: domains, any name under which is this provider too, beside the host of `base_url`.
        own_ids: pattern of the ids that begin with the provider's own name and are whole so, as
            ``openrouter/auto`` is.
        default_model: used where the model is left empty; None: it must be named.
    """

    name: str
    base_url: str
    dialects: tuple[str, ...] = ("chat",)
    key_variables: tuple[str, ...] = ()
    key_required: bool = True
    auth: str = "authorization"
    base_variables: tuple[str, ...] = ()
    include_usage: bool = True
    max_tokens_field: str = "max_tokens"
    headers: Mapping[str, str] = {}
    streams: bool = True
    hosts: tuple[str, ...] = ()
    own_ids: str | None = None
    default_model: str | None = None


class Decoder(Protocol):
    """Bytes in, records out: see `engine.wire`."""

    def feed(self, chunk: bytes, /) -> list[Any]:
        """The records that are whole now that `chunk` came."""

    def finish(self) -> list[Any]:
        """The bytes ended: the last records."""


class Parser(Protocol):
    """Turns the records of one stream into events.

    Attributes:
        complete: the protocol's own end marker was seen, so that bytes that follow, or a
            connection that breaks now, change nothing.

    Where a format counts tokens in every record, a parser tells the last count only, and has a
    method ``untold_usage() -> Usage | None`` for streams that end before.

    A parser that can do both steps of a read in one has a method ``read_from(decoder)``, which
    gives the function from the bytes of a read to its events: those that ``feed`` makes of what
    the decoder makes of them.
    """

    complete: bool

    def feed(self, records: list[Any], /) -> list[Event]:
        """The events of `records`, in order.

        Never raises for what the peer sent: a record that cannot be read becomes a last
        `StreamError`, after the events before it.
        """

    def finish(self) -> list[Event]:
        """The bytes ended. The events that were waiting for more; ends with `Done` where what came
        is complete without a marker of its own, else the stream is truncated."""


class Dialect(Protocol):
    """One wire format."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def content_types(self) -> tuple[str, ...]:
        """Media types of a stream, the usual one first."""

    def path(self, request: ModelRequest) -> str:
        """Where `request` goes: what comes after the base URL, from ``/`` on, with a query where
        there is one."""

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        """Headers the format itself asks for with `request`, beside the key and the content
        type."""

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        """The JSON body of `request` as `endpoint` wants it, without the user's ``extra_body``.

        Raises:
            ConfigError: the request cannot be said in this format; the message names the argument.
        """

    def decoder(self) -> Decoder:
        """A new decoder for one stream."""

    def parser(self) -> Parser:
        """A new parser for one stream."""

    def parse_answer(self, body: bytes) -> list[Event]:
        """The events of an answer that was not streamed, whose whole body is `body`: the same a
        stream of it would give."""
