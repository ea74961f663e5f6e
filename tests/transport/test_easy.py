"""What an easy handle says of its request, where it may have served another before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pycurl

from engine.request import HttpRequest
from engine.transport.easy import measure, phase_of
from tests.cases import each_case


def handle(**known: float) -> Any:
    """A handle that knows so much, and 0 of all else."""
    told: dict[int, float] = {getattr(pycurl, name): value for name, value in known.items()}
    return SimpleNamespace(getinfo=lambda what: told.get(what, 0))


@each_case(
    ("url", "known", "phase"),
    [
        ("http://a.example", {}, "resolve"),
        ("http://a.example", {"NAMELOOKUP_TIME": 0.1}, "connect"),
        ("https://a.example", {"NAMELOOKUP_TIME": 0.1}, "connect"),
        ("https://a.example", {"NAMELOOKUP_TIME": 0.1, "NUM_CONNECTS": 1}, "tls"),
        # Of the request before: this one has no connection yet, so that nothing can have come.
        ("https://a.example", {"NAMELOOKUP_TIME": 0.1, "STARTTRANSFER_TIME": 0.2}, "resolve"),
    ],
)
def test_the_phase_is_that_of_this_request(url: str, known: dict[str, float], phase: str) -> None:
    assert phase_of(handle(**known), HttpRequest("GET", url)) == phase


BEFORE = {"NAMELOOKUP_TIME": 0.1, "CONNECT_TIME": 0.2, "STARTTRANSFER_TIME": 0.3, "NUM_CONNECTS": 1}


@each_case(
    ("known", "out", "told"),
    [
        (BEFORE, True, (0.1, 0.2, 1.3)),
        (BEFORE, False, (None, None, None)),
        ({"NAMELOOKUP_TIME": 0.1}, False, (0.1, None, None)),
    ],
)
def test_nothing_is_told_of_the_request_before(
    known: dict[str, float], out: bool, told: tuple[float | None, ...]
) -> None:
    timing = measure(handle(**known), 0.0, 1.0, out)
    assert (timing.dns, timing.connect, timing.first_byte) == told
    assert (timing.queued, timing.reused) == (1.0, False)
