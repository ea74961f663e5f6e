"""Succession: what is asked next where an attempt failed, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.answering.cursor import Cursor
from engine.answering.marks import with_key
from engine.answering.response_reader import ResponseReader
from engine.asking.rendered import Rendered, mended_request
from engine.errors import EngineError
from engine.events import Restarted
from engine.transport.retry import Sent
from engine.transport.transfer import Transfer

if TYPE_CHECKING:
    from engine.transport.lane import Lanes, Ticket

__all__ = ["Succession"]


class Succession:
    """The requests of one question: the same again, the same without a field that the server does
    not know, the rest of an answer that broke off, the whole of it anew, the next model.

    Each decision that is not None has put the request of the next attempt into the transfer.

    Args:
        lanes: where tickets are had.
        rendered: the question.

    Attributes:
        rendered: what is asked now.
        cursor: how far the answer was read, where its rest may be asked for; None: nowhere.
        ticket: what the question has of its lane.
        resuming: the next response is the rest of the answer.
        mending: the next attempt is the same without a field, which nobody needs to be told of.
        voids: why the answer that was begun is to be replaced by the next; None: it is not.
    """

    __slots__ = (
        "_asked",
        "_broke",
        "_earlier",
        "_failed",
        "_lanes",
        "_mended",
        "_restarts",
        "cursor",
        "mending",
        "rendered",
        "resuming",
        "ticket",
        "voids",
    )

    def __init__(self, lanes: Lanes[Transfer], rendered: Rendered) -> None:
        self._lanes = lanes
        self._earlier = 0  # attempts that no longer count
        self._restarts = 0
        self._failed: EngineError | None = None  # why the last attempt did
        self._broke: EngineError | None = None  # why an answer that was begun is not whole
        self.resuming: bool = False
        self.mending: bool = False
        self.voids: EngineError | None = None
        self._begin(rendered)

    def _begin(self, rendered: Rendered) -> None:
        self._mended = False
        self.cursor: Cursor | None = None
        if rendered.retry.reconnect and rendered.streaming:
            self.cursor = _cursor(rendered)
            rendered = msgspec.structs.replace(rendered, http=with_key(rendered.http))
        self.rendered: Rendered = rendered
        self._asked = rendered.http
        self.ticket: Ticket[Transfer] = self._lanes.ticket(
            rendered.lane, rendered.retry, rendered.gated
        )

    def new_answer(self) -> ResponseReader:
        """What reads the response to the next attempt, or to the one that begins the answer."""
        asked = self.rendered
        return ResponseReader(
            asked.dialect,
            asked.provider,
            asked.key_variable,
            asked.streaming,
            asked.sizes.max_event_bytes,
            asked.sizes.max_answer_bytes,
            asked.think_tags,
            self.cursor,
        )

    def rest(self, transfer: Transfer, broke: EngineError) -> float | None:
        """Seconds until the rest of the answer is asked for, which broke off for `broke`; None:
        it cannot be, or not any more."""
        cursor = self.cursor
        request = cursor.request(self._asked) if cursor is not None else None
        if cursor is None or request is None:
            return None
        further = cursor.advanced
        if further:  # those before are forgiven
            self._earlier = transfer.attempt - 1
        delay = self._resumed(transfer, cursor, broke)
        if delay is not None:
            # Where nothing more came, it is not whole for the reason that it was not before.
            self._broke = broke if further or self._broke is None else self._broke
            self._failed, self.resuming = broke, True
            transfer.ask(request)
        return delay

    def next(self, transfer: Transfer, failure: EngineError, *, delivered: bool) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            failure: why the last one failed.
            delivered: part of the answer was handed over.
        """
        self._failed = failure
        cursor = self.cursor
        if cursor is not None and self._broke is not None:
            # Once the rest has come, what fails is the answer itself, as at first.
            self.resuming = cursor.failure is not None or (self.resuming and not cursor.advanced)
            if self.resuming:
                delay = self._resumed(transfer, cursor, failure)
                if delay is not None:
                    return delay
                failure = self._broke  # not whole for that reason, whatever came since
        if delivered:
            return self._anew(transfer, failure)
        self.mending = not self.resuming and self._mend(transfer, failure)
        if self.mending:
            return 0.0
        attempt = transfer.attempt - self._earlier
        delay = self.ticket.retry_delay(attempt, failure, transfer.sent(failure))
        if delay is not None:
            self._from_the_beginning(transfer)
        elif self.voids is None and self.rendered.fallback is not None:
            delay = 0.0
            self._earlier = transfer.attempt
            self._begin(self.rendered.fallback)
            self._from_the_beginning(transfer)
            transfer.lane = self.ticket.gate
        return delay

    def flows(self, attempt: int) -> Restarted | None:
        """Content comes; what to tell before it, where it takes the place of other content."""
        self.resuming = False
        error, self.voids = self.voids, None
        return Restarted(attempt, error) if error is not None else None

    def told(self, failure: EngineError) -> EngineError:
        """The error to report where `failure` was the last: that by which the answer broke off,
        where to ask for more of it failed."""
        broke = self._broke
        if broke is None or broke is failure or not self.broke:
            return failure
        broke.message += f"; to ask again failed: {failure.message}"
        broke.args = (broke.message,)
        broke.__cause__ = broke.__cause__ or failure
        return broke

    def out_of_time(self, error: EngineError) -> EngineError:
        """`error`, that the time for all attempts is over, with why the one before failed."""
        if self._failed is not None:
            error.message += f"; the attempt before failed: {self._failed.message}"
            error.args = (error.message,)
            error.__cause__ = self._failed
        return error

    @property
    def broke(self) -> bool:
        """Whether an answer was begun, is not whole, and nothing more of it came since."""
        return self.resuming or self.voids is not None

    # ----------------------------------------------------------------------------------------

    def _resumed(self, transfer: Transfer, cursor: Cursor, error: EngineError) -> float | None:
        if error.http_status == 204:
            # "Clients will reconnect if the connection is closed; a client can be told to stop
            # reconnecting using the HTTP 204 No Content response code" (WHATWG, 9.2.1).
            return None
        # By its place nothing is asked for twice, so that nobody can bill it twice.
        attempt = transfer.attempt - self._earlier
        delay = self.ticket.retry_delay(attempt, error, Sent.REFUSED)
        if delay is None:
            return None
        cursor.expect_rest()
        asked_for = min(cursor.reconnection_time or 0.0, self.rendered.retry.max_retry_after)
        return max(delay, asked_for)

    def _anew(self, transfer: Transfer, broke: EngineError) -> float | None:
        """The whole again, in place of what was handed over; each costs a whole answer."""
        if not self.rendered.retry.restart:
            return None
        attempt = max(transfer.attempt - self._earlier, self._restarts + 1)
        delay = self.ticket.retry_delay(attempt, broke, transfer.sent(broke))
        if delay is not None:
            self._broke = self.voids = broke
            self._restarts += 1
            self._from_the_beginning(transfer)
        return delay

    def _from_the_beginning(self, transfer: Transfer) -> None:
        self.resuming = False
        if self.cursor is not None:
            self.cursor = _cursor(self.rendered)
        transfer.ask(self._asked)

    def _mend(self, transfer: Transfer, failure: EngineError) -> bool:
        """Once: whether the same question without a field the server does not know is worth
        asking."""
        mended = None if self._mended else mended_request(self._asked, failure)
        if mended is None:
            return False
        self._mended = True
        self._asked = mended
        transfer.ask(mended)
        return True


def _cursor(rendered: Rendered) -> Cursor:
    return Cursor(rendered.dialect.name, rendered.dialect.parser)
