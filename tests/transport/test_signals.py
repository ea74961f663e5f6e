"""Signals while streams run: Ctrl-C, three hundred times a second, costs nobody a byte."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from engine.transport import signals
from engine.transport.signals import SignalsHeld
from tests.cases import each_case
from tests.transport.paced import paced_server
from tests.transport.process import run_script

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="these signals are POSIX's")

ONE, TWO = signal.SIGUSR1, signal.SIGUSR2


class Came(Exception):
    pass


def raising(number: int, _: FrameType | None) -> None:
    raise Came(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = signal.signal(ONE, raising), signal.signal(TWO, raising)
    yield
    signal.signal(ONE, before[0])
    signal.signal(TWO, before[1])


def kill(number: int) -> None:
    """The signal, to this thread; it has arrived when this returns."""
    signal.pthread_kill(threading.get_ident(), number)
    [None for _ in range(100)]


def test_a_signal_waits_until_the_context_ends() -> None:
    inside = False
    with pytest.raises(Came), SignalsHeld():
        kill(ONE)
        inside = True
    assert inside
    assert signal.getsignal(ONE) is raising


def test_it_waits_too_where_another_thread_takes_it() -> None:
    halt = threading.Event()
    thread = threading.Thread(target=halt.wait)
    thread.start()
    inside = False
    try:
        with pytest.raises(Came), SignalsHeld():
            assert thread.ident is not None
            signal.pthread_kill(thread.ident, ONE)
            while not signals._noted:  # the kernel's business when that thread takes it
                # CPython 3.11 looks for what another thread has taken when it gets the GIL again
                # (bpo-40010), which a loop that never lets go of it does not.
                select.select([], [], [], 0)
            inside = True
    finally:
        halt.set()
        thread.join()
    assert inside


def test_contexts_nest_and_only_the_outermost_lets_go() -> None:
    steps = []
    with pytest.raises(Came), SignalsHeld():
        with SignalsHeld():
            kill(ONE)
        steps.append("still held")
    assert steps == ["still held"]


def test_each_signal_runs_once_in_the_order_they_came_and_with_its_frame() -> None:
    came: list[tuple[int, bool]] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append((number, isinstance(frame, FrameType)))

    signal.signal(ONE, note)
    signal.signal(TWO, note)
    with SignalsHeld():
        for number in (TWO, ONE, TWO):
            kill(number)
        assert came == []
    assert came == [(TWO, True), (ONE, True)]


def test_two_that_raise_are_both_run_and_the_first_is_told() -> None:
    came: list[int] = []

    def note_and_raise(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise Came(number)

    signal.signal(ONE, note_and_raise)
    signal.signal(TWO, note_and_raise)
    with pytest.raises(Came) as told, SignalsHeld():
        kill(TWO)
        kill(ONE)
    assert came == [TWO, ONE]
    assert told.value.args == (TWO,)
    assert (signal.getsignal(ONE), signal.getsignal(TWO)) == (note_and_raise, note_and_raise)


def test_a_handler_may_hold_signals_itself_and_set_another_handler() -> None:
    came: list[str] = []

    def once(number: int, _: FrameType | None) -> None:
        with SignalsHeld():
            came.append("first")
        signal.signal(ONE, lambda *_: came.append("second"))

    signal.signal(ONE, once)
    for _ in range(2):
        with SignalsHeld():
            kill(ONE)
    assert came == ["first", "second"]


def test_a_handler_that_was_set_in_the_context_stays() -> None:
    with SignalsHeld():
        signal.signal(ONE, print)
    assert signal.getsignal(ONE) is print


def test_what_a_signal_tears_on_the_way_out_is_healed_by_the_next_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals, "_let_go", lambda error: None)  # cut off before its first line
    with SignalsHeld():
        kill(ONE)
    monkeypatch.undo()
    assert signal.getsignal(ONE) is not raising
    with pytest.raises(Came), SignalsHeld():
        pass
    assert (signal.getsignal(ONE), signal.getsignal(TWO)) == (raising, raising)


def test_a_signal_on_the_way_in_raises_there_and_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchanged = signals._set_handler

    def exchange(number: int, handler: object) -> object:
        before = exchanged(number, handler)
        if handler is signals._note and number == ONE:
            kill(TWO)  # whose handler is still its own
        return before

    monkeypatch.setattr(signals, "_set_handler", exchange)
    entered = []
    with pytest.raises(Came), SignalsHeld():
        entered.append(True)
    monkeypatch.undo()
    assert entered == []
    assert (signal.getsignal(ONE), signal.getsignal(TWO)) == (raising, raising)
    with SignalsHeld():
        assert signal.getsignal(ONE) is not raising
    assert signal.getsignal(ONE) is raising


def test_a_signal_while_handlers_are_put_back_is_raised_after_all_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchanged = signals._set_handler

    def exchange(number: int, handler: object) -> object:
        before = exchanged(number, handler)
        if handler is raising and number == ONE:
            kill(ONE)
        return before

    monkeypatch.setattr(signals, "_set_handler", exchange)
    with pytest.raises(Came), SignalsHeld():
        pass
    assert (signal.getsignal(ONE), signal.getsignal(TWO)) == (raising, raising)


@pytest.mark.parametrize("meanwhile", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_python_does_not_handle_is_left_alone(meanwhile: signal.Handlers) -> None:
    signal.signal(TWO, meanwhile)
    with SignalsHeld():
        assert signal.getsignal(TWO) is meanwhile
        assert signal.getsignal(ONE) is not raising


def test_every_handler_of_python_waits_but_those_of_faults() -> None:
    def handler(*_: object) -> None:
        pass

    numbers = [n for n in signal.valid_signals() if n < 32 and n not in _NO_HANDLER]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        with SignalsHeld():
            left = {n for n in numbers if signal.getsignal(n) is handler}
        assert left == {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
        assert all(signal.getsignal(n) is handler for n in numbers)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


_NO_HANDLER = (signal.SIGKILL, signal.SIGSTOP)


def test_another_thread_changes_nothing() -> None:
    found = []

    def look() -> None:
        with SignalsHeld():
            found.append(signal.getsignal(ONE))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [raising]


def test_asyncio_hears_of_each_of_its_signals() -> None:
    async def main() -> int:
        loop, came = asyncio.get_running_loop(), 0

        def count() -> None:
            nonlocal came
            came += 1

        loop.add_signal_handler(ONE, count)
        for expected in range(1, 31):
            with SignalsHeld():
                os.kill(os.getpid(), ONE)
            while came < expected:
                await asyncio.sleep(0)
        loop.remove_signal_handler(ONE)
        return came

    assert asyncio.run(asyncio.wait_for(main(), 10)) == 30


def test_the_wakeup_descriptor_is_written_at_once() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        signal.signal(ONE, lambda *_: None)
        with SignalsHeld():
            kill(ONE)
            os.set_blocking(reader, False)
            assert os.read(reader, 10) == bytes([ONE])
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


_FAULTHANDLER = """
    import faulthandler, os, signal
    from engine.transport.signals import SignalsHeld

    with open(os.devnull, "w") as null:
        reader, writer = os.pipe()
        faulthandler.register(signal.SIGUSR2, file=writer)
        for _ in range(3):
            with SignalsHeld():
                os.kill(os.getpid(), signal.SIGUSR2)
                assert b"most recent call first" in os.read(reader, 65536)
    print("told each time")
