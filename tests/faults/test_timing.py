"""C6: servers that are late. The limits are short here; what counts is which one ends the wait."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

import engine
from engine.errors import Category, DeadlineError
from tests.faults.case import GOOD, OK_SSE, TEXT, WORDS, Case, chat_chunk, chunk, steps, suffer
from tests.faults.server import KEEP, STALL, FaultServer, Script, Step, play
from tests.server import Request
from tests.steady import advance, at_some_pace, comes_about

pytestmark = pytest.mark.slow

FIRST = OK_SSE + chunk(GOOD[0])


def phase(wanted: str) -> object:
    def check(completion: engine.Completion, _: FaultServer) -> None:
        assert isinstance(completion.error, DeadlineError)
        assert completion.error.phase == wanted
        assert f"timeouts.{wanted}" in str(completion.error) or wanted == "connect"

    return check


def signs_of_life(sign: bytes, after: bytes) -> Script:
    def script(_: Request) -> Iterator[Step]:
        yield after
        while True:
            yield chunk(sign)
            yield 0.02

    return script


def drip(_: Request) -> Iterator[Step]:
    whole = OK_SSE + b"".join(map(chunk, GOOD)) + b"0\r\n\r\n"
    for at in range(0, len(whole), 8):
        yield whole[at : at + 8]
        yield 0.01
    yield KEEP


def slower(case: Case, pace: float) -> Case:
    """With all its pauses and limits so many times as long."""

    def script(request: Request) -> Iterator[Step]:
        for step in case.script(request):
            yield step * pace if isinstance(step, float) else step

    limits = {name: limit and limit * pace for name, limit in case.timeouts.items()}
    return replace(case, script=script, timeouts=limits)


EMPTY = chat_chunk("")
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 1}}\n\n'
UNKNOWN = b'data: {"object": "something.new"}\n\n'
LATE = {"category": Category.TIMEOUT}

CASES = [
    Case(
        "D01 before the head",
        steps(STALL),
        timeouts={"first_event": 0.2},
        check=phase("first_event"),
        **LATE,
    ),
    Case(
        "D02 after the head",
        steps(OK_SSE, STALL),
        timeouts={"first_event": 0.2},
        check=phase("first_event"),
        **LATE,
    ),
    Case(
        "D02 only comments",
        signs_of_life(b": wait\n\n", OK_SSE),
        timeouts={"first_event": 0.5, "content": 0.7},
        check=phase("content"),
        **LATE,
    ),
    Case(
        "D03 in the middle",
        steps(FIRST, STALL),
        timeouts={"idle": 0.2},
        text=WORDS[0],
        check=phase("idle"),
        **LATE,
    ),
    *(
        Case(
            f"D04 {name}",
            signs_of_life(sign, FIRST),
            timeouts={"idle": 0.3, "content": 0.3},
            text=WORDS[0],
            check=phase("content"),
            **LATE,
        )
        for name, sign in (
            ("comments", b": wait\n\n"),
            ("pings", b"event: ping\ndata: {}\n\n"),
            ("usage alone", USAGE),
            ("empty text", EMPTY),
            ("what nobody knows", UNKNOWN),
        )
    ),
    Case(
        "D05 drop by drop",
        drip,
        status="complete",
        text=TEXT,
        timeouts={"idle": 0.5, "first_event": 5.0},
    ),
    Case(
        "D06 a burst after silence",
        steps(FIRST, 0.6, b"".join(map(chunk, GOOD[1:])) + b"0\r\n\r\n", KEEP),
        status="complete",
        text=TEXT,
        timeouts={"idle": 5.0},
    ),
    Case(
        "D total",
        signs_of_life(GOOD[1], FIRST),
        timeouts={"total": 0.4},
        text=None,
        check=phase("total"),
        **LATE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_the_clock(case: Case) -> None:
    at_some_pace(lambda pace: suffer(slower(case, pace)))


def test_d08_a_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """D08."""
    hour = 3600.0
    wall = time.time
    shift = [hour]

    def stepped() -> float:
        shift[0] = -shift[0]
        return wall() + shift[0]

    monkeypatch.setattr(time, "time", stepped)
    suffer(
        Case(
            "D08",
            steps(FIRST, 0.1, b"".join(map(chunk, GOOD[1:])) + b"0\r\n\r\n", KEEP),
            status="complete",
            text=TEXT,
            timeouts={"idle": 5.0, "total": 30.0},
        )
    )


def test_d09_a_host_that_slept_finds_its_bytes_and_no_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D09."""
    sent: list[Request] = []

    def script(request: Request) -> Iterator[Step]:
        yield FIRST
        while not asleep:
            yield 0.01
        yield b"".join(map(chunk, GOOD[1:])) + b"0\r\n\r\n"
        sent.append(request)
        yield KEEP

    asleep: list[bool] = []
    with play(script) as server, engine.Multi() as multi:
        limits = engine.Timeouts(idle=1000, content=1000, first_event=5000)
        client = engine.Client(
            multi, dialect="chat", base_url=server.url, api_key="key", timeouts=limits
        )
        streams = [client.stream("m", "hi") for _ in range(50)]
        while not all(stream.text for stream in streams):
            multi.poll()
        asleep.append(True)
        assert comes_about(lambda: len(sent) == 50) and select.select([multi], [], [], 30)[0]
        advance(monkeypatch, 1200)  # the host was busy with something else
        multi.run()
    assert [s.completion and s.completion.status for s in streams] == ["complete"] * 50
