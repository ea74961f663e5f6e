"""Ctrl-C at any moment: no stream is lost, no `Multi` is left half, callbacks are called once."""

from __future__ import annotations

import pytest

from tests.transport.paced import paced_server
from tests.transport.process import run_script

_MANY = """
    import os, random, signal, sys, threading, time
    import engine
    from tests.transport.paced import raise_file_limit, text_of

    url, count, presses = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    raise_file_limit(2 * count + 200)
    multi = engine.Multi()
    limits = engine.Timeouts(connect=None, first_event=None, idle=None, content=None)
    # One idle thread is enough for the kernel to have a choice whom to give a signal.
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    left, armed, came = 0, False, 0

    def press(*_):
        global armed, came
        if armed:
            came += 1
            armed = False
            raise KeyboardInterrupt

    def finger():
        global left
        while left and len(multi):
            time.sleep(random.uniform(0.005, 0.03))
            os.kill(os.getpid(), signal.SIGINT)
            left -= 1

    def ask_and_press():
        global left, armed
        heard, done, streams = [[] for _ in range(count)], [[] for _ in range(count)], []
        for n in range(count):
            client = engine.Client(multi, base_url=f"{url}/{n}/5/100", timeouts=limits,
                                   retry=engine.Retry(max_attempts=1))
            asked = client.stream("m", "hi", on_text=heard[n].append, on_done=done[n].append)
            streams.append(asked)
        before, left = came, presses
        signal.signal(signal.SIGINT, press)
        hand = threading.Thread(target=finger, daemon=True)
        hand.start()
        while len(multi):
            try:
                armed = True
                multi.poll()
                armed = False
            except KeyboardInterrupt:
                pass
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        hand.join()
        lost = [n for n, s in enumerate(streams) if s.completion is None or s.text != text_of(n, 5)]
        assert not lost, (len(lost), streams[lost[0]].completion)
        assert {s.completion.status for s in streams} == {"complete"}
        assert all(len(d) <= 1 for d in done)
        for n, pieces in enumerate(heard):
            assert len(pieces) == len(set(pieces)), (n, pieces)
        missing = sum(not d for d in done)
        assert missing <= came - before, "an interrupt costs the callback it strikes, and no other"

    for _ in range(5):  # a machine that stands still meanwhile has them all at once
        ask_and_press()
        if came > presses / 4:
            break
    assert came > presses / 4, came
    print("complete")
"""


@pytest.mark.parametrize(
    ("count", "presses"),
    [
        (150, 15),
        *(
            pytest.param(
                4000, 40, marks=pytest.mark.slow if n == 0 else pytest.mark.nightly, id=f"{n}"
            )
            for n in range(20)
        ),
    ],
)
def test_no_stream_of_many_is_lost_to_ctrl_c_beside_another_thread(
    count: int, presses: int
) -> None:
    with paced_server() as url:
        assert run_script(_MANY, url, str(count), str(presses), timeout=200) == "complete\n"


_MOMENTS = """
    import gc, os, random, signal, sys, threading, time
    import engine
    from engine import HttpRequest
    from tests.transport.paced import text_of

    url, rounds, with_thread = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "thread"
    if with_thread:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    client = engine.Client(base_url=f"{url}/1/1/1")  # the first stream imports for a while
    assert client.stream("m", "hi").result().status == "complete"
    client.multi.close()
    random.seed(rounds)
    armed = False

    def alarm(*_):
        global armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, alarm)
    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    struck = 0

    def within(seconds, call):
        '''Whether `call` ended before an interrupt so many seconds after its begin.'''
        global armed, struck
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, seconds)
            call()
            armed = False
            return True
        except KeyboardInterrupt:
            struck += 1
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            armed = False

    for turn in range(rounds):
        multi = engine.Multi()
        client = engine.Client(multi, base_url=f"{url}/7/3/1")
        done, streams = [], []

        def begin():
            for _ in range(6):
                streams.append(client.stream("m", "hi", on_done=done.append))
                multi.add(HttpRequest("POST", f"{url}/7/3/1"), on_done=lambda r, x: done.append(r))

        within(random.uniform(1e-6, 1e-3), begin)
        if turn % 2:
            within(random.uniform(1e-5, 2e-3), multi.poll)
        kind = turn % 3
        if kind == 0 and streams:
            within(random.uniform(1e-6, 3e-4), lambda: [s.cancel() for s in streams])
        elif kind == 1:
            within(random.uniform(1e-6, 1e-4), multi.cancel_all)
        for _ in range(500):
            if not multi.poll(0.02):
                break
        held = len(multi)
        assert not held, (turn, kind, multi)
        if kind == 2:
            begin_again = [client.stream("m", "hi") for _ in range(5)]
            within(random.uniform(1e-6, 3e-3), multi.close)
        multi.close()
        assert repr(multi) == "<Multi closed>", multi
        assert len(done) == len(set(map(id, done)))
        for stream in streams:
            if stream.completion is not None:
                text = stream.completion.text
                assert text_of(7, 3).startswith(text), text
                assert stream.completion.status in ("complete", "cancelled"), stream.completion
    gc.collect()
    # libcurl's handle is freed by a thread of its own, which may still be at it.
    until = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) > files and time.monotonic() < until:
        pass
    assert len(os.listdir("/proc/self/fd")) <= files, "a descriptor is left"
    assert struck > rounds / 4, struck
    print("whole")
"""


@pytest.mark.parametrize("threads", [pytest.param("alone", marks=pytest.mark.slow), "thread"])
@pytest.mark.parametrize(
    "rounds",
    [40, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(400)])],
)
def test_an_interrupt_in_stream_cancel_and_close_leaves_every_multi_whole(
    threads: str, rounds: int
) -> None:
    with paced_server() as url:
        assert run_script(_MOMENTS, url, str(rounds), threads, timeout=380) == "whole\n"
