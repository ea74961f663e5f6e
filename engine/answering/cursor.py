"""Cursor: how far an event stream was read, so that another response can go on from there."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from engine.errors import ProtocolError
from engine.events import Event, ModelUpdate, Start
from engine.providers.contract import Parser
from engine.request import HttpRequest, merged_headers
from engine.wire.sse import SSERecord

__all__ = ["Cursor", "with_key"]

# Records without an id that a server may send before it goes on.
_SIGNS_OF_LIFE: Final = frozenset({"ping", "keepalive", "heartbeat"})


class _Numbered(msgspec.Struct):
    sequence_number: int | None = None


class _Background(msgspec.Struct):
    background: bool | None = None


class Cursor:
    """The place of one reader in one answer.

    Two kinds are known. A response that OpenAI runs in the background has numbered events, and is
    asked for from a number on (https://platform.openai.com/docs/guides/background). Any other event
    stream whose records have an ``id`` is asked for by the same request with ``Last-Event-ID``, as
    browsers do (https://html.spec.whatwg.org/multipage/server-sent-events.html#last-event-id).

    Args:
        dialect: name of the format.
        new_parser: makes a parser, to look whether a response is the same answer.

    Attributes:
        reconnection_time: seconds the server asked to wait before another connection, or None.
        advanced: something came since `expect_rest`.
    """

    __slots__ = (
        "_answer_id",
        "_checking",
        "_dialect",
        "_first",
        "_last",
        "_new_parser",
        "_number",
        "advanced",
        "reconnection_time",
    )

    def __init__(self, dialect: str, new_parser: Callable[[], Parser]) -> None:
        self._dialect = dialect
        self._new_parser = new_parser
        self._answer_id: str | None = None
        self._first = ""  # the id of the first record
        self._last: SSERecord | bytes | None = None
        self._number = -1  # of the last event before the break
        self._checking = False
        self.advanced: bool = False
        self.reconnection_time: float | None = None

    # -- while it is read ------------------------------------------------------------------------

    def passed(self, records: list[Any], decoder: object) -> list[Any]:
        """Note `records`; those of them that are new."""
        if not records:
            return records
        if self._checking:
            records = self._rest(records)
            if not records:
                return records
        elif self._last is None:
            self._first = _id_of(records[0])
        self._last = records[-1]
        self.advanced = True
        milliseconds = getattr(decoder, "retry", None)
        if milliseconds is not None:
            self.reconnection_time = milliseconds / 1000
        return records

    def answered(self, events: list[Event]) -> list[Event]:
        """Note who answers; `events` as they are."""
        if self._answer_id is None:
            for event in events:
                if isinstance(event, Start | ModelUpdate) and event.id:
                    self._answer_id = event.id
        return events

    # -- where it broke off ----------------------------------------------------------------------

    def request(self, asked: HttpRequest) -> HttpRequest | None:
        """What to ask for the rest of the answer to `asked`; None: there is no way."""
        last = self._last
        if last is None:
            return None
        number = _number_of(last) if self._dialect == "responses" else None
        if number is not None and self._answer_id and _in_background(asked):
            self._number = number
            parts = urlsplit(asked.url)
            more = f"stream=true&starting_after={number}"
            url = parts._replace(
                path=f"{parts.path}/{quote(self._answer_id, safe='')}",
                query=f"{parts.query}&{more}" if parts.query else more,
            ).geturl()
            return msgspec.structs.replace(asked, method="GET", url=url, body=None)
        if not (id := _id_of(last)) or not id.isascii() or not id.isprintable():
            return None
        headers = merged_headers(asked.headers, {"Last-Event-ID": id})
        return msgspec.structs.replace(asked, headers=headers)

    def expect_rest(self) -> None:
        """What comes next is a response to that request."""
        self._checking = self._last is not None
        self.advanced = False

    def _rest(self, records: list[Any]) -> list[Any]:
        """What of the first records of another response was not read before.

        Raises:
            ProtocolError: it is not the rest of the same answer.
        """
        if self._number >= 0:
            return self._after_number(records)
        while records and isinstance(records[0], SSERecord) and _is_sign(records[0]):
            records = records[1:]
        if not records:
            return records
        last, first = self._last, _id_of(records[0])
        if last is not None and first and first == _id_of(last) and first != self._first:
            records = records[1:]  # "from" where "after" is meant
        elif not first or first == self._first or self._is_another(records):
            raise _not_the_rest("it begins with another event than the one that was asked for")
        self._checking = False
        return records

    def _after_number(self, records: list[Any]) -> list[Any]:
        for position, record in enumerate(records):
            number = _number_of(record)
            if number is None:
                raise _not_the_rest("its events have no number")
            if number > self._number:
                if number > self._number + 1:
                    raise _not_the_rest(f"event {number} follows on {self._number}")
                self._checking = False
                return records[position:]
        return []

    def _is_another(self, records: list[Any]) -> bool:
        """Whether who reads these for the first time is told of another answer."""
        told = self._new_parser().feed(records)
        ids = {event.id for event in told if isinstance(event, Start) and event.id}
        return self._answer_id is not None and bool(ids - {self._answer_id})


def with_key(request: HttpRequest) -> HttpRequest:
    """`request` under an Idempotency-Key, which what asks for the rest then has too."""
    if request.method != "POST" or any(n.lower() == "idempotency-key" for n in request.headers):
        return request
    headers = merged_headers(
        request.headers, {"Idempotency-Key": f"streamengine-{urandom(16).hex()}"}
    )
    return msgspec.structs.replace(request, headers=headers)


def _id_of(record: SSERecord | bytes) -> str:
    return record.id if isinstance(record, SSERecord) else ""


def _is_sign(record: SSERecord) -> bool:
    return not record.id and record.event in _SIGNS_OF_LIFE


def _number_of(record: SSERecord | bytes) -> int | None:
    data = record.data if isinstance(record, SSERecord) else record
    try:
        return msgspec.json.decode(data, type=_Numbered).sequence_number
    except msgspec.MsgspecError:
        return None


def _in_background(request: HttpRequest) -> bool:
    try:
        return msgspec.json.decode(request.body or b"{}", type=_Background).background is True
    except msgspec.MsgspecError:
        return False


def _not_the_rest(why: str) -> ProtocolError:
    return ProtocolError(
        f"asked for the rest of an answer, the server sent something else: {why}; it keeps no "
        "place in its streams: leave out Retry(reconnect=True)"
    )
