"""`Multi` as a host loop sees it: descriptors, timeouts, turns, threads, processes."""

from __future__ import annotations

import gc
import os
import select
import socket
import stat
import threading
import weakref

import pytest

import engine
from engine import HttpRequest, Multi
from engine.errors import Category, MisuseError
from tests.cases import each_case
from tests.server import HEALTHY, OK_SSE, Peer, chat, serve
from tests.steady import advance
from tests.transport.paced import paced_server
from tests.transport.process import run_script


def get(url: str) -> HttpRequest:
    return HttpRequest("GET", url)


def hello(peer: Peer) -> None:
    peer.json(b"hello")


# -- what a user sees ----------------------------------------------------------------------------

INTERNAL = {
    "conclude", "deliver", "began", "connected", "received", "attempt_ended", "announce", "open",
    "hold", "enqueue", "release", "finished", "call_later",
}  # fmt: skip


@each_case(
    "face", [engine.Multi, engine.Stream, engine.transport.Exchange], ids=lambda f: f.__name__
)
def test_a_face_shows_what_a_user_may_call_and_nothing_else(face: type) -> None:
    multi = Multi()
    shown: object = multi
    if face is engine.Stream:
        shown = engine.Client(multi, base_url="http://127.0.0.1:9").stream("m", "hi")
    elif face is not engine.Multi:
        shown = multi.add(get("http://127.0.0.1:9"))
    names = {name for name in dir(shown) if not name.startswith("_")}
    assert len(names) <= 24 and not names & INTERNAL
    for name in names:
        told = getattr(face, name, None)
        text = told.__doc__ if callable(told) or isinstance(told, property) else face.__doc__
        assert text and (callable(told) or isinstance(told, property) or f"{name}:" in text), name
    multi.close()


# -- descriptors and time ------------------------------------------------------------------------


def test_a_new_multi_has_one_descriptor_and_no_deadline(multi: Multi) -> None:
    assert multi.fdset() == ([multi.fileno()], [], [])
    assert multi.timeout() is None
    assert len(multi) == 0
    assert multi.perform() == 0
    assert multi.info_read() == []
    assert multi.poll() == 0
    multi.run()


def test_an_idle_multi_is_true(multi: Multi) -> None:
    assert multi  # "multi or Multi()" must not replace one that has nothing to do


def test_a_plain_select_loop_drives_it(multi: Multi) -> None:
    with serve(hello) as server:
        responses = []
        for _ in range(5):
            multi.add(get(server.url))
        while len(multi):
            select.select(*multi.fdset(), multi.timeout())
            multi.perform()
            responses += multi.info_read()
    assert [r.body for r in responses] == [b"hello"] * 5


def test_it_can_be_given_to_select_itself(multi: Multi) -> None:
    multi.wakeup()
    assert select.select([multi], [], [], 10)[0] == [multi]


def test_the_descriptor_stays_the_same(multi: Multi) -> None:
    number = multi.fileno()
    with serve(hello) as server:
        for _ in range(3):
            multi.add(get(server.url))
            multi.run()
            assert multi.fileno() == number


def test_timeout_is_zero_while_work_waits_and_none_when_all_is_done(multi: Multi) -> None:
    with serve(hello) as server:
        multi.add(get(server.url))
        assert multi.timeout() == 0
        while multi.perform() and not multi.statistics().pending:
            select.select(*multi.fdset(), multi.timeout())
        assert multi.timeout() == 0, "a completion waits for info_read"
        assert len(multi.info_read()) == 1
        assert multi.timeout() is None


