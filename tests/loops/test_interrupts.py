"""Ctrl-C in asyncio and trio: theirs is the handling, and it finds every stream whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.transport.paced import paced_server
from tests.transport.process import run_script

_FINGER = """
    import faulthandler, os, random, signal, sys, threading, time
    import asyncio, trio
    import engine
    from engine.loops import asyncio as in_asyncio, trio as in_trio
    from tests.transport.paced import raise_file_limit, text_of

    url, kind, count, presses = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    faulthandler.dump_traceback_later(150, exit=True)  # where it hangs, before it is killed
    raise_file_limit(2 * count + 300)
    # One idle thread is enough for the kernel to have a choice whom to give a signal.
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    adapter = in_asyncio if kind == "asyncio" else in_trio
    limits = engine.Timeouts(connect=None, first_event=None, idle=None, content=None)
    once = engine.Retry(max_attempts=1)
    at_first = signal.getsignal(signal.SIGINT)

    def clients(multi, pace):
        return [
            adapter.AsyncClient(multi, base_url=f"{url}/{n}/5/{pace}", timeouts=limits, retry=once)
            for n in range(count)
        ]
"""

_HANDLED = (
    _FINGER
    + """
    came = [0]

    def press(finished):
        for _ in range(presses):
            if finished.wait(random.uniform(0.005, 0.03)):
                return
            os.kill(os.getpid(), signal.SIGINT)

    def over():
        finished.set()
        finger.join()  # who hears of its last one is still there

    def begin():
        multi = engine.Multi()
        streams = [
            client.stream("m", "hi", on_text=heard[n].append, on_done=done[n].append)
            for n, client in enumerate(clients(multi, 100))
        ]
        finger.start()
        return streams

    def pressed():
        came[0] += 1

    async def of_asyncio():
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, pressed)
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        completions = await asyncio.gather(*begin())
        over()
        assert signal.set_wakeup_fd(wakeup) == wakeup, "the loop's way to hear of signals is gone"
        return completions

    async def of_trio():
        with trio.open_signal_receiver(signal.SIGINT) as signals:

            async def hear():
                async for _ in signals:
                    pressed()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(hear)
                completions = [await stream for stream in begin()]
                over()
                nursery.cancel_scope.cancel()
        return completions

    for _ in range(5):  # a machine that stands still meanwhile has them all at once, or none
        heard, done = [[] for _ in range(count)], [[] for _ in range(count)]
        finished = threading.Event()
        finger = threading.Thread(target=press, args=(finished,), daemon=True)
        completions = asyncio.run(of_asyncio()) if kind == "asyncio" else trio.run(of_trio)
        assert [c.status for c in completions] == ["complete"] * count
        assert [c.text for c in completions] == [text_of(n, 5) for n in range(count)]
        assert ["".join(pieces) for pieces in heard] == [c.text for c in completions]
        assert [len(each) for each in done] == [1] * count
        if came[0] >= presses / 4:
            break
    assert came[0] >= presses / 4, came
    assert signal.getsignal(signal.SIGINT) is at_first
    print("complete")
"""
)


@pytest.mark.parametrize(
    ("kind", "count", "presses"),
    [
        ("asyncio", 100, 5),
        pytest.param("trio", 100, 5, marks=pytest.mark.slow),
        pytest.param("asyncio", 1000, 40, marks=pytest.mark.slow),
        pytest.param("trio", 1000, 40, marks=pytest.mark.slow),
    ],
)
def test_where_the_program_handles_ctrl_c_each_is_told_and_no_stream_notices(
    kind: str, count: int, presses: int
) -> None:
    with paced_server() as url:
        assert run_script(_HANDLED, url, kind, str(count), str(presses)) == "complete\n"


_UNHANDLED = (
    _FINGER
    + """
    import warnings

    # An interrupt between the call of a coroutine and its await is nobody's fault, and one while
    # asyncio closes its loop leaves that, and the pair of sockets it wakes itself by.
    for left in ("coroutine .* was never awaited", "unclosed event loop", "unclosed <socket"):
        warnings.filterwarnings("ignore", message=left)

    # Nor is a loop that it closed half, and that closes its sockets once more when it is freed.
    def unraisable(told, show=sys.unraisablehook):
        if told.object is not asyncio.BaseEventLoop.__del__:
            show(told)

    sys.unraisablehook = unraisable
    struck = 0

    def press(begun, enough):
        begun.wait()
        if not enough.wait(random.uniform(0.005, 0.03)):
            os.kill(os.getpid(), signal.SIGINT)

    for round in range(5 * presses + 1):
        if round > presses and struck > presses / 4:
            break
        multi = engine.Multi()
        done, streams, cancelled = [[] for _ in range(count)], [], []

        def begin():
            begun.set()
            for n, client in enumerate(clients(multi, 3)):
                streams.append(client.stream("m", "hi", on_done=done[n].append))

        async def of_asyncio():
            begin()
            try:
                await asyncio.gather(*streams)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def of_trio():
            begin()
            async with trio.open_nursery() as nursery:
                start(nursery)

        # An interrupt in `start_soon` loses the task for good (trio 0.35), whatever it does.
        @trio.lowlevel.enable_ki_protection
        def start(nursery):
            for stream in streams:
                nursery.start_soon(waited, stream)

        async def waited(stream):
            await stream

        # The first round imports what is imported late, and is left alone.
        begun, pressed = threading.Event(), threading.Event()
        finger = threading.Thread(target=press, args=(begun, pressed), daemon=True)
        if round:
            finger.start()
        try:
            asyncio.run(of_asyncio()) if kind == "asyncio" else trio.run(of_trio)
            pressed.set()
            if round:
                finger.join()  # one that comes late is caught here
            time.sleep(0)
        except KeyboardInterrupt:
            struck += 1
        except BaseExceptionGroup as group:
            assert group.split(KeyboardInterrupt)[1] is None, group
            struck += 1
        assert signal.getsignal(signal.SIGINT) is at_first
        # What asyncio or trio left of it goes on, or was cancelled with its task.
        multi.run()
        assert len(multi) == 0
        for n, stream in enumerate(streams):
            ended = stream.completion
            assert ended.status in ("complete", "cancelled"), ended
            assert text_of(n, 5).startswith(ended.text), ended.text
            assert len(done[n]) == 1, (n, done[n])
        multi.close()
    assert struck > presses / 4, struck
    print("whole")
