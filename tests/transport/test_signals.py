"""Signals while streams run: Ctrl-C, three hundred times a second, costs nobody a byte."""

from __future__ import annotations

import signal
import threading

import pytest

from engine.transport.signals import SignalsHeld
from tests.transport.paced import paced_server
from tests.transport.process import run_script

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "pthread_sigmask"), reason="this platform cannot hold signals off"
)


class Came(Exception):
    pass


@pytest.fixture
def raising_handler() -> object:
    def handler(*_: object) -> None:
        raise Came

    before = signal.signal(signal.SIGUSR1, handler)
    yield handler
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_waits_until_the_context_ends(raising_handler: object) -> None:
    inside = False
    with pytest.raises(Came), SignalsHeld():
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # this thread, no other
        [None for _ in range(100)]
        inside = True
    assert inside
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_contexts_nest_and_only_the_outermost_lets_go(raising_handler: object) -> None:
    steps = []
    with pytest.raises(Came), SignalsHeld():
        with SignalsHeld():
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # this thread, no other
        steps.append("still held")
    assert steps == ["still held"]


def test_what_the_program_had_blocked_stays_blocked() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        with SignalsHeld():
            pass
        assert signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_another_thread_keeps_its_mask() -> None:
    masks = []

    def look() -> None:
        with SignalsHeld():
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert signal.SIGINT not in masks[0]


_STORM = """
    import signal, sys, threading
    import engine
    from tests.transport.paced import text_of

    url, with_thread = sys.argv[1], sys.argv[2] == "thread"
    interrupts, armed = 0, False

    def interrupt(*_):
        global interrupts, armed
        if armed:  # else this script's own lines would be hit
            interrupts += 1
            armed = False
            raise KeyboardInterrupt

    multi = engine.Multi()
    streams = []
    # A signal the other thread takes may hit libcurl's own callbacks and lose a socket: then a
    # deadline must tell the truth.
    limits = engine.Timeouts(connect=1, first_event=1, idle=1)
    once = engine.Retry(max_attempts=1)
    for n in range(50):
        client = engine.Client(multi, base_url=f"{url}/{n}/100/8", timeouts=limits, retry=once)
        streams.append(client.stream("m", "hi"))
    if with_thread:
        # The kernel gives it the signals that the main thread holds off.
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    while any(s.completion is None for s in streams):
        try:
            armed = True
            multi.poll()
            armed = False
        except KeyboardInterrupt:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    for n, s in enumerate(streams):
        if with_thread and s.completion.status != "complete":
            # Hit, and said so: what it has is a beginning of the truth.
            assert text_of(n, 100).startswith(s.text), (n, s.completion)
            assert s.completion.error is not None
        else:
            assert s.completion.status == "complete", s.completion.error
            assert s.text == text_of(n, 100), (n, s.text)
    assert multi.statistics().done + multi.statistics().failed == 50
    assert interrupts > (0 if with_thread else 50), interrupts
    print("exact")
"""


@pytest.mark.parametrize("threads", ["alone", "thread"])
def test_a_storm_of_interrupts_loses_no_byte_of_fifty_streams(threads: str) -> None:
    with paced_server() as url:
        assert run_script(_STORM, url, threads, timeout=8) == "exact\n"
