"""Every wait has a limit, each phase its own, and none passes while bytes lie ready."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

import engine
from engine import Timeouts
from engine.errors import Category, ConfigError, DeadlineError
from engine.transport.deadlines import Deadlines
from engine.transport.timers import Timer, TimerHeap
from tests.cases import each_case
from tests.server import HEALTHY, OK_SSE, Peer, chat, serve
from tests.steady import advance

ONCE = engine.Retry(max_attempts=1)
NONE = Timeouts(connect=None, first_event=None, idle=None)


def only(**limits: float | None) -> Timeouts:
    """Those limits and no other."""
    none: dict[str, float | None] = dict.fromkeys(Timeouts.__struct_fields__)
    return Timeouts(**{**none, **limits})


def run(multi: engine.Multi, url: str, timeouts: Timeouts) -> engine.Completion:
    return (
        engine.Client(multi, base_url=url, timeouts=timeouts, retry=ONCE).stream("m", "x").result()
    )


def failed_in(completion: engine.Completion, phase: str) -> DeadlineError:
    assert completion.status == "error"
    error = completion.error
    assert isinstance(error, DeadlineError) and isinstance(error, TimeoutError)
    assert (error.category, error.phase) == (Category.TIMEOUT, phase)
    return error


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """An address whose SYNs are not answered: a listener whose queue is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for each in (*fillers, listener):
        each.close()


def test_connect(multi: engine.Multi, full_backlog: str) -> None:
    error = failed_in(run(multi, full_backlog, only(connect=0.2)), "connect")
    assert "0.2 s" in str(error) and "check" in str(error)


def test_a_tls_handshake_that_stalls_is_a_connect_timeout(multi: engine.Multi) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        failed_in(run(multi, url, only(connect=0.2)), "connect")


@pytest.mark.parametrize("sent", [b"", OK_SSE, OK_SSE + b"5\r\n:  \n\n\r\n"])
def test_first_event(multi: engine.Multi, sent: bytes) -> None:
    with serve(lambda peer: (peer.send(sent), peer.wait_closed())) as server:
        error = failed_in(run(multi, server.url, only(first_event=0.1)), "first_event")
    assert "first_event" in str(error)


def test_idle_keeps_what_came(multi: engine.Multi) -> None:
    def stall(peer: Peer) -> None:
        peer.at_once(chat("so far")[:1], end=False)
        peer.wait_closed()

    with serve(stall) as server:
        completion = run(multi, server.url, only(idle=0.1))
    failed_in(completion, "idle")
    assert completion.text == "so far"


def pinging(until: threading.Event) -> Callable[[Peer], None]:
    def handle(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat("so far")[0])
        while not until.wait(0.02):
            peer.chunk(b": ping\n\n")

    return handle


