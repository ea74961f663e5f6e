"""Overload over real sockets: few requests too many, and the end of it is noticed."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import pytest

from engine.batch import Batch, Options, flow
from engine.transport import gate
from engine.transport.multi import Multi
from tests.batch.support import answer, custom_ids, ids, openai_row, provider, run_batch
from tests.server import Peer

REFUSED = b'{"error": {"message": "slow down", "type": "rate_limit_error"}}'


def refuse(peer: Peer) -> None:
    peer.json(REFUSED, status="429 Too Many Requests", headers="retry-after-ms: 100\r\n")


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "status",
    ["429 Too Many Requests", "503 Service Unavailable", "429 and 503 in turn"],
)
def test_a_storm_costs_few_requests(tmp_path: Path, status: str, stream: bool) -> None:
    """Everything is refused from the 100th request on, for so many requests as a second of storm
    would see at the gate's pace; then all is well again."""
    storm: list[float] = []

    def handler(peer: Peer) -> None:
        now = time.monotonic()
        if len(server.requests) > 100 and (not storm or now < storm[0] + 1.0):
            storm.append(now)
            if status.startswith("503") or (status.endswith("turn") and len(storm) % 2):
                peer.json(b'{"error": {"message": "overloaded"}}', "503 Service Unavailable")
            else:
                refuse(peer)
        else:
            peer.json(answer())

    rows = 600
    output = tmp_path / "out.jsonl"
    with provider(handler) as server:
        summary = run_batch(
            map(openai_row, ids(rows)), output, server, concurrency=100, stream=stream
        )
    assert summary.exit_code == 0
    assert sorted(custom_ids(output)) == sorted(ids(rows))
    assert len(server.requests) <= 1.1 * rows + 2 * 100
    assert storm
    if status.startswith("429 T"):
        assert summary.refused == len(storm)


def _case(status: int, wait: bool, streams: bool, concurrency: int, refusals: int) -> Any:
    name = f"{status}-{'wait' if wait else 'none'}-{'streamed' if streams else 'whole'}"
    return pytest.param(
        status, wait, streams, concurrency, refusals, id=f"{name}-{concurrency}-{refusals}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "wait", "streams", "concurrency", "refusals"),
    [
        _case(status, wait, streams, *numbers)
        for status in (429, 503)
        for wait in (True, False)
        for streams in (True, False)
        for numbers in ((1, 5), (20, 100), (100, 100), (100, 250))
    ],
)
def test_a_wait_is_waited_once_and_not_by_each_row_in_turn(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    wait: bool,
    streams: bool,
    concurrency: int,
    refusals: int,
) -> None:
    """Beside the same rows in fair weather, and the waits that there must be; all waits are a tenth
    of what they are. One refusal a wait would take ten times as long and more."""
    shrink(monkeypatch)
    beyond = []
    while not beyond or (beyond[-1] > 0 and len(beyond) < 4):  # a machine may stand still once
        home = tmp_path / str(len(beyond))
        home.mkdir()
        fair, stormy = took_in_fair_and_foul(home, status, wait, streams, concurrency, refusals)
        beyond.append(stormy - (2 * (fair + 0.1 * math.ceil(refusals / concurrency)) + 1.0))
    assert min(beyond) <= 0


def took_in_fair_and_foul(
    home: Path, status: int, wait: bool, streams: bool, concurrency: int, refusals: int
) -> tuple[float, float]:
    """The seconds of 300 rows, of which none is refused, and the first so many."""
    left = 0
    lock = threading.Lock()

    def handler(peer: Peer) -> None:
        nonlocal left
        with lock:
            left -= 1
            refuses = left >= 0
        if refuses:
            headers = "retry-after-ms: 100\r\n" if wait else ""
            peer.json(REFUSED, status=f"{status} No", headers=headers)
        else:
            peer.json(answer())

    rows = 300
    took = []
    for each in (0, refusals):
        left = each
        with provider(handler) as server:
            began = time.monotonic()
            summary = run_batch(
                map(openai_row, ids(rows)),
                home / str(each),
                server,
                concurrency=concurrency,
                stream=streams,
            )
            took.append(time.monotonic() - began)
            assert (summary.done, summary.exit_code) == (rows, 0)
            assert len(server.requests) == rows + each
    return took[0], took[1]


