"""Where rows go: each becomes one HTTP request to the provider its model names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from engine.asking.body import render_body
from engine.asking.question import QuestionOptions, as_question
from engine.asking.rendered import Rendered, encode_body
from engine.asking.target import Place, Target
from engine.batch.pacing.cost import Demand
from engine.batch.reading.defaults import most_output, with_defaults
from engine.batch.reading.manifest import Manifest
from engine.batch.reading.rows import Row
from engine.errors import ConfigError
from engine.providers import Dialect, dialect
from engine.request import HttpRequest, ModelRequest, merged_headers

__all__ = ["Address", "model_of"]

# What a question may say besides what every format has a word for, where it is sent as it is.
_OURS: Final = ("tool_choice", "max_tokens", "temperature", "top_p", "stop", "seed", "thinking")
_NOT_EXTRA: Final = frozenset(
    (*_OURS, "prompt", "system", "model", "tools", "response_format", "extra_body")
)
_ALIASES: Final = ("max_completion_tokens", "max_output_tokens")
_SENT_AS_IS: Final[dict[str, frozenset[str]]] = {
    "responses": frozenset({"top_logprobs", "parallel_tool_calls", "service_tier", "user"}),
    "messages": frozenset({"top_k", "service_tier"}),
    "gemini": frozenset(),
    "ollama": frozenset(),
    "cohere": frozenset({"frequency_penalty", "presence_penalty", "logprobs"}),
}

# Input that is more than the bytes of the request: files, pages and images by address, what was
# said before, what a server's tool finds.
_ELSEWHERE: Final = re.compile(
    rb'"(?:image_url":(?:\{"url":)?"http|file_id"|file_url"|fileData"|file_uri"|type":"url"'
    rb'|previous_response_id"|conversation":|web_search|file_search|code_interpreter'
    rb'|code_execution|googleSearch"|google_search"|cachedContent")'
)

# Requests without a body that are kept: of a model, a format, a path.
_FORMS: Final = 256
_ANY_ANSWER: Final = {"Accept": "*/*"}


class Address:
    """Knows the server of every row.

    Args:
        manifest: model, provider, base URL and what is added to each body.
        api_key: None: from the provider's environment variable.
        headers: sent along with each request.
        base_url: that of the manifest, with the keys its query may hold.
    """

    def __init__(
        self,
        manifest: Manifest,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        base_url: str | None = None,
    ) -> None:
        self._manifest = manifest
        # An unknown provider is told before the first row.
        self._target = Target(
            provider=manifest.provider,
            base_url=base_url or manifest.base_url,
            api_key=api_key,
            headers=headers or {},
        )
        self._places: dict[str, Place] = {}
        self._forms: dict[tuple[object, ...], tuple[HttpRequest, bool]] = {}

    def check(self, row: Row) -> str | None:
        """None where `row` can be sent, else why not.

        Raises:
            ConfigError: no row like it can be sent: the provider, its key or the model is missing.
        """
        model = model_of(row, self._manifest)
        target = self._target
        if not model and not (row.shape == "other" and (target.base_url or target.provider)):
            if row.shape == "prompt" and "model" not in row.body:
                raise ConfigError(f"line {row.number} names no model; give -m MODEL (model=)")
            return "it names no model; add one, or give -m MODEL (model=)"
        place = self._place(model)
        try:
            if row.shape == "prompt":
                self._question(row, place)
        except (ConfigError, TypeError) as error:
            return str(error)
        return None

    def lane(self, row: Row) -> tuple[int, str, str]:
        """What is the same for rows that share address, key and model, and with them the
        provider's limits; their path; and a name for it. `row` was checked."""
        model = model_of(row, self._manifest)
        place = self._place(model)
        path = row.path or ""
        return place.lane, path, f"{place.provider} ({model or path})"

    def render(self, row: Row, key: str) -> tuple[Rendered, Demand]:
        """The request for `row`, and what it may take; `key` is its idempotency key.

        Raises:
            ConfigError: the row cannot be written as a request.
        """
        model = model_of(row, self._manifest)
        place = self._place(model)
        format = _format_of(row, place)
        body, request = self._body(row, place, format)
        data = encode_body(body)
        http, keyed = self._http(row, model, place, format, request)
        rendered = Rendered(
            http=http.with_body(data, None if keyed else {"Idempotency-Key": key}),
            dialect=format,
            provider=place.provider,
            model=model,
            key_variable=place.key_variable,
            streaming=request.stream,
            lane=place.lane,
            gated=False,  # whoever has rows waits for them at the gate
        )
        demand = Demand(
            model=model,
            size=len(data),
            most_output=most_output(format.name if row.path is None else row.path, body),
            bounded=_ELSEWHERE.search(data) is None,
        )
        return rendered, demand

    def _http(
        self, row: Row, model: str, place: Place, format: Dialect, request: ModelRequest
    ) -> tuple[HttpRequest, bool]:
        """The request without its body, and whether the user has given it an idempotency key."""
        named = format.headers(request) if row.path is None else _ANY_ANSWER
        form = (model, format.name, row.path, request.stream, *named.items())
        found = self._forms.get(form)
        if found is None:
            told = {
                "Content-Type": "application/json",
                "Accept": format.content_types[0] if request.stream else "application/json",
            }
            if row.path is None:
                url = place.url(format, request)
            else:
                url = _url_of(place.base_url, row.path)
            headers = merged_headers(told, named, place.headers)
            http = HttpRequest("POST", url, headers)
            found = http, any(name.lower() == "idempotency-key" for name in headers)
            if len(self._forms) >= _FORMS:
                self._forms.clear()
            self._forms[form] = found
        return found

    def _body(self, row: Row, place: Place, format: Dialect) -> tuple[dict[str, Any], ModelRequest]:
        manifest = self._manifest
        # The message of a stream can be put together for chat alone without losing fields.
        stream = format.name == "chat" and place.row.streams and manifest.stream
        if row.shape == "prompt":
            request, extra = self._question(row, place)
            request = msgspec.structs.replace(request, stream=stream)
            return {**render_body(format, request, place.row), **extra, **manifest.body}, request
        request = ModelRequest(
            model=place.model, messages=[], stream=stream and row.shape == "chat"
        )
        body = {**row.body, **manifest.body}
        if row.shape == "other":
            if place.model:
                body["model"] = place.model
            return body, request
        # Whether to stream is the run's choice: batch files of OpenAI may not say it at all.
        body.pop("stream", None)
        body.pop("stream_options", None)
        if row.shape != "gemini":
            body["model"] = place.model
        body = with_defaults(
            format.name, body, manifest.max_tokens, manifest.temperature, place.row
        )
        if request.stream:
            body["stream"] = True
            if place.row.include_usage:
                body["stream_options"] = {"include_usage": True}
        if manifest.schema and row.shape == "chat":
            format_wanted = {"name": "answer", "schema": manifest.schema}
            body.setdefault(
                "response_format", {"type": "json_schema", "json_schema": format_wanted}
            )
        return body, request

    def _question(self, row: Row, place: Place) -> tuple[ModelRequest, dict[str, Any]]:
        """A question, and what of it is sent as it is.

        Raises:
            ConfigError: one of its parameters is wrong, or says nothing in this format.
        """
        given, manifest = row.body, self._manifest
        options: dict[str, Any] = {name: given[name] for name in _OURS if name in given}
        for name in _ALIASES:
            if name in given:
                options.setdefault("max_tokens", given[name])
        options.setdefault("max_tokens", manifest.max_tokens)
        options.setdefault("temperature", manifest.temperature)
        wanted: Any = given.get("response_format")
        if wanted is None and manifest.schema:
            wanted = {"name": "answer", "schema": manifest.schema}
        typed: QuestionOptions = {
            **options,  # type: ignore[typeddict-item]
            "tools": given.get("tools"),
            "system": given.get("system"),
            "extra_body": given.get("extra_body"),
        }
        request = as_question(place.model or "-", given["prompt"], wanted, typed).request
        extra = {
            name: given[name] for name in given if name not in _NOT_EXTRA and name not in _ALIASES
        }
        format = place.dialect.name
        sent = _SENT_AS_IS.get(format)
        unsaid = [name for name in extra if sent is not None and name not in sent]
        if unsaid:
            raise ConfigError(
                f"{unsaid[0]} has no word in the format {format!r} of {place.provider}; leave "
                "it out, or write the body of the request"
            )
        request = msgspec.structs.replace(request, model=place.model)
        return request, {**extra, **request.extra_body}

    def _place(self, model: str) -> Place:
        place = self._places.get(model)
        if place is None:
            # What goes to a path of its own may name no model: a rerank server has one.
            place = self._target.place(model or "-")
            if not model:
                place = msgspec.structs.replace(place, model="")
            self._places[model] = place
        return place


def model_of(row: Row, manifest: Manifest) -> str:
    """The model `row` is asked of, or an empty string."""
    model = manifest.model or row.body.get("model")
    return model if isinstance(model, str) else ""


def _format_of(row: Row, place: Place) -> Dialect:
    if row.shape == "prompt":
        return place.dialect
    return dialect("chat" if row.shape == "other" else row.shape)


def _url_of(base_url: str, path: str) -> str:
    """`path`, which begins with a version as a rule, at the server of `base_url`, which ends in
    one as a rule."""
    base, found, query = base_url.partition("?")
    base = base.rstrip("/")
    version = path.split("/", 2)[1]
    if _is_version(version):
        last = urlsplit(base).path.rpartition("/")[2]
        if _is_version(last):
            base = base.removesuffix(f"/{last}")
    if not found:
        return base + path
    return f"{base}{path}{'&' if '?' in path else '?'}{query}"


def _is_version(name: str) -> bool:
    return name[:1] == "v" and name[1:2].isdigit()
