"""`Probes`: how many ask again after each wait that ended in a refusal."""

from __future__ import annotations

import math

from engine.transport.gate_probes import Probes
from tests.cases import each_case


def asked(begun: int, refusals: int, spare: float = math.inf) -> list[int]:
    """How many were let through after each wait, where `begun` want to be under way and the first
    `refusals` are refused."""
    probes = Probes()
    rounds = []
    going = begun
    while refusals > 0:
        for _ in range(min(going, refusals)):
            probes.refused()
        refusals -= going
        rounds.append(probes.next(min(going, begun), spare))
        going = min(rounds[-1], begun)
    return rounds


@each_case(
    ("begun", "refusals", "rounds"),
    [
        (100, 100, [1]),
        (100, 101, [1, 8]),
        (100, 250, [1, 8, 64, 200, 150]),
        (20, 100, [1, 8, 40, 40, 40, 40, 40]),
        (20, 20, [1]),
        (1, 5, [1, 2, 2, 2, 2]),
        (1000, 1600, [1, 8, 64, 512, 165, 150]),
    ],
)
def test_one_asks_first_and_then_soon_all(begun: int, refusals: int, rounds: list[int]) -> None:
    assert asked(begun, refusals) == rounds


@each_case(("begun", "most"), [(1, 13), (20, 260), (100, 400), (1000, 1750)])
def test_of_an_outage_only_the_beginning_is_spent_so(begun: int, most: int) -> None:
    rounds = asked(begun, most + 20)
    assert rounds[-10:] == [1] * 10
    spent = begun + sum(min(each, begun) for each in rounds if each > 1)
    assert most - 20 <= spent <= most


@each_case("spare", [0.0, 0.5, 20.0])
def test_where_no_refusals_can_be_spared_one_asks_at_a_time(spare: float) -> None:
    assert asked(20, 30, spare) == [1] * 11


def test_refusals_that_can_be_spared_are_not_overspent() -> None:
    assert asked(20, 60, spare=35.0)[:4] == [1, 8, 6, 1]


def test_who_waits_elsewhere_for_a_while_can_be_refused_all_the_same() -> None:
    """Those that were refused first rest, and are not among those that wait when the next is."""
    probes = Probes()
    for _ in range(20):
        probes.refused()
    assert [probes.next(20, spare) for spare in (190.0, 5.0, 3.0)] == [1, 8, 40]
    probes.answered()
    probes.refused()
    assert [probes.next(20, 0.0) for _ in range(3)] == [1, 1, 1]


@each_case(("unheard", "goes"), [(0, 49), (19, 30), (48, 1), (100, 1)])
def test_what_is_under_way_and_will_be_refused_is_spent_already(unheard: int, goes: int) -> None:
    probes = Probes()
    probes.refused()
    assert [probes.next(100, 50.0) for _ in range(2)] == [1, 8]
    assert probes.next(100, 50.0, unheard) == goes


def test_an_answer_ends_it() -> None:
    probes = Probes()
    probes.refused()
    assert [probes.next(50, math.inf) for _ in range(3)] == [1, 8, 64]
    probes.answered()
    probes.refused()
    assert probes.waits == 0
    assert probes.next(50, math.inf) == 1
