"""Pace, on a virtual clock: a simulated server, integers and no waiting."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import pytest

from engine.batch.pacing.limit import AutoLimit, FixedLimit, Limit
from engine.batch.pacing.pace import Pace
from engine.errors import Category, EngineError, ProviderError, ResourceError
from engine.response import Limit as HeaderLimit
from engine.response import RateLimit
from engine.transport.bucket import Bucket
from engine.transport.gate import Gate
from tests.cases import each_case
from tests.transport.narrow import WAYS, Narrow, ask
from tests.volume import every


def refusal(retry_after: float | None = None) -> EngineError:
    return ProviderError("429", category=Category.RATE_LIMIT, retry_after=retry_after)


def failure() -> EngineError:
    return ProviderError("503", category=Category.SERVER)


class Alone:
    """A road nobody else is on."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.in_flight = 0

    def wait(self, now: float) -> float | None:
        return self.gate.wait(now, self.in_flight)

    def ended(
        self, now: float, sent_at: float, error: EngineError | None, spare: float = 0.0
    ) -> bool:
        if error is None:
            self.gate.answered(sent_at)
            self.gate.over(now)
        elif error.category is Category.RATE_LIMIT or error.retry_after is not None:
            return self.gate.close(now, sent_at, max(self.in_flight, 1), error.retry_after, spare)
        return False


class Simulation:
    """Rows against a server that answers `serve(now, in_flight)`, each after about `latency`."""

    def __init__(
        self, pace: Pace, serve: Callable[[float, int], EngineError | None], latency: float = 1.0
    ) -> None:
        self.pace = pace
        self.serve = serve
        self.latency = latency
        self.now = 0.0
        self.requests = 0
        self.answers: list[float] = []
        self.sent: list[float] = []
        self.in_flight: list[tuple[float, int, float, EngineError | None]] = []
        self.dice = random.Random(5)
        self.spare = 0.0

    def run(self, rows: int, until: float = math.inf) -> None:
        """Until `rows` are answered, or the clock says `until`."""
        left = rows
        while left or self.in_flight:
            wait: float | None = None
            while left:
                self.pace._road.in_flight = len(self.in_flight)  # type: ignore[attr-defined]
                wait = self.pace.wait(self.now, len(self.in_flight), 1)
                if wait != 0.0:
                    break
                left -= 1
                self.send()
            due = self.in_flight[0][0] if self.in_flight else math.inf
            if wait is not None and wait > 0 and self.now + wait < due:
                self.now += wait
            else:
                assert due < math.inf, "nothing is in flight and nothing may go"
                left += self.end()
            if self.now >= until:
                return

    def send(self) -> None:
        error = self.serve(self.now, len(self.in_flight))
        # A refusal comes at once, an answer takes its time.
        delay = self.latency * (0.05 if error else self.dice.uniform(0.8, 1.2))
        self.requests += 1
        self.sent.append(self.now)
        self.pace.sent(self.now, 1)
        entry = (self.now + delay, self.requests, self.now, error)
        heapq.heappush(self.in_flight, entry)

    def end(self) -> int:
        """The next one ends; 1 where it is to be asked again."""
        in_flight = len(self.in_flight)
        self.pace._road.in_flight = in_flight  # type: ignore[attr-defined]
        self.now, _, sent_at, error = heapq.heappop(self.in_flight)
        self.pace.ended(self.now, sent_at, in_flight, error, self.spare)
        if error is None:
            self.answers.append(self.now)
        return int(error is not None)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [7, 50, 400])
def test_auto_converges_to_within_a_fifth_of_a_hidden_limit(hidden: int) -> None:
    pace = Pace(AutoLimit(1000), Alone())
    simulation = Simulation(
        pace, lambda now, in_flight: refusal(0.1) if in_flight >= hidden else None
    )
    simulation.run(rows=1_000_000, until=120)
    values = []
    for second in range(120, 180):
        simulation.run(rows=1_000_000, until=float(second))
        values.append(pace.allowed)
    assert 0.8 * hidden <= sum(values) / len(values) <= 1.2 * hidden


