"""20,000 mutations of the corpus for each target: records, heads, files."""

from __future__ import annotations

import pytest

from tests.fuzz.driver import run
from tests.fuzz.targets import DIALECTS, TARGETS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in DIALECTS])
def test_what_nobody_wrote_down_holds_too(name: str) -> None:
    run(name, 20_000, seed=1)
