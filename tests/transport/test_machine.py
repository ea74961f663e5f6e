"""Any calls in any order, from outside and from callbacks that raise, interrupt, cancel and close:
what a `Multi` promises holds after each. A state machine over real sockets and a clock by hand."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from time import monotonic as real_monotonic
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import engine
from engine import HttpRequest, Multi
from engine.errors import MisuseError
from engine.transport.multi import driver_of
from tests.faults.server import RESET, STALL, FaultServer, Step, play
from tests.server import OK_SSE, Request, chat

PIECES = ["one ", "two ", "three ", "four"]
TEXT = "".join(PIECES)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def script(request: Request) -> Iterator[Step]:
    kind = request.path.split("/")[1]
    events = [chunked(event) for event in chat(*PIECES)]
    if kind == "refused":
        yield b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        return
    if kind == "mute":
        yield STALL
    yield OK_SSE
    if kind == "cut":
        yield events[0] + events[1]
        return
    if kind == "reset":
        yield events[0]
        yield RESET
    if kind == "stalled":
        yield events[0]
        yield STALL
    if kind == "large":
        yield chunked(b"".join(chat(*["x" * 50] * 2000)[:-2]))
    for event in events:
        yield event
        if kind == "slow":
            yield 0.0005
    yield b"0\r\n\r\n"


KINDS = ["well", "slow", "large", "refused", "mute", "cut", "reset", "stalled"]
DEEDS = ["nothing", "raise", "interrupt", "stop", "cancel self", "cancel all", "close", "begin",
         "pause self", "soon"]  # fmt: skip


class Interrupt(BaseException):
    """A Ctrl-C in a callback."""


class Asked:
    """One request, and what was told of it."""

    def __init__(self, machine: Machine, kind: str, deed: str, plain: bool) -> None:
        self.kind, self.deed, self.plain = kind, deed, plain
        self.machine = machine
        self.done: list[Any] = []
        self.heard: list[str] = []
        self.reader: Any = None
        self.excused = False  # an interrupt struck its callback
        self.face: Any = None
        client = engine.Client(
            machine.multi,
            dialect="chat",
            base_url=f"{machine.server.url}/{kind}",
            api_key="k",
            retry=engine.Retry(max_attempts=2, base_delay=1),
            timeouts=engine.Timeouts(first_event=100, idle=100, content=200, total=500),
        )
        if plain:
            self.face = machine.multi.add(
                HttpRequest("POST", f"{machine.server.url}/{kind}/x"),
                on_data=(lambda piece, x: self.do("data")) if deed != "nothing" else None,
                on_done=lambda response, x: self.end(response),
                timeouts=engine.Timeouts(first_event=100, idle=100, total=500),
            )
        else:
            self.face = client.stream(
                "m",
                "hi",
                on_text=self.hear if deed != "nothing" else None,
                on_done=lambda completion: self.end(completion),
            )

    def hear(self, delta: str) -> object:
        self.heard.append(delta)
        return self.do(delta)

    def end(self, outcome: Any) -> None:
        self.done.append(outcome)
        self.machine.begin_again -= 1
        if self.deed == "interrupt":
            raise Interrupt
        if self.deed == "raise":
            raise ValueError("on_done")
        if self.deed == "begin" and self.machine.begin_again > 0 and not self.machine.closed:
            try:
                self.machine.begin("well", "nothing", False)
            except MisuseError:
                assert self.machine.closed

    def do(self, _: str) -> object:
        multi, face = self.machine.multi, self.face
        with pytest.raises(MisuseError):
            multi.perform()
        if self.deed == "raise":
            raise ValueError("callback")
        if self.deed == "interrupt":
            self.excused = True
            raise Interrupt
        if self.deed == "stop":
            return engine.STOP
        if self.deed == "cancel self" and face is not None:
            face.cancel()
        if self.deed == "cancel all":
            multi.cancel_all()
        if self.deed == "close":
            self.machine.closed = True
            multi.close()
        if self.deed == "pause self" and not self.plain and face is not None:
            face.pause()
        if self.deed == "soon":
            multi.call_soon(lambda: None)
        return None


class Machine(RuleBasedStateMachine):
    server: FaultServer
    patch: Callable[[Callable[[], float]], None]

    def __init__(self) -> None:
        super().__init__()
        self.offset = 0.0
        self.patch(lambda: real_monotonic() + self.offset)
        self.asked: list[Asked] = []
        self.closed = False
        self.begin_again = 8
        self.soon: list[int] = []
        self.soon_asked = 0

    @initialize(seconds=st.sampled_from([0.005, 0.0, None]), limit=st.sampled_from([0, 2]))
    def make(self, seconds: float | None, limit: int) -> None:
        self.raised: list[Exception] = []
        self.multi = Multi(
            max_connections=limit, turn_seconds=seconds, on_exception=self.raised.append
        )

    def begin(self, kind: str, deed: str, plain: bool) -> None:
        self.asked.append(Asked(self, kind, deed, plain))

    # -- what may happen -----------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), deed=st.sampled_from(DEEDS), plain=st.booleans())
    def add(self, kind: str, deed: str, plain: bool) -> None:
        if deed == "close" and len(self.asked) < 6:
            deed = "nothing"
        try:
            self.begin(kind, deed, plain)
        except MisuseError:
            assert self.closed

    @rule(n=st.integers(0, 30))
    def cancel(self, n: int) -> None:
        if self.asked:
            self.asked[n % len(self.asked)].face.cancel()

    @rule(n=st.integers(0, 30), on=st.booleans())
    def pause_or_resume(self, n: int, on: bool) -> None:
        asked = self.asked[n % len(self.asked)] if self.asked else None
        if asked is not None and not asked.plain:
            asked.face.pause() if on else asked.face.resume()

    @rule(n=st.integers(0, 30), many=st.integers(0, 5), leave=st.booleans())
    def read(self, n: int, many: int, leave: bool) -> None:
        asked = self.asked[n % len(self.asked)] if self.asked else None
        if asked is None or asked.plain:
            return
        try:
            if asked.reader is None:
                asked.reader = asked.face.events()
            for _ in range(many):
                if asked.reader.take() is None:  # what is there, without driving
                    break
        except Interrupt:
            asked.excused = True
        if leave:
            asked.reader.close()
            asked.reader = None

    @rule()
    def cancel_all(self) -> None:
        self.multi.cancel_all()

    @rule(seconds=st.sampled_from([0.5, 5.0, 90.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.offset += seconds

    @rule(raising=st.booleans())
    def call_soon(self, raising: bool) -> None:
        number = self.soon_asked
        self.soon_asked += 1

        def call() -> None:
            self.soon.append(number)
            if raising:
                raise ValueError("soon")

        self.multi.call_soon(call)

    @rule(times=st.integers(1, 4))
    def turn(self, times: int) -> None:
        for _ in range(times):
            self.take_turn(0.002)

    @rule(how=st.sampled_from([0.0, 0.001, None]))
    def perform_alone(self, how: float | None) -> None:
        try:
            self.multi.perform(how)
        except Interrupt:
            pass

    def take_turn(self, wait: float) -> None:
        if not driver_of(self.multi).closed:
            select.select(*self.multi.fdset(), min(self.multi.timeout() or 0.0, wait))
        for call in (self.multi.perform, self.multi.info_read):
            try:
                call()  # type: ignore[operator]
            except Interrupt:
                pass

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def each_is_told_at_most_once_and_the_counts_agree(self) -> None:
        if not hasattr(self, "multi"):
            return
        assert all(len(asked.done) <= 1 for asked in self.asked)
        counts = self.multi.statistics()
        alive = counts.queued + counts.connecting + counts.streaming + counts.backing_off
        assert alive <= len(self.multi)
        finished = counts.done + counts.failed + counts.cancelled
        assert alive + finished == len(self.asked)
        assert self.soon == sorted(self.soon)
        wait = self.multi.timeout()
        assert wait is None or wait >= 0
        if wait == 0 and self.multi._turn.pending:
            assert select.select([self.multi.fileno()], [], [], 0)[0], "the descriptor tells it too"

    def teardown(self) -> None:
        if hasattr(self, "multi"):
            self.finish()

    def finish(self) -> None:
        for asked in self.asked:
            if asked.reader is not None:
                asked.reader.close()
            if not asked.plain:
                asked.deed = "nothing" if asked.deed == "pause self" else asked.deed
                asked.face.resume()
        # An interrupt ends a turn, and may come with each of the 2,000 pieces of a large answer.
        for turn in range(3000 + 2000 * sum(asked.deed == "interrupt" for asked in self.asked)):
            if not len(self.multi) and (self.closed or not self.multi._turn.pending):
                break
            self.take_turn(0.005)
            if turn % 20 == 19:
                self.offset += 60.0  # back-offs and deadlines
        assert not len(self.multi), (self.multi, [a.kind for a in self.asked if not a.done])
        for asked in self.asked:
            self.check(asked)
        assert self.closed or self.soon == [*range(self.soon_asked)]
        self.multi.close()
        assert repr(self.multi) == "<Multi closed>"

    def check(self, asked: Asked) -> None:
        outcome = asked.face.response if asked.plain else asked.face.completion
        assert outcome is not None, "one completion per request, always"
        assert asked.done in ([outcome], []) and (asked.done or asked.excused), asked.kind
        whole = TEXT if asked.kind != "large" else "x" * 100_000 + TEXT
        if asked.plain:
            return
        assert whole.startswith(outcome.text), (asked.kind, asked.deed)
        if outcome.status == "complete":
            assert outcome.text == whole and asked.kind in ("well", "slow", "large")
        heard = "".join(asked.heard)
        assert whole.startswith(heard) or asked.excused or asked.deed in ("raise", "interrupt")


def run_machine(monkeypatch: pytest.MonkeyPatch, examples: int, steps: int, **more: Any) -> None:
    def patch(clock: Callable[[], float]) -> None:
        for module in [*sys.modules.values()]:
            if module.__name__.startswith("engine.") and hasattr(module, "monotonic"):
                monkeypatch.setattr(module, "monotonic", clock)

    with play(script) as server:
        bound = type("BoundMachine", (Machine,), {"server": server, "patch": staticmethod(patch)})
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            bound,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                **more,
            ),
        )


def test_whatever_is_called_in_whatever_order(monkeypatch: pytest.MonkeyPatch) -> None:
    run_machine(monkeypatch, 15, 20, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_is_called_in_whatever_order_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    run_machine(monkeypatch, 2000, 50, derandomize=True)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_whatever_is_called_in_whatever_order_all_night(monkeypatch: pytest.MonkeyPatch) -> None:
    run_machine(monkeypatch, 20_000, 50)
