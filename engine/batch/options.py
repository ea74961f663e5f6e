"""What a batch is asked to do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from engine.batch.keeping.records import Record
from engine.batch.pacing.prices import Price
from engine.batch.reading.manifest import Manifest
from engine.batch.reading.rows import BadRow, Row
from engine.batch.reading.shapes import Unfit, path_shape
from engine.errors import ConfigError
from engine.request import check_header, public_url, shown_url
from engine.transport.deadlines import Timeouts

__all__ = ["Options"]

_COUNTS = (
    "max_concurrency",
    "rpm",
    "tpm",
    "max_attempts",
    "max_tokens",
    "max_tokens_total",
    "max_wait",
    "limit",
    "samples",
)
# Fields of a line of the output.
RESERVED = frozenset(Record.__struct_fields__)
# The server writes nothing until an answer that is not streamed is whole.
_TIMEOUTS = Timeouts(connect=10, first_event=600, idle=120)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is run.

    Attributes:
        model: asked instead of what the rows name; ``provider/model`` or a bare name.
        provider, base_url, api_key: as for `Client`; the key is never written down.
        prompt: template of the prompt, such as ``"Classify: {text}"``, filled with the columns of
            each row; None: rows are requests.
        system: instructions for rows that are questions and have none; a template too.
        endpoint: path of rows that name none, such as ``/v1/embeddings``; None: their keys tell.
        samples: how often each row is asked.
        max_tokens, temperature: for rows that do not say their own.
        headers: sent along with each request; never written down.
        body: merged into every request body, last.
        schema: JSON schema the answers must fit; those that do not are asked again, and told why.
        errors: path of the errors file; None: beside the output, with ``.errors`` in its name.
        concurrency: requests in flight, or ``"auto"`` to find out, up to `max_concurrency`.
        rpm, tpm: requests and tokens a minute; None: what the provider allows.
        max_attempts: requests for one row, refusals for reasons of rate not counted.
        max_cost, max_tokens_total: USD and tokens at which no more rows are begun, earlier runs
            counted; by no more than one row is either passed.
        prices: by model, in place of those of `engine.batch.pacing.prices`.
        max_wait: seconds a provider may ask to wait, or answer nothing at all, before its rows are
            left to a later run; None: as long as it asks.
        retry_errors: ask again what failed in an earlier run.
        ordered: put the output into the order of the input at the end.
        limit: take only so many rows from the beginning of the input.
        shard: (index from 1, count): only the rows of this part.
        stream: have chat rows streamed, for times to the first token and between tokens.
        force: go on although the run is not the one that was begun.
        text_field: name of a field beside the response that holds the answer's text; None: none.
        timeouts: of each request.
    """

    model: str | None = None
    provider: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    prompt: str | None = None
    system: str | None = None
    endpoint: str | None = None
    samples: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    headers: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}
    schema: dict[str, Any] | None = None
    errors: str | os.PathLike[str] | None = None
    concurrency: int | Literal["auto"] = "auto"
    max_concurrency: int = 1000
    rpm: float | None = None
    tpm: float | None = None
    max_attempts: int = 5
    max_cost: float | None = None
    max_tokens_total: int | None = None
    prices: Mapping[str, Price] = {}
    max_wait: float | None = None
    text_field: str | None = None
    retry_errors: bool = False
    ordered: bool = False
    limit: int | None = None
    shard: tuple[int, int] | None = None
    stream: bool = False
    force: bool = False
    timeouts: Timeouts = _TIMEOUTS

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _at_least_one(name, getattr(self, name))
        if self.concurrency != "auto":
            if not isinstance(self.concurrency, int):
                raise ConfigError(
                    f"concurrency must be a number or 'auto', not {self.concurrency!r}"
                )
            _at_least_one("concurrency", self.concurrency)
        if self.max_cost is not None and not self.max_cost > 0:
            raise ConfigError(f"max_cost must be more than 0 USD, not {self.max_cost}")
        if self.endpoint is not None:
            try:
                path_shape(self.endpoint)
            except Unfit as error:
                raise ConfigError(f"endpoint: {error}") from None
        for name, value in self.headers.items():
            check_header(name, value)
        if self.text_field in RESERVED:
            raise ConfigError(f"text_field {self.text_field!r} is a field of every row already")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise ConfigError(f"shard must be I/N with I from 1 to N, not {self.shard}")

    def __repr__(self) -> str:
        secret = ("api_key", "headers")
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name not in secret}
        # A query may hold a key.
        if self.base_url is not None:
            shown["base_url"] = shown_url(self.base_url)
        return f"Options({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def takes(self, row: Row | BadRow) -> bool:
        """Whether `row` belongs to this shard: its id decides, wherever in the input it is."""
        if self.shard is None:
            return True
        index, count = self.shard
        return int.from_bytes(row.key[:8], "big") % count == index - 1

    def manifest(self) -> Manifest:
        """The facts that must stay the same from run to run."""
        return Manifest(
            model=self.model,
            provider=self.provider,
            base_url=public_url(self.base_url) if self.base_url is not None else None,
            system=self.system,
            body=dict(self.body),
            schema=self.schema,
            stream=self.stream,
            prompt=self.prompt,
            endpoint=self.endpoint,
            samples=self.samples,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
        )


def _at_least_one(name: str, value: float | None) -> None:
    if value is not None and not value >= 1:  # also true for nan
        raise ConfigError(f"{name} must be at least 1, not {value}")
