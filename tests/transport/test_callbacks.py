"""User code in callbacks: whatever it raises or calls, nothing is lost and nothing comes twice."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

import engine
from engine import HttpRequest, Multi, events
from engine.errors import CallbackError, Category, MisuseError
from engine.transport import signals
from tests.server import HEALTHY, OK_SSE, Peer, chat, serve
from tests.transport.paced import paced_server, text_of
from tests.transport.process import run_script

TEXT = "".join(HEALTHY)


@pytest.fixture
def client(multi: Multi) -> Iterator[engine.Client]:
    """A client of a server that gives every stream `TEXT`."""
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        yield engine.Client(multi, base_url=server.url)


def finish(multi: Multi) -> None:
    """`run`, again and again where something leaves it."""
    for _ in range(1000):
        try:
            multi.run()
            return
        except BaseException as error:
            if not getattr(error, "expected", False):
                raise
    raise AssertionError("it never ends")


def expected(kind: type[BaseException]) -> BaseException:
    error = kind("from a callback")
    error.expected = True  # type: ignore[attr-defined]
    return error


# -- exceptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["on_event", "on_text"])
def test_an_exception_ends_its_own_stream_only(client: engine.Client, name: str) -> None:
    cause = ValueError("mine")

    def broken(*_: object) -> None:
        raise cause

    siblings = [client.stream("m", "hi") for _ in range(5)]
    stream = client.stream("m", "hi", **{name: broken})  # type: ignore[arg-type]
    siblings += [client.stream("m", "hi") for _ in range(5)]
    completion = stream.result()
    client.multi.run()
    assert completion.status == "error"
    assert isinstance(completion.error, CallbackError)
    assert completion.error.category is Category.CALLBACK
    assert completion.error.__cause__ is cause
    assert "ValueError" in str(completion.error) and not completion.error.retryable
    assert [s.completion and s.completion.text for s in siblings] == [TEXT] * 10


@pytest.mark.parametrize("name", ["event", "text", "connect"])
def test_an_exception_in_a_listener_does_the_same(client: engine.Client, name: str) -> None:
    def broken(*_: object) -> None:
        raise KeyError("mine")

    stream = client.stream("m", "hi").on(name, broken)
    completion = stream.result()
    assert completion.status == "error" and isinstance(completion.error, CallbackError)
    assert isinstance(completion.error.__cause__, KeyError)


def test_what_was_delivered_before_the_exception_is_kept(client: engine.Client) -> None:
    def broken(delta: str) -> None:
        if delta == HEALTHY[1]:
            raise ValueError

    completion = client.stream("m", "hi", on_text=broken).result()
    assert completion.text == HEALTHY[0] + HEALTHY[1]


def test_an_exception_in_on_data_ends_its_own_request_only(multi: Multi) -> None:
    cause = ValueError("mine")

    def broken(*_: object) -> None:
        raise cause

    with serve(lambda peer: peer.json(b"body")) as server:
        victim = multi.add(HttpRequest("GET", server.url), on_data=broken)
        sibling = multi.add(HttpRequest("GET", server.url))
        multi.run()
    assert victim.response is not None and victim.response.status == "error"
    assert isinstance(victim.response.error, CallbackError)
    assert victim.response.error.__cause__ is cause
    assert sibling.response is not None and sibling.response.body == b"body"


def test_an_exception_in_on_done_leaves_info_read_after_all_the_others(
    client: engine.Client,
) -> None:
    multi, done = client.multi, list[int]()

    def handler(number: int) -> Callable[[object], None]:
        def on_done(_: object) -> None:
            done.append(number)
            if number in (1, 3):
                raise ValueError(f"handler {number}")

        return on_done

    for number in range(5):
        client.stream("m", "hi", on_done=handler(number))
    while multi.statistics().pending < 5:
        multi.perform()
    with pytest.raises(ValueError, match="handler") as caught:
        multi.info_read(60)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert any("another completion handler raised" in note for note in caught.value.__notes__)
    assert len(multi.info_read()) == 5
    assert multi.info_read() == []


def test_the_other_handlers_of_the_same_stream_are_called_too(client: engine.Client) -> None:
    called: list[str] = []

    def broken(*_: object) -> None:
        called.append("end 1")
        raise ValueError("mine")

    stream = client.stream("m", "hi", on_done=lambda c: called.append("done"))
    stream.on("end", broken).on("end", lambda: called.append("end 2"))
    with pytest.raises(ValueError, match="mine"):
        stream.result()
    assert called == ["done", "end 1", "end 2"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_leaves_perform_and_nothing_is_lost(
    client: engine.Client, kind: type[BaseException]
) -> None:
    multi = client.multi
    seen: dict[int, list[events.Event]] = {n: [] for n in range(5)}
    done: list[int] = []
    raised = 0

    def raising(number: int) -> Callable[[events.Event, object], None]:
        def on_event(event: events.Event, stream: object) -> None:
            nonlocal raised
            seen[number].append(event)
            raised += 1
            raise expected(kind)

        return on_event

    for n in range(5):
        client.stream(
            "m",
            "hi",
            on_event=raising(n),
            on_done=lambda c, s, n=n: done.append(n),  # type: ignore[misc]
        )
    with pytest.raises(kind):
        while True:
            multi.perform()
    finish(multi)
    assert raised == 5 * 5, "each event was delivered once, and each raised"
    for n in range(5):
        assert [e.text for e in seen[n] if isinstance(e, events.TextDelta)] == HEALTHY
        assert isinstance(seen[n][-1], events.Done)
    assert sorted(done) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_leaves_info_read_and_nothing_is_lost(
    client: engine.Client, kind: type[BaseException]
) -> None:
    done: list[int] = []

    def raising(number: int) -> Callable[[object], None]:
        def on_done(_: object) -> None:
            done.append(number)
            raise expected(kind)

        return on_done

    streams = [client.stream("m", "hi", on_done=raising(n)) for n in range(5)]
    while client.multi.statistics().pending < 5:
        client.multi.perform()
    finish(client.multi)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert {s.completion and s.completion.status for s in streams} == {"complete"}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_on_data_may_raise_it_too(multi: Multi, kind: type[BaseException]) -> None:
    pieces: list[bytes] = []
    order: list[str] = []

    def on_data(piece: bytes, _: object) -> None:
        pieces.append(piece)
        order.append("data")
        raise expected(kind)

    body = b"0123456789" * 10_000
    with serve(lambda peer: peer.json(body)) as server:
        exchange = multi.add(
            HttpRequest("GET", server.url),
            on_data=on_data,
            on_done=lambda r, x: order.append("done"),
        )
        while exchange.response is None:
            try:
                multi.poll()
            except kind:
                multi.info_read()  # must not announce the end before the rest of the body
    assert b"".join(pieces) == body
    assert order == ["data"] * len(pieces) + ["done"]
    assert exchange.response.status == "complete"


# -- an interrupt at any moment ------------------------------------------------------------------


class Interrupt(BaseException):
    expected = True


class Interrupter:
    """Raises `Interrupt` at the n-th entry of a function of the engine at which a signal could.

    CPython runs signal handlers at function entry; where the engine holds signals off there are
    none. So every n is one moment at which Ctrl-C may come, and all of them are tried.
    """

    def __init__(self, moment: int) -> None:
        self.left = moment

    def __call__(self, frame: object, event: str, argument: object) -> None:
        code = frame.f_code  # type: ignore[attr-defined]
        if "/engine/" not in code.co_filename or "signals.py" in code.co_filename:
            return
        if signals._holder is not None:
            return
        self.left -= 1
        if self.left == 0:
            sys.settrace(None)
            raise Interrupt


def interrupted_run(client: engine.Client, moment: int) -> bool:
    """Two streams and a plain request, interrupted once; False where the moment never came."""
    multi, done = client.multi, list[str]()
    streams = [client.stream("m", "hi", on_done=lambda c: done.append(c.text)) for _ in range(2)]
    exchange = multi.add(
        HttpRequest("POST", client._target.base_url or ""),
        on_done=lambda r, x: done.append("response"),
    )
    interrupter = Interrupter(moment)
    before = sys.gettrace()
    sys.settrace(interrupter)  # type: ignore[arg-type]
    try:
        multi.run()
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
    for _ in range(100):
        if not multi.poll(0.02):
            break
    where = f"interrupted at call {moment}"
    assert not len(multi), f"{where}: {multi!r} never ends"
    assert [s.completion and s.completion.status for s in streams] == ["complete"] * 2, where
    assert [s.text for s in streams] == [TEXT] * 2, where
    assert exchange.response is not None and exchange.response.status == "complete", where
    assert len(done) <= 3, where
    return interrupter.left <= 0


@pytest.mark.slow
@pytest.mark.skipif(sys.gettrace() is not None, reason="a debugger or coverage is tracing")
def test_an_interrupt_at_any_moment_loses_nothing() -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        for moment in range(1, 500):
            multi = Multi()  # not closed where this fails: close() would wait for ever
            came = interrupted_run(engine.Client(multi, base_url=server.url), moment)
            multi.close()
            if not came:
                break
    assert moment > 20, "the interrupter found the moments"


# -- calls from callbacks --------------------------------------------------------------------------


def test_a_stream_may_cancel_itself(client: engine.Client) -> None:
    seen: list[events.Event] = []

    def on_event(event: events.Event, stream: engine.Stream) -> None:
        seen.append(event)
        if isinstance(event, events.TextDelta):
            stream.cancel()
            stream.cancel()

    done: list[str] = []
    stream = client.stream("m", "hi", on_event=on_event, on_done=lambda c: done.append(c.status))
    completion = stream.result()
    assert [type(e) for e in seen] == [events.Start, events.TextDelta]
    assert (completion.status, completion.text) == ("cancelled", HEALTHY[0])
    assert completion.error is not None and completion.error.category is Category.CANCELLED
    assert done == ["cancelled"]


@pytest.mark.parametrize("name", ["on_event", "on_text"])
def test_stop_ends_the_stream(client: engine.Client, name: str) -> None:
    stream = client.stream("m", "hi", **{name: lambda *_: engine.STOP})  # type: ignore[arg-type]
    assert stream.result().status == "cancelled"


def test_a_stream_may_cancel_another_and_all(client: engine.Client) -> None:
    multi, done = client.multi, list[str]()
    note = lambda c, s: done.append(c.status)  # noqa: E731
    gate = threading.Event()

    def begin(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat("x")[0])
        gate.wait(10)

    with serve(begin) as server:
        slow = engine.Client(multi, base_url=server.url)
        first = slow.stream("m", "hi", on_done=note)
        others = [slow.stream("m", "hi", on_done=note) for _ in range(5)]
        trigger = client.stream("m", "hi", on_event=lambda e, s: first.cancel(), on_done=note)
        trigger.result()
        assert first.completion and first.completion.status == "cancelled"
        client.stream("m", "hi", on_event=lambda e, s: multi.cancel_all(), on_done=note)
        multi.run()
        gate.set()
    assert {o.completion and o.completion.status for o in others} == {"cancelled"}
    assert sorted(done) == ["cancelled"] * 7 + ["complete"]


def test_cancel_in_on_done_and_after_the_end_changes_nothing(client: engine.Client) -> None:
    stream = client.stream("m", "hi", on_done=lambda c, s: s.cancel())
    completion = stream.result()
    stream.cancel()
    client.multi.poll(0)
    assert stream.completion is completion and completion.status == "complete"
    assert client.multi.info_read() == []


@pytest.mark.slow
def test_a_thousand_streams_added_in_a_callback_all_run() -> None:
    with paced_server() as url, Multi() as multi:
        done: dict[int, str] = {}

        def add_all(event: events.Event, stream: engine.Stream) -> None:
            if isinstance(event, events.Start):
                for n in range(1, 1001):
                    client = engine.Client(multi, base_url=f"{url}/{n}/2/0")
                    client.stream(
                        "m",
                        "hi",
                        on_done=lambda c, s, n=n: done.__setitem__(n, c.text),  # type: ignore[misc]
                    )

        first = engine.Client(multi, base_url=f"{url}/0/2/0").stream("m", "hi", on_event=add_all)
        multi.run()
        assert first.text == text_of(0, 2)
    assert done == {n: text_of(n, 2) for n in range(1, 1001)}


def test_each_completion_may_start_the_next_stream(client: engine.Client) -> None:
    texts: list[str] = []

    def next_one(completion: engine.Completion) -> None:
        texts.append(completion.text)
        if len(texts) < 20:
            client.stream("m", "hi", on_done=next_one)

    client.stream("m", "hi", on_done=next_one)
    client.multi.run()
    assert texts == [TEXT] * 20


@pytest.mark.parametrize("call", ["perform", "info_read", "poll", "run", "result", "iterate"])
@pytest.mark.parametrize("where", ["on_event", "on_done"])
def test_driving_from_a_callback_is_refused_and_does_no_harm(
    client: engine.Client, call: str, where: str
) -> None:
    multi = client.multi
    refused: list[MisuseError] = []
    other = client.stream("m", "hi")

    def drive(*_: object) -> None:
        calls: dict[str, Callable[[], object]] = {
            "perform": multi.perform,
            "info_read": multi.info_read,
            "poll": multi.poll,
            "run": multi.run,
            "result": late.result,
            "iterate": lambda: list(late),
        }
        with pytest.raises(MisuseError, match="callback") as caught:
            calls[call]()
        refused.append(caught.value)

    stream = client.stream("m", "hi", **{where: drive})  # type: ignore[arg-type]
    late = _never(client)
    stream.result()
    late.cancel()
    multi.run()
    assert refused
    assert stream.completion and stream.completion.status == "complete"
    assert other.completion and other.completion.text == TEXT


def _never(client: engine.Client) -> engine.Stream:
    """A stream that is open as long as nobody cancels it."""
    with serve(lambda peer: None) as server:
        url = server.url
    patient = engine.Client(
        client.multi, base_url=url, retry=engine.Retry(base_delay=600, max_delay=600)
    )
    return patient.stream("m", "hi")


def test_the_state_can_be_looked_at_from_any_callback(client: engine.Client) -> None:
    multi, looked = client.multi, list[str]()

    def look(thing: object, stream: engine.Stream) -> None:
        looked.append(f"{stream!r} {multi!r} {len(multi)} {multi.statistics()} {multi.timeout()}")
        looked.append(f"{stream.text} {stream.message} {stream.usage} {stream.request_id}")
        multi.wakeup()
        multi.fdset()

    stream = client.stream("m", "hi", on_event=look, on_done=look)
    assert stream.result().status == "complete"
    assert len(looked) == 12


# -- the ends of the process ----------------------------------------------------------------------


def test_nothing_needs_stderr_or_excepthook() -> None:
    with paced_server() as url:
        out = run_script(
            """
            import sys
            import engine

            def hook(*arguments):
                raise RuntimeError("must not be called")

            sys.excepthook = sys.unraisablehook = hook
            sys.stderr.close()
            sys.stderr = None

            def broken(event, stream):
                raise ValueError("mine")

            multi = engine.Multi()
            client = engine.Client(multi, base_url=sys.argv[1] + "/1/5/1")
            bad = client.stream("m", "hi", on_event=broken)
            good = client.stream("m", "hi")
            multi.run()
            print(bad.completion.status, good.completion.status)
            """,
            url,
        )
    assert out == "error complete\n"
