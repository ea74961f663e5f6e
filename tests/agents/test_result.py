"""What a run used is the sum of what its turns used."""

from __future__ import annotations

from engine.agents.result import sum_usage
from engine.messages import Usage
from tests.cases import each_case


@each_case(
    ("first", "second", "both"),
    [
        (Usage(), Usage(), Usage()),
        (Usage(1, 2, 3), Usage(), Usage(1, 2, 3)),
        (Usage(), Usage(1, None, 3), Usage(1, None, 3)),
        (Usage(1, 2, 3, 4, 5, 6, cost=0.5), Usage(1, 2, 3, 4, 5, 6, cost=0.25),
         Usage(2, 4, 6, 8, 10, 12, cost=0.75)),
        (Usage(1, partial=True), Usage(1), Usage(2, partial=True)),
        (Usage(1), Usage(1, partial=True), Usage(2, partial=True)),
        (Usage(1, partial=True), Usage(1, partial=True), Usage(2, partial=True)),
    ],
)  # fmt: skip
def test_both_together(first: Usage, second: Usage, both: Usage) -> None:
    assert sum_usage(first, second) == both
    assert type(sum_usage(first, second).partial) is bool
