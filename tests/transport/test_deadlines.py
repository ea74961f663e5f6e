"""Every wait has a limit, each phase its own, and none passes while bytes lie ready."""

from __future__ import annotations

import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

import engine
from engine import Timeouts
from engine.errors import Category, ConfigError, DeadlineError
from tests.server import HEALTHY, OK_SSE, Peer, chat, serve

ONCE = engine.Retry(max_attempts=1)
NONE = Timeouts(connect=None, first_event=None, idle=None)


def only(**limits: float) -> Timeouts:
    """Those limits and no other."""
    return Timeouts(**{"connect": None, "first_event": None, "idle": None, **limits})


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
        peer.send(OK_SSE)
        peer.chunk(chat("so far")[0])
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


def test_pings_count_for_idle_and_not_for_content(multi: engine.Multi) -> None:
    stop = threading.Event()
    with serve(pinging(stop)) as server:
        start = monotonic()
        failed_in(run(multi, server.url, only(idle=0.2, content=0.6)), "content")
        assert monotonic() - start > 0.3, "idle did not pass"
        stop.set()


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


def test_after_a_deadline_the_next_attempt_comes_at_once(multi: engine.Multi) -> None:
    def second_time_lucky(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.wait_closed()
        else:
            peer.stream(chat(*HEALTHY))

    with serve(second_time_lucky) as server:
        client = engine.Client(
            multi,
            base_url=server.url,
            timeouts=only(first_event=0.1),
            retry=engine.Retry(base_delay=600, max_delay=600),
        )
        completion = client.stream("m", "x").result()
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
        _advance(monkeypatch, 3600)
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
        _advance(monkeypatch, 3600)
        assert multi.timeout() == 0
        failed_in(stream.result(), "idle")


def _advance(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the engine's clock jump."""
    for module in [*sys.modules.values()]:
        if module.__name__.startswith("engine.") and hasattr(module, "monotonic"):
            monkeypatch.setattr(module, "monotonic", lambda: monotonic() + seconds)


def test_no_limit_at_all_is_allowed(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        assert run(multi, server.url, NONE).status == "complete"


@pytest.mark.parametrize("name", ["connect", "first_event", "idle", "content", "total"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Timeouts(**{name: value})