class Auto:
    """Rows of a batch at the limit it finds out."""

    def __init__(self, retry_after: float | None) -> None:
        self._road = Alone()
        self.pace = Pace(AutoLimit(1000), self._road)
        self._error = refusal(retry_after)
        self._dice = random.Random(1)

    def wait(self, now: float, in_flight: int) -> float | None:
        self._road.in_flight = in_flight
        return self.pace.wait(now, in_flight, 1)

    def answered(self, now: float, sent_at: float, in_flight: int) -> None:
        self.pace.ended(now, sent_at, in_flight, None)

    def refused(self, now: float, sent_at: float, in_flight: int, waiting: int) -> float:
        self._road.in_flight = in_flight
        self.pace.ended(now, sent_at, in_flight, self._error)
        return max(self.pace.gate.until, now) + self._dice.random() / 2


@each_case("retry_after", [None, 0.1])
@each_case("way", WAYS)
@each_case("room", [1, 2, 3, 8, 12, 30])
def test_auto_keeps_a_server_busy_whenever_it_frees_its_places_and_however_late_one_looks(
    room: int, way: str, retry_after: float | None
) -> None:
    server = Narrow(room, *WAYS[way])
    requests = 200 + 40 * room
    took, sent = ask(server, Auto(retry_after), requests, 1000)
    # A stop of ours is a second, and the first burst and the first answers cost one each.
    assert took < 2.5 * server.least(requests) + (2.0 if retry_after else 5.0)
    assert sent < 2 * requests


def test_auto_grows_to_its_bound_where_nothing_is_refused() -> None:
    limit = AutoLimit(200)
    Simulation(Pace(limit, Alone()), lambda now, in_flight: None).run(rows=3000)
    assert limit.value == 200
    assert [change.limit for change in limit.changes] == [20, 40, 80, 160, 200]


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    limit = AutoLimit(1000)
    for now in range(1000):
        limit.answered(float(now), in_flight=3)
    assert limit.value == 10


def test_failures_of_the_server_pause_growth_and_do_not_cut() -> None:
    limit = AutoLimit(1000)
    limit.faltered(0.0)
    for _ in range(100):
        limit.answered(1.0, in_flight=10)
    assert limit.value == 10
    for _ in range(10):
        limit.answered(6.0, in_flight=10)
    assert limit.value == 20


def test_one_episode_of_refusals_cuts_once() -> None:
    limit = AutoLimit(1000)
    pace = Pace(limit, Alone())
    for _ in range(10):
        pace.ended(1.0, sent_at=0.5, in_flight=10, error=refusal())
    assert limit.value == 8


