"""Rows of the output: what is written, and what is read back of it in the next run.

Whatever is written here `read_entry` reads: a provider's body that it could not read within a line
(half a surrogate pair, brackets a thousand deep, no JSON at all) is mended or kept as a string.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from engine.batch.pacing.cost import Spent, tokens_of
from engine.batch.reading.rows import BadRow, Row, digest
from engine.errors import Category, EngineError
from engine.messages import Usage
from engine.wire.json import UNREADABLE, mended_json

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
        usage: tokens of the last attempt, in the engine's words.
        tokens: of all attempts, in and out; left out where `usage` says it.
        timing: milliseconds; ``ttft_ms`` and ``itl_ms`` (mean) where the answer was streamed.
        attempts: requests that were made for this row, in this run.
        cost: USD of all attempts; where the price is known.
        flat: fields of the user's own, written beside the others.
    """

    id: str
    custom_id: str
    response: Response | None
    error: Failure | None
    line: int | None = None
    request_hash: str
    provider: str | None = None
    finish_reason: str | None = None
    usage: dict[str, int | float] | None = None
    tokens: int | None = None
    timing: dict[str, float] | None = None
    attempts: int | None = None
    cost: float | None = None
    metadata: Any = None
    flat: dict[str, str] = {}

    def line_bytes(self) -> bytes:
        """The line, with its break."""
        if not self.flat:
            return _encode(self) + b"\n"
        line = _encode(msgspec.structs.replace(self, flat={}))
        return line[:-1] + b"," + _encode(self.flat)[1:] + b"\n"


_encode: Final = msgspec.json.Encoder().encode


def usage_fields(usage: Usage | None) -> dict[str, int | float] | None:
    """The tokens a provider told, by name."""
    if usage is None:
        return None
    counts = {}
    for name in _COUNTS:
        count = getattr(usage, name)
        if count is not None:
            counts[name] = count
    return counts


_COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))


def request_id_of(row: Row | BadRow) -> str:
    """OpenAI's ``id`` of the line, the same in every run."""
    return f"batch_req_{row.key.hex()}"


def success_record(
    row: Row, status: int, request_id: str | None, body: bytes, **facts: Any
) -> Record:
    """The line of an answer; `body` is what the provider sent, `facts` are the fields beside."""
    return Record(
        id=request_id_of(row),
        custom_id=row.custom_id,
        response=Response(status, request_id, _kept(body)),
        error=None,
        request_hash=row.content,
        metadata=row.metadata,
        **facts,
    )


def failure_record(
    row: Row,
    error: EngineError,
    status: int | None = None,
    body: bytes | None = None,
    **facts: Any,
) -> Record:
    """The line of a row that failed for good; `status` and `body` are those of an answer that came
    and does not count, but was paid."""
    response = None
    status = status or error.http_status
    if status is not None:
        shown = _kept(body) if body is not None else _detail(error)
        response = Response(status, error.request_id, shown)
    return Record(
        id=request_id_of(row),
        custom_id=row.custom_id,
        response=response,
        error=_failure(error.code or error.category.lower(), error.message, error.category),
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
        error=_failure("invalid_line", message, Category.INVALID_ARG),
        line=row.number,
        request_hash=row.content,
    )


def _failure(code: str, message: str, category: Category) -> Failure:
    # A message may quote what is no text: a file's name, a library's words.
    return Failure(_text(str(code)), _text(message), category.value)


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


# Bodies with more brackets than this are looked at for depth.
_MANY_BRACKETS: Final = 200
# Brackets that go around a body before it is found to be shallow enough: it is read again within a
# line, from another depth of the stack.
_MARGIN: Final = 100

_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode


def _kept(body: bytes) -> msgspec.Raw:
    """`body` as JSON on one line that every reader takes; as a string where it is no JSON."""
    if not body.isascii() or b"\\ud" in body or b"\\uD" in body:
        body = mended_json(body)
    try:
        if b"\n" in body or b"\r" in body:
            body = msgspec.json.format(body, indent=-1)
        _check(body)
    except UNREADABLE:
        body = _strict(body)
    return msgspec.Raw(body)


def _check(body: bytes) -> None:
    _skip(body)
    if body.count(b"[") + body.count(b"{") > _MANY_BRACKETS:
        _skip(b"[" * _MARGIN + body + b"]" * _MARGIN)


def _strict(body: bytes) -> bytes:
    """What Python's own, milder reader finds in `body`: NaN, control characters in strings."""
    try:
        strict = _encode(json.loads(body, strict=False, parse_constant=lambda name: None))
        _check(strict)
        return strict
    except (ValueError, RecursionError, *UNREADABLE):
        return _encode(body.decode("utf-8", "replace"))


def _detail(error: EngineError) -> msgspec.Raw:
    """What the provider said, without keys, as JSON: an object where it is whole, else text."""
    return _kept((error.detail or "").encode("utf-8", "replace"))


class Entry(msgspec.Struct, frozen=True):
    """What the next run needs to know of a line.

    Attributes:
        key: of the row.
        content: `Row.content` when it was asked.
        failed: it is a failure.
        spent: what it took.
    """

    key: bytes
    content: str
    failed: bool
    spent: Spent


class _Line(msgspec.Struct):
    custom_id: str
    error: msgspec.Raw = msgspec.Raw(b"null")
    request_hash: str = ""
    cost: float | None = None
    tokens: int | None = None
    usage: Usage | None = None


_read_line: Final = msgspec.json.Decoder(_Line).decode


def read_entry(line: bytes) -> Entry | None:
    """The entry of a line; None where it is no whole line of ours. The one reader of all that is
    written here."""
    try:
        data = _read_line(line)
    except UNREADABLE:
        # Versions before this one wrote bodies as they came.
        try:
            data = _read_line(mended_json(line))
        except UNREADABLE:
            return None
    tokens = data.tokens
    if tokens is None:
        tokens = tokens_of(data.usage) if data.usage is not None else 0
    return Entry(
        digest(data.custom_id.encode()),
        data.request_hash,
        bytes(data.error) != b"null",
        Spent(cost=data.cost or 0.0, tokens=tokens),
    )
