"""`Trials`: a host is held until it is known whether it keeps a connection, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from engine.transport import trials
from engine.transport.admission import Admission
from engine.transport.peers import Peers
from engine.transport.timers import Timer
from engine.transport.trials import Trials

HOST = "http://llm.example"
NAME = ("127.0.0.1", 1)


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(trials, "monotonic", lambda: self.now)
        self.admission = Admission(0, 0, 100)
        self.peers = Peers()
        self.timers: list[Timer] = []
        self.alive: bool | None = True
        connections: Any = SimpleNamespace(alive=lambda name: self.alive)
        self.trials = Trials(self.admission, connections, self.peers, self.call_later)
        self.ask()
        assert self.begun() == 1  # it is answered next

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay, call))
        return self.timers[-1]

    def ask(self, host: str = HOST) -> None:
        self.admission.enqueue(SimpleNamespace(host=host, over=False))

    def begun(self) -> int:
        return len(list(self.admission.take(None)))

    def wants_fresh(self) -> bool:
        return self.peers.wants_fresh(HOST, self.now)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_next_request_waits_until_the_connection_was_kept_for_a_moment(world: World) -> None:
    world.trials.answered(HOST, True, NAME)
    assert not world.timers, "nobody waits yet"
    for _ in range(3):
        world.ask()
        assert world.begun() == 0
    (timer,) = world.timers
    assert timer.when == pytest.approx(100.03)
    world.now = timer.when
    timer.call()  # type: ignore[misc]
    assert world.begun() == 3
    assert (HOST, True) in world.peers.keepers and not world.wants_fresh()


def test_or_until_its_server_closes_it(world: World) -> None:
    world.trials.answered(HOST, True, NAME)
    world.ask()
    assert world.begun() == 0
    world.alive, world.now = False, 100.01
    world.trials.judge(NAME)
    assert world.begun() == 1
    assert world.wants_fresh() and (HOST, True) not in world.peers.keepers
    assert world.timers[0].call is None, "nothing is left to be judged"


def test_one_that_was_closed_with_the_answer_holds_nobody(world: World) -> None:
    world.alive = False
    world.trials.answered(HOST, True, NAME)
    world.ask()
    assert world.begun() == 1 and world.wants_fresh()


def test_one_that_does_not_rest_holds_nobody_and_says_nothing(world: World) -> None:
    world.alive = None
    world.trials.answered(HOST, True, NAME)
    world.ask()
    assert world.begun() == 1
    assert not world.wants_fresh() and (HOST, True) not in world.peers.keepers


def test_nor_does_one_that_libcurl_closed_meanwhile(world: World) -> None:
    world.trials.answered(HOST, True, NAME)
    world.alive = None
    world.trials.judge(NAME)
    world.ask()
    assert world.begun() == 1
    assert not world.wants_fresh() and (HOST, True) not in world.peers.keepers


def test_who_asks_later_does_not_wait(world: World) -> None:
    world.trials.answered(HOST, False, NAME)
    world.now += 0.03
    world.ask()
    assert world.begun() == 1 and not world.timers
    assert (HOST, False) in world.peers.keepers and (HOST, True) not in world.peers.keepers


def test_other_hosts_are_not_held(world: World) -> None:
    world.trials.answered(HOST, True, NAME)
    world.ask("http://other.example")
    assert world.begun() == 1


def test_one_connection_of_a_host_is_enough(world: World) -> None:
    world.trials.answered(HOST, True, NAME)
    world.trials.answered(HOST, True, ("127.0.0.1", 2))
    world.trials.judge(("127.0.0.1", 2))
    world.ask()
    assert world.begun() == 0
    world.trials.judge(NAME)
    assert world.begun() == 1


def test_hosts_on_trial_are_bounded(world: World) -> None:
    for n in range(1500):
        host = f"http://{n}.example"
        world.ask(host)
        assert world.begun() == 1
        world.trials.answered(host, True, ("127.0.0.1", n))
        world.admission.release(SimpleNamespace(host=host))  # type: ignore[arg-type]
    assert len(world.trials._on_trial) == 1000
    assert len(world.admission._hosts) <= 1001


def test_a_host_that_is_asked_by_nobody_is_held_all_the_same(world: World) -> None:
    world.trials.answered(HOST, True, NAME)
    world.admission.release(SimpleNamespace(host=HOST))  # type: ignore[arg-type]
    world.ask()
    assert world.begun() == 0
