"""Where rows go: each becomes one HTTP request to the provider its model names."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.asking.body import render_body
from engine.asking.input import as_messages, read_input
from engine.asking.rendered import Rendered, encode_body
from engine.asking.target import Place, Target
from engine.batch.reading.manifest import Manifest
from engine.batch.reading.rows import Row
from engine.errors import ConfigError
from engine.providers import Dialect, dialect
from engine.request import HttpRequest, ModelRequest

__all__ = ["Address", "about_tokens", "model_of"]

# A token is about four bytes of English.
_BYTES_A_TOKEN: Final = 4


class _Limits(msgspec.Struct):
    """The names the output limit has in the bodies of the dialects."""

    max_completion_tokens: Any = None
    max_tokens: Any = None
    max_output_tokens: Any = None


class Address:
    """Knows the server of every row.

    Args:
        manifest: model, provider, base URL and what is added to each body.
        api_key: None: from the provider's environment variable.
    """

    def __init__(self, manifest: Manifest, api_key: str | None = None) -> None:
        self._manifest = manifest
        # An unknown provider is told before the first row.
        self._target = Target(
            provider=manifest.provider, base_url=manifest.base_url, api_key=api_key
        )
        self._places: dict[str, Place] = {}

    def check(self, row: Row) -> str | None:
        """None where `row` can be sent, else why not.

        Raises:
            ConfigError: no row like it can be sent: the provider, its key or the model is missing.
        """
        model = model_of(row, self._manifest)
        if not model:
            if row.shape == "prompt":
                raise ConfigError(f"line {row.number} names no model; give -m MODEL (model=)")
            return "it names no model; add one, or give -m MODEL (model=)"
        self._place(model)
        if row.shape == "prompt":
            try:
                as_messages(row.body["prompt"], row.body.get("system"))
            except ConfigError as error:
                return str(error)
        return None

    def render(self, row: Row, key: str) -> Rendered:
        """The request for `row`; `key` is its idempotency key.

        Raises:
            ConfigError: the row cannot be written as a request.
        """
        model = model_of(row, self._manifest)
        place = self._place(model)
        format = place.dialect if row.shape == "prompt" else dialect(row.shape)
        body, request = self._body(row, place, format)
        data = encode_body(body)
        headers = {
            "Content-Type": "application/json",
            "Accept": format.content_types[0] if request.stream else "application/json",
            **format.headers(request),
            **place.headers,
            "Idempotency-Key": key,
        }
        return Rendered(
            http=HttpRequest("POST", place.url(format, request), headers, data),
            dialect=format,
            provider=place.provider,
            model=model,
            key_variable=place.key_variable,
            streaming=request.stream,
            lane=place.lane,
        )

    def _body(self, row: Row, place: Place, format: Dialect) -> tuple[dict[str, Any], ModelRequest]:
        manifest = self._manifest
        # The message of a stream can be put together for chat alone without losing fields.
        stream = format.name == "chat" and place.row.streams and manifest.stream
        schema = manifest.schema
        if row.shape == "prompt":
            system = row.body.get("system", manifest.system)
            messages, bound = read_input(row.body["prompt"], system)
            request = ModelRequest(
                model=place.model,
                messages=messages,
                stream=stream,
                response_format={"name": "answer", "schema": schema} if schema else None,
                bound=bound,
            )
            return {**render_body(format, request, place.row), **manifest.body}, request
        request = ModelRequest(model=place.model, messages=[], stream=stream)
        body = {**row.body, **manifest.body}
        # Whether to stream is the run's choice: batch files of OpenAI may not say it at all.
        body.pop("stream", None)
        body.pop("stream_options", None)
        if row.shape != "gemini":
            body["model"] = place.model
        if stream:
            body["stream"] = True
            if place.row.include_usage:
                body["stream_options"] = {"include_usage": True}
        if schema and row.shape == "chat":
            format_wanted = {"name": "answer", "schema": schema}
            body.setdefault(
                "response_format", {"type": "json_schema", "json_schema": format_wanted}
            )
        return body, request

    def _place(self, model: str) -> Place:
        place = self._places.get(model)
        if place is None:
            place = self._places[model] = self._target.place(model)
        return place


def model_of(row: Row, manifest: Manifest) -> str:
    """The model `row` is asked of, or an empty string."""
    model = manifest.model or row.body.get("model")
    return model if isinstance(model, str) else ""


def about_tokens(rendered: Rendered) -> int:
    """About how many tokens a request will take, in and out, for the rates."""
    body = rendered.http.body or b"{}"
    limits = msgspec.json.decode(body, type=_Limits)
    found = (getattr(limits, name) for name in limits.__struct_fields__)
    limit = next((n for n in found if isinstance(n, int) and n > 0), 0)
    return len(body) // _BYTES_A_TOKEN + limit
