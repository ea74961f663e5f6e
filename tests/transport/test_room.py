"""`Room`: how many a server has room for, found by asking. How it fares is in test_gate."""

from __future__ import annotations

import math
from itertools import pairwise

from engine.transport.room import Room
from tests.cases import each_case


def full(room: Room, now: float = 1.0) -> None:
    """Keep one from going, so that the room is known to be short."""
    assert not room.fits(now, math.ceil(room.size))


def sized(size: int, *, stops: int = 100) -> Room:
    """One that stopped, and had so many answered of what was under way."""
    room = Room()
    room.stopped(0.0, stops)
    room.at_least(size)
    return room


def test_it_has_no_end_until_something_is_refused() -> None:
    room = Room()
    room.answered(0.0, 0.0)
    assert room.size == math.inf and room.fits(0.0, 10_000)


def test_what_was_so_while_there_was_no_limit_says_nothing_once_there_is_one() -> None:
    room = Room()
    room.served(8)  # late answers, after what was refused was forgotten
    assert room.fits(0.0, 3)  # and nobody was kept from going
    room.refused(1.0, 4, True)
    room.answered(2.0, 1.5)
    assert room.size == 3
    assert not room.fits(2.0, 3)
    room.answered(2.0, 1.5)
    assert 3 < room.size < 4


def test_after_a_stop_that_came_out_of_fair_weather_only_who_was_kept_from_going_counts() -> None:
    room = Room()
    assert room.fits(0.0, 3)
    room.stopped(1.0, 4, 2)
    room.answered(2.0, 1.5)
    assert room.size == 2


@each_case(
    ("size", "in_flight", "fits"),
    [(1, 0, True), (1, 1, False), (2, 1, True), (2, 2, False), (8, 7, True), (8, 8, False)],
)
def test_as_many_fit_as_it_is_large(size: int, in_flight: int, fits: bool) -> None:
    assert sized(size).fits(0.0, in_flight) is fits


def test_a_part_of_a_request_is_none() -> None:
    room = sized(1)
    full(room)
    for _ in range(9):
        room.answered(1.0, 0.5)
    assert 1.8 < room.size < 2 and not room.fits(1.0, 1)
    room.answered(1.0, 0.5)
    room.answered(1.0, 0.5)
    assert room.fits(1.0, 1)


def test_after_a_stop_one_goes_and_when_it_is_answered_as_many_as_were_all_the_same() -> None:
    room = Room()
    room.stopped(0.0, 100)
    for many in (1, 2, 3):
        room.served(many)
        assert room.size == 1
    full(room)
    room.answered(1.0, 0.5)
    assert room.size == 3
    full(room)
    room.answered(1.0, 0.5)
    assert 3 < room.size < 4  # which was too much
    room.size = 9.0
    room.at_least(4)
    assert room.size == 9


def test_where_nothing_is_known_it_trebles_and_where_it_stopped_before_to_the_half() -> None:
    room = Room()
    room.stopped(0.0, 100)
    full(room)
    sizes = []
    for _ in range(4):
        room.answered(1.0, 0.5)
        sizes.append(room.size)
    assert sizes == [3, 5, 7, 9]
    room.stopped(2.0, 10)
    full(room, 2.0)
    sizes = []
    for _ in range(4):
        room.answered(2.0, 1.9)
        sizes.append(round(room.size, 2))
    assert sizes == [3, 5, 5.1, 5.2]


def test_one_alone_that_is_refused_says_nothing_of_how_many() -> None:
    room = Room()
    room.stopped(0.0, 100)
    room.stopped(1.0, 1)
    full(room)
    for _ in range(20):
        room.answered(1.0, 0.5)
    assert room.size == 41


def test_a_size_that_is_not_used_does_not_grow() -> None:
    room = sized(8)
    assert room.fits(1.0, 3)
    room.answered(1.0, 0.5)
    assert room.size == 8
    assert room.fits(1.0, 7)  # the last there is room for: nobody was kept from going
    room.answered(1.0, 0.5)
    assert room.size == 8
    full(room)
    room.answered(1.0, 0.5)
    assert room.size > 8


@each_case(("size", "answers"), [(1, 10), (5, 10), (10, 10), (40, 40)])
def test_one_more_is_tried_after_ten_answers_and_a_round_trip(size: int, answers: int) -> None:
    room = sized(size)
    tried = 0
    while not room.fits(1.0, size):
        room.answered(1.0, 0.5)
        tried += 1
    assert answers <= tried <= answers + 2


def test_what_was_too_much_and_is_answered_now_is_too_much_no_more() -> None:
    room = sized(8)
    won = []
    for now in range(1, 8):
        while not room.fits(now, math.ceil(room.size)):
            before = room.size
            room.answered(now, now - 0.5)
            if math.floor(room.size) > math.floor(before):
                break
        won.append(room.size - before)
    assert won[0] <= 0.1 and won[-1] == 1.0


def test_of_a_server_that_is_still_full_one_more_is_asked_more_and_more_rarely() -> None:
    room = sized(8)
    tried = []
    for now in range(1, 6):
        tried.append(0)
        while not room.fits(now, 8):
            room.answered(now, now - 0.5)
            tried[-1] += 1
        room.refused(now, 9, True)
        assert room.size == 8
    assert tried[0] < tried[1] < tried[2] <= tried[3] <= tried[4] <= 41


def test_refusals_below_what_was_too_much_are_chance_and_won_back_faster() -> None:
    room = sized(40, stops=50)
    won = []
    for number, now in enumerate(range(1, 6)):
        room.refused(now, 40 - number, True)
        before = room.size
        full(room, now)
        room.answered(now, now - 0.5)
        won.append(room.size - before)
    assert won == sorted(won) and won[-1] == 0.5


def test_a_round_trip_takes_a_tenth_and_all_of_them_half() -> None:
    room = Room()
    for in_flight in range(100, 50, -1):
        room.refused(1.0, in_flight, in_flight == 100)
        assert room.size == max(90, in_flight - 1)
    for now in range(2, 80):
        room.refused(now, int(room.size), True)
    assert room.size == 50


def test_beyond_what_was_too_much_it_doubles_each_round_trip() -> None:
    room = sized(4, stops=5)
    sizes = [room.size]
    for now in range(1, 30):
        full(room, now)
        for _ in range(int(room.size)):
            room.answered(now, now - 0.5)
        sizes.append(room.size)
        if room.size > 1000:
            break
    assert sizes[-1] > 1000
    assert all(after <= 2 * before + 1 for before, after in pairwise(sizes))


def test_after_a_minute_with_room_to_spare_nothing_is_known() -> None:
    room = sized(8)
    assert room.fits(59.0, 1) and room.size == 8
    full(room, 60.0)
    assert room.fits(119.0, 1) and room.size == 8
    assert room.fits(121.0, 7) and room.size == 8  # it is used to the last
    assert room.fits(121.0, 6) and room.size == math.inf