def test_pings_count_for_idle_and_not_for_content(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping, over = threading.Event(), threading.Event()

    def handle(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat("so far")[0])
        ping.wait(30)
        peer.chunk(b": ping\n\n")
        over.wait(30)

    with serve(handle) as server:
        limits = only(idle=3600.0, content=5000.0)
        client = engine.Client(multi, base_url=server.url, timeouts=limits, retry=ONCE)
        stream = client.stream("m", "x")
        while not stream.text:
            multi.poll(0.01)
        advance(monkeypatch, 3000)
        ping.set()
        deadlines = stream._attempts._deadlines
        while deadlines.heard_at < deadlines.content_at + 2000:
            multi.poll(0.01)
        advance(monkeypatch, 6000)
        failed_in(stream.result(), "content")
        assert "only signs of life" in str(stream.result().error)
        over.set()


@each_case("idle", [None, 0.05, 3600.0], ["no limit", "the same limit", "a longer limit"])
def test_silence_beyond_the_limit_of_content_is_told_as_silence(
    idle: float | None,
) -> None:
    over = threading.Event()

    def handle(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat("so far")[0])
        over.wait(30)

    with serve(handle) as server:
        limits = only(idle=idle, content=0.05)
        with engine.Client(base_url=server.url, timeouts=limits, retry=ONCE) as client:
            error = str(failed_in(client.stream("m", "x").result(), "content"))
        over.set()
    assert "sent nothing for 0.05 s" in error and "timeouts.content" in error


def test_total_counts_everything(multi: engine.Multi) -> None:
    stop = threading.Event()
    with serve(pinging(stop)) as server:
        failed_in(run(multi, server.url, only(total=0.2)), "total")
        stop.set()


def test_total_counts_the_wait_for_a_retry_and_for_a_slot() -> None:
    with serve(lambda peer: peer.json(b"{}", "503 Busy")) as server, engine.Multi() as multi:
        client = engine.Client(
            multi,
            base_url=server.url,
            timeouts=only(total=0.1),
            retry=engine.Retry(base_delay=600, max_delay=600),
        )
        failed_in(client.stream("m", "x").result(), "total")
    with serve(lambda peer: peer.wait_closed()) as server, engine.Multi(1) as multi:
        client = engine.Client(multi, base_url=server.url, timeouts=only(total=0.1))
        blocker = engine.Client(multi, base_url=server.url).stream("m", "x")
        failed_in(client.stream("m", "x").result(), "total")
        blocker.cancel()


def test_after_a_deadline_the_next_attempt_comes_at_once(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second_time_lucky(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.wait_closed()
        else:
            peer.stream(chat(*HEALTHY))

    with serve(second_time_lucky) as server:
        client = engine.Client(
            multi,
            base_url=server.url,
            timeouts=only(first_event=600.0),
            retry=engine.Retry(base_delay=600, max_delay=600),
        )
        stream = client.stream("m", "x")
        while not server.requests:
            multi.poll(0.01)
        advance(monkeypatch, 700)
        completion = stream.result()
    assert (completion.status, completion.attempts) == ("complete", 2)


def test_a_host_loop_that_slept_for_an_hour_reads_before_it_judges(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = threading.Event()
    more = threading.Event()

    def handle(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat(*HEALTHY)[0])
        more.wait(10)
        for event in chat(*HEALTHY)[1:]:
            peer.chunk(event)
        peer.end()
        sent.set()

    with serve(handle) as server:
        client = engine.Client(multi, base_url=server.url, timeouts=only(idle=60.0))
        stream = client.stream("m", "x")
        while not stream.text:
            multi.poll()
        more.set()
        assert sent.wait(10)
        assert select.select([multi], [], [], 10)[0]
        advance(monkeypatch, 3600)
        assert stream.result().status == "complete"


def test_an_hour_without_a_byte_is_too_long(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat("x")[0])
        peer.wait_closed()

    with serve(handle) as server:
        client = engine.Client(multi, base_url=server.url, timeouts=only(idle=3599.0), retry=ONCE)
        stream = client.stream("m", "x")
        while not stream.text:
            multi.poll()
        advance(monkeypatch, 3600)
        assert multi.timeout() == 0
        failed_in(stream.result(), "idle")


def test_no_limit_at_all_is_allowed(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        assert run(multi, server.url, NONE).status == "complete"


@each_case("name", ["connect", "first_event", "idle", "content", "total"])
@each_case("value", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Timeouts(**{name: value})


class HandClock:
    """Deadlines' clock, moved by hand: ``now`` is the turn's, `monotonic` may be later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers = TimerHeap()

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        return self.timers.add(when, call)

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        return self.timers.add(self.now + delay, call)

    def go(self, seconds: float) -> None:
        self.now += seconds
        self.timers.run(self.now)


def deadlines(
    clock: HandClock, caught_up: Callable[[], bool] = lambda: True, **limits: float
) -> tuple[Deadlines, list[str]]:
    expired: list[str] = []

    def note(phase: str, limit: float) -> None:
        expired.append(phase)
        made.stop()

    made = Deadlines(clock, only(**limits), note, caught_up)
    return made, expired


def test_reading_on_after_a_rest_counts_from_this_moment_and_not_from_the_turns_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = HandClock()
    made, expired = deadlines(clock, idle=10)
    monkeypatch.setattr("engine.transport.deadlines.monotonic", lambda: clock.now + 60)
    made.flowing()  # the consumer took a minute of this turn
    clock.go(60 + 9)
    assert expired == []
    clock.go(2)
    assert expired == ["idle"]


def test_what_is_over_leaves_no_timer() -> None:
    clock = HandClock()
    made, _ = deadlines(clock, connect=10, total=100)
    made.connecting()
    made.stop()
    made.stop()
    assert clock.timers.next_time() is None


@pytest.mark.parametrize("shorter", ["first_event", "content"])
def test_a_limit_shorter_than_the_one_before_has_a_timer_of_its_own(shorter: str) -> None:
    clock = HandClock()
    limits = {"connect": 100.0, "first_event": 100.0, "idle": 100.0, "content": 100.0, shorter: 5.0}
    made, expired = deadlines(clock, **limits)
    made.connecting()
    clock.go(1)
    made.waiting()
    clock.go(4)
    assert expired == []
    clock.go(2)
    assert expired == [shorter]


def test_while_it_rests_nothing_but_the_total_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    monkeypatch.setattr("engine.transport.deadlines.monotonic", lambda: clock.now)
    made, expired = deadlines(clock, idle=10, content=10, total=100)
    made.flowing()
    made.rest()
    clock.go(99)
    assert expired == []
    clock.go(2)
    assert expired == ["total"]


def test_signs_of_life_prolong_the_wait_for_the_first_content_as_far_as_content_goes() -> None:
    clock = HandClock()
    made, expired = deadlines(clock, first_event=10, content=25)
    made.waiting()
    for _ in range(4):
        clock.go(6)
        made.heard_at = clock.now
        assert expired == []
    clock.go(2)
    assert expired == ["content"]


def test_silence_before_the_first_content_is_first_event() -> None:
    clock = HandClock()
    made, expired = deadlines(clock, first_event=10, content=25)
    made.waiting()
    clock.go(6)
    made.heard_at = clock.now
    clock.go(9)
    assert expired == []
    clock.go(2)
    assert expired == ["first_event"]


@pytest.mark.parametrize("limit", ["idle", "total"])
def test_a_deadline_judges_what_came_before_it_and_waits_for_that_a_moment_only(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, left = HandClock(), 2
    monkeypatch.setattr("engine.transport.deadlines.monotonic", lambda: clock.now)

    def caught_up() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    made, expired = deadlines(clock, caught_up, **{limit: 10.0})
    made.flowing()
    clock.go(10.001)
    assert (expired, left) == ([], 1)
    clock.go(0.001)
    assert (expired, left) == ([], 0)
    clock.go(0.001)
    assert expired == [limit]
    never, expired = deadlines(clock, lambda: False, **{limit: 10.0})
    never.flowing()
    clock.go(10.001)
    assert expired == []
    clock.go(0.05)
    assert expired == [limit], "a peer that never stops does not outlive its deadline"


@each_case("limit", ["idle", "first_event", "content", "total"])
def test_what_ends_while_it_is_caught_up_with_does_not_expire(limit: str) -> None:
    clock = HandClock()

    def ends() -> bool:
        made.stop()
        return True

    made, expired = deadlines(clock, ends, **{limit: 10.0})
    made.waiting() if limit == "first_event" else made.flowing()
    made.heard_at = made.content_at = clock.now
    clock.go(11)
    clock.go(11)
    assert expired == []


def test_bytes_that_came_while_the_host_paused_count_before_the_deadline_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every limit is past, but the whole answer lies in the socket."""
    sent = threading.Event()

    def handle(peer: Peer) -> None:
        peer.stream(chat("all of it"))
        sent.set()

    limits = Timeouts(first_event=600, idle=600, content=600, total=700)
    with serve(handle) as server, engine.Multi(turn_seconds=0) as multi:
        client = engine.Client(multi, base_url=server.url, timeouts=limits, retry=ONCE)
        stream = client.stream("m", "x")
        while not server.requests:
            multi.poll(0.01)
        assert sent.wait(30) and select.select([multi], [], [], 30)[0]
        advance(monkeypatch, 800)  # the host does something else
        completion = stream.result()
    assert (completion.status, completion.text) == ("complete", "all of it")


@pytest.mark.parametrize("idle", [{"idle": 120}, {}, {"idle": 0.5}], ids=["long", "none", "short"])
def test_where_only_the_end_is_awaited_silence_is_short(
    idle: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HandClock()
    monkeypatch.setattr("engine.transport.deadlines.monotonic", lambda: clock.now)
    made, expired = deadlines(clock, **idle)
    made.flowing()
    clock.go(0.4)
    made.heard_at = clock.now
    made.hurry(1.0)
    clock.go(0.45)
    assert expired == []
    made.content_at = clock.now
    clock.go(0.4)
    assert expired == []
    clock.go(0.7)
    assert expired == ["idle"]


def test_the_next_attempt_has_the_patience_of_the_first() -> None:
    clock = HandClock()
    made, expired = deadlines(clock, connect=10, first_event=10)
    made.waiting()
    made.hurry(1.0)
    made.rest()
    made.connecting()
    made.waiting()
    clock.go(9)
    assert expired == []