def test_timeout_is_the_next_deadline(multi: Multi, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def stall(peer: Peer) -> None:
        gate.wait(10)

    with serve(stall) as server:
        limits = engine.Timeouts(connect=None, first_event=None, idle=None, total=100)
        exchange = multi.add(get(server.url), timeouts=limits)
        while not server.requests:
            multi.poll(0.01)
        left = multi.timeout()
        assert left is not None and 0 < left <= 100
        advance(monkeypatch, 100)
        multi.run()
        gate.set()
    assert exchange.response is not None and exchange.response.error is not None
    assert exchange.response.error.phase == "total"


def test_a_change_from_outside_a_turn_wakes_a_loop_that_waits(multi: Multi) -> None:
    with serve(hello) as server:
        assert select.select(*multi.fdset(), 0)[0] == []
        multi.add(get(server.url))
        assert select.select(*multi.fdset(), 0)[0] == [multi.fileno()]
        multi.run()


def test_poll_returns_after_its_timeout(multi: Multi) -> None:
    gate = threading.Event()
    with serve(lambda peer: gate.wait(10)) as server:
        multi.add(get(server.url))
        for _ in range(20):
            assert multi.poll(0) == 1
        assert multi.poll(0.01) == 1
        gate.set()
        multi.run()


def test_perform_with_nothing_ready_looks_at_no_stream(
    multi: Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Counted, not timed: calls of Python functions in one perform(), at 5 and at 50 open streams.
    def calls() -> int:
        count = 0

        def profile(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        import sys

        sys.setprofile(profile)
        try:
            multi.perform()
        finally:
            sys.setprofile(None)
        return count

    with serve(lambda peer: (peer.send(OK_SSE), peer.wait_closed())) as server:
        for many in (5, 50):
            while len(multi) < many:
                multi.add(get(server.url))
            while multi.statistics().streaming < many:
                multi.poll(0.01)
            while select.select(*multi.fdset(), 0.02)[0]:
                multi.poll(0)
            if many == 5:
                few = min(calls() for _ in range(3))
        assert min(calls() for _ in range(3)) == few < 60
        multi.cancel_all()


def test_spurious_readiness_and_stale_descriptors_do_no_harm(multi: Multi) -> None:
    with serve(hello) as server:
        stale = multi.fdset()
        exchanges = [multi.add(get(server.url)) for _ in range(5)]
        while len(multi):
            for _ in range(3):
                multi.perform()  # as a loop does that was told of a descriptor long ago
            select.select(*stale, 0.01)
            multi.info_read()
        assert all(e.response and e.response.body == b"hello" for e in exchanges)


def test_the_host_closing_our_socket_hurts_that_request_only(
    multi: Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc to find the socket in")
    closed = threading.Event()

    def handle(peer: Peer) -> None:
        closed.wait(10)
        if peer.request.path != "/victim":
            peer.json(b"fine")

    with serve(handle) as server:
        limits = engine.Timeouts(total=100)
        victim = multi.add(get(f"{server.url}/victim"), timeouts=limits)
        while not server.requests:
            multi.poll(0.01)
        ours = _client_socket(server.port)
        siblings = [multi.add(get(f"{server.url}/{n}")) for n in range(5)]
        while len(server.requests) < 6:
            multi.poll(0.01)
        os.close(ours)
        closed.set()
        while not all(each.response for each in siblings):
            multi.poll(0.01)
        advance(monkeypatch, 100)
        multi.run()
        later = multi.add(get(f"{server.url}/later"))
        multi.run()
    assert victim.response is not None and victim.response.status == "error"
    assert [s.response and s.response.body for s in (*siblings, later)] == [b"fine"] * 6


def _client_socket(port: int) -> int:
    """The number of this process's socket whose peer listens at `port`."""
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)  # else a pipe to a child would never end
            continue
        with socket.socket(fileno=copy) as probe:
            try:
                if probe.getpeername()[1] == port:
                    return int(name)
            except (OSError, TypeError, IndexError):
                continue
    raise AssertionError("no such socket")


# -- what it shows -------------------------------------------------------------------------------


def test_repr_and_statistics_tell_what_is_held() -> None:
    gate = threading.Event()

    def handle(peer: Peer) -> None:
        if peer.request.path == "/slow":
            peer.send(OK_SSE)
            gate.wait(10)
            peer.end()
        else:
            peer.json(b"x")

    with serve(handle) as server, Multi(max_connections=1) as multi:
        assert repr(multi) == "<Multi 0 streaming>"
        multi.add(get(f"{server.url}/slow"))
        multi.add(get(f"{server.url}/fast"))
        assert repr(multi) == "<Multi 0 streaming, 2 queued>"
        while not multi.statistics().streaming:
            multi.poll(0.01)
        assert repr(multi) == "<Multi 1 streaming, 1 queued>"
        held = multi.statistics()
        assert (held.streaming, held.queued, held.connecting, held.pending) == (1, 1, 0, 0)
        assert held.turns > 0
        gate.set()
        while multi.statistics().done < 2:
            multi.poll(0.01) if not multi.statistics().pending else multi.perform()
        multi.run()
        ended = multi.statistics()
        assert (ended.done, ended.failed, ended.cancelled, ended.pending) == (2, 0, 0, 0)
    assert repr(multi) == "<Multi closed>"


def test_len_counts_until_info_read(multi: Multi) -> None:
    with serve(hello) as server:
        multi.add(get(server.url))
        while not multi.statistics().pending:
            multi.perform()
        assert len(multi) == 1
        assert "1 to be read" in repr(multi)
        multi.info_read()
        assert len(multi) == 0


# -- threads and processes -----------------------------------------------------------------------


def in_thread(call: object) -> BaseException | None:
    caught: list[BaseException] = []

    def body() -> None:
        try:
            call()  # type: ignore[operator]
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return caught[0] if caught else None


@each_case(
    "name", ["perform", "info_read", "poll", "run", "cancel_all", "close", "fdset", "fileno"]
)
def test_a_second_thread_is_refused_with_advice(name: str) -> None:
    with serve(lambda peer: peer.wait_closed()) as server, Multi() as multi:
        multi.add(get(server.url))
        error = in_thread(getattr(multi, name))
        assert isinstance(error, MisuseError) and "wakeup" in str(error)
        assert error.category is Category.CONFIG
        assert isinstance(in_thread(lambda: multi.add(get(server.url))), MisuseError)
        assert len(multi) == 1
        multi.cancel_all()
        assert [r.status for r in (multi.perform(), multi.info_read())[1]] == ["cancelled"]


def test_the_thread_that_uses_it_first_owns_it() -> None:
    multi = Multi()
    with serve(hello) as server:
        bodies = []

        def use() -> None:
            multi.add(get(server.url), on_done=lambda r, x: bodies.append(r.body))
            multi.run()
            multi.close()

        assert in_thread(use) is None
    assert bodies == [b"hello"]


def test_wakeup_from_a_thread_ends_a_wait(multi: Multi) -> None:
    with serve(lambda peer: peer.wait_closed()) as server:
        multi.add(get(server.url))
        while not server.requests:
            multi.poll(0.01)
        assert in_thread(multi.wakeup) is None
        assert select.select([multi], [], [], 0)[0]
        multi.perform()
        multi.cancel_all()


def test_wakeup_after_close_does_nothing() -> None:
    multi = Multi()
    multi.close()
    multi.wakeup()


def test_a_forked_child_is_refused_and_the_parent_is_exact() -> None:
    with paced_server() as url:
        out = run_script(_FORK, url)
    assert out == "the child was refused\nthe parent is exact\n"


_FORK = """
    import os, sys, traceback
    import engine
    from engine.errors import MisuseError
    from tests.transport.paced import text_of

    children = []

    def fork(event, stream):
        if not children:
            children.append(os.fork())
            if not children[0]:
                try:
                    in_child(stream)
                except Exception:
                    traceback.print_exc()
                    os._exit(1)

    def in_child(stream):
        for call in (multi.poll, multi.perform, multi.info_read, multi.fdset, multi.run,
                     stream.cancel, stream.result, multi.cancel_all):
            try:
                call()
            except MisuseError as error:
                assert "fork" in str(error)
            else:
                os._exit(1)
        multi.close()
        with engine.Multi() as own:
            done = own.add(engine.HttpRequest("POST", sys.argv[1] + "/1/0/0/", body=b"x"))
            own.run()
            assert done.response.status == "complete", done.response
        print("the child was refused", flush=True)
        raise SystemExit(0)  # through all finalizers of the interpreter

    multi = engine.Multi()
    streams = []
    for n in range(30):
        client = engine.Client(multi, base_url=f"{sys.argv[1]}/{n}/20/5")
        streams.append(client.stream("m", "hi", on_event=fork))
    multi.run()
    assert os.waitpid(children[0], 0)[1] == 0
    for n, stream in enumerate(streams):
        assert stream.completion.status == "complete", stream.completion.error
        assert stream.text == text_of(n, 20)
    multi.close()
    print("the parent is exact")
"""


# -- memory --------------------------------------------------------------------------------------


def test_an_exchange_that_is_over_is_forgotten(multi: Multi) -> None:
    with serve(hello) as server:
        exchanges = [multi.add(get(server.url)) for _ in range(5)]
        references = [weakref.ref(exchange) for exchange in exchanges]
        multi.run()
        del exchanges
        gc.collect()
        assert [r() for r in references if r() is not None] == []


def test_a_stream_that_is_over_is_forgotten_and_leaves_no_deadline(multi: Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
        reference = weakref.ref(stream)
        assert stream.result().status == "complete"
        # libcurl may want to be called once more, in a moment; a deadline is seconds away.
        for _ in range(100):
            left = multi.timeout()
            if left is None:
                break
            assert left < 1
            multi.poll(left)
        assert multi.timeout() is None
        del stream
        gc.collect()
        assert reference() is None


def test_a_stream_nobody_holds_still_completes_once(multi: Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        client = engine.Client(multi, base_url=server.url)
        done: list[str] = []
        for _ in range(5):
            client.stream("m", "hi", on_done=lambda c, s: done.append(c.text))
            gc.collect()
        multi.run()
    assert done == ["All is well."] * 5


def test_a_dropped_multi_is_collected_with_its_streams() -> None:
    with serve(lambda peer: peer.wait_closed()) as server:
        multi = Multi()
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
        while not server.requests:
            multi.poll(0.01)
        references = [weakref.ref(multi), weakref.ref(stream)]
        del multi, stream
        gc.collect()
        assert [r() for r in references] == [None, None]


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"max_connections": 3}, {"max_host_connections": 3}])
def test_never_more_connections_than_asked_and_everybody_gets_a_turn(
    limits: dict[str, int],
) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def handle(peer: Peer) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        peer.stream(chat("x"))
        with lock:
            now[0] -= 1

    with serve(handle) as server, Multi(**limits) as multi:
        client = engine.Client(multi, base_url=server.url)
        streams = [client.stream("m", "hi") for _ in range(40)]
        while len(multi):
            multi.poll()
            held = multi.statistics()
            assert held.streaming + held.connecting <= 3
        assert {s.completion.status for s in streams if s.completion} == {"complete"}
        assert most[0] <= 3
        assert server.connections <= 3, "connections are used again"


def test_one_connection_in_all_still_serves_two_hosts() -> None:
    with serve(hello) as one, serve(hello) as two, Multi(max_connections=1) as multi:
        exchanges = [multi.add(get(url)) for url in (one.url, two.url) * 3]
        multi.run()
        assert [e.response and e.response.body for e in exchanges] == [b"hello"] * 6


def test_requests_in_a_row_use_one_connection(multi: Multi) -> None:
    with serve(hello) as server:
        responses = []
        for _ in range(5):
            responses.append(multi.add(get(server.url)))
            multi.run()
        assert server.connections == 1
        timings = [e.response.timing for e in responses if e.response]
        assert [t.reused for t in timings] == [False, True, True, True, True]
        assert timings[1].connect == 0.0 and timings[1].http_version == "1.1"
