"""Cursor: how far an event stream was read, so that another response can go on from there."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import msgspec

from engine.errors import ProtocolError
from engine.events import Event, ModelUpdate, Start, StreamError
from engine.providers.contract import Parser
from engine.request import HttpRequest, merged_headers
from engine.wire.sse import SSERecord

__all__ = ["Cursor", "not_the_rest", "with_key"]

# What a server says to show that it is there: no part of the answer, whatever its place.
_SIGNS_OF_LIFE: Final = frozenset(
    {"ping", "keepalive", "keep-alive", "keep_alive", "heartbeat", "status"}
)
# Of so many events before the break, and of as many after it, it is known that they were read.
_REMEMBERED: Final = 2048
_MOST_HEADS: Final = 8


class _Numbered(msgspec.Struct):
    sequence_number: int | None = None


class _Typed(msgspec.Struct):
    type: str | None = None


class _Background(msgspec.Struct):
    background: bool | None = None


class Cursor:
    """The place of one reader in one answer.

    Two kinds are known. A response that OpenAI runs in the background has numbered events, and is
    asked for from a number on (https://platform.openai.com/docs/guides/background). Any other event
    stream whose records have an ``id`` is asked for by the same request with ``Last-Event-ID``, as
    browsers do (https://html.spec.whatwg.org/multipage/server-sent-events.html#last-event-id).

    There is a place where the last part of the answer has a number, or an id of its own, and no
    number or id came before in what was read at first: what a server says there is its own affair,
    but whether it goes on from there could not be told. Signs of life are no part of the answer.

    Of another response each record is looked at: what was read before is dropped wherever it comes,
    where something is missing it is not the rest, and an error is the server's word in any place.

    Args:
        dialect: name of the format.
        new_parser: makes a parser, to look whether a response is the same answer.

    Attributes:
        reconnection_time: seconds the server asked to wait before another connection, or None.
        advanced: something came since `expect_rest`.
        astray: what came since then is not the rest of the answer.
    """

    __slots__ = (
        "_answer_id",
        "_checking",
        "_dialect",
        "_distinct",
        "_first",
        "_forgot",
        "_heads",
        "_id",
        "_known_before",
        "_known_since",
        "_marked",
        "_mode",
        "_new_parser",
        "_number",
        "_numbered",
        "_replaying",
        "_rises",
        "_skipping",
        "advanced",
        "astray",
        "reconnection_time",
    )

    def __init__(self, dialect: str, new_parser: Callable[[], Parser]) -> None:
        self._dialect = dialect
        self._new_parser = new_parser
        self._answer_id: str | None = None
        self._number = -1  # the last
        self._numbered = False  # so is what came last
        self._rises = True  # each number is above those before
        self._first = ""  # the first id: who begins with it anew keeps no place
        self._id = ""  # the last
        self._marked = False  # so is what came last
        self._distinct = True  # each id is another
        # Hashes, since an id may be as long as an event: of the id, and of the data that came
        # with it. Ids that come after a break do not push out those from before it, so that who
        # reads anew what is forgotten gets to what is not.
        self._known_before: dict[int, int] = {}
        self._known_since: dict[int, int] = {}
        self._forgot = False
        self._heads: list[int] = []  # hashes of what came before the first id
        self._mode: Literal["number", "id"] | None = None  # of the rest that was asked for
        self._checking = False  # nothing new has come of it
        self._replaying = False  # what was read before comes again, up to the place
        self._skipping = False  # so does what has no id of its own
        self.advanced: bool = False
        self.astray: bool = False
        self.reconnection_time: float | None = None

    # -- while it is read ------------------------------------------------------------------------

    def passed(self, records: list[Any], decoder: object) -> list[Any]:
        """Note `records`; those of them that are new.

        Raises:
            ProtocolError: they are not the rest of the answer.
        """
        if not records:
            return records
        records = [record for record in records if self._takes(record)]
        if not records:
            return records
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
        if self._numbered and self._rises and self._answer_id and _in_background(asked):
            self._mode = "number"
            parts = urlsplit(asked.url)
            more = f"stream=true&starting_after={self._number}"
            url = parts._replace(
                path=f"{parts.path}/{quote(self._answer_id, safe='')}",
                query=f"{parts.query}&{more}" if parts.query else more,
            ).geturl()
            return msgspec.structs.replace(asked, method="GET", url=url, body=None)
        id = self._id
        if not (self._marked and self._distinct) or not id.isascii() or not id.isprintable():
            return None
        self._mode = "id"
        headers = merged_headers(asked.headers, {"Last-Event-ID": id})
        return msgspec.structs.replace(asked, headers=headers)

    def expect_rest(self) -> None:
        """What comes next is a response to that request."""
        known = self._known_before | self._known_since
        self._forgot = self._forgot or len(known) > _REMEMBERED
        self._known_before = dict([*known.items()][-_REMEMBERED:])
        self._known_since = {}
        self._checking = True
        self._replaying = self._skipping = self.advanced = self.astray = False

    # -- record by record ------------------------------------------------------------------------

    def _takes(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is new."""
        number = _number_of(record) if self._dialect == "responses" else None
        if self._mode is not None:
            try:
                new = (
                    self._is_next(record, number)
                    if self._mode == "number"
                    else self._is_unknown(record)
                )
            except ProtocolError:
                if not self._tells_failure(record):
                    self.astray = True
                    raise
                return True
            if not new:
                return self._tells_failure(record)
            self._checking = False
        self._note(record, number)
        return True

    def _note(self, record: SSERecord | bytes, number: int | None) -> None:
        """Note `record`, which is new, as the place."""
        if number is not None:
            self._rises = self._rises and number > self._number
            self._number, self._numbered = number, True
        id = _own_id(record)
        if id:
            key = hash(id)
            self._distinct = self._distinct and self._hash_of(key) is None
            self._known_since[key] = hash(_data_of(record))
            if len(self._known_since) > _REMEMBERED:
                self._forgot = True
                del self._known_since[next(iter(self._known_since))]
            self._id, self._marked, self._first = id, True, self._first or id
        elif not self._id and self._mode is None and len(self._heads) < _MOST_HEADS:
            self._heads.append(_hash_of_head(record))
        lacking = (self._numbered and number is None) or (self._marked and not id)
        if lacking and not _is_sign(record):
            self._numbered, self._marked = number is not None, bool(id)

    def _is_next(self, record: SSERecord | bytes, number: int | None) -> bool:
        """Whether `record` follows by its number; False: it was read before."""
        if number is None:
            if self._checking and not _is_sign(record):
                raise not_the_rest("its events have no number")
            return not self._checking
        if number > self._number + 1:
            raise not_the_rest(f"event {number} follows on {self._number}")
        if number > self._number and self._checking and self._is_another(record):
            raise not_the_rest(_ANOTHER)
        return number > self._number

    def _is_unknown(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is new by its id; False: it was read before."""
        id = _own_id(record)
        if not id:
            if self._skipping:
                return False
            if self._checking and not self._leads(record):
                raise not_the_rest(_ANOTHER)
            return not self._checking
        if self._checking and id == self._first:
            raise not_the_rest(_ANOTHER)
        known = self._hash_of(hash(id))
        self._skipping = known is not None
        if known is None:
            if self._replaying or (self._checking and self._is_another(record)):
                raise not_the_rest(_ANOTHER)
            return True
        if known != hash(_data_of(record)) or (self._forgot and not self._checking):
            raise not_the_rest("it sends other events under the ids of those before")
        self._replaying = self._checking and id != self._id
        return False

    def _hash_of(self, key: int) -> int | None:
        return self._known_since.get(key, self._known_before.get(key))

    def _leads(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is one of those that come before the answer on each connection."""
        return _is_sign(record) or _hash_of_head(record) in self._heads

    def _is_another(self, record: SSERecord | bytes) -> bool:
        """Whether who reads this for the first time is told of another answer."""
        told = self._new_parser().feed([record])
        ids = {event.id for event in told if isinstance(event, Start) and event.id}
        return self._answer_id is not None and bool(ids - {self._answer_id})

    def _tells_failure(self, record: SSERecord | bytes) -> bool:
        """Whether the server tells by `record` that it failed."""
        parser = self._new_parser()
        try:
            told = parser.feed([record])
        except ProtocolError:
            return False
        # What cannot be read is no word of the server's.
        return getattr(parser, "failing", False) or any(
            isinstance(event, StreamError) and not isinstance(event.error, ProtocolError)
            for event in told
        )


_ANOTHER: Final = "it begins with another event than the one that was asked for"


def with_key(request: HttpRequest) -> HttpRequest:
    """`request` under an Idempotency-Key, which what asks for the rest then has too."""
    if request.method != "POST" or any(n.lower() == "idempotency-key" for n in request.headers):
        return request
    headers = merged_headers(
        request.headers, {"Idempotency-Key": f"streamengine-{urandom(16).hex()}"}
    )
    return msgspec.structs.replace(request, headers=headers)


def _data_of(record: SSERecord | bytes) -> bytes:
    return record.data if isinstance(record, SSERecord) else record


def _own_id(record: SSERecord | bytes) -> str:
    return record.id if isinstance(record, SSERecord) and not record.inherited else ""


def _hash_of_head(record: SSERecord | bytes) -> int:
    return hash((getattr(record, "event", ""), _data_of(record)))


def _is_sign(record: SSERecord | bytes) -> bool:
    if isinstance(record, SSERecord) and record.event in _SIGNS_OF_LIFE:
        return True
    try:
        return msgspec.json.decode(_data_of(record), type=_Typed).type in _SIGNS_OF_LIFE
    except msgspec.MsgspecError:
        return False


def _number_of(record: SSERecord | bytes) -> int | None:
    try:
        return msgspec.json.decode(_data_of(record), type=_Numbered).sequence_number
    except msgspec.MsgspecError:
        return None


def _in_background(request: HttpRequest) -> bool:
    try:
        return msgspec.json.decode(request.body or b"{}", type=_Background).background is True
    except msgspec.MsgspecError:
        return False


def not_the_rest(why: str) -> ProtocolError:
    """What came in place of the rest of an answer is something else: `why`."""
    return ProtocolError(
        f"asked for the rest of an answer, the server sent something else: {why}; it keeps no "
        "place in its streams: leave out Retry(reconnect=True)"
    )
