"""C7: what the program around the engine does wrong. Each beside streams that must stay exact."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine.errors import CallbackError, Category, MisuseError
from tests.faults.case import GOOD, OK_SSE, TEXT, WORDS, chunk, chunked, steps
from tests.faults.server import KEEP, STALL, play
from tests.faults.siblings import beside, siblings
from tests.transport.process import run_script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WELL = steps(chunked(GOOD), KEEP)
SLOW = steps(OK_SSE, *[part for piece in GOOD for part in (chunk(piece), 0.01)], b"0\r\n\r\n", KEEP)
ENDLESS = steps(OK_SSE + chunk(GOOD[0]), STALL)


def client_of(multi: engine.Multi, url: str) -> engine.Client:
    return engine.Client(multi, dialect="chat", base_url=url, api_key="key")


def end(multi: engine.Multi, *streams: engine.Stream) -> None:
    while any(stream.completion is None for stream in streams):
        multi.poll()


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("error", [ValueError("oops"), Unprintable()], ids=["plain", "unprintable"])
@pytest.mark.parametrize("where", ["on_event", "on_text", "event", "text"])
def test_k01_a_callback_that_raises_ends_its_stream_alone(where: str, error: Exception) -> None:
    """K01."""

    def fail(*_: object) -> None:
        raise error

    with engine.Multi() as multi, play(beside(WELL)) as server, siblings(multi, server.url):
        client = client_of(multi, server.url)
        if where.startswith("on_"):
            stream = client.stream("m", "hi", **{where: fail})
        else:
            stream = client.stream("m", "hi").on(where, fail)  # type: ignore[arg-type]
        end(multi, stream)
        completion = stream.completion
        assert completion is not None
        assert completion.status == "error"
        assert isinstance(completion.error, CallbackError)
        assert completion.error.category is Category.CALLBACK
        assert completion.error.__cause__ is error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_k02_what_is_no_exception_leaves_and_nobody_is_hurt(kind: type[BaseException]) -> None:
    """K02."""
    raised: list[str] = []

    def leave(delta: str) -> None:
        if delta == WORDS[1] and not raised:
            raised.append(delta)
            raise kind

    with engine.Multi() as multi, play(beside(SLOW)) as server, siblings(multi, server.url):
        stream = client_of(multi, server.url).stream("m", "hi", on_text=leave)
        caught = 0
        while stream.completion is None:
            try:
                multi.poll()
            except kind:
                caught += 1
        assert caught == 1
        assert (stream.completion.status, stream.completion.text) == ("complete", TEXT)


@pytest.mark.parametrize("thread", [False, True], ids=["alone", "beside a thread"])
def test_k03_a_storm_of_interrupts_loses_no_byte(thread: bool) -> None:
    """K03."""
    out = run_script(
        """
        import signal, sys, threading
        import engine
        from tests.faults.case import GOOD, TEXT, OK_SSE, chunk, steps
        from tests.faults.server import KEEP, play
        pieces = [part for piece in GOOD * 1 for part in (chunk(piece), 0.02)]
        slow = steps(OK_SSE, *pieces, b"0\\r\\n\\r\\n", KEEP)
        armed, hits = False, 0
        def interrupt(*_):
            global armed, hits
            if armed:
                armed, hits = False, hits + 1
                raise KeyboardInterrupt
        with play(slow) as server, engine.Multi() as multi:
            client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="k",
                                   retry=engine.Retry(max_attempts=1))
            streams = [client.stream("m", "hi") for _ in range(50)]
            if sys.argv[1] == "True":
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
            assert {(s.completion.status, s.text) for s in streams} == {("complete", TEXT)}
        print(hits > 5)
        """,
        str(thread),
    )
    assert out.split() == ["True"]


@pytest.mark.parametrize("whom", ["self", "other", "all"])
def test_k04_a_cancel_in_a_callback(whom: str) -> None:
    """K04."""
    told: dict[str, list[str]] = {"a": [], "b": []}

    def tell(completion: engine.Completion, stream: engine.Stream) -> None:
        told[stream.user_data].append(completion.status)

    with engine.Multi() as multi, play(beside(ENDLESS)) as server:

        def cancel(_: str, stream: engine.Stream) -> None:
            if not (a.text and b.text):
                return
            if whom == "self":
                stream.cancel()
            elif whom == "other":
                (b if stream is a else a).cancel()
            else:
                multi.cancel_all()

        client = client_of(multi, server.url)
        a, b = (client.stream("m", "hi", on_text=cancel, on_done=tell, user_data=n) for n in "ab")
        while not (told["a"] or told["b"]):
            multi.poll()
        multi.cancel_all()
        end(multi, a, b)
    assert told == {"a": ["cancelled"], "b": ["cancelled"]}


def test_k05_a_thousand_streams_begun_in_a_callback() -> None:
    """K05."""
    begun: list[engine.Stream] = []
    with engine.Multi() as multi, play(beside(WELL)) as server, siblings(multi, server.url):
        client = client_of(multi, server.url)
        first = client.stream(
            "m",
            "hi",
            on_text=lambda delta: begun.extend(
                client.stream("m", "hi") for _ in range(1000 if delta == WORDS[1] else 0)
            ),
        )
        end(multi, first)
        end(multi, *begun)
    assert len(begun) == 1000
    assert {(s.result().status, s.text) for s in begun} == {("complete", TEXT)}


def test_k06_closed_in_a_callback_and_twice() -> None:
    """K06."""
    told: list[str] = []
    with play(beside(ENDLESS)) as server:
        multi = engine.Multi()
        client = client_of(multi, server.url)
        for _ in range(20):
            client.stream(
                "m", "hi", on_text=lambda _: multi.close(), on_done=lambda c: told.append(c.status)
            )
        multi.run()
        multi.close()
        multi.close()
    assert told == ["cancelled"] * 20


@pytest.mark.parametrize("call", ["perform", "info_read", "poll", "run"])
def test_k07_a_turn_in_a_turn_is_refused(call: str) -> None:
    """K07."""
    refused: list[MisuseError] = []
    with engine.Multi() as multi, play(beside(WELL)) as server, siblings(multi, server.url):

        def again(_: str) -> None:
            with pytest.raises(MisuseError) as caught:
                getattr(multi, call)()
            refused.append(caught.value)

        stream = client_of(multi, server.url).stream("m", "hi", on_text=again)
        end(multi, stream)
        assert stream.text == TEXT
    assert len(refused) == len(WORDS)


def test_k08_another_thread_is_refused_and_may_wake_and_call_soon() -> None:
    """K08."""
    seen: list[object] = []
    with engine.Multi() as multi, play(beside(SLOW)) as server, siblings(multi, server.url):
        client = client_of(multi, server.url)
        stream = client.stream("m", "hi")
        multi.perform()

        def elsewhere() -> None:
            calls: tuple[Callable[[], object], ...] = (
                multi.perform,
                multi.info_read,
                multi.fdset,
                stream.cancel,
                lambda: client.stream("m", "hi"),
                multi.cancel_all,
                multi.close,
            )
            for call in calls:
                try:
                    call()
                except MisuseError:
                    seen.append("refused")
            client.call_soon(lambda: seen.append(threading.current_thread()))
            multi.wakeup()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        end(multi, stream)
        thread.join()
        multi.poll(0)
        assert stream.text == TEXT
    assert seen == ["refused"] * 7 + [threading.main_thread()]


def test_k09_a_forked_child_is_refused_and_the_parent_exact() -> None:
    """K09."""
    with engine.Multi() as multi, play(beside(SLOW)) as server, siblings(multi, server.url):
        pids: list[int] = []

        def fork(_: str) -> None:
            if pids:
                return
            pid = os.fork()
            if not pid:
                try:
                    multi.perform()
                except MisuseError:
                    multi.close()
                    os._exit(7)
                os._exit(1)
            pids.append(pid)

        stream = client_of(multi, server.url).stream("m", "hi", on_text=fork)
        end(multi, stream)
        assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 7
        assert stream.text == TEXT


def test_k10_a_dropped_stream_goes_on_and_a_dropped_reader_ends_it() -> None:
    """K10."""
    told: list[str] = []
    with engine.Multi() as multi, play(beside(SLOW)) as server, siblings(multi, server.url):
        client = client_of(multi, server.url)
        client.stream(
            "m", "hi", on_text=lambda _: gc.collect(), on_done=lambda c: told.append(c.status)
        )
        while not told:
            multi.poll()
        stream = client.stream("m", "hi", on_done=lambda c: told.append(c.status))
        for _ in stream:
            break
        gone = weakref.ref(stream)
        del stream
        gc.collect()
        while len(told) < 2:
            multi.poll()
        gc.collect()
        assert gone() is None
    assert told == ["complete", "cancelled"]


def test_k11_stale_descriptors_and_turns_for_nothing() -> None:
    """K11."""
    with engine.Multi() as multi, play(beside(SLOW)) as server, siblings(multi, server.url):
        stale = multi.fdset()
        stream = client_of(multi, server.url).stream("m", "hi")
        for _ in range(200):
            multi.perform()
            multi.info_read()
        while stream.completion is None:
            select.select(*stale, multi.timeout())
            multi.perform()
            multi.perform()
            multi.info_read()
        assert stream.text == TEXT


def test_k12_standard_error_that_is_closed() -> None:
    """K12."""
    out = run_script(
        """
        import os, sys
        import engine
        from tests.faults.case import GOOD, chunked, steps
        from tests.faults.server import KEEP, play
        def fail(_):
            raise ValueError("oops")
        with play(steps(chunked(GOOD), KEEP)) as server, engine.Multi() as multi:
            os.close(2)
            sys.stderr = None
            sys.excepthook = None
            client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="k")
            bad, good = client.stream("m", "hi", on_text=fail), client.stream("m", "hi")
            multi.run()
            print(bad.completion.status, good.completion.status)
        """
    )
    assert out.split() == ["error", "complete"]


@pytest.mark.parametrize("command", ["providers", "--help"])
def test_k13_a_reader_that_leaves_the_pipe(command: str) -> None:
    """K13."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) in (0, 1, 141, -signal.SIGPIPE)
