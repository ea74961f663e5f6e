"""The engine's own column of the truth table: no answer ends as if it were well, none hangs."""

from __future__ import annotations

import pytest

from tests.faults.server import play
from tests.faults.truth.__main__ import outcomes, script, verdict
from tests.faults.truth.faults import FAULTS, Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("client", ["engine", "engine-messages"])
def test_every_ending_is_told_as_it_was(client: str) -> None:
    with play(script) as server:
        cells = outcomes(client, server.url)
    wrong = {
        FAULTS[number].name: cell
        for number, cell in cells.items()
        if cell not in ("told", "well", "told by the finish reason", "")
    }
    assert len(cells) == len(FAULTS) >= 40
    assert wrong == {}


@pytest.mark.parametrize(
    ("truth", "ended", "text", "words", "cell"),
    [
        ("failed", "ended", "All is well.", "stop", "**ended as if well**"),
        ("failed", "ended", "All is well.", "None", "ended, no finish reason"),
        ("failed", "ended", "All is well.", "error", "told by the finish reason"),
        ("failed", "raised", "", "x", "told"),
        ("failed", "hung", "", "", "hung"),
        ("well", "ended", "All is well.", "stop", "well"),
        ("well", "ended", "All is", "stop", "**lost words**"),
        ("well", "raised", "All is well.", "x", "raised"),
    ],
)
def test_what_a_cell_says(truth: str, ended: str, text: str, words: str, cell: str) -> None:
    fault = Fault("x", lambda _: [], truth)  # type: ignore[arg-type]
    assert verdict(fault, ended, text, words) == cell
