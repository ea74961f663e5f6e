"""Cursor: how far an event stream was read, so that another response can go on from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from engine.answering.marks import (
    data_of,
    distance,
    hash_of_head,
    is_sign_of_life,
    keeping_of,
    number_of,
    opens_a_count,
    rest_of_stored,
    token_of,
    type_of,
)
from engine.errors import ProtocolError
from engine.events import Event, ModelUpdate, Start, StreamError, Unknown
from engine.providers.contract import Parser
from engine.request import HttpRequest, merged_headers
from engine.wire.sse import SSERecord

__all__ = ["Cursor", "not_the_rest"]

# By what the rest of an answer is asked for: a number, an id in the data, or one beside it.
_Mode = Literal["number", "token", "id"]

# Of so many events before the break, and of as many after it, it is known that they were read.
_REMEMBERED: Final = 2048
_MOST_HEADS: Final = 8
# Ids that are each the next in number, behind one that opens a count: then the next is known.
_COUNTED: Final = 2


class Cursor:
    """The place of one reader in one answer.

    Three kinds are known. A response that OpenAI runs in the background has numbered events, and is
    asked for from a number on (https://platform.openai.com/docs/guides/background). An interaction
    that Google stores has an ``event_id`` in its events, and is asked for from one on
    (https://ai.google.dev/api/interactions-api). Any other event stream whose records have an
    ``id`` is asked for by the same request with ``Last-Event-ID``, as browsers do
    (https://html.spec.whatwg.org/multipage/server-sent-events.html#last-event-id).

    The rest can be asked for only where the last part of the answer has a number, or an id that no
    part before it had: from another place a server may go on as it likes, and nobody could tell
    whether it does from there. Signs of life are no part of the answer, nor is what names a kind of
    its own that the format does not have.

    Of another response each record is looked at: what was read before is dropped wherever it comes,
    where something is missing it is not the rest, and an error is the server's word in any place.
    That something is missing is told by numbers, and by ids where those before the break plainly
    count this stream's own events: of others, nobody can say which is the next.

    Args:
        dialect: name of the format.
        new_parser: makes a parser, to look whether a response is the same answer.

    Attributes:
        reconnection_time: seconds the server asked to wait before another connection, or None; who
            waits bounds them.
        advanced: something came since `expect_rest`.
        failure: why what came since then is not the rest of the answer; None: it is.
    """

    __slots__ = (
        "_answer_id",
        "_checking",
        "_counted",
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
        "_tokens",
        "advanced",
        "failure",
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
        # How many were the next in number; -1: one was not, or the first opened no count.
        self._counted = 0
        # Hashes, since an id may be as long as an event: of the id, and of the data that came
        # with it. Ids that come after a break do not push out those from before it, so that who
        # reads anew what is forgotten gets to what is not.
        self._known_before: dict[int, int] = {}
        self._known_since: dict[int, int] = {}
        self._forgot = False
        self._heads: list[int] = []  # hashes of what came before the first id
        self._tokens = False  # the ids are those that the data names
        self._mode: _Mode | None = None  # of the rest that was asked for
        self._checking = False  # nothing new has come of it
        self._replaying = False  # what was read before comes again, up to the place
        self._skipping = False  # so does what has no id of its own
        self.advanced: bool = False
        self.failure: ProtocolError | None = None
        self.reconnection_time: float | None = None

    # -- while it is read ------------------------------------------------------------------------

    def events(self, records: list[Any], decoder: object, parser: Parser) -> list[Event]:
        """The events of what is new in `records`, however they were cut; the last is `StreamError`
        where the others are not the rest of the answer."""
        events = self.answered(parser.feed(self.passed(records, decoder)))
        if self.failure is not None and not parser.complete:
            events.append(StreamError(self.failure))
        return events

    def passed(self, records: list[Any], decoder: object) -> list[Any]:
        """Note `records`; those of them that are new, up to the first that is not of the rest:
        `failure` tells then why."""
        milliseconds = getattr(decoder, "retry", None)
        if milliseconds is not None:
            self.reconnection_time = milliseconds / 1000
        if not records:
            return records
        new: list[Any] = []
        for record in records:
            try:
                if self.failure is None and self._takes(record):
                    new.append(record)
            except ProtocolError as failure:
                self.failure = failure
        self.advanced = self.advanced or bool(new)
        return new

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
        keeps, answer, id = keeping_of(asked), self._answer_id, self._id
        if self._numbered and self._rises and answer and keeps.background:
            self._mode = "number"
            return rest_of_stored(asked, answer, f"starting_after={self._number}")
        if not (self._marked and self._distinct):
            return None
        if self._tokens:
            if not answer or keeps.store is False:
                return None
            self._mode = "token"
            return rest_of_stored(asked, answer, f"last_event_id={quote(id, safe='')}")
        if not id.isascii() or not id.isprintable():
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
        self._replaying = self._skipping = self.advanced = False
        self.failure = None

    # -- record by record ------------------------------------------------------------------------

    def _takes(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is new."""
        number = number_of(record) if self._dialect == "responses" else None
        if self._mode is not None:
            try:
                new = (
                    self._is_next(record, number)
                    if self._mode == "number"
                    else self._is_unknown(record)
                )
            except ProtocolError:
                if not self._tells_failure(record):
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
        id = self._own_id(record)
        if id:
            key = hash(id)
            self._distinct = self._distinct and self._hash_of(key) is None
            self._known_since[key] = hash(data_of(record))
            if self._id:
                counts = self._counted >= 0 and distance(id, self._id) == 1
                self._counted = self._counted + 1 if counts else -1
            elif not opens_a_count(id):
                self._counted = -1
            if len(self._known_since) > _REMEMBERED:
                self._forgot = True
                del self._known_since[next(iter(self._known_since))]
            self._id, self._marked, self._first = id, True, self._first or id
        elif not self._id and self._mode is None and len(self._heads) < _MOST_HEADS:
            self._heads.append(hash_of_head(record))
        lacking = (self._numbered and number is None) or (self._marked and not id)
        if lacking and not self._is_beside(record):
            self._numbered, self._marked = number is not None, bool(id)

    def _is_next(self, record: SSERecord | bytes, number: int | None) -> bool:
        """Whether `record` follows by its number; False: it was read before."""
        if number is None:
            if self._checking and not self._is_beside(record):
                raise not_the_rest("its events have no number")
            return not self._checking
        if number > self._number + 1:
            raise not_the_rest(f"event {number} follows on {self._number}")
        if number > self._number and self._is_another(record):
            raise not_the_rest(_ANOTHER)
        return number > self._number

    def _is_unknown(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is new by its id; False: it was read before."""
        id = self._own_id(record)
        if not id:
            if self._skipping:
                return False
            if self._checking and not self._leads(record):
                raise not_the_rest(_ANOTHER)
            return not self._checking
        # Who asks for an answer by its name is given that one, also from its beginning.
        named = self._mode == "token"
        if self._checking and id == self._first and not named:
            raise not_the_rest(_ANOTHER)
        known = self._hash_of(hash(id))
        self._skipping = known is not None
        if known is None:
            if self._replaying or self._is_another(record):
                raise not_the_rest(_ANOTHER)
            if self._counted >= _COUNTED and distance(id, self._id) not in (1, None):
                raise not_the_rest(f"event {id!r} follows on {self._id!r}")
            return True
        told_anew = known != hash(data_of(record)) and not named
        if told_anew or (self._forgot and not self._checking):
            raise not_the_rest("it sends other events under the ids of those before")
        self._replaying = self._checking and id != self._id
        return False

    def _hash_of(self, key: int) -> int | None:
        return self._known_since.get(key, self._known_before.get(key))

    def _own_id(self, record: SSERecord | bytes) -> str:
        """The id that is this record's alone, or nothing."""
        token = token_of(record) if self._dialect == "interactions" else None
        if token:
            self._tokens = True
            return token
        own = isinstance(record, SSERecord) and not record.inherited and not self._tokens
        return record.id if own else ""  # type: ignore[union-attr]  # a record, then

    def _leads(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is one of those that come before the answer on each connection."""
        if self._mode == "token":
            return self._is_beside(record)
        return is_sign_of_life(record) or hash_of_head(record) in self._heads

    def _is_beside(self, record: SSERecord | bytes) -> bool:
        """Whether `record` is no part of the answer: a sign of life, or of a kind that it names and
        the format does not have."""
        if is_sign_of_life(record):
            return True
        if getattr(record, "event", "message") == "message" and not type_of(record):
            return False
        told = self._new_parser().feed([record])
        return bool(told) and all(type(event) is Unknown for event in told)

    def _is_another(self, record: SSERecord | bytes) -> bool:
        """Whether who reads this for the first time is told of another answer."""
        if not self._checking and (self._mode == "id" or b'"id"' not in data_of(record)):
            return False  # who begins as the same answer is it, where nobody asked for it by name
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


def not_the_rest(why: str) -> ProtocolError:
    """What came in place of the rest of an answer is something else: `why`."""
    return ProtocolError(
        f"asked for the rest of an answer, the server sent something else: {why}; it keeps no "
        "place in its streams: leave out Retry(reconnect=True)"
    )
