"""One emulator for all tests of agents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import engine
import engine.emulator
from tests.agents.support import DIALECTS


@pytest.fixture(scope="session")
def emulator() -> Iterator[engine.emulator.Emulator]:
    with engine.emulator.start() as emulator:
        yield emulator


@pytest.fixture
def client(emulator: engine.emulator.Emulator) -> Iterator[engine.Client]:
    with engine.Client(base_url=emulator.base_url) as client:
        yield client


@pytest.fixture(params=DIALECTS)
def any_client(
    emulator: engine.emulator.Emulator, request: pytest.FixtureRequest
) -> Iterator[engine.Client]:
    """A client of each dialect that can call tools."""
    base_url = emulator.url + DIALECTS[request.param]
    with engine.Client(base_url=base_url, dialect=request.param) as client:
        yield client
