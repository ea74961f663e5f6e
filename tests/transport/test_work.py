"""Works: what a turn asks of each, and how often."""

from __future__ import annotations

from time import monotonic

import pytest

from engine import Multi
from engine.transport.multi import driver_of


class Piece:
    """A work that does what a test says."""

    def __init__(self, multi: Multi, slices: int = 0) -> None:
        self.driver = driver_of(multi)
        self.slices = slices
        self.untils: list[float] = []
        self.told: list[str] = []
        self.driver.hold(self)

    def deliver(self, until: float) -> bool:
        self.untils.append(until - monotonic())
        self.slices -= 1
        return self.slices > 0

    def conclude(self) -> object:
        self.told.append("concluded")
        return self

    def announce(self) -> bool:
        self.told.append("announced")
        return False

    def recall(self) -> None:
        self.told.append("recalled")

    def cancel(self) -> None:
        self.driver.finished(self)

    @property
    def stalled(self) -> bool:
        return False


def test_a_work_that_has_more_to_deliver_is_asked_again_after_the_others() -> None:
    with Multi(turn_seconds=None) as multi:
        first, second = Piece(multi, 3), Piece(multi, 2)
        order: list[Piece] = []
        for piece in (first, second):
            deliver = piece.deliver
            piece.deliver = lambda until, d=deliver, p=piece: (order.append(p), d(until))[1]  # type: ignore[method-assign, misc]
            driver_of(multi).wants_delivery(piece)
        while multi.timeout() == 0:
            multi.perform()
        assert order == [first, second, first, second, first]
        multi.cancel_all()


def test_where_handlers_wait_perform_leaves_them_a_part_of_the_turn() -> None:
    with Multi(turn_seconds=1.0) as multi:
        ready, busy = Piece(multi), Piece(multi, 1)
        driver_of(multi).wants_delivery(busy)
        multi.perform()
        alone = busy.untils[-1]
        driver_of(multi).finished(ready)
        busy.slices = 1
        driver_of(multi).wants_delivery(busy)
        multi.perform()
        assert busy.untils[-1] < alone * 0.8
        assert multi.info_read() == [ready]
        multi.cancel_all()


def test_what_is_behind_gets_half_a_turn_so_that_sockets_get_theirs() -> None:
    with Multi(turn_seconds=1.0) as multi:
        busy = Piece(multi, 2)
        driver_of(multi).wants_delivery(busy)
        multi.perform()
        assert busy.untils[0] < 0.51 < busy.untils[-1] or busy.untils[0] < 0.51
        multi.cancel_all()


def test_a_work_that_ended_twice_is_told_once() -> None:
    with Multi() as multi:
        piece = Piece(multi)
        for _ in range(3):
            driver_of(multi).finished(piece)
        assert multi.info_read() == [piece]
        assert multi.info_read() == []
        assert piece.told == ["concluded", "announced"]


def test_max_seconds_is_the_time_of_one_call() -> None:
    with Multi(turn_seconds=None) as multi:
        busy = Piece(multi, 1)
        for seconds, wanted in ((0.5, 0.5), (None, float("inf")), (2.0, 2.0)):
            busy.slices, busy.untils = 1, []
            driver_of(multi).call_soon(lambda: driver_of(multi).wants_delivery(busy))
            multi.perform(seconds)
            assert busy.untils[-1] == pytest.approx(wanted, rel=0.3)
        multi.cancel_all()


def test_what_the_driver_calls_soon_adds_waits_for_the_next_part_of_a_turn() -> None:
    with Multi(turn_seconds=0) as multi:
        driver, ran = driver_of(multi), list[int]()

        def again() -> None:
            ran.append(len(ran))
            driver.call_soon(again)

        driver.call_soon(again)
        multi.perform()
        assert 1 <= len(ran) < 3
        multi.perform()
        assert len(ran) >= 2 and multi.timeout() == 0
        driver.soon.clear()
