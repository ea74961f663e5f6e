"""One request, rendered: all that is needed to send it and to read the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.asking.base_url import base_url_of, request_url, resolve_model
from engine.asking.body import render_body
from engine.asking.keys import environment_headers, find_key, key_headers
from engine.asking.question import Question
from engine.errors import ConfigError, EngineError
from engine.providers import Dialect, Endpoint, dialect, endpoint
from engine.request import HttpRequest, check_url, merged_headers
from engine.transport.deadlines import Timeouts
from engine.transport.retry import Retry

__all__ = ["Rendered", "Target", "encode_body", "mended_request", "render"]


class Rendered(msgspec.Struct, frozen=True):
    """A request, rendered.

    Attributes:
        http: what is sent.
        dialect: how the answer is read.
        provider: whom it goes to: a name of the endpoint table, or a host.
        model: as the user wrote it.
        key_variable: the environment variable that holds the key, for advice; or None.
        streaming: whether a stream is asked for.
        timeouts: limits.
        retry: how often and how patiently it is tried.
        answer_type: what `Completion.parsed` is decoded into, or None.
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
    fallback: Rendered | None = None

    def without_secrets(self, error: EngineError) -> EngineError:
        """`error`, without the key where the server echoes it."""
        from engine.providers.refusal import hide_secrets

        values = [v for name, v in self.http.headers.items() if name.lower() in _SECRET_HEADERS]
        return hide_secrets(error, [*values, *(value.rpartition(" ")[2] for value in values)])


class Target(msgspec.Struct, frozen=True):
    """Whom a client asks, and how: see `engine.Client`."""

    provider: str | None
    dialect: str | None
    base_url: str | None
    api_key: str | None
    timeouts: Timeouts
    retry: Retry
    headers: Mapping[str, str]
    allow_insecure: bool

    def __post_init__(self) -> None:
        if self.provider is not None:
            endpoint(self.provider)
        if self.dialect is not None:
            dialect(self.dialect)
        if self.base_url is not None:
            check_url(self.base_url, "base_url")
            if "#" in self.base_url:
                raise ConfigError("base_url holds a '#', after which nothing is sent; leave it out")

    def __repr__(self) -> str:
        # A query may hold a key.
        base_url = self.base_url.partition("?")[0] if self.base_url else None
        return f"Target({base_url or self.provider or 'any provider'})"


_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})

# OpenAI's reasoning families show their reasoning in the Responses format only.
_REASONS: Final = re.compile(r"o\d(?:$|-)|gpt-[5-9]")


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
        asked = _render_one(target, model, question, streaming)
        rendered = msgspec.structs.replace(asked, fallback=rendered)
    assert rendered is not None
    return rendered


def _render_one(target: Target, asked: str, question: Question, streaming: bool) -> Rendered:
    row, model = resolve_model(asked, target.provider, target.base_url)
    request = msgspec.structs.replace(
        question.request, model=model, stream=streaming and row.streams
    )
    base_url = target.base_url or base_url_of(row)
    provider = row.name or base_url.split("/")[2]
    format = _dialect_of(target, row, model)
    key, variable = find_key(row, base_url, target.api_key)
    # Seals go back to whom they came from: a server in no table is known by its host.
    named = row if row.name else msgspec.structs.replace(row, name=provider)
    body = render_body(format, request, named)
    headers = merged_headers(
        {
            "Content-Type": "application/json",
            "Accept": format.content_types[0] if request.stream else "application/json",
        },
        row.headers,
        format.headers(request),
        environment_headers(row, base_url),
        key_headers(row, key, variable, base_url, target.allow_insecure),
        target.headers,
        question.extra_headers,
    )
    url = request_url(base_url, format.name, format.path(request))
    return Rendered(
        http=HttpRequest("POST", url, headers, encode_body({**body, **request.extra_body})),
        dialect=format,
        provider=provider,
        model=asked,
        key_variable=variable,
        streaming=request.stream,
        timeouts=target.timeouts,
        retry=target.retry,
        answer_type=question.answer_type,
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


def _dialect_of(target: Target, row: Endpoint, model: str) -> Dialect:
    if target.dialect is not None:
        return dialect(target.dialect)
    if row.name == "openai" and _REASONS.match(model):
        return dialect("responses")
    return dialect(row.dialects[0])


def encode_body(body: Mapping[str, Any]) -> bytes:
    """`body` as JSON.

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