@each_case("part", [0.02, 0.05])
@each_case("seed", range(6 // every(3)))
def test_auto_is_as_fast_as_fifty_where_some_are_refused_by_chance(part: float, seed: int) -> None:
    def rate(limit: Limit) -> float:
        dice = random.Random(seed)
        simulation = Simulation(
            Pace(limit, Alone()), lambda now, n: refusal() if dice.random() < part else None
        )
        simulation.run(rows=3000)
        return 3000 / simulation.now

    fixed = rate(FixedLimit(50))
    assert fixed >= 0.75 * 50
    assert rate(AutoLimit(1000)) >= 0.95 * fixed  # it begins with ten


@pytest.mark.parametrize("concurrency", ["fixed", "auto"])
def test_a_storm_of_refusals_costs_few_requests_and_is_over_soon(concurrency: str) -> None:
    storm = (10.0, 70.0)
    limit: Limit = FixedLimit(1000) if concurrency == "fixed" else AutoLimit(1000)
    simulation = Simulation(
        Pace(limit, Alone()),
        lambda now, in_flight: refusal() if storm[0] <= now < storm[1] else None,
    )
    rows = 20_000
    simulation.run(rows)
    assert simulation.requests <= 1.1 * rows + 1000
    first = min(when for when in simulation.answers if when >= storm[1])
    assert first <= storm[1] + 5.0 + simulation.latency * 1.2
    in_storm = [when for when in simulation.sent if storm[0] + 5 <= when < storm[1]]
    assert len(in_storm) < 25


@each_case("status", [429, 503])
@each_case("retry_after", [None, 1.0])
@each_case(
    ("concurrency", "refusals"), [(1, 5), (20, 20), (20, 100), (20, 250), (100, 100), (100, 250)]
)
@each_case("heard_after", [1, 10, 1000])
def test_a_server_that_refuses_by_number_is_waited_for_by_all_at_once(
    concurrency: int, refusals: int, retry_after: float | None, status: int, heard_after: int
) -> None:
    """It refuses the first so many, whatever the time; its refusals are heard when some, or all,
    of the first ones are on their way."""
    category = Category.RATE_LIMIT if status == 429 else Category.SERVER
    error = ProviderError("no", category=category, retry_after=retry_after)
    left = refusals

    def serve(now: float, in_flight: int) -> EngineError | None:
        nonlocal left
        left -= 1
        return error if left >= 0 else None

    pace = Pace(FixedLimit(concurrency), Alone())
    simulation = Simulation(pace, serve, latency=0.2)
    for _ in range(min(heard_after, concurrency)):
        simulation.send()
    simulation.spare = math.inf
    rows = 300
    simulation.run(rows - len(simulation.in_flight))
    assert simulation.requests == rows + refusals
    bursts = math.ceil(refusals / concurrency)
    ideal = bursts * (retry_after or 0.5) + rows / concurrency * 0.2
    assert simulation.now <= 2 * ideal + 3.0


def test_a_server_that_is_down_is_asked_now_and_then() -> None:
    outage = (10.0, 70.0)
    simulation = Simulation(
        Pace(FixedLimit(1000), Alone()),
        lambda now, in_flight: failure() if outage[0] <= now < outage[1] else None,
    )
    rows = 20_000
    simulation.run(rows)
    assert simulation.requests <= 1.1 * rows + 1000
    assert min(when for when in simulation.answers if when >= outage[1]) <= outage[1] + 6.2


def test_retry_after_is_honoured_by_all() -> None:
    road = Alone()
    pace = Pace(FixedLimit(100), road)
    pace.ended(10.0, sent_at=9.0, in_flight=3, error=refusal(30.0))
    pace.ended(10.5, sent_at=9.0, in_flight=2, error=refusal(2.0))
    assert pace.wait(11.0, 1, 1) == pytest.approx(29.0)
    assert pace.wait(40.0, 0, 1) == 0.0
    road.in_flight = 1
    assert pace.wait(40.0, 1, 1) is None  # one first


def test_the_gate_opens_wider_with_each_answer() -> None:
    gate = Gate()
    gate.close(0.0, sent_at=-1.0, in_flight=4, retry_after=None)
    assert gate.wait(0.5, 0) == pytest.approx(0.5)
    for ramp in (1, 3, 5, 7):
        assert gate.ramp == ramp
        assert gate.wait(1.0, ramp) is None
        gate.answered(sent_at=1.0)


def test_where_few_of_many_were_refused_the_others_need_not_start_again() -> None:
    gate = Gate()
    for _ in range(20):
        gate.close(0.0, sent_at=-1.0, in_flight=100, retry_after=0.1)
    assert gate.wait(0.2, 90) == 0.0
    gate = Gate()
    for _ in range(21):
        gate.close(0.0, sent_at=-1.0, in_flight=100, retry_after=0.1)
    assert gate.wait(0.2, 1) is None


def test_waits_of_our_own_grow_to_four_seconds() -> None:
    gate = Gate()
    waits = []
    now = 0.0
    for _ in range(5):
        assert gate.close(now + 0.1, sent_at=now, in_flight=1, retry_after=None)
        waits.append(round(gate.until - now - 0.1, 6))
        now = gate.until + 0.1
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_retry_after_of_zero_is_no_endless_loop() -> None:
    gate = Gate()
    now, requests = 0.0, 0
    while now < 60:
        now += 0.001
        gate.close(now, sent_at=now - 0.0005, in_flight=1, retry_after=0.0)
        requests += 1
        now = max(now, gate.until)
    assert requests < 200


def test_no_minute_sees_more_than_the_rate() -> None:
    simulation = Simulation(
        Pace(FixedLimit(1000), Alone(), Bucket(120, 0.0)), lambda now, in_flight: None
    )
    simulation.run(rows=600)
    assert 297 <= simulation.now <= 303  # and no less, either
    for start in range(240):
        in_minute = [when for when in simulation.sent if start <= when < start + 60]
        assert len(in_minute) <= 122


def test_tokens_that_were_not_used_are_given_back() -> None:
    bucket = Bucket(600, now=0.0)
    bucket.take(0.0, 100)
    assert bucket.wait(0.0, 10) == pytest.approx(10.0)
    bucket.give_back(0.0, 90)
    assert bucket.wait(0.0, 10) == pytest.approx(1.0)
    bucket.give_back(0.0, -10)  # another used more than was thought
    assert bucket.wait(0.0, 10) == pytest.approx(2.0)


def test_a_row_larger_than_a_second_of_the_rate_goes_when_the_bucket_is_full() -> None:
    bucket = Bucket(600, now=0.0)
    assert bucket.wait(0.0, 5000) == 0.0
    bucket.take(0.0, 5000)
    assert bucket.wait(0.0, 1) == pytest.approx(499.1)


def test_headers_that_say_nothing_is_left_hold_the_next_request() -> None:
    pace = Pace(FixedLimit(10), Alone())
    pace.heard(0.0, RateLimit(requests=HeaderLimit(limit=60, remaining=0, reset=7.0)))
    assert pace.wait(1.0, 0, 1) == pytest.approx(6.0)
    pace.heard(0.0, RateLimit(tokens=HeaderLimit(limit=60, remaining=0, reset=80_000.0)))
    assert pace.wait(7.0, 0, 1) == 0.0


def test_no_more_are_in_flight_than_headers_say_is_left() -> None:
    pace = Pace(FixedLimit(100), Alone())
    pace.heard(0.0, RateLimit(requests=HeaderLimit(limit=60, remaining=5, reset=7.0)))
    assert pace.wait(1.0, 4, 1) == 0.0
    assert pace.wait(1.0, 5, 1) is None
    assert pace.wait(7.0, 5, 1) == 0.0  # full again
    pace.heard(7.0, RateLimit(tokens=HeaderLimit(limit=9000, remaining=1000, reset=60.0)))
    assert pace.wait(8.0, 1, tokens=500) == 0.0
    assert pace.wait(8.0, 2, tokens=500) is None
    assert pace.wait(8.0, 0, tokens=5000) == 0.0  # the provider may say no; nobody else can


def test_a_want_of_this_machine_says_nothing_of_the_provider() -> None:
    pace = Pace(AutoLimit(100), Alone())
    pace.ended(1.0, 0.5, 5, refusal(30.0))
    before = pace.gate.until, pace.gate.ramp, pace.limit.value
    for n in range(20):
        pace.ended(2.0 + n, 1.5 + n, 10, ResourceError("no descriptor"))
    assert (pace.gate.until, pace.gate.ramp, pace.limit.value) == before
    assert (pace.answered, pace.failed) == (0, 20)
    for n in range(12):
        pace.ended(40.0 + n, 39.0 + n, 10, failure())
        pace.ended(40.5 + n, 39.0 + n, 10, ResourceError("no descriptor"))
    assert pace.gate.until > 50.0  # it is down all the same
