"""A turn: what is called in it, in which order, for how long; over real sockets."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from math import inf
from time import monotonic

import pytest

import engine
from engine import HttpRequest, Multi
from engine.errors import ConfigError
from engine.transport import driver as driver_module
from engine.transport.multi import driver_of
from engine.transport.poller import IN
from engine.transport.signals import SignalsHeld
from engine.transport.sockets import Sockets
from engine.transport.turn import Turn
from tests.cases import each_case
from tests.faults.server import play
from tests.server import OK_SSE, Peer, chat, serve

PIECES = ["one ", "two ", "three"]


def answer(peer: Peer) -> None:
    peer.stream(chat(*PIECES))


# -- on_turn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("callback", [True, False])
def test_on_turn_is_told_each_streams_text_once(callback: bool) -> None:
    turns: list[list[tuple[object, str]]] = []
    with serve(answer) as server, Multi() as multi:
        unhook = multi.on_turn(turns.append)
        client = engine.Client(multi, base_url=server.url)
        on_text = (lambda delta: None) if callback else None
        streams = [client.stream("m", "hi", on_text=on_text) for _ in range(3)]
        multi.run()
        assert all(turns), "only with text"
        for stream in streams:
            told = [text for turn in turns for face, text in turn if face is stream]
            assert "".join(told) == "".join(PIECES) and all(told)
        assert all(len({id(face) for face, _ in turn}) == len(turn) for turn in turns)
        before = len(turns)
        unhook()
        unhook()
        client.stream("m", "hi").result()
        assert len(turns) == before


def test_on_turn_comes_after_the_callbacks_of_its_turn_and_hears_of_text_a_reader_took() -> None:
    order: list[str] = []
    with serve(answer) as server, Multi() as multi:
        client = engine.Client(multi, base_url=server.url)
        multi.on_turn(lambda texts: order.append("turn " + texts[0][1]))
        stream = client.stream("m", "hi", on_text=order.append)
        stream.result()
        text = "".join(PIECES)
        assert [o for o in order if not o.startswith("turn ")] == PIECES
        assert "".join(o.removeprefix("turn ") for o in order if o.startswith("turn ")) == text
        assert order[-1].startswith("turn ")
        order.clear()
        assert "".join(client.stream("m", "hi").text_deltas()) == text
        multi.perform()
        assert "".join(o.removeprefix("turn ") for o in order) == text


def test_a_hook_may_raise_unhook_and_hook() -> None:
    raised: list[Exception] = []
    told: list[str] = []
    with serve(answer) as server, Multi(on_exception=raised.append) as multi:
        client = engine.Client(multi, base_url=server.url)

        def first(texts: list[tuple[object, str]]) -> None:
            unhook()
            multi.on_turn(lambda texts: told.extend(text for _, text in texts))
            raise ValueError("hook")

        unhook = multi.on_turn(first)
        for _ in range(2):
            assert client.stream("m", "hi").result().status == "complete"
    assert [str(e) for e in raised] == ["hook"]
    assert "".join(told).endswith("".join(PIECES))


# -- call_soon, on_exception ---------------------------------------------------------------------


def test_call_soon_runs_in_order_in_the_next_perform_from_any_thread() -> None:
    ran: list[tuple[int, bool]] = []
    owner = threading.get_ident()
    with Multi() as multi:

        def ask() -> None:
            for n in range(5):
                multi.call_soon(lambda n=n: ran.append((n, threading.get_ident() == owner)))  # type: ignore[misc]

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert select.select(*multi.fdset(), 0)[0] and multi.timeout() == 0
        multi.perform()
        assert ran == [(n, True) for n in range(5)]
        assert multi.timeout() is None


def test_what_call_soon_adds_waits_for_the_next_turn() -> None:
    ran: list[str] = []
    with Multi() as multi:
        multi.call_soon(
            lambda: (ran.append("first"), multi.call_soon(lambda: ran.append("second")))
        )
        multi.perform()
        assert ran == ["first"] and multi.timeout() == 0
        multi.perform()
        assert ran == ["first", "second"]


def test_what_call_soon_raises_comes_out_of_info_read_and_costs_no_other_call() -> None:
    ran: list[str] = []
    with Multi() as multi:
        multi.call_soon(lambda: 1 / 0)
        multi.call_soon(lambda: ran.append("next"))
        multi.perform()
        assert ran == ["next"]
        with pytest.raises(ZeroDivisionError):
            multi.info_read()
        assert multi.info_read() == []


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot say")


def test_on_exception_is_told_of_each_and_info_read_raises_none() -> None:
    raised: list[Exception] = []

    def fail(response: object) -> None:
        raise Unspeakable

    with serve(lambda peer: peer.json(b"")) as server, Multi(on_exception=raised.append) as multi:
        for _ in range(3):
            multi.add(HttpRequest("GET", server.url), on_done=lambda r, x: fail(r))
        multi.run()
    assert [type(e) for e in raised] == [Unspeakable] * 3


def test_what_on_exception_itself_raises_is_raised() -> None:
    def on_exception(error: Exception) -> None:
        raise LookupError from error

    with serve(lambda peer: peer.json(b"")) as server, Multi(on_exception=on_exception) as multi:
        multi.add(HttpRequest("GET", server.url), on_done=lambda r, x: 1 / 0)
        with pytest.raises(LookupError):
            multi.run()
        multi.run()


def test_several_that_raise_are_told_by_the_first_even_where_they_cannot_be_shown() -> None:
    def fail(*_: object) -> None:
        raise Unspeakable

    with serve(lambda peer: peer.json(b"")) as server, Multi() as multi:
        exchanges = [multi.add(HttpRequest("GET", server.url)) for _ in range(2)]
        for exchange in exchanges:
            exchange.add_done(fail)
            exchange.add_done(fail)
        raised = []
        while len(multi):
            try:
                multi.poll()
            except Unspeakable as error:
                raised += [error, *error.__notes__]
        assert len(raised) == 4


def test_an_exception_that_cannot_be_shown_is_its_streams_own_affair() -> None:
    def fail(*_: object) -> None:
        raise Unspeakable

    with serve(lambda peer: peer.sibling() or answer(peer)) as server, Multi() as multi:
        client = engine.Client(multi, base_url=server.url)
        stream = client.stream("m", "hi", on_text=fail)
        plain = multi.add(HttpRequest("POST", server.url + "/v1"), on_data=fail)
        other = engine.Client(multi, base_url=f"{server.url}/healthy").stream("m", "hi")
        multi.run()
    assert stream.completion is not None and plain.response is not None
    for error in (stream.completion.error, plain.response.error):
        assert isinstance(error, engine.errors.CallbackError)
        assert isinstance(error.__cause__, Unspeakable) and "Unspeakable" in str(error)
    assert other.completion is not None and other.completion.status == "complete"


# -- the bound -----------------------------------------------------------------------------------


@each_case("seconds", [-1, float("nan"), "1", object()])
@each_case(
    "call",
    [
        lambda s: Multi(turn_seconds=s),
        lambda s: Multi().perform(s),
        lambda s: Multi().info_read(max_seconds=s),
    ],
)
def test_seconds_that_are_none_are_refused(
    call: Callable[[object], object], seconds: object
) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        call(seconds)


def test_a_turn_of_no_time_comes_on_in_every_part() -> None:
    done: list[str] = []
    with serve(answer) as server, Multi(turn_seconds=0) as multi:
        client = engine.Client(multi, base_url=server.url)
        for _ in range(20):
            client.stream("m", "hi", on_text=lambda d: None, on_done=lambda c: done.append(c.text))
        multi.run()
    assert done == ["".join(PIECES)] * 20


def test_servers_that_leave_all_at_once_are_noticed_as_the_time_of_turns_allows() -> None:
    all_rest, noticed = threading.Event(), list[object]()

    def answer_and_leave(peer: Peer) -> None:
        peer.json(b"")
        all_rest.wait(10)
        peer.keep_open = False

    with serve(answer_and_leave) as server, Multi() as multi:
        for _ in range(12):
            multi.add(HttpRequest("GET", server.url))
        multi.run()
        sockets = driver_of(multi).sockets
        sockets.left = noticed.append
        all_rest.set()
        while len(noticed) < 12:
            before = len(noticed)
            select.select([sockets.fileno()], [], [], 1)
            multi.perform(0)
            assert len(noticed) - before <= 1


@pytest.mark.parametrize(("turn", "run"), [(0.005, 0.5), (0, 0), (None, inf)])
def test_turns_are_longer_and_end_with_a_round_only_where_no_loop_waits_for_their_end(
    monkeypatch: pytest.MonkeyPatch, turn: float | None, run: float | None
) -> None:
    given: set[tuple[float | None, bool]] = set()
    perform = Turn.perform

    def noted(self: Turn, seconds: float | None, *, one_round: bool = False) -> int:
        given.add((seconds, one_round))
        return perform(self, seconds, one_round=one_round)

    monkeypatch.setattr(Turn, "perform", noted)
    with serve(lambda peer: peer.json(b"")) as server, Multi(turn_seconds=turn) as multi:
        multi.add(HttpRequest("GET", server.url))
        while len(multi):
            multi.poll()
        assert given == {(None, False)}, "its own"
        given.clear()
        multi.add(HttpRequest("GET", server.url))
        multi.run()
        assert given == {(run, True)}


@pytest.mark.parametrize(("found", "again"), [(1, False), (6, True)])
def test_where_many_were_ready_a_turn_looks_again_unless_it_is_one_round(
    monkeypatch: pytest.MonkeyPatch, found: int, again: bool
) -> None:
    with Multi() as multi:
        sockets, looks = driver_of(multi).sockets, 0
        rounds = [[(sockets.wakeup.fileno(), IN)] * found]

        def look(self: Sockets) -> None:
            nonlocal looks
            looks += 1
            self.ready = rounds.pop() if rounds else []

        monkeypatch.setattr(Sockets, "look", look)
        turn = Turn(driver_of(multi), inf, None)
        turn.perform(None)
        assert looks == 1 + again
        rounds.append([(sockets.wakeup.fileno(), IN)] * found)
        turn.perform(None, one_round=True)
        assert looks == 2 + again


def test_a_callback_that_takes_long_ends_the_turn_and_the_rest_is_not_lost() -> None:
    heard: list[str] = []
    with serve(lambda peer: peer.stream(chat(*"abcdefghij"))) as server, Multi() as multi:
        exchange_done: list[object] = []
        multi.add(
            HttpRequest("POST", server.url),
            on_data=lambda piece, x: (heard.append(piece.decode()), _spin(0.006)),
            on_done=lambda r, x: exchange_done.append(r),
        )
        turns = 0
        while len(multi):
            multi.poll()
            turns += 1
    assert exchange_done
    assert "".join(heard).count("data: ") == 12


def test_what_is_left_makes_the_descriptor_readable_and_timeout_zero() -> None:
    calls: list[int] = []
    with Multi() as multi:
        for n in range(3):
            multi.call_soon(lambda n=n: (calls.append(n), _spin(0.006)))  # type: ignore[misc]
        for expected in range(1, 4):
            multi.perform()
            assert len(calls) == expected
            if expected < 3:
                assert multi.timeout() == 0
                assert select.select([multi.fileno()], [], [], 0)[0]
        multi.perform()
        assert multi.timeout() is None
        assert not select.select([multi.fileno()], [], [], 0)[0]


def test_completion_handlers_come_in_slices_and_info_read_returns_those_that_were_called() -> None:
    with serve(lambda peer: peer.json(b"")) as server, Multi() as multi:
        called: list[object] = []
        for _ in range(6):
            multi.add(HttpRequest("GET", server.url), on_done=lambda r, x: called.append(r))
        while multi.statistics().pending < 6:
            multi.perform()
        returned: list[object] = []
        while len(multi):
            before = len(called)
            returned += multi.info_read(0)
            assert len(called) <= before + 1
            assert len(returned) <= len(called) and len(multi) == 6 - len(returned)
            assert not len(multi) or multi.timeout() == 0
        assert returned == called and len(called) == 6


def test_no_bound_takes_all_that_is_ready_in_one_turn() -> None:
    with serve(lambda peer: peer.json(b"")) as server, Multi(turn_seconds=None) as multi:
        for _ in range(6):
            multi.add(HttpRequest("GET", server.url), on_done=lambda r, x: _spin(0.006))
        while multi.statistics().pending < 6:
            multi.perform()
        assert len(multi.info_read()) == 6


@each_case("turn_seconds", [None, 0.005, 0])
def test_a_turn_that_ends_with_the_last_bytes_in_hand_wants_another_for_the_end(
    turn_seconds: float | None,
) -> None:
    # More than is handed over at a time, in one piece that lies in the socket whole.
    body, go, sent = b"x" * 150_000, threading.Event(), threading.Event()
    received: list[bytes] = []

    def give(peer: Peer) -> None:
        go.wait()
        peer.json(body)
        sent.set()

    with serve(give) as server, Multi(turn_seconds=turn_seconds) as multi:
        exchange = multi.add(HttpRequest("GET", server.url), lambda data, x: received.append(data))
        while not server.requests:
            multi.poll(0.01)
        go.set()
        sent.wait()
        while exchange.response is None:
            multi.perform()
            multi.info_read()
            if sum(map(len, received)) == len(body) and exchange.response is None:
                assert multi.timeout() == 0, "nothing else would wake it"
    assert exchange.response.status == "complete"


def _spin(seconds: float) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        pass


# -- cancel_all ----------------------------------------------------------------------------------


def test_who_lingers_gets_a_timer_once_all_ends_were_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Answer:
        timers = 0

        def linger(self) -> None:
            self.timers += 1

    with Multi() as multi:
        driver, answer = driver_of(multi), Answer()
        taken: list[bytes] = []

        class Taking:
            received = staticmethod(taken.append)

        with SignalsHeld():
            driver.drive(inf)
            driver.lingering.append(answer)
            driver.inbox.pieces += [(Taking(), b"x")] * 100
            driver.drive(0.0)  # a part of a turn that ends before it has taken all
            assert len(taken) < 100 and answer.timers == 0
            driver.drive(inf)
            assert len(taken) == 100 and answer.timers == 1
            driver.lingering.append(answer)
            driver.inbox.pieces += [(Taking(), b"x")] * 100
            monkeypatch.setattr(driver_module, "_REAPED_WITHIN", 0.0)
            driver.drive(0.0)  # none of them ever does: there it must not wait for one
            assert len(taken) < 200 and answer.timers == 2
            driver.drive(inf)


def test_cancel_all_only_marks_hands_over_nothing_more_and_spares_what_begins_after_it() -> None:
    heard: list[str] = []

    def script(request: object) -> object:
        yield OK_SSE
        while True:
            piece = chat("x")[0]
            yield b"%x\r\n%s\r\n" % (len(piece), piece)

    with play(script) as flood, serve(answer) as server, Multi() as multi:  # type: ignore[arg-type]
        endless = engine.Client(multi, base_url=flood.url)
        streams = [endless.stream("m", "hi", on_text=heard.append) for _ in range(5)]
        while not all(stream.text for stream in streams):
            multi.poll()
        multi.cancel_all()
        assert len(multi) == 5 and multi.timeout() == 0
        assert select.select(*multi.fdset(), 0)[0]
        later = engine.Client(multi, base_url=server.url).stream("m", "hi")
        count = len(heard)
        multi.run()
        assert len(heard) == count
        assert {s.completion and s.completion.status for s in streams} == {"cancelled"}
        assert later.completion is not None and later.completion.status == "complete"


def test_a_reader_that_is_behind_pauses_its_own_stream_only() -> None:
    """A callback that takes a millisecond an event: its stream is not read further, others are."""

    def script(request: object) -> object:
        yield OK_SSE
        piece = b"".join(chat(*["x"] * 200)[:-2])
        while True:
            yield b"%x\r\n%s\r\n" % (len(piece), piece)

    with play(script) as flood, serve(answer) as server, Multi() as multi:  # type: ignore[arg-type]
        slow = engine.Client(multi, base_url=flood.url).stream(
            "m", "hi", on_text=lambda delta: _spin(0.001)
        )
        while not slow.text:
            multi.poll()
        client = engine.Client(multi, base_url=server.url)
        other = client.stream("m", "hi")
        turns = 0
        while other.completion is None:
            multi.poll()
            turns += 1
        assert other.completion.status == "complete" and turns < 60
        assert driver_of(multi).inbox.size < 1 << 20
        slow.cancel()
