"""Telemetry that is on for one test, and nothing that other tests left open, or dropped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import telemetry
from engine.telemetry import unfinished
from tests.telemetry.told import Told


@pytest.fixture(autouse=True)
def _nothing_is_open() -> None:
    unfinished._open.clear()


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    telemetry.instrument(tracer_provider=told.tracers, meter_provider=told.meters)
    yield told
    telemetry.uninstrument()
    telemetry.log_bodies(False)
