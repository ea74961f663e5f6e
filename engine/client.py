"""The client: joins a provider's dialect to a `Multi`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.errors import ConfigError
from engine.input import Input, ToolLike, as_messages, as_tools
from engine.keys import find_key, key_headers
from engine.providers import (
    Dialect,
    Endpoint,
    detect,
    dialect,
    endpoint,
    endpoints,
    split_model,
)
from engine.request import HttpRequest, ModelRequest, ThinkingLevel, check_url
from engine.stream import Job, OnDone, OnEvent, OnText, Stream
from engine.transport.deadlines import Timeouts
from engine.transport.multi import Multi
from engine.transport.retry import Retry

__all__ = ["Client"]


class Client:
    """Starts streams and requests on a `Multi`.

    Args:
        multi: the engine that drives them; None: one of its own.
        provider: a name of the endpoint table; None: told by the model's name or the base URL.
        dialect: wire format; None: the provider's first.
        base_url: address of the server, as in the table (with ``/v1`` for servers like OpenAI's).
        api_key: None: from the provider's environment variable.
        timeouts: limits of each request.
        retry: how often and how patiently each request is tried.
        headers: sent with each request.
        allow_insecure: let a key go over plain http to another machine.

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
    ) -> None:
        self._row = endpoint(provider) if provider is not None else None
        self._dialect = dialect
        self._base_url = None
        if base_url is not None:
            self._base_url = check_url(base_url, "base_url").rstrip("/")
        self._api_key = api_key
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
        self._headers = dict(headers or {})
        self._allow_insecure = allow_insecure
        # What depends on nothing but these arguments, once and not for each stream.
        self._base_row = self._row or self._row_of_host()
        self._owns_multi = multi is None
        self.multi = Multi() if multi is None else multi

    def __repr__(self) -> str:
        where = self._base_url or (self._row.name if self._row else "any provider")
        return f"<Client {where} {self.multi!r}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the `Multi`, if it is the client's own; one that was given is left alone."""
        if self._owns_multi:
            self.multi.close()

    def stream(
        self,
        model: str,
        input: Input,
        *,
        system: str | None = None,
        tools: Iterable[ToolLike] | None = None,
        tool_choice: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Iterable[str] | None = None,
        seed: int | None = None,
        thinking: ThinkingLevel | None = None,
        response_format: Any = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
        on_text: OnText | None = None,
        on_done: OnDone | None = None,
        user_data: Any = None,
    ) -> Stream:
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
            response_format: ``"json"``, or a JSON schema.
            extra_body: merged into the JSON body, last.
            extra_headers: sent along.
            on_event: called with (event, stream) for each event, in ``perform``.
            on_text: called with (delta, stream) for each piece of text.
            on_done: called with (completion, stream) once, in ``info_read``.
            user_data: kept as ``stream.user_data``.

        Raises:
            ConfigError: an argument is wrong, or the key is missing; nothing was sent.
            MisuseError: the `Multi` is closed, or belongs to another thread or process.
        """
        arguments = dict(locals())
        return self._open(arguments, streaming=True)

    def request(
        self,
        model: str,
        input: Input,
        *,
        system: str | None = None,
        tools: Iterable[ToolLike] | None = None,
        tool_choice: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Iterable[str] | None = None,
        seed: int | None = None,
        thinking: ThinkingLevel | None = None,
        response_format: Any = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
        on_text: OnText | None = None,
        on_done: OnDone | None = None,
        user_data: Any = None,
    ) -> Stream:
        """`stream` without streaming: the server sends the whole answer at once. The events are
        the same, all at the end."""
        arguments = dict(locals())
        return self._open(arguments, streaming=False)

    # ----------------------------------------------------------------------------------------

    def _open(self, arguments: dict[str, Any], *, streaming: bool) -> Stream:
        del arguments["self"]
        callbacks = {
            name: arguments.pop(name) for name in ("on_event", "on_text", "on_done", "user_data")
        }
        job = self._job(arguments, streaming)
        return Stream(self.multi, job, **callbacks)

    def _job(self, arguments: dict[str, Any], streaming: bool) -> Job:
        row, model = self._resolve(arguments.pop("model"))
        format = self._dialect_for(row)
        extra_headers = arguments.pop("extra_headers") or {}
        request = _model_request(model, arguments, streaming and row.streams)
        base_url = self._base_url or _base_url(row)
        key, variable = find_key(row, base_url, self._api_key)
        body = {**format.render(request, row), **request.extra_body}
        headers = {
            "Content-Type": "application/json",
            "Accept": format.content_types[0] if request.stream else "application/json",
            **row.headers,
            **format.headers(request),
            **key_headers(row, key, variable, base_url, self._allow_insecure),
            **self._headers,
            **extra_headers,
        }
        http = HttpRequest("POST", _join(base_url, format.path(request)), headers, _encode(body))
        return Job(
            http=http,
            dialect=format,
            provider=row.name or http.url.split("/")[2],
            key_variable=variable,
            streaming=request.stream,
            timeouts=self._timeouts,
            retry=self._retry,
        )

    def _resolve(self, model: str) -> tuple[Endpoint, str]:
        """The row and the model's own name."""
        if not isinstance(model, str):
            raise ConfigError(f"model must be a string, not {type(model).__name__}")
        prefix, rest = split_model(model)
        row = self._base_row
        if row is not None:
            # OpenRouter's own names hold other providers' ("openai/gpt-4o").
            return row, rest if prefix == row.name else model
        if prefix is not None:
            return endpoint(prefix), rest
        if self._base_url is not None:
            return _ANY_SERVER, model
        detected = detect(model)
        if detected is None:
            raise ConfigError(
                f"model {model!r} does not tell its provider; write 'provider/model' "
                "(`engine providers` lists them), or give provider= or base_url="
            )
        return endpoint(detected), model

    def _row_of_host(self) -> Endpoint | None:
        if self._base_url is None:
            return None
        host = self._base_url.split("/")[2]
        rows = (row for row in endpoints() if row.key_required)
        return next((row for row in rows if row.base_url.split("/")[2] == host), None)

    def _dialect_for(self, row: Endpoint) -> Dialect:
        if self._dialect is None:
            return dialect(row.dialects[0])
        return dialect(self._dialect)