"""
)


@pytest.mark.parametrize(
    ("kind", "presses"),
    [
        pytest.param("asyncio", 4, marks=pytest.mark.slow),
        ("trio", 4),
        pytest.param("asyncio", 40, marks=pytest.mark.slow),
        pytest.param("trio", 40, marks=pytest.mark.slow),
    ],
)
def test_where_it_does_not_its_task_is_cancelled_and_the_multi_is_whole(
    kind: str, presses: int
) -> None:
    with paced_server() as url:
        assert run_script(_UNHANDLED, url, kind, "30", str(presses)) == "whole\n"


_AT_A_LINE = """
    import gc, signal, sys, warnings
    import trio
    import engine
    from engine.loops import trio as in_trio
    from tests.transport.paced import text_of

    url, ways, step = sys.argv[1], sys.argv[2].split(), int(sys.argv[3])
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    once = engine.Retry(max_attempts=1)

    class Finger:
        # Presses Ctrl-C at that moment, in the engine or in trio, of what its task runs.
        def __init__(self, count):
            self.left, self.task, self.pressed = count, None, False

        def begin(self, task=None):
            self.task = task
            sys._getframe(1).f_trace = self.trace
            sys.settrace(self.trace)

        def mine(self):
            try:
                return self.task is None or trio.lowlevel.current_task() is self.task
            except RuntimeError:  # between two tasks
                return False

        def trace(self, frame, event, _):
            # Python runs handlers where a function is entered, where a loop goes on, and after some
            # calls of C: between two lines of a turn, which are traced too, it does not.
            moment = "call" if way == "select" else "line"
            if event == moment and not self.pressed and self.mine():
                self.left -= 1
                if self.left <= 0 and not in_finalizer(frame):
                    self.pressed = True
                    signal.raise_signal(signal.SIGINT)
            return self.trace

    def in_finalizer(frame):
        # Python prints what is raised there, and drops it.
        while frame is not None and frame.f_code.co_name != "__del__":
            frame = frame.f_back
        return frame is not None

    def in_select(multi, finger, done):
        client = engine.Client(multi, base_url=f"{url}/7/3/2", retry=once)
        stream = client.stream("m", "hi", on_done=done.append)
        streams.append(stream)
        try:
            finger.begin()
            for _ in stream:
                pass
        finally:
            sys.settrace(None)

    async def in_task(multi, finger, done):
        client = in_trio.AsyncClient(multi, base_url=f"{url}/7/3/2", retry=once)
        stream = client.stream("m", "hi", on_done=done.append)
        streams.append(stream)

        async def read():
            if way == "late":
                await trio.sleep(0.01)
            try:
                finger.begin(trio.lowlevel.current_task())
                if way == "result":
                    await stream
                elif way == "merged":
                    async for _ in engine.merged(stream):
                        pass
                elif way == "texts":
                    async for _ in stream.text_deltas():
                        pass
                else:
                    async for _ in stream:
                        pass
            finally:
                sys.settrace(None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)

    def run(count):
        multi, finger, done = engine.Multi(), Finger(count), []
        interrupted = False
        try:
            if way == "select":
                in_select(multi, finger, done)
            else:
                trio.run(in_task, multi, finger, done)
        except KeyboardInterrupt:
            interrupted = True
        except BaseExceptionGroup as group:
            interrupted = group.split(KeyboardInterrupt)[1] is None
        assert interrupted == finger.pressed, count
        finger.task = None  # it leads to all that its run left
        gc.collect()
        multi.run()  # nobody holds a reader by now
        stream = streams.pop()
        assert stream.completion.status in ("complete", "cancelled"), (count, stream)
        assert text_of(7, 3).startswith(stream.completion.text), count
        # Where a loop of one's own runs it, Ctrl-C may come on the way into the callback: it is
        # called once, which has happened then.
        assert len(done) == 1 or (way == "select" and not done), (count, done)
        assert len(multi) == 0
        multi.close()
        return interrupted

    streams = []
    for way in ways:
        run(10**9)  # imports what is imported late
        gc.freeze()  # else each run looks through all modules again
        count = 1
        while run(count):
            count += step
        print(f"{way}: moments enough" if count > 100 else f"{way}: {count}")
"""
_READERS = ("select", "result", "for", "late", "texts", "merged")


@pytest.mark.parametrize(
    ("ways", "step"),
    [
        pytest.param(_READERS, 29, id="all"),  # of a process for each most would be its start
        *(pytest.param([way], 1, id=way, marks=pytest.mark.slow) for way in _READERS),
    ],
)
def test_at_whatever_moment_of_a_reader_it_comes_nothing_waits_for_it(
    ways: Sequence[str], step: int
) -> None:
    with paced_server() as url:
        told = run_script(_AT_A_LINE, url, " ".join(ways), str(step))
    assert told.splitlines() == [f"{way}: moments enough" for way in ways]