@pytest.mark.parametrize("wait", [True, False])
def test_an_outage_uses_up_the_attempts_of_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool
) -> None:
    """Twenty rows of five attempts: what is down for 45 requests takes two or three of each."""
    shrink(monkeypatch)

    def handler(peer: Peer) -> None:
        if len(server.requests) <= 45:
            headers = "retry-after-ms: 100\r\n" if wait else ""
            peer.json(REFUSED, status="503 Down", headers=headers)
        else:
            peer.json(answer())

    with provider(handler) as server:
        summary = run_batch(map(openai_row, ids(20)), tmp_path / "o", server, concurrency=20)
    assert (summary.done, summary.failed) == (20, 0)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of all waits of our own."""
    for module, name in (
        (gate, "_FIRST_WAIT"),
        (gate, "_NEXT_WAIT"),
        (gate, "_LONGEST_WAIT"),
        (flow, "_BASE_DELAY"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name) / 10)


def test_headers_that_tell_what_is_left_are_heeded(tmp_path: Path) -> None:
    """30 requests a window of time; without a look at the headers most would be refused."""
    began = time.monotonic()
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def handler(peer: Peer) -> None:
        window, elapsed = divmod(time.monotonic() - began, 0.5)
        with lock:
            seen[int(window)] += 1
            left = 30 - seen[int(window)]
        reset = f"{0.5 - elapsed:.3f}"
        told = f"x-ratelimit-remaining-requests: {max(left, 0)}\r\n"
        told += f"x-ratelimit-reset-requests: {reset}s\r\n"
        if left < 0:
            peer.json(REFUSED, "429 Too Many Requests", f"{told}retry-after: {reset}\r\n")
        else:
            peer.json(answer(), headers=told)

    with provider(handler) as server:
        summary = run_batch(map(openai_row, ids(120)), tmp_path / "o", server, concurrency=30)
    assert summary.done == 120
    assert summary.refused <= 40


class Narrow:
    """Has room for so many at once, and works in step with who asks: when all that is under way is
    held, the oldest is answered. However slow the machine is, both mean the same number.

    Args:
        late: a place is free when what follows the answer has come, not when it is written.
    """

    def __init__(self, room: int, late: bool) -> None:
        self._room = room
        self._late = late
        self._lock = threading.Lock()
        self._held: deque[threading.Event] = deque()
        self._leaving = 0

    def __call__(self, peer: Peer) -> None:
        answered = threading.Event()
        with self._lock:
            full = len(self._held) + self._leaving >= self._room
            if not full:
                self._held.append(answered)
        if full:
            refuse(peer)
        else:
            answered.wait()
            peer.json(answer())

    def step(self, in_flight: int) -> bool:
        """Answer the oldest if all of `in_flight` are held; whether it did."""
        with self._lock:
            if not in_flight or len(self._held) < in_flight:
                return False
            self._leaving = int(self._late)
            self._held.popleft().set()
            return True


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["freed at once", "freed late"])
@pytest.mark.parametrize("hidden", [3, 12, 30])
def test_auto_finds_the_limit_of_a_server(tmp_path: Path, hidden: int, late: bool) -> None:
    narrow = Narrow(hidden, late)
    limits: list[int] = []
    with provider(narrow) as server, Multi() as multi:
        options = Options(base_url=f"{server.url}/v1")
        rows = map(openai_row, ids(700))
        batch = Batch(multi, rows, tmp_path / "out.jsonl", options).start()
        while batch.summary is None:
            multi.poll(0.001)
            progress = batch.progress()
            if narrow.step(progress.in_flight) and progress.done > 300:
                limits.append(progress.limit)
    assert batch.summary.exit_code == 0
    mean = sum(limits) / len(limits)
    room = hidden - late  # who has just been answered takes the place of the next
    assert 0.8 * room <= mean <= 1.2 * room, limits


@pytest.mark.slow
def test_a_row_that_alone_is_refused_fails_in_the_end_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "_MAX_DELAY", 0.01)
    monkeypatch.setattr(gate, "_FIRST_WAIT", 0.01)

    def handler(peer: Peer) -> None:
        if b"too long" in peer.request.body:
            peer.json(REFUSED, status="429 Too Many Requests", headers="retry-after-ms: 1\r\n")
        else:
            peer.json(answer())

    rows = [openai_row("big", "too long"), *map(openai_row, ids(60))]
    output = tmp_path / "out.jsonl"
    with provider(handler) as server:
        summary = run_batch(rows, output, server, concurrency=2)
    assert (summary.done, summary.errors) == (60, {"RATE_LIMIT": 1})
