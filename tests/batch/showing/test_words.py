"""Numbers in words people read."""

from __future__ import annotations

import pytest

from engine.batch.showing.words import amount, duration, round_top
from tests.cases import each_case


@each_case(
    ("seconds", "words"),
    [
        (None, "–"), (0.35, "350 ms"), (12.5, "12.5 s"), (420, "7 min"), (7200, "2 h"),
        (12_000, "3 h 20 min"), (86_400, "1 d"), (187_200, "2 d 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@each_case(
    ("value", "words"),
    [
        (0, "0"), (0.0004, "0.0004"), (0.04, "0.04"), (7.5, "7.5"), (12.34, "12.3"), (950, "950"),
        (1000, "1k"), (79_000, "79k"), (39_500, "39.5k"), (1.2e6, "1.2M"), (3e9, "3G"),
        (999.9, "1k"),
    ],
)  # fmt: skip
def test_amounts_are_no_powers_of_ten(value: float, words: str) -> None:
    assert amount(value) == words


@each_case(
    ("value", "top"),
    [(0, 1), (0.3, 0.5), (1, 1), (3, 5), (79_000, 100_000), (2.2, 2.5), (950, 1000)],
)
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert round_top(value) == pytest.approx(top)
