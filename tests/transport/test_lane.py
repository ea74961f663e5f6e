"""`Lane`: requests of one key and model wait together, go on together, and fail together where the
wait is longer than they have patience for. The gate's own rules are in test_gate."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from engine.errors import Category, EngineError, NetworkError, ProviderError
from engine.transport.admission import Admission
from engine.transport.lane import Lane, Lanes
from engine.transport.retry import Retry, Sent
from engine.transport.retry_budget import RetryBudget
from engine.transport.timers import Timer


class Passenger:
    host = "https://llm.example"
    over = passed = again = False
    repeats = 0
    lane: Lane[Passenger] | None = None
    longest_hold = 120.0
    error: EngineError | None = None

    def fail_attempt(self, error: EngineError) -> None:
        self.error = error


class World:
    """What passed the gate, and the timers that were asked for."""

    def __init__(self) -> None:
        self.passed: list[Passenger] = []
        self.timers: list[Timer] = []

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    def lane(self) -> Lane[Passenger]:
        return Lane(self.passed.append, self.call_at, RetryBudget(0.1, 10, monotonic()))


def refusal(seconds: float | None, category: Category = Category.RATE_LIMIT) -> EngineError:
    return ProviderError("no", category=category, retry_after=seconds, provider="p")


@pytest.fixture
def world() -> World:
    return World()


def test_in_fair_weather_all_pass_in_order(world: World) -> None:
    lane = world.lane()
    all = [Passenger() for _ in range(5)]
    for one in all:
        lane.enqueue(one)
    assert world.passed == all
    assert (lane.in_flight, len(lane), world.timers) == (5, 0, [])


@pytest.mark.parametrize(
    ("error", "closes"),
    [
        (refusal(30.0), True),
        (refusal(None), True),
        (refusal(30.0, Category.SERVER), True),
        (refusal(None, Category.SERVER), False),
        (refusal(30.0, Category.QUOTA), False),
        (NetworkError("gone"), False),
        (None, False),
    ],
)
def test_what_closes_it(world: World, error: EngineError | None, closes: bool) -> None:
    lane = world.lane()
    lane.enqueue(Passenger())
    now = monotonic()
    assert lane.ended(now, now - 1, error) is closes
    lane.left()
    lane.enqueue(Passenger())
    assert len(lane) == closes
    assert len(world.passed) == 2 - closes
    if closes:
        assert world.timers[0].when > now + 0.5


def test_one_goes_first_when_it_opens_and_more_with_its_answer(world: World) -> None:
    lane = world.lane()
    lane.enqueue(Passenger())
    now = monotonic()
    lane.ended(now - 10, now - 11, refusal(10.0))
    lane.left()
    for _ in range(5):
        lane.enqueue(Passenger())
    assert lane.wait(monotonic()) is None  # one is asking for all
    assert (len(world.passed), len(lane)) == (2, 4)
    lane.ended(monotonic(), monotonic(), None)
    lane.left()
    assert (len(world.passed), len(lane)) == (5, 1)


def test_the_timer_lets_them_go_on(world: World) -> None:
    lane = world.lane()
    lane.ended(monotonic(), monotonic() - 1, refusal(0.0005))
    lane.enqueue(Passenger())
    while not world.passed:
        world.timers[-1].call()  # type: ignore[misc]
    assert len(lane) == 0


def test_what_goes_out_again_has_waited_at_the_gate_already() -> None:
    admission = Admission(0, 0, 100)
    lanes: Lanes[Passenger] = Lanes(admission, lambda when, call: Timer(when, call))
    lane = lanes.lane(1, Retry())
    lane.gate.until = monotonic() + 60
    for again in (True, False):
        one = Passenger()
        one.lane, one.again = lane, again
        lanes.enqueue(one)
        assert one.passed is again
    assert (lane.in_flight, len(lane)) == (1, 1)


def test_who_passed_and_was_not_sent_waits_again_before_the_others(world: World) -> None:
    lane = world.lane()
    sent, passed, more = (Passenger() for _ in range(3))
    for one in (sent, passed, more):
        lane.enqueue(one)
    for one in (sent, passed, more):
        one.passed = True
    assert not lane.recalls(sent)
    now = monotonic()
    lane.ended(now, now - 1, refusal(0.3))
    late = Passenger()
    lane.enqueue(late)
    assert lane.recalls(passed) and lane.recalls(more)
    assert (passed.passed, lane.in_flight, len(lane)) == (False, 1, 3)
    lane.left()
    lane.gate.until = now - 1
    world.timers[-1].call()  # type: ignore[misc]
    assert world.passed[3:] == [passed]  # it asks for all
    lane.ended(monotonic(), monotonic(), None)
    lane.left()
    assert world.passed[3:] == [passed, more, late]


def test_of_too_many_that_passed_as_many_wait_again_as_are_too_many(world: World) -> None:
    lane = world.lane()
    all = [Passenger() for _ in range(5)]
    for one in all:
        lane.enqueue(one)
    now = monotonic()
    for _ in range(3):
        lane.ended(now - 10, now - 11, refusal(1.0))
    lane.gate.answered(now - 12)
    lane.gate.answered(now - 12)
    lane.gate.wait(now, 5)
    lane.gate.answered(now)
    assert lane.gate.ramp == 2
    assert [lane.recalls(one) for one in all] == [True, True, True, False, False]


def test_those_that_ended_while_they_waited_take_nobodys_place(world: World) -> None:
    lane = world.lane()
    now = monotonic()
    lane.ended(now - 10, now - 11, refusal(9.9))
    lane.gate.until = now + 60
    gone, here = Passenger(), Passenger()
    lane.enqueue(gone)
    lane.enqueue(here)
    gone.over = True
    lane.gate.until = now - 1
    lane.left()
    assert world.passed == [here]


def test_who_has_not_so_much_patience_is_told_at_once_and_not_sent(world: World) -> None:
    lane = world.lane()
    refused = refusal(3600.0)
    lane.ended(monotonic(), monotonic() - 1, refused)
    one = Passenger()
    lane.enqueue(one)
    assert one.error is None  # not from inside enqueue
    world.timers[-1].call()  # type: ignore[misc]
    assert isinstance(one.error, ProviderError) and one.error.__cause__ is refused
    assert one.error.provider == "p"
    assert one.error.category is Category.RATE_LIMIT
    assert one.error.retry_after == pytest.approx(3600, abs=5)
    assert (world.passed, len(lane)) == ([], 0)
    patient = Passenger()
    patient.longest_hold = 7200.0
    lane.enqueue(patient)
    assert len(lane) == 1


def test_one_timer_serves_a_thousand(world: World) -> None:
    lane = world.lane()
    lane.ended(monotonic(), monotonic() - 1, refusal(30.0))
    for _ in range(1000):
        lane.enqueue(Passenger())
    assert len(world.timers) == 1


def test_lanes_are_apart_and_the_first_sets_the_budget(world: World) -> None:
    lanes: Lanes[Passenger] = Lanes(Admission(0, 0, 100), world.call_at)
    one = lanes.lane(1, Retry(budget=0.0, budget_min=0))
    two = lanes.lane(2, Retry(budget=None))
    assert lanes.lane(1, Retry(budget=None)) is one and one is not two
    assert not one.budget.left(monotonic()) and two.budget.left(monotonic())


def test_empty_lanes_are_forgotten_and_busy_ones_kept(world: World) -> None:
    lanes: Lanes[Passenger] = Lanes(Admission(0, 0, 100), world.call_at)
    busy = lanes.lane(-1, Retry())
    busy.enqueue(Passenger())
    closed = lanes.lane(-2, Retry())
    closed.ended(monotonic(), monotonic() - 1, refusal(60.0))
    for key in range(5000):
        lanes.lane(key, Retry())
    assert len(lanes) <= 1002
    assert lanes.lane(-1, Retry()) is busy and lanes.lane(-2, Retry()) is closed


def test_a_transfer_that_passes_is_queued_and_counts() -> None:
    admission = Admission(0, 0, 100)
    lanes: Lanes[Passenger] = Lanes(admission, World().call_at)
    free, bound = Passenger(), Passenger()
    bound.lane = lane = lanes.lane(1, Retry())
    lanes.enqueue(free)
    lanes.enqueue(bound)
    assert (free.passed, bound.passed, lane.in_flight) == (False, True, 1)
    again = Passenger()
    again.repeats = 1
    lanes.enqueue(again)
    assert list(admission.take(None)) == [again, free, bound]


def test_what_the_gate_makes_wait_costs_no_budget_and_what_it_does_not_does(world: World) -> None:
    lanes: Lanes[Passenger] = Lanes(Admission(0, 0, 100), world.call_at)
    retry = Retry(budget=0, budget_min=1, max_attempts=9)
    gated, free = lanes.ticket(1, retry, gated=True), lanes.ticket(1, retry, gated=False)
    failed = ProviderError("x", category=Category.SERVER)
    for _ in range(5):
        assert gated.retry_delay(1, refusal(1.0), Sent.REFUSED) == 1.0
    assert free.retry_delay(1, refusal(1.0), Sent.REFUSED) == 1.0
    assert free.retry_delay(1, refusal(1.0), Sent.REFUSED) is None
    assert gated.retry_delay(1, failed, Sent.REFUSED) is None
    assert gated.retry_delay(1, refusal(1.0), Sent.REFUSED) == 1.0


def test_who_is_not_gated_tells_the_gate_nothing(world: World) -> None:
    lanes: Lanes[Passenger] = Lanes(Admission(0, 0, 100), world.call_at)
    free = lanes.ticket(1, Retry(), gated=False)
    free.tell(monotonic(), refusal(60.0))
    assert free.gate is None and lanes.lane(1, Retry()).wait(monotonic()) == 0.0


@pytest.mark.parametrize(
    ("category", "attempts", "waiting", "spare"),
    [
        (Category.RATE_LIMIT, 1, 20, 20),
        (Category.RATE_LIMIT, 3, 20, 20),
        (Category.RATE_LIMIT, 5, 20, 40),
        (Category.RATE_LIMIT, 20, 20, 190),
        (Category.RATE_LIMIT, 20, 500, 500),
        (Category.RATE_LIMIT, 5, 150, 250),
        (Category.SERVER, 20, 20, 20),  # which costs the budget of all
    ],
)
def test_each_may_be_refused_once_and_few_that_have_many_attempts_spend_half_of_them(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    category: Category,
    attempts: int,
    waiting: int,
    spare: float,
) -> None:
    lanes: Lanes[Passenger] = Lanes(Admission(0, 0, 1000), world.call_at)
    ticket = lanes.ticket(1, Retry(max_attempts=attempts), gated=True)
    lane = lanes.lane(1, Retry())
    lane.in_flight = waiting
    spared: list[float] = []
    close = lane.gate.close

    def note(*arguments: Any) -> bool:
        spared.append(arguments[-1])
        return close(*arguments)

    monkeypatch.setattr(lane.gate, "close", note)
    ticket.tell(monotonic(), refusal(1.0, category))
    assert spared == [spare]


def test_the_gate_is_told_when_one_is_over_and_not_only_that_it_was_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = world.lane()
    over: list[float] = []
    monkeypatch.setattr(lane.gate, "over", over.append)
    lane.enqueue(Passenger())
    began = monotonic()
    lane.ended(began, began, None)
    assert over == []
    lane.left()
    assert len(over) == 1 and began <= over[0] <= monotonic()


def test_one_of_many_under_way_that_is_refused_does_not_make_the_others_start_again(
    world: World,
) -> None:
    lane = world.lane()
    for _ in range(100):
        lane.enqueue(Passenger())
    now = monotonic()
    lane.ended(now - 10, now - 11, refusal(1.0))
    for _ in range(50):
        lane.left()
    assert lane.wait(now) == 0.0
