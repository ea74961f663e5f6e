"""`Gate`: stops where most is refused, slows down where a few are. Its clock is the test's."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import pytest

from engine.transport.gate import Gate
from tests.cases import each_case
from tests.transport.narrow import WAYS, Narrow, ask
from tests.volume import every


def answer(gate: Gate, times: int, sent_at: float = 0.0) -> None:
    for _ in range(times):
        gate.answered(sent_at)


def refuse(gate: Gate, now: float, times: int = 1, *, wait: float | None = 2.0) -> None:
    for _ in range(times):
        gate.close(now, now - 0.5, 10, wait)


def test_the_first_refusal_of_an_unknown_server_closes() -> None:
    gate = Gate()
    gate.close(1.0, 0.5, 3, 2.0)
    assert gate.wait(1.5, 0) == pytest.approx(1.5)
    assert gate.wait(3.0, 0) == 0.0
    assert gate.wait(3.0, 1) is None  # one first


@each_case(("answers", "closed"), [(0, True), (3, True), (5, False), (60, False)])
def test_under_a_fifth_it_slows_down_and_does_not_stop(answers: int, closed: bool) -> None:
    gate = Gate()
    assert gate.wait(0.0, 0) == 0.0
    answer(gate, answers)
    refuse(gate, 0.1)
    if closed:
        assert gate.wait(0.2, 0) == pytest.approx(1.9)
    else:
        assert gate.wait(0.2, 8) == 0.0
        assert gate.wait(0.2, 9) is None  # the tenth was too much


def test_an_episode_slows_down_once() -> None:
    gate = Gate()
    answer(gate, 60)
    gate.close(1.0, 0.9, 100, None)
    for others in range(99, 93, -1):
        gate.close(1.1, 0.95, others, None)  # sent before the first was heard
        assert gate.ramp >= 90


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
    assert gate.wait(1.3, 98) == 0.0
    assert gate.wait(1.3, 99) is None


def test_a_wait_that_the_caller_set_is_not_cut_short() -> None:
    gate = Gate()
    refuse(gate, 1.0)
    gate.until = 90.0
    answer(gate, 60)
    assert gate.wait(10.0, 0) == 80.0


@each_case(("second", "opens"), [(30.0, 31.2), (0.5, 2.0), (None, 2.0)])
def test_the_longest_wait_that_one_of_them_was_asked_for_counts(
    second: float | None, opens: float
) -> None:
    gate = Gate()
    gate.close(1.0, 0.5, 3, 1.0)
    assert not gate.close(1.2, 0.5, 2, second)
    assert gate.until == pytest.approx(opens)


def test_a_wait_of_nothing_is_honoured_once() -> None:
    gate, now, waits = Gate(), 1.0, []
    for _ in range(4):
        assert gate.close(now, now - 0.005, 1, 0.0)
        waits.append(round(gate.until - now, 3))
        now = gate.until + 0.01
        assert gate.wait(now, 0) == 0.0
    assert waits == [0.0, 0.2, 0.4, 0.4]


def test_what_was_good_a_minute_ago_says_nothing_of_now() -> None:
    gate = Gate()
    gate.wait(0.0, 0)
    answer(gate, 60)
    refuse(gate, 120.0)
    assert gate.wait(120.5, 0) == pytest.approx(1.5)


@pytest.mark.parametrize(("withdrawn", "room"), [(0, math.inf), (60, 1)])
def test_what_was_not_sent_after_all_is_no_sign_of_a_server_at_work(
    withdrawn: int, room: float
) -> None:
    gate = Gate()
    for _ in range(15):
        gate.close(1.0, 0.5, 100, 1.0)
    for _ in range(withdrawn):
        gate.withdrawn()
    assert gate.wait(2.0, 0) == 0.0
    assert gate.ramp == room


def test_a_server_that_answers_between_refusals_is_waited_for_no_longer() -> None:
    gate = Gate()
    for now in (1.0, 5.0, 9.0):
        gate.close(now, now - 0.5, 3, None)
        assert gate.until == now + 1
        gate.answered(now - 0.5)
        assert gate.wait(now + 1, 0) == 0.0


def test_a_straggler_of_an_old_storm_does_not_close_it_again() -> None:
    gate = Gate()
    gate.close(1.0, 0.5, 100, 1.0)
    assert gate.wait(2.0, 0) == 0.0
    gate.answered(2.0)
    assert not gate.close(2.1, 0.6, 100, None)
    assert gate.wait(2.2, 0) == 0.0


def run(
    refuses: Callable[[float, int], bool], requests: int, begun: int, retry_after: float | None
) -> tuple[float, int]:
    """Ask `requests` questions of 0.1 s on average, at most `begun` at once, each until it is
    answered; seconds, and how many requests it took. `refuses` says it of the time and of those
    that are being answered."""
    dice = random.Random(1)
    gate, now, sent, left, waiting, served = Gate(), 0.0, 0, requests, requests, 0
    flying: list[tuple[float, int, float, bool]] = []
    resting: list[float] = []
    while left:
        while resting and resting[0] <= now:
            heapq.heappop(resting)
            waiting += 1
        opens = math.inf
        while waiting and len(flying) < begun:
            wait = gate.wait(now, len(flying))
            if wait != 0.0:
                opens = math.inf if wait is None else now + wait
                break
            refused = refuses(now, served)
            sent, waiting, served = sent + 1, waiting - 1, served + (not refused)
            ends = now + (0.005 if refused else min(dice.expovariate(10), 1.0))
            heapq.heappush(flying, (ends, sent, now, refused))
        ends = flying[0][0] if flying else math.inf
        assert min(opens, ends, *resting[:1]) < math.inf, "nothing in flight, and nothing may go"
        now = max(now, min(opens, ends, *resting[:1]))
        if ends > now:
            continue
        _, _, sent_at, refused = heapq.heappop(flying)
        if refused:
            gate.close(now, sent_at, len(flying) + 1, retry_after)
            rest = dice.random() / 2 if retry_after is None else retry_after
            heapq.heappush(resting, now + rest)
        else:
            gate.answered(sent_at)
            left, served = left - 1, served - 1
    return now, sent


def test_a_tenth_refused_at_random_costs_little_time() -> None:
    dice = random.Random(7)
    fair, _ = run(lambda now, served: False, 2000, 50, None)
    took, sent = run(lambda now, served: dice.random() < 0.1, 2000, 50, 1.0)
    assert took < 4 * fair
    assert sent < 2000 * 1.2


def test_a_storm_of_a_minute_costs_a_few_requests() -> None:
    took, sent = run(lambda now, served: now < 60, 1000, 1000, None)
    assert sent <= 1000 + 1000 + 20  # each once in the storm, each once after it, a few to ask
    assert took < 70


@each_case("retry_after", [None, 1.0])
@each_case("begun", [50, 400])
@each_case("room", [1, 2, 3, 5, 8, 10, 20])
def test_a_server_that_has_room_for_a_few_is_kept_busy_and_refuses_few(
    room: int, begun: int, retry_after: float | None
) -> None:
    took, sent = run(lambda now, served: served >= room, 400, begun, retry_after)
    # It stops for the burst in the beginning, and finds the room then. In the end it waits for the
    # slowest, and for those that were refused last.
    assert took < 1.2 * 400 * 0.1 / room + 3
    assert sent < 400 + begun + 400 / 20


class Client:
    """Requests that wait at the gate and, refused, as they are told to, or at random."""

    def __init__(self, retry_after: float | None) -> None:
        self.gate = Gate()
        self.wait = self.gate.wait
        self._retry_after = retry_after
        self._dice = random.Random(1)

    def answered(self, now: float, sent_at: float, in_flight: int) -> None:
        self.gate.answered(sent_at)
        self.gate.over(now)

    def refused(self, now: float, sent_at: float, in_flight: int, waiting: int) -> float:
        self.gate.close(now, sent_at, in_flight, self._retry_after, waiting + in_flight)
        return now + (self._retry_after or self._dice.random() / 2)


@each_case("retry_after", [None, 0.1])
@each_case("begun", [20, 400])
@each_case("way", WAYS)
@each_case("room", [1, 3, 12, 2, 8, 30][: 6 // every(2)])
def test_it_is_kept_busy_whenever_it_frees_its_places_and_however_late_one_looks(
    room: int, way: str, begun: int, retry_after: float | None
) -> None:
    server = Narrow(room, *WAYS[way])
    requests = 200 + 40 * room
    took, sent = ask(server, Client(retry_after), requests, begun)
    # A stop of ours is a second, and the first burst and the first answers cost one each.
    assert took < 2.5 * server.least(requests) + (1.0 if retry_after else 5.0)
    assert sent < 2 * requests + begun


def answer_whole(gate: Gate, now: float) -> None:
    """One sent a second ago is answered, and over a quarter of a second later."""
    gate.answered(now - 1.0)
    gate.over(now + 0.25)


def test_one_alone_that_is_refused_after_an_answer_waits_a_moment_after_the_next() -> None:
    gate = Gate()
    moments = []
    now = 10.0
    for _ in range(8):
        answer_whole(gate, now)
        gate.close(now + 0.252, now + 0.251, 1, 0.1)
        gate.over(now + 0.252)
        now = gate.until + 1.0
        assert gate.wait(now, 0) == 0.0  # long after
        answer_whole(gate, now + 1.0)
        moments.append(gate.wait(now + 1.25, 0))
        assert not gate.wait(now + 1.25, 1)  # which is no matter where others are under way
        now += 60.0
    assert moments[:3] == [pytest.approx(0.005 * 2**n, rel=0.1) for n in range(3)]
    assert moments[-1] == pytest.approx(0.1, rel=0.1)
    for _ in range(500):
        answer_whole(gate, now)
    assert gate.wait(now + 0.25, 0) == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize(("in_flight", "after"), [(2, 0.001), (1, 0.5)])
def test_a_refusal_of_several_or_long_after_an_answer_tells_nothing_of_a_moment(
    in_flight: int, after: float
) -> None:
    gate = Gate()
    answer_whole(gate, 1.0)
    gate.close(2.0, 1.25 + after, in_flight, 0.1)
    assert gate.wait(3.0, 0) == 0.0
    answer_whole(gate, 4.0)
    assert gate.wait(4.25, 0) == 0.0


def test_a_refusal_that_follows_a_refusal_tells_nothing_of_a_moment() -> None:
    gate = Gate()
    for now in (1.0, 1.05, 1.1):
        gate.close(now, now - 0.01, 1, 0.02)
        gate.over(now)
    assert gate.wait(3.0, 0) == 0.0
    answer_whole(gate, 4.0)
    assert gate.wait(4.25, 0) == 0.0


@each_case(("before", "after"), [(1, 8), (2, 20), (8, 2), (20, 3)])
def test_a_room_that_changes_is_found_again(before: int, after: int) -> None:
    def refuses(now: float, served: int) -> bool:
        return served >= (before if now < 20 else after)

    took, sent = run(refuses, 800, 50, 1.0)
    ideal = 20 + max(800 - 20 * before / 0.1, 0) * 0.1 / after
    assert took < 1.3 * ideal + 5
    assert sent < 800 + 50 + 800 / 10


def test_refusals_of_one_round_trip_take_a_tenth_at_most() -> None:
    gate = Gate()
    for _ in range(100):
        gate.answered(sent_at=0.0)
    assert gate.close(1.0, 0.5, 50, None)
    assert gate.ramp == 49
    # Sent later, refused at once, while no answer to anything as new has come.
    for in_flight in (46, 45, 44, 43):
        assert not gate.close(1.2, 1.1, in_flight, None)
        assert gate.ramp == 45
    gate.answered(sent_at=1.1)
    assert gate.close(2.2, 2.1, 45, None)
    assert gate.ramp == 44
