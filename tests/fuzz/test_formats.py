"""20,000 mutations of the corpus for each target: 5]:the formats of the large providers."""

from __future__ import annotations

import pytest

from tests.fuzz.driver import run
from tests.fuzz.targets import DIALECTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", DIALECTS[:5])
def test_what_nobody_wrote_down_holds_too(name: str) -> None:
    run(name, 20_000, seed=1)
