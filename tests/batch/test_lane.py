"""Rows that wait in a lane, and those in doubt."""

from __future__ import annotations

from engine.batch.lane import Doubt, Item, Lane
from engine.batch.outcome import Outcome
from engine.batch.pacing.limit import FixedLimit
from engine.batch.pacing.pace import Pace
from engine.batch.reading.rows import Row, RowParser
from engine.errors import ProviderError
from engine.transport.multi import Multi, driver_of
from engine.transport.retry import Retry


def lane(multi: Multi) -> Lane:
    road = driver_of(multi).lanes.lane(1, Retry())
    return Lane("host (m)", Pace(FixedLimit(10), road), road)


def item(number: int) -> Item:
    row = RowParser().parse(b'"a"', number)
    assert isinstance(row, Row)
    return Item(row)


def one_again(multi: Multi) -> tuple[Lane, Item, Item]:
    """A lane of two rows; the first was asked, and is to be asked again at 5 s."""
    waiting, first, second = lane(multi), item(1), item(2)
    waiting.add(first)
    waiting.add(second)
    waiting.take(first)
    waiting.put_back(first, 5.0)
    return waiting, first, second


def test_rows_to_be_asked_again_come_first_when_it_is_time() -> None:
    with Multi() as multi:
        waiting, first, second = one_again(multi)
        assert (waiting.when(), waiting.fresh, waiting.again) == (5.0, 1, 1)
        assert waiting.peek(1.0) is second
        assert waiting.peek(5.0) is first
        waiting.take(first)
        waiting.take(second)
        assert waiting.peek(9.0) is None and waiting.idle


def test_five_in_doubt_are_all() -> None:
    error = ProviderError("no such model")
    with Multi() as multi:
        doubted = lane(multi)
        doubts = [Doubt(item(n), Outcome(error=error), error) for n in range(5)]
        assert [doubted.doubt(doubt) for doubt in doubts[:4]] == [False] * 4
        assert doubted.cleared() == doubts[:4]
        assert doubted.cleared() == []
        assert [doubted.doubt(doubt) for doubt in doubts] == [False] * 4 + [True]
        assert doubted.cleared() == []


def test_what_is_under_way_counts_for_all_who_ask_the_same() -> None:
    with Multi() as multi:
        one, other = lane(multi), lane(multi)
        one.sent(0.0, 1)
        assert (one.in_flight, one.road.in_flight, other.road.in_flight) == (1, 1, 1)
        one.ended()
        assert (one.in_flight, other.road.in_flight) == (0, 0)


def test_a_closed_lane_keeps_the_first_reason() -> None:
    error = ProviderError("no")
    with Multi() as multi:
        closed = lane(multi)
        closed.add(item(1))
        closed.close("first", error)
        closed.close("second", error)
        assert (closed.closed, closed.fresh, closed.waiting_bytes) == ("first", 0, 0)


def test_while_nothing_is_answered_rows_go_first_that_were_not_asked() -> None:
    with Multi() as multi:
        waiting, first, second = one_again(multi)
        waiting.road.ended(4.0, 3.0, ProviderError("no", retry_after=1.0))
        assert waiting.peek(6.0) is second
        waiting.take(second)
        assert waiting.peek(6.0) is first
        waiting.take(first)
        assert waiting.peek(6.0) is None