# A server that is in no table.
_ANY_SERVER = Endpoint("", "", key_required=False)


def _model_request(model: str, arguments: dict[str, Any], stream: bool) -> ModelRequest:
    if not model:
        raise ConfigError("model is empty; name the model to ask")
    stop = arguments.pop("stop")
    messages = as_messages(arguments.pop("input"), arguments.pop("system"))
    tools = as_tools(arguments.pop("tools"))
    request = ModelRequest(
        model=model,
        messages=messages,
        stream=stream,
        tools=tools,
        stop=[stop] if isinstance(stop, str) else list(stop or ()),
        extra_body=dict(arguments.pop("extra_body") or {}),
        **arguments,
    )
    _check(request)
    return request


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


def _base_url(row: Endpoint) -> str:
    for name in row.base_variables:
        value = os.environ.get(name)
        if value:
            return check_url(value, name).rstrip("/")
    if "{" in row.base_url:
        raise ConfigError(
            f"{row.name} has an address of its own for each account; give base_url= in the form "
            f"{row.base_url}"
        )
    return row.base_url


def _join(base_url: str, path: str) -> str:
    """`path` after the path of `base_url`, whose query (Azure's api-version) stays last."""
    base, found, query = base_url.partition("?")
    if not found:
        return base + path
    return f"{base.rstrip('/')}{path}{'&' if '?' in path else '?'}{query}"


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"the request cannot be written as JSON: {error}; look at input, tools, "
            "response_format and extra_body"
        ) from error
