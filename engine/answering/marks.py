"""Marks: what a record of an event stream says of its place in it, and which request asks for what
comes after a place."""

from __future__ import annotations

from os import urandom
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from engine.request import HttpRequest, merged_headers
from engine.wire.sse import SSERecord

__all__ = [
    "data_of",
    "distance",
    "hash_of_head",
    "is_sign_of_life",
    "keeping_of",
    "number_of",
    "opens_a_count",
    "rest_of_stored",
    "token_of",
    "type_of",
    "with_key",
]

T = TypeVar("T")
# What a server says to show that it is there: no part of the answer, whatever its place.
_SIGNS_OF_LIFE: Final = frozenset(
    {"ping", "keepalive", "keep-alive", "keep_alive", "heartbeat", "status"}
)


class _Numbered(msgspec.Struct):
    sequence_number: int | None = None


class _Tokened(msgspec.Struct):
    event_id: str | None = None


class _Typed(msgspec.Struct):
    type: str | None = None


class _Keeping(msgspec.Struct):
    background: bool | None = None
    store: bool | None = None


def with_key(request: HttpRequest) -> HttpRequest:
    """`request` under an Idempotency-Key, which what asks for the rest then has too."""
    if request.method != "POST" or any(n.lower() == "idempotency-key" for n in request.headers):
        return request
    headers = merged_headers(
        request.headers, {"Idempotency-Key": f"streamengine-{urandom(16).hex()}"}
    )
    return msgspec.structs.replace(request, headers=headers)


def data_of(record: SSERecord | bytes) -> bytes:
    """What it carries."""
    return record.data if isinstance(record, SSERecord) else record


def hash_of_head(record: SSERecord | bytes) -> int:
    """By which a record without an id, as one that comes first on each connection, is known."""
    return hash((getattr(record, "event", ""), data_of(record)))


def is_sign_of_life(record: SSERecord | bytes) -> bool:
    """Whether it says only that the server is there, by its event's name or its type."""
    return getattr(record, "event", "") in _SIGNS_OF_LIFE or type_of(record) in _SIGNS_OF_LIFE


def type_of(record: SSERecord | bytes) -> str | None:
    """The ``type`` that its data name, or None."""
    told = _decoded(data_of(record), _Typed)
    return told.type if told is not None else None


def number_of(record: SSERecord | bytes) -> int | None:
    """The ``sequence_number`` of an event of Responses, or None."""
    told = _decoded(data_of(record), _Numbered)
    return told.sequence_number if told is not None else None


def token_of(record: SSERecord | bytes) -> str | None:
    """The ``event_id`` of an event of Interactions, or None."""
    told = _decoded(data_of(record), _Tokened)
    return told.event_id if told is not None else None


def keeping_of(request: HttpRequest) -> _Keeping:
    """What is said of whether the provider keeps the answer."""
    return _decoded(request.body or b"{}", _Keeping) or _Keeping(store=False)


def _decoded(data: bytes, type: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=type)
    except msgspec.MsgspecError:
        return None


def rest_of_stored(asked: HttpRequest, answer: str, place: str) -> HttpRequest:
    """The request for what comes after `place` of the answer that has the id `answer`."""
    parts = urlsplit(asked.url)
    more = f"stream=true&{place}"
    url = parts._replace(
        path=f"{parts.path}/{quote(answer, safe='')}",
        query=f"{parts.query}&{more}" if parts.query else more,
    ).geturl()
    return msgspec.structs.replace(asked, method="GET", url=url, body=None)


def distance(id: str, last: str) -> int | None:
    """How far `id` is from `last` where they are the same text with a number at its end; None:
    they are not."""
    stem, number = _counted(id)
    before, last_number = _counted(last)
    return number - last_number if stem == before and number >= 0 and last_number >= 0 else None


def opens_a_count(id: str) -> bool:
    """Whether a stream whose first id this is counts its own events: from 0 or 1, by themselves or
    behind a name. What begins elsewhere may be the count of all streams of a server, of which
    others take some; behind a number, as of a time or a partition, it is not this one's alone."""
    stem, number = _counted(id)
    return number in (0, 1) and (not stem or any(map(str.isalpha, stem)))


def _counted(id: str) -> tuple[str, int]:
    stem = id.rstrip("0123456789")
    digits = id[len(stem) :]
    return stem, int(digits) if 0 < len(digits) < 18 else -1