"""


def test_faulthandler_is_undisturbed() -> None:
    assert run_script(_FAULTHANDLER) == "told each time\n"


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
    once = engine.Retry(max_attempts=1)
    for n in range(50):
        client = engine.Client(multi, base_url=f"{url}/{n}/100/8", retry=once)
        streams.append(client.stream("m", "hi"))
    if with_thread:
        # The kernel may give it any signal that comes; Python handles it on the main thread.
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
        assert s.completion.status == "complete", s.completion.error
        assert s.text == text_of(n, 100), (n, s.text)
    assert multi.statistics().done == 50
    assert interrupts > 50, interrupts
    print("exact")
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["alone", "thread"])
def test_a_storm_of_interrupts_loses_no_byte_of_fifty_streams(threads: str) -> None:
    with paced_server() as url:
        assert run_script(_STORM, url, threads, timeout=150) == "exact\n"


class _Handler:
    def __call__(self, number: int, frame: FrameType | None) -> None: ...

    def method(self, number: int, frame: FrameType | None) -> None: ...


def _handler(kind: str) -> tuple[Any, weakref.ref[_Handler]]:
    held = _Handler()
    handlers: dict[str, Any] = {
        "object": held,
        "method": held.method,
        "partial": partial(lambda held, number, frame: None, held),
        "closure": lambda number, frame: held.method(number, frame),
    }
    return handlers[kind], weakref.ref(held)


@each_case("kind", ["object", "method", "partial", "closure"])
def test_a_handler_that_is_set_no_more_is_not_kept(kind: str) -> None:
    handler, held = _handler(kind)
    signal.signal(ONE, handler)
    for _ in range(2):  # the second look finds what the first did
        with SignalsHeld():
            assert signal.getsignal(ONE) is not handler
        assert signal.getsignal(ONE) is handler
    signal.signal(ONE, raising)
    del handler
    gc.collect()
    assert held() is None


def test_one_that_takes_no_weak_reference_is_held_too() -> None:
    class Slotted:
        __slots__ = ()

        def __call__(self, number: int, frame: FrameType | None) -> None: ...

    handler = Slotted()
    signal.signal(ONE, handler)
    for _ in range(2):
        with SignalsHeld():
            assert signal.getsignal(ONE) is not handler
        assert signal.getsignal(ONE) is handler
