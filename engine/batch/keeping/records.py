"""Rows of the output: what is written, and what is read back of it in the next run."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.batch.reading.rows import BadRow, Row, digest
from engine.errors import Category, EngineError
from engine.messages import Usage

__all__ = [
    "Entry",
    "Record",
    "failure_record",
    "invalid_record",
    "read_entry",
    "success_record",
    "usage_fields",
]


class Response(msgspec.Struct, frozen=True):
    """OpenAI's ``response``: the provider's own body, as it came."""

    status_code: int
    request_id: str | None
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """OpenAI's ``error``, with the engine's category beside."""

    code: str
    message: str
    category: str


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the output or of the errors file: OpenAI's batch object, and facts beside it.

    Attributes:
        line: number of the input line, where it is no request at all.
        request_hash: `Row.content`.
        finish_reason: the engine's word, the same for all providers.
        usage: tokens, in the engine's words.
        timing: milliseconds; ``ttft_ms`` and ``itl_ms`` (mean) where the answer was streamed.
        attempts: requests that were made for this row, in this run.
        cost: USD; where prices were given.
    """

    id: str
    custom_id: str
    response: Response | None
    error: Failure | None
    line: int | None = None
    request_hash: str
    provider: str | None = None
    finish_reason: str | None = None
    usage: dict[str, int] | None = None
    timing: dict[str, float] | None = None
    attempts: int | None = None
    cost: float | None = None
    metadata: Any = None

    def line_bytes(self) -> bytes:
        """The line, with its break."""
        return _encode(self) + b"\n"


_encode: Final = msgspec.json.Encoder().encode


def usage_fields(usage: Usage | None) -> dict[str, int] | None:
    """The tokens a provider told, by name."""
    if usage is None:
        return None
    counts = ((name, getattr(usage, name)) for name in usage.__struct_fields__[:-1])
    return {name: count for name, count in counts if count is not None}


def request_id_of(row: Row | BadRow) -> str:
    """OpenAI's ``id`` of the line, the same in every run."""
    return f"batch_req_{row.key.hex()}"


def success_record(
    row: Row, status: int, request_id: str | None, body: bytes, **facts: Any
) -> Record:
    """The line of an answer; `body` is JSON in UTF-8, `facts` are the fields beside."""
    return Record(
        id=request_id_of(row),
        custom_id=row.custom_id,
        response=Response(status, request_id, msgspec.Raw(one_line(body))),
        error=None,
        request_hash=row.content,
        metadata=row.metadata,
        **facts,
    )


def failure_record(row: Row, error: EngineError, body: bytes | None = None, **facts: Any) -> Record:
    """The line of a row that failed for good; `body` is an answer that came and does not count."""
    response = None
    if error.http_status is not None:
        shown = one_line(body) if body is not None else _detail(error)
        response = Response(error.http_status, error.request_id, msgspec.Raw(shown))
    return Record(
        id=request_id_of(row),
        custom_id=row.custom_id,
        response=response,
        error=Failure(error.code or error.category.lower(), error.message, error.category.value),
        request_hash=row.content,
        metadata=row.metadata,
        **facts,
    )


def invalid_record(row: BadRow | Row, message: str) -> Record:
    """The line of an input line that could not be asked."""
    return Record(
        id=request_id_of(row),
        custom_id=row.custom_id,
        response=None,
        error=Failure("invalid_line", message, Category.INVALID_ARG.value),
        line=row.number,
        request_hash=row.content,
    )


def one_line(body: bytes) -> bytes:
    """JSON without line breaks; some servers indent theirs."""
    try:
        body.decode()
    except UnicodeDecodeError:
        body = body.decode("utf-8", "replace").encode()
    if b"\n" in body or b"\r" in body:
        return msgspec.json.format(body, indent=-1)
    return body


def _detail(error: EngineError) -> bytes:
    """What the provider said, without keys, as JSON: an object where it is whole, else text."""
    text = (error.detail or "").encode("utf-8", "replace")
    try:
        msgspec.json.decode(text)
        return one_line(text)
    except (msgspec.MsgspecError, RecursionError):
        return _encode(text.decode())


class Entry(msgspec.Struct, frozen=True):
    """What the next run needs to know of a line.

    Attributes:
        key: of the row.
        content: `Row.content` when it was asked.
        failed: it is a failure.
        cost, tokens: what it took.
    """

    key: bytes
    content: str
    failed: bool
    cost: float
    tokens: int


class _Line(msgspec.Struct):
    custom_id: str
    error: Any = None
    request_hash: str = ""
    cost: float | None = None
    usage: Usage | None = None


_read_line: Final = msgspec.json.Decoder(_Line).decode


def read_entry(line: bytes) -> Entry | None:
    """The entry of a line; None where it is no whole line of ours."""
    try:
        data = _read_line(line)
    except (msgspec.MsgspecError, RecursionError):
        return None
    tokens = data.usage.total_tokens if data.usage is not None else None
    return Entry(
        digest(data.custom_id.encode()),
        data.request_hash,
        data.error is not None,
        data.cost or 0.0,
        tokens or 0,
    )
