"""Attempts: how far a question got is a table, and each wait, retry and end is a move in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

import engine
from engine import events
from engine.answering.attempts import Attempts
from engine.answering.state import LEGAL_MOVES, State
from engine.errors import Category
from tests.garbage import left_in_cycles
from tests.server import DONE, HEALTHY, OK_SSE, Peer, chat, chat_chunk, serve
from tests.steady import advance

TEXT = "".join(HEALTHY)
FAST = engine.Retry(base_delay=0.001, max_delay=0.001)
ONCE = engine.Retry(max_attempts=1)


def test_every_state_can_end_and_the_end_is_the_end() -> None:
    assert set(LEGAL_MOVES) == set(State)
    assert LEGAL_MOVES[State.OVER] == frozenset()
    for state, moves in LEGAL_MOVES.items():
        assert state is State.OVER or State.OVER in moves
        assert state not in moves


def test_after_the_end_marker_there_is_no_other_attempt() -> None:
    reached, front = set[State](), {State.LINGERING}
    while front:
        reached |= front
        front = {to for state in front for to in LEGAL_MOVES[state]} - reached
    assert not reached & {State.WAITING, State.ASKING}


def test_after_content_there_is_no_other_attempt_unless_it_was_chosen(moves: list[State]) -> None:
    def cut(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("a word"))

    with serve(cut) as server, engine.Client(base_url=server.url, api_key="k", retry=FAST) as c:
        done = c.stream("m", "hi").result()
    assert (done.status, done.text, done.attempts) == ("truncated", "a word", 1)
    assert moves == [State.ASKING, State.FLOWING, State.OVER]


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """The states a question goes through."""
    seen: list[State] = []
    move = Attempts._move

    def noted(self: Attempts, to: State) -> None:
        move(self, to)
        seen.append(to)

    monkeypatch.setattr(Attempts, "_move", noted)
    return seen


def whole(peer: Peer) -> None:
    peer.stream(chat(*HEALTHY))


def marker_and_open(peer: Peer) -> None:
    peer.send(OK_SSE)
    peer.chunk(b"".join(chat(*HEALTHY)))
    peer.wait_closed()


def cut(peer: Peer) -> None:
    peer.send(OK_SSE)
    peer.chunk(chat_chunk("All "))


def refused_once(peer: Peer) -> None:
    if len(peer.server.requests) == 1:
        peer.json(b"{}", "503 Busy")
    else:
        whole(peer)


def start_alone_once(peer: Peer) -> None:
    if len(peer.server.requests) == 1:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk(""))
    else:
        whole(peer)


W, A, F, L, END = State.WAITING, State.ASKING, State.FLOWING, State.LINGERING, State.OVER


@pytest.mark.parametrize(
    ("handler", "path", "status"),
    [
        (whole, [A, F, L, END], "complete"),
        (marker_and_open, [A, F, L, END], "complete"),
        (cut, [A, F, END], "truncated"),
        (refused_once, [A, W, A, F, L, END], "complete"),
        (start_alone_once, [A, W, A, F, L, END], "complete"),
        (lambda peer: peer.json(b"{}", "401 No"), [A, END], "error"),
    ],
)
def test_the_way_of_a_question(
    multi: engine.Multi,
    moves: list[State],
    handler: Callable[[Peer], object],
    path: list[State],
    status: str,
) -> None:
    with serve(handler) as server:
        client = engine.Client(multi, base_url=server.url, retry=FAST)
        assert client.stream("m", "hi").result().status == status
    assert moves == path


def test_each_model_to_fall_back_to_has_its_own_attempts_and_its_own_mend(
    multi: engine.Multi,
) -> None:
    def busy(peer: Peer) -> None:
        if b'"first"' in peer.request.body:
            peer.json(b"{}", "503 Busy")
        else:
            refused_second(peer)

    refusals = []

    def refused_second(peer: Peer) -> None:
        refusals.append(1)
        if len(refusals) < 3:
            peer.json(b"{}", "503 Busy")
        else:
            whole(peer)

    with serve(busy) as server:
        retry = engine.Retry(max_attempts=3, base_delay=0.001, max_delay=0.001)
        client = engine.Client(multi, base_url=server.url, retry=retry)
        scheduled: list[Any] = []
        stream = client.stream("first", "hi", fallback=["second"])
        stream.on("event", lambda e: isinstance(e, events.RetryScheduled) and scheduled.append(e))
        completion = stream.result()
        asked = [b'"first"' in request.body for request in server.requests]
    assert asked == [True] * 3 + [False] * 3
    assert (completion.status, completion.attempts) == ("complete", 6)
    assert [event.attempt for event in scheduled] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("signs", [[b": hello\n\n"], [chat_chunk("")], []])
def test_what_says_no_word_of_the_answer_is_not_handed_over_before_it(
    multi: engine.Multi, signs: list[bytes]
) -> None:
    seen: list[list[type]] = []

    def slow(peer: Peer) -> None:
        peer.send(OK_SSE)
        for sign in signs:
            peer.chunk(sign)
        while not connected:
            pass
        peer.chunk(b"".join(chat(*HEALTHY)))
        peer.end()

    connected: list[int] = []
    with serve(slow) as server:
        told: list[Any] = []
        client = engine.Client(multi, base_url=server.url)
        stream = client.stream("m", "hi", on_event=told.append)
        for _ in range(5):
            multi.poll(0.01)
        seen.append([type(e) for e in told])
        connected.append(1)
        assert stream.result().text == TEXT
    assert seen == [[]]
    assert type(told[0]) is events.Start


def test_the_first_and_the_last_event_have_their_own_times(multi: engine.Multi) -> None:
    seen: list[float] = []

    def in_two(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("first"))
        while not seen:
            pass
        peer.chunk(b"".join(chat("last")))
        peer.end()

    with serve(in_two) as server:
        client = engine.Client(multi, base_url=server.url)
        before = monotonic()
        stream = client.stream("m", "hi")
        after = monotonic()
        while not stream.text:
            multi.poll()
        seen.append(monotonic())
        timing = stream.result().timing
    assert timing.first_event is not None
    assert timing.last_event is not None
    assert 0 < timing.first_event <= seen[0] - before
    assert timing.first_event < timing.last_event
    assert seen[0] - after <= timing.last_event <= timing.total


def no_answer(peer: Peer) -> None:
    """It closes without a word."""


def thought_and_open(peer: Peer) -> None:
    peer.send(OK_SSE)
    peer.chunk(chat_chunk("a word"))
    peer.chunk(b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"so"}}]}\n\n')
    peer.chunk(b"".join(chat()))
    peer.wait_closed()


@pytest.mark.parametrize("ends", [marker_and_open, thought_and_open])
def test_the_last_content_is_not_the_end_of_the_connection(
    ends: Callable[[Peer], None], multi: engine.Multi
) -> None:
    with serve(ends) as server:
        timing = engine.Client(multi, base_url=server.url).stream("m", "hi").result().timing
    assert timing.first_event is not None
    assert timing.last_event is not None
    assert timing.total is not None
    assert timing.first_event <= timing.last_event
    assert timing.total - timing.last_event > 0.9  # the second for which a server may stay


def test_what_was_never_content_has_no_time(multi: engine.Multi) -> None:
    with serve(no_answer) as server:
        timing = engine.Client(multi, base_url=server.url, retry=ONCE).stream("m", "hi").result()
    assert (timing.timing.first_event, timing.timing.last_event) == (None, None)


def test_a_long_silence_before_a_cancel_is_after_the_last_content(multi: engine.Multi) -> None:
    def silent(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("a word"))
        peer.wait_closed()

    with serve(silent) as server:
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
        while not stream.text:
            multi.poll()
        seen = monotonic()
        until = seen + 0.05
        while monotonic() < until:
            multi.poll(0.05)
        stream.cancel()
        timing = stream.result().timing
    assert timing.first_event is not None and timing.last_event is not None
    assert timing.total is not None
    assert timing.first_event <= timing.last_event <= timing.total - 0.05


def test_bytes_after_a_cancel_are_nobodys(multi: engine.Multi) -> None:
    with serve(marker_and_open) as server:
        heard: list[str] = []
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi", on_text=heard.append)
        stream.once("text", stream.cancel)
        completion = stream.result()
        stream._attempts.received(chat_chunk("late"))
        multi.poll(0)
    assert (completion.status, completion.text, heard) == ("cancelled", "All ", ["All "])


@pytest.mark.parametrize("before", [b"", chat_chunk("All ")], ids=["at once", "after text"])
def test_a_server_that_hangs_after_its_error_is_not_waited_for(
    multi: engine.Multi, before: bytes
) -> None:
    """OpenRouter tells the tokens in the chunk after its error; who says nothing more is let go."""
    choice = b'{"index":0,"delta":{"content":""},"finish_reason":"error"}'
    failure = b'data: {"choices":[%s],"error":{"code":503,"message":"gone"}}\n\n' % choice

    def hang(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(before + failure)
        peer.wait_closed()

    with serve(hang) as server:
        limits = engine.Timeouts(first_event=3600, idle=3600, content=3600, total=60)
        client = engine.Client(multi, base_url=server.url, timeouts=limits, retry=ONCE)
        completion = client.stream("m", "hi").result()
    assert completion.error is not None
    assert (completion.status, completion.error.category) == ("error", Category.SERVER)
    assert "gone" in str(completion.error)


def test_the_idle_clock_rests_while_a_reader_holds_the_server_back(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flood(peer: Peer) -> None:
        peer.send(OK_SSE)
        for _ in range(100):
            peer.chunk(chat_chunk("x" * 100) * 10)
        peer.chunk(chat_chunk(finish="stop") + DONE)
        peer.end()

    with serve(flood) as server:
        timeouts = engine.Timeouts(idle=60)
        client = engine.Client(multi, base_url=server.url, timeouts=timeouts, max_unread_bytes=2000)
        stream = client.stream("m", "hi")
        reader = iter(stream)
        next(reader)
        for _ in range(5):
            multi.poll(0.01)
        advance(monkeypatch, 3600)
        for _ in range(5):
            multi.poll(0.01)
        assert stream.completion is None
        assert sum(isinstance(e, events.TextDelta) for e in reader) == 1000
        assert stream.result().status == "complete"


def test_a_pause_before_the_connection_leaves_its_deadline_alone(multi: engine.Multi) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        host = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        full = [socket.socket() for _ in range(3)]
        for each in full:  # fills the backlog: the next connection is never made
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        client = engine.Client(
            multi,
            base_url=host,
            timeouts=engine.Timeouts(connect=0.1, total=3),
            retry=engine.Retry(max_attempts=1),
        )
        stream = client.stream("m", "hi")
        stream.pause()
        while stream.completion is None:
            multi.poll(0.05)
        for each in full:
            each.close()
    error = stream.completion.error
    assert error is not None and error.phase == "connect"


OF_A_REQUEST = {
    *("Stream", "StreamCallbacks", "Attempts", "Delivery", "Accumulator", "Place"),
    *("ResponseReader", "Transfer", "Deadlines", "HttpRequest", "Rendered", "Completion"),
    *("Exchange", "Reply", "HttpResponse", "Sending", "Timer", "ProviderError", "TruncatedError"),
}


def _listens(client: engine.Client) -> None:
    client.stream("m", "hi", on_event=print_nothing, on_done=print_nothing).result()


def print_nothing(*_: object) -> None:
    pass


def _listens_by_name(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    for name in ("connect", "event", "text", "end"):
        stream.on(name, lambda *_: stream.text)  # type: ignore[call-overload]
    stream.result()


def _reads(client: engine.Client) -> None:
    # (What is raised keeps its traceback, and that its frames: not so here.)
    list(client.stream("m", "hi"))


def _leaves(client: engine.Client) -> None:
    for _ in client.stream("m", "hi"):
        break
    client.multi.run()


def _cancels(client: engine.Client) -> None:
    client.stream("m", "hi", on_text=lambda d, s: s.cancel()).result()


def _cancels_all(client: engine.Client) -> None:
    for _ in range(3):
        client.stream("m", "hi", on_done=print_nothing)
    client.multi.poll(1)
    client.multi.cancel_all()
    client.multi.run()


def _requests(client: engine.Client) -> None:
    client.request("m", "hi", on_event=print_nothing, on_done=print_nothing).result()


def _adds(client: engine.Client) -> None:
    request = engine.HttpRequest("POST", client._target.base_url or "", {}, b"{}")
    for arguments in ({}, {"on_data": print_nothing}, {"on_done": print_nothing}):
        client.multi.add(request, **arguments)
    client.multi.run()


def _adds_and_cancels(client: engine.Client) -> None:
    request = engine.HttpRequest("POST", client._target.base_url or "", {}, b"{}")
    client.multi.add(request, on_data=lambda _, exchange: exchange.cancel(), on_done=print_nothing)
    client.multi.run()


def _merges(client: engine.Client) -> None:
    list(engine.merged(client.stream("m", "hi"), client.stream("m", "hi")))


@pytest.mark.parametrize(
    "use",
    [
        _listens,
        _listens_by_name,
        _reads,
        _leaves,
        _cancels,
        _cancels_all,
        _requests,
        _adds,
        _adds_and_cancels,
        _merges,
    ],
    ids=lambda use: use.__name__.strip("_"),
)
@pytest.mark.slow
@pytest.mark.parametrize("handler", [whole, refused_once, cut], ids=["whole", "retried", "cut"])
def test_nothing_of_what_ended_waits_for_the_garbage_collector(
    use: Callable[[engine.Client], None], handler: Callable[[Peer], object]
) -> None:
    with serve(handler) as server, engine.Client(base_url=server.url, retry=FAST) as client:
        use(client)  # what is imported and cached at first is no garbage
        server.requests.clear()
        with left_in_cycles(lambda thing: type(thing).__name__ in OF_A_REQUEST) as left:
            use(client)
    assert not left


def test_stop_ends_the_stream_at_an_event_that_came_alone(multi: engine.Multi) -> None:
    seen = threading.Event()

    def one_by_one(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("a"))
        seen.wait(30)
        peer.chunk(chat_chunk("b"))
        peer.wait_closed()

    def on_event(event: events.Event) -> object:
        text = event.text if isinstance(event, events.TextDelta) else ""
        if text == "a":
            seen.set()
        return engine.STOP if text == "b" else None

    with serve(one_by_one) as server:
        limits = engine.Timeouts(total=60)
        client = engine.Client(multi, base_url=server.url, timeouts=limits, retry=ONCE)
        completion = client.stream("m", "hi", on_event=on_event).result()
    assert (completion.status, completion.text) == ("cancelled", "ab")
