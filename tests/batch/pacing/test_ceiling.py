"""What a run may have in flight falls with a lack of descriptors, and comes back."""

from __future__ import annotations

from engine.batch.pacing.ceiling import Ceiling
from tests.cases import each_case


def rounds(ceiling: Ceiling, now: float, room: int | None, most: int = 50) -> int:
    """Round trips of a second, each of as many as may be in flight, until nothing changes."""
    for number in range(most):
        before = ceiling.value
        for _ in range(before):
            ceiling.answered(now + number + 1, now + number, lambda: room)
        if ceiling.value == before:
            return number
    raise AssertionError("it goes on rising")


@each_case(
    ("full", "in_flight", "room", "fallen", "in_the_end"),
    [
        (100, 100, None, 50, 100),
        (100, 100, 1000, 50, 100),
        (100, 100, 70, 50, 70),
        (100, 100, 30, 50, 30),
        (100, 100, 0, 50, 1),
        (100, 1, None, 1, 100),
        (1000, 40, 1000, 20, 1000),
        (1, 1, None, 1, 1),
        (2, 2, None, 1, 2),
    ],
)
def test_it_falls_by_half_and_rises_to_what_there_is_room_for(
    full: int, in_flight: int, room: int | None, fallen: int, in_the_end: int
) -> None:
    ceiling = Ceiling(full)
    assert ceiling.lacked(10.0, 9.0, in_flight) is (fallen < full)
    assert ceiling.value == fallen
    assert rounds(ceiling, 11.0, room) <= 8
    assert ceiling.value == in_the_end


def test_all_that_were_under_way_tell_of_one_lack() -> None:
    ceiling = Ceiling(100)
    told = [ceiling.lacked(10.0 + n / 100, 9.5, 100 - n) for n in range(100)]
    assert told == [True] + [False] * 99
    assert ceiling.value == 50
    ceiling.answered(11.0, 9.6, lambda: None)  # sent before: it has its descriptor
    assert ceiling.value == 50


def test_a_lack_that_lasts_is_told_once_and_halves_each_time() -> None:
    ceiling = Ceiling(100)
    told, values = [], []
    for now in (10.0, 11.0, 12.0, 13.0):
        told.append(ceiling.lacked(now, now - 0.5, ceiling.value))
        values.append(ceiling.value)
    assert (told, values) == ([True, False, False, False], [50, 25, 12, 6])
    rounds(ceiling, 14.0, None)
    assert ceiling.value == 100
    assert ceiling.lacked(99.0, 98.0, 100)


def test_what_is_short_from_the_beginning_rises_as_others_let_go() -> None:
    ceiling = Ceiling(100)
    ceiling.found(0.0, 8)
    assert (ceiling.value, ceiling.lowered) == (8, True)
    ceiling.answered(0.5, 0.1, lambda: 100)
    assert ceiling.value == 8  # looked a moment ago
    rounds(ceiling, 1.0, 60)
    assert ceiling.value == 60
    rounds(ceiling, 100.0, None)
    assert (ceiling.value, ceiling.lowered) == (100, False)


def test_it_looks_once_a_second_while_it_is_low_and_never_when_it_is_not() -> None:
    ceiling, looks = Ceiling(1000), []

    def look() -> int:
        looks.append(1)
        return 10

    ceiling.answered(1.0, 0.0, look)
    assert not looks
    ceiling.lacked(2.0, 1.0, 100)
    for n in range(100):
        ceiling.answered(3.0 + n / 100, 2.5, look)
    assert len(looks) == 1 and ceiling.value == 10
    ceiling.answered(4.1, 3.5, look)
    assert len(looks) == 2
