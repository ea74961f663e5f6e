"""One request, rendered: all that is needed to send it and to read the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.asking.body import render_body
from engine.asking.question import Question
from engine.asking.target import Sizes, Target
from engine.errors import Category, ConfigError, EngineError
from engine.providers import Dialect, split_model
from engine.request import HttpRequest, merged_headers
from engine.transport.deadlines import Timeouts
from engine.transport.retry import Retry
from engine.wire.redaction import clean_bytes, hide_secrets, secrets_of

__all__ = ["Rendered", "encode_body", "mended_request", "render"]


class Rendered(msgspec.Struct, frozen=True):
    """A request, rendered.

    Attributes:
        http: what is sent.
        dialect: how the answer is read.
        provider: whom it goes to: a name of the endpoint table, or a host.
        model: as the user wrote it.
        key_variable: where the key is from, or would be, for advice; or None.
        streaming: whether a stream is asked for.
        timeouts: limits.
        retry: how often and how patiently it is tried.
        answer_type: what `Completion.parsed` is decoded into, or None.
        lane: the same for what shares address, key and model, and with them the provider's limits.
        gated: whether it waits its turn there while the provider refuses for reasons of rate.
        sizes: how many bytes it may hold.
        think_tags: whether ``<think>…</think>`` in the text is thinking.
        fallback: what to ask where this fails before anything was delivered, or None.
    """

    http: HttpRequest
    dialect: Dialect
    provider: str
    model: str
    key_variable: str | None
    streaming: bool
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    answer_type: type | None = None
    lane: int = 0
    gated: bool = True
    sizes: Sizes = Sizes()
    think_tags: bool = False
    fallback: Rendered | None = None

    def __repr__(self) -> str:
        return f"Rendered({self.http!r} {self.dialect.name})"

    def explained(self, error: EngineError) -> EngineError:
        """`error` itself, as the user is told it: without the key where the server echoes it, and
        with the prefix that may be too much where the server does not know the model."""
        hide_secrets(error, secrets_of(self.http))
        prefix, _ = split_model(self.model)
        written = f'"{self.model}"'.encode()
        if (
            error.category is Category.NOT_FOUND
            and prefix is not None
            and written in (self.http.body or b"")
        ):
            cut = len(prefix) + 1
            error.message += (
                f"; the id was sent as it is written, {self.model!r}: leave out "
                f"{self.model[:cut]!r} if the server does not know it by that"
            )
            error.args = (error.message,)
        if self.provider == "emulator" and error.phase == "connect":
            error.message += "; the emulator is started by: engine emulate"
            error.args = (error.message,)
        return error

    def without_key(self, body: bytes) -> bytes:
        """`body` of an answer that is none, without the key where it echoes it."""
        return clean_bytes(body, secrets_of(self.http))


def render(target: Target, question: Question, *, streaming: bool) -> Rendered:
    """The request of asking `question`, with those to fall back to behind it.

    Args:
        target: the client's.
        question: what is asked.
        streaming: whether a stream is asked for.

    Raises:
        ConfigError: it cannot be asked of one of its models, or a key is missing.
    """
    rendered: Rendered | None = None
    for model in reversed(question.models):
        rendered = _render_one(target, model, question, streaming, rendered)
    assert rendered is not None
    return rendered


def _render_one(
    target: Target, asked: str, question: Question, streaming: bool, fallback: Rendered | None
) -> Rendered:
    place = target.place(asked)
    row, format, request = place.named_row, place.dialect, question.request
    streams = streaming and row.streams
    if request.model != place.model or request.stream is not streams:
        request = msgspec.structs.replace(request, model=place.model, stream=streams)
    body = render_body(format, request, row)
    if request.extra_body:
        body = {**body, **request.extra_body}
    http = place.http(request, question.extra_headers, encode_body(body))
    return Rendered(
        http=http,
        dialect=format,
        provider=place.provider,
        model=asked,
        key_variable=place.key_variable,
        streaming=request.stream,
        timeouts=target.timeouts,
        retry=target.retry,
        answer_type=question.answer_type,
        lane=place.lane,
        gated=target.gate is not None,
        sizes=target.sizes,
        think_tags=target.think_tags,
        fallback=fallback,
    )


def mended_request(http: HttpRequest, failure: EngineError) -> HttpRequest | None:
    """`http` without what the server said it does not know, a field or streams; None where it said
    no such thing."""
    if http.body is None or failure.http_status not in (400, 404, 422, 501):
        return None
    from engine.providers import rejected

    sent = msgspec.json.decode(http.body)
    if rejected.refuses_streams(failure):
        whole = rejected.without_stream(http.url, sent)
        if whole is not None:
            url, body = whole
            headers = merged_headers(http.headers, {"Accept": "application/json"})
            return msgspec.structs.replace(
                http, url=url, headers=headers, body=msgspec.json.encode(body)
            )
    mended = rejected.without_rejected_field(sent, failure)
    if mended is None:
        return None
    return msgspec.structs.replace(http, body=msgspec.json.encode(mended))


def encode_body(body: Mapping[str, Any] | Sequence[Any] | str) -> bytes:
    """`body`, or what of it is not the same each time, as JSON.

    Raises:
        ConfigError: it holds what JSON has no word for.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"the request cannot be written as JSON: {error}; look at input, tools, "
            "response_format and extra_body"
        ) from error
