"""`AutoLimit`: grows while it is used, whatever it was cut to. How it fares is in test_pace."""

from __future__ import annotations

import math

from engine.batch.pacing.limit import AutoLimit
from tests.cases import each_case


def cut(in_flight: int, times: int) -> AutoLimit:
    """One that was cut so many times while so many were under way."""
    limit = AutoLimit(1000)
    for _ in range(times):
        for refusal in range(10):
            limit.refused(0.0, in_flight, news=refusal == 0)
    return limit


@each_case("ramp", [1.0, 2.5, 8.0, math.inf])
@each_case("in_flight", range(1, 11))
@each_case("times", [1, 2, 3])
def test_a_limit_that_is_used_to_the_last_grows_whatever_it_was_cut_to(
    in_flight: int, times: int, ramp: float
) -> None:
    """A part of a request cannot be under way: cut to 1.6, one is all there can be."""
    limit = cut(in_flight, times)
    before = limit.value
    for _ in range(2 * before + 2):
        limit.answered(1.0, in_flight=limit.value, ramp=ramp)
    assert limit.value > before
