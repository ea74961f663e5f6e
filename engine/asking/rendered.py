"""One request, rendered: all a stream needs to know to ask it and to read the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.asking.base_url import base_url_of, request_url, resolve_model
from engine.asking.input import as_messages, as_tools
from engine.asking.keys import environment_headers, find_key, key_headers
from engine.asking.schema import as_response_format, is_answer_type
from engine.errors import ConfigError, EngineError
from engine.providers import Dialect, Endpoint, dialect, endpoint
from engine.request import HttpRequest, ModelRequest, check_url, merged_headers
from engine.transport.deadlines import Timeouts
from engine.transport.retry import Retry

__all__ = ["Job", "Settings", "mended_request", "render_job"]


class Job(msgspec.Struct, frozen=True):
    """What a stream needs to know of its request.

    Attributes:
        http: the request, rendered.
        dialect: how its answer is read.
        provider: whom it goes to: a name of the endpoint table, or a host.
        key_variable: the environment variable that holds the key, for advice; or None.
        streaming: whether a stream was asked for.
        timeouts: limits.
        retry: how often and how patiently it is tried.
        answer_type: what `Completion.parsed` is decoded into, or None.
        fallback: the job to go on with where this one fails before anything was delivered.
    """

    http: HttpRequest
    dialect: Dialect
    provider: str
    key_variable: str | None
    streaming: bool
    timeouts: Timeouts
    retry: Retry
    answer_type: type | None = None
    fallback: Job | None = None

    def without_secrets(self, error: EngineError) -> EngineError:
        """`error`, without the key where the server echoes it."""
        from engine.providers.refusal import hide_secrets

        values = [v for name, v in self.http.headers.items() if name.lower() in _SECRET_HEADERS]
        return hide_secrets(error, [*values, *(value.rpartition(" ")[2] for value in values)])


class Settings(msgspec.Struct, frozen=True):
    """What a client was told once: see `engine.Client`."""

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
        return f"Settings({base_url or self.provider or 'any provider'})"


_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})

# OpenAI's reasoning families show their reasoning in the Responses format only.
_REASONS: Final = re.compile(r"o\d(?:$|-)|gpt-[5-9]")


def render_job(
    settings: Settings, model: str, arguments: Mapping[str, Any], *, streaming: bool
) -> Job:
    """The job of asking `model`.

    Args:
        settings: the client's.
        model: as the user wrote it.
        arguments: those of `Client.stream` that are the request's.
        streaming: whether a stream is asked for.

    Raises:
        ConfigError: an argument is wrong, or the key is missing.
    """
    row, model = resolve_model(model, settings.provider, settings.base_url)
    request = _model_request(model, arguments, streaming and row.streams)
    base_url = settings.base_url or base_url_of(row)
    provider = row.name or base_url.split("/")[2]
    format = _dialect_of(settings, row, model)
    key, variable = find_key(row, base_url, settings.api_key)
    # Seals go back to whom they came from: a server in no table is known by its host.
    body = format.render(request, row if row.name else msgspec.structs.replace(row, name=provider))
    headers = merged_headers(
        {
            "Content-Type": "application/json",
            "Accept": format.content_types[0] if request.stream else "application/json",
        },
        row.headers,
        format.headers(request),
        environment_headers(row, base_url),
        key_headers(row, key, variable, base_url, settings.allow_insecure),
        settings.headers,
        arguments["extra_headers"] or {},
    )
    url = request_url(base_url, format.name, format.path(request))
    wanted = arguments["response_format"]
    return Job(
        http=HttpRequest("POST", url, headers, _encode({**body, **request.extra_body})),
        dialect=format,
        provider=provider,
        key_variable=variable,
        streaming=request.stream,
        timeouts=settings.timeouts,
        retry=settings.retry,
        answer_type=wanted if is_answer_type(wanted) else None,
    )


def mended_request(http: HttpRequest, failure: EngineError) -> HttpRequest | None:
    """`http` without a field the server said it does not know; None where it said no such thing."""
    if http.body is None or failure.http_status not in (400, 422):
        return None
    from engine.providers.rejected import without_rejected_field

    body = without_rejected_field(msgspec.json.decode(http.body), failure)
    if body is None:
        return None
    return msgspec.structs.replace(http, body=msgspec.json.encode(body))


def _dialect_of(settings: Settings, row: Endpoint, model: str) -> Dialect:
    if settings.dialect is not None:
        return dialect(settings.dialect)
    if row.name == "openai" and _REASONS.match(model):
        return dialect("responses")
    return dialect(row.dialects[0])


def _model_request(model: str, arguments: Mapping[str, Any], stream: bool) -> ModelRequest:
    request = ModelRequest(
        model=model,
        messages=as_messages(arguments["input"], arguments["system"]),
        stream=stream,
        tools=as_tools(arguments["tools"]),
        stop=arguments["stop"],
        response_format=as_response_format(arguments["response_format"]),
        extra_body=dict(arguments["extra_body"] or {}),
        **{name: arguments[name] for name in _PLAIN},
    )
    _check(request)
    return request


_PLAIN: Final = ("tool_choice", "max_tokens", "temperature", "top_p", "seed", "thinking")


def _check(request: ModelRequest) -> None:
    """Raise ConfigError for what no provider can make sense of."""
    if request.max_tokens is not None and request.max_tokens < 1:
        raise ConfigError(f"max_tokens must be at least 1, not {request.max_tokens}")
    if request.thinking not in (None, "none", "low", "medium", "high"):
        raise ConfigError(
            f"thinking must be 'none', 'low', 'medium' or 'high', not {request.thinking!r}"
        )
    if request.tool_choice not in (None, "auto", "none"):
        names = [tool.name for tool in request.tools]
        if not names or request.tool_choice not in ("required", *names):
            raise ConfigError(
                f"tool_choice {request.tool_choice!r} is neither 'auto', 'none', 'required' nor "
                f"one of the tools {names}"
            )


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"the request cannot be written as JSON: {error}; look at input, tools, "
            "response_format and extra_body"
        ) from error
