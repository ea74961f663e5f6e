"""`Gate`: stops where most is refused, slows down where a few are. Its clock is the test's."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import pytest

from engine.transport.gate import Gate


def answer(gate: Gate, times: int, sent_at: float = 0.0) -> None:
    for _ in range(times):
        gate.answered(sent_at, math.inf)


def refuse(gate: Gate, now: float, times: int = 1, *, wait: float | None = 2.0) -> None:
    for _ in range(times):
        gate.close(now, now - 0.5, 10, wait)


def test_the_first_refusal_of_an_unknown_server_closes() -> None:
    gate = Gate()
    gate.close(1.0, 0.5, 3, 2.0)
    assert gate.wait(1.5, 0) == pytest.approx(1.5)
    assert gate.wait(3.0, 0) == 0.0
    assert gate.wait(3.0, 1) is None  # one first


@pytest.mark.parametrize(("answers", "closed"), [(0, True), (3, True), (5, False), (60, False)])
def test_under_a_fifth_it_slows_down_and_does_not_stop(answers: int, closed: bool) -> None:
    gate = Gate()
    assert gate.wait(0.0, 0) == 0.0
    answer(gate, answers)
    refuse(gate, 0.1)
    if closed:
        assert gate.wait(0.2, 0) == pytest.approx(1.9)
    else:
        assert gate.wait(0.2, 8) == 0.0
        assert gate.wait(0.2, 9) is None  # nine of the ten there were


def test_an_episode_slows_down_once() -> None:
    gate = Gate()
    answer(gate, 60)
    gate.close(1.0, 0.9, 100, None)
    for _ in range(3):
        gate.close(1.1, 0.95, 100, None)  # sent before the first was heard
    assert gate.ramp == 90


def test_many_refusals_stop_it_also_where_the_episode_began_with_a_few() -> None:
    gate = Gate()
    answer(gate, 60)
    refuse(gate, 1.0)
    assert gate.wait(1.0, 0) == 0.0
    refuse(gate, 1.0, 20)
    assert gate.wait(1.1, 0) == pytest.approx(1.9)


def test_answers_that_come_after_all_open_it_early() -> None:
    gate = Gate()
    gate.close(1.0, 0.5, 100, 60.0)
    assert gate.wait(1.1, 99) == pytest.approx(59.9)
    answer(gate, 3)
    assert gate.wait(1.2, 95) == pytest.approx(59.8)
    answer(gate, 2)
    assert gate.wait(1.3, 89) == 0.0
    assert gate.wait(1.3, 90) is None


def test_a_wait_that_the_caller_set_is_not_cut_short() -> None:
    gate = Gate()
    refuse(gate, 1.0)
    gate.until = 90.0
    answer(gate, 60)
    assert gate.wait(10.0, 0) == 80.0


def test_what_was_good_a_minute_ago_says_nothing_of_now() -> None:
    gate = Gate()
    gate.wait(0.0, 0)
    answer(gate, 60)
    refuse(gate, 120.0)
    assert gate.wait(120.5, 0) == pytest.approx(1.5)


def test_a_straggler_of_an_old_storm_does_not_close_it_again() -> None:
    gate = Gate()
    gate.close(1.0, 0.5, 100, 1.0)
    assert gate.wait(2.0, 0) == 0.0
    gate.answered(2.0, math.inf)
    assert not gate.close(2.1, 0.6, 100, None)
    assert gate.wait(2.2, 0) == 0.0


def run(
    refuses: Callable[[float, int], bool], requests: int, begun: int, retry_after: float | None
) -> tuple[float, int]:
    """Ask `requests` questions of 0.1 s, at most `begun` at once, each until it is answered;
    seconds, and how many requests it took. `refuses` says it of the time and those in flight."""
    gate, now, sent, left = Gate(), 0.0, 0, requests
    flying: list[tuple[float, int, float, bool]] = []
    while left:
        while len(flying) < min(begun, left):
            wait = gate.wait(now, len(flying))
            if wait != 0.0:
                break
            refused = refuses(now, len(flying))
            sent += 1
            heapq.heappush(flying, (now + (0.005 if refused else 0.1), sent, now, refused))
        if flying:
            ends, _, sent_at, refused = heapq.heappop(flying)
            now = max(now, ends)
            if refused:
                gate.close(now, sent_at, len(flying) + 1, retry_after)
            else:
                gate.answered(sent_at, begun)
                left -= 1
        else:
            wait = gate.wait(now, 0)
            assert wait is not None, "nothing in flight, and nothing may go"
            now += wait
    return now, sent


def test_a_tenth_refused_at_random_costs_little_time() -> None:
    dice = random.Random(7)
    fair, _ = run(lambda now, flying: False, 2000, 50, None)
    took, sent = run(lambda now, flying: dice.random() < 0.1, 2000, 50, 1.0)
    assert took < 4 * fair
    assert sent < 2000 * 1.2


def test_a_storm_of_a_minute_costs_a_few_requests() -> None:
    took, sent = run(lambda now, flying: now < 60, 1000, 1000, None)
    assert sent <= 1000 + 1000 + 20  # each once in the storm, each once after it, a few to ask
    assert took < 70


def test_a_server_with_room_for_ten_is_kept_busy() -> None:
    took, sent = run(lambda now, flying: flying >= 10, 1000, 200, None)
    assert took < 3 * 1000 * 0.1 / 10
    assert sent < 2 * 1000


def test_it_opens_fast_up_to_half_of_what_was_too_much_and_slowly_from_there() -> None:
    gate = Gate()
    for _ in range(100):
        gate.close(0.0, -1.0, 100, 1.0)
    assert gate.wait(1.0, 0) == 0.0
    for ramp in (3, 5, 7):
        gate.answered(1.1, math.inf)
        assert gate.ramp == ramp
    for _ in range(20):
        gate.close(2.0, 1.5, 20, 1.0)
    assert gate.ramp == 1 and gate.wait(3.0, 0) == 0.0
    ramps = []
    for _ in range(7):
        gate.answered(3.1, math.inf)
        ramps.append(round(gate.ramp, 2))
    assert ramps == [3, 5, 7, 9, 11, 11.1, 11.2]


def test_refusals_of_one_round_trip_slow_it_down_once() -> None:
    gate = Gate()
    for _ in range(100):
        gate.answered(sent_at=0.0, limit=100)
    assert gate.close(1.0, 0.5, 50, None)
    slowed = gate.ramp
    # Sent later, refused at once, while no answer to anything as new has come.
    assert not gate.close(1.2, 1.1, 45, None)
    assert not gate.close(1.4, 1.3, 45, None)
    assert gate.ramp == slowed
    gate.answered(sent_at=1.1, limit=100)
    assert gate.close(2.2, 2.1, 45, None)
    assert gate.ramp < slowed
