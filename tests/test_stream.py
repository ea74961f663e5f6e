"""A `Stream` from request to completion, over a real socket: callbacks, iterator, result, retry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from time import monotonic

import pytest

import engine
from engine import events
from engine.errors import Category, ConfigError, EngineError
from engine.stream import STOP
from tests.server import HEALTHY, OK_SSE, Peer, chat, chat_chunk, serve

TEXT = "".join(HEALTHY)
FAST = engine.Retry(base_delay=0.001, max_delay=0.001)


@pytest.fixture
def client(multi: engine.Multi) -> Iterator[engine.Client]:
    """A client of a server that gives every stream `TEXT`."""
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        yield engine.Client(multi, base_url=f"{server.url}/v1", api_key="k")


# -- callbacks ---------------------------------------------------------------------------------


def test_a_stream_gives_its_events_and_one_completion(client: engine.Client) -> None:
    seen: list[events.Event] = []
    deltas: list[str] = []
    done: list[engine.Completion] = []
    stream = client.stream(
        "m",
        "hi",
        on_event=lambda e, s: seen.append(e),
        on_text=lambda d, s: deltas.append(d),
        on_done=lambda c, s: done.append(c),
        user_data="mine",
    )
    completion = stream.result()
    assert completion.status == "complete", completion.error
    assert completion.message.text == completion.text == stream.text == TEXT
    assert done == [completion] and completion is stream.completion
    assert deltas == HEALTHY
    kinds = [type(e) for e in seen]
    assert kinds == [events.Start, *[events.TextDelta] * 3, events.Done]
    assert completion.delivered == len(seen)
    assert completion.finish_reason is engine.FinishReason.STOP
    assert completion.finish_reason_raw == "stop"
    assert (completion.attempts, completion.http_status) == (1, 200)
    assert stream.user_data == "mine"


def test_the_times_are_in_order(client: engine.Client) -> None:
    timing = client.stream("m", "hi").result().timing
    assert timing.first_byte is not None and timing.first_event is not None
    assert timing.last_event is not None and timing.total is not None
    assert 0 < timing.first_byte <= timing.first_event <= timing.last_event <= timing.total
    assert timing.tls == 0.0 and not timing.reused


def test_callbacks_may_take_fewer_arguments(client: engine.Client) -> None:
    seen: list[object] = []
    ends: list[int] = []
    stream = client.stream("m", "hi", on_event=seen.append, on_done=lambda: ends.append(1))
    stream.result()
    assert len(seen) == 5 and ends == [1]


def test_listeners_by_name(client: engine.Client) -> None:
    seen: list[tuple[object, ...]] = []
    stream = client.stream("m", "hi")
    for name in ("connect", "text", "message", "final_message", "error", "abort", "end"):
        stream.on(name, lambda *args, name=name: seen.append((name, *args)))  # type: ignore[misc]
    message = stream.final_message()
    assert seen == [
        ("connect", stream),
        ("text", "All ", "All ", stream),
        ("text", "is ", "All is ", stream),
        ("text", "well.", "All is well.", stream),
        ("message", message, stream),
        ("final_message", message, stream),
        ("end", stream),
    ]


def test_the_result_is_there_when_all_were_told_however_long_they_take(
    client: engine.Client,
) -> None:
    seen: list[str] = []

    def slow(name: str, *_: object) -> None:
        seen.append(name)
        began = monotonic()
        while monotonic() - began < 0.01:  # longer than a turn may take
            pass
        assert stream.result() is stream.completion  # told already, in a callback too

    stream = client.stream("m", "hi", on_done=lambda: slow("done"))
    for name in ("message", "final_message", "end"):
        stream.on(name, partial(slow, name))
    stream.result()
    assert seen == ["message", "final_message", "done", "end"]


def test_once_is_once_and_off_is_off(client: engine.Client) -> None:
    seen: list[str] = []

    def never(delta: str) -> None:
        seen.append("never")

    def first(delta: str) -> None:
        seen.append(delta)
        stream.on("text", later)

    def later(delta: str) -> None:
        seen.append(f"later {delta}")

    stream = client.stream("m", "hi").on("text", never).once("text", first).off("text", never)
    stream.off("text", never).result()
    assert seen == ["All ", "later is ", "later well."]


def test_a_name_nobody_calls_is_a_mistake(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    with pytest.raises(ConfigError, match="txet"):
        stream.on("txet", print)
    with pytest.raises(ConfigError, match="callable"):
        stream.on("text", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["event", "text", "connect"])
def test_a_listener_may_stop_the_stream(client: engine.Client, name: str) -> None:
    completion = client.stream("m", "hi").on(name, lambda: STOP).result()
    assert completion.status == "cancelled"
    assert completion.error is not None and completion.error.category is Category.CANCELLED


def test_error_and_abort_are_told_apart(client: engine.Client) -> None:
    seen: list[str] = []

    def watch(stream: engine.Stream) -> engine.Stream:
        for name in ("error", "abort", "message", "end"):
            stream.on(name, lambda *_, name=name: seen.append(name))  # type: ignore[misc]
        return stream

    cancelled = watch(client.stream("m", "hi"))
    cancelled.abort()
    cancelled.result()
    with serve(lambda peer: peer.json(b"{}", "401 No")) as server:
        watch(engine.Client(client.multi, base_url=server.url).stream("m", "hi")).result()
    assert seen == ["abort", "end", "error", "end"]


# -- iterating ---------------------------------------------------------------------------------


def test_iterating_drives(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    seen = list(stream)
    assert [type(e) for e in seen] == [events.Start, *[events.TextDelta] * 3, events.Done]
    assert stream.completion is not None and stream.completion.status == "complete"
    joined = [events.TextDelta(TEXT)]
    assert list(stream) == [seen[0], *joined, seen[-1]]  # a reader who comes late


def test_text_deltas_and_result(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    assert list(stream.text_deltas()) == HEALTHY
    assert stream.result().text == TEXT


def test_callbacks_are_called_while_iterating_too(client: engine.Client) -> None:
    seen: list[events.Event] = []
    stream = client.stream("m", "hi", on_event=seen.append)
    assert list(stream) == seen


def test_other_streams_go_on_while_one_is_iterated(client: engine.Client) -> None:
    done: list[str] = []
    others = [client.stream("m", "hi", on_done=lambda c: done.append(c.text)) for _ in range(5)]
    for _ in client.stream("m", "hi"):
        pass
    client.multi.run()
    assert done == [TEXT] * 5 and all(o.completion for o in others)


def test_an_iterator_that_is_kept_can_be_taken_up(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    reader = iter(stream)
    for event in reader:
        if isinstance(event, events.TextDelta):
            break
    assert [e.text for e in reader if isinstance(e, events.TextDelta)] == HEALTHY[1:]
    assert stream.text == TEXT


def test_a_failure_is_the_last_event_and_text_deltas_raises_it(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY)[:2])) as server:
        client = engine.Client(multi, base_url=server.url)
        *_, last = client.stream("m", "hi")
        assert isinstance(last, events.StreamError)
        assert last.error.category is Category.TRUNCATED
        got: list[str] = []
        with pytest.raises(EngineError, match="no end marker"):
            got.extend(client.stream("m", "hi").text_deltas())
        with pytest.raises(EngineError):
            client.stream("m", "hi").final_message()
        completion = client.stream("m", "hi").result()
    assert (completion.status, completion.text) == ("truncated", HEALTHY[0] + HEALTHY[1])
    assert completion.finish_reason is None


def test_a_cancelled_iteration_only_ends(client: engine.Client) -> None:
    stream = client.stream("m", "hi")
    seen = []
    for delta in stream.text_deltas():
        seen.append(delta)
        stream.cancel()
    assert seen == HEALTHY[:1]
    assert stream.completion is not None and stream.completion.status == "cancelled"


def test_a_slow_iterator_holds_its_server_back_and_nobody_else(multi: engine.Multi) -> None:
    sent, block, blocks = 0, b"".join([chat_chunk("x" * 50)] * 100), 2000

    def flood(peer: Peer) -> None:
        nonlocal sent
        peer.send(OK_SSE)
        for _ in range(blocks):
            peer.chunk(block)
            sent += 100
        peer.wait_closed()

    with serve(lambda peer: peer.sibling() or flood(peer)) as server:
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
        loop = iter(stream)
        for _ in range(10_000):
            next(loop)
        sibling = engine.Client(multi, base_url=f"{server.url}/healthy").stream("m", "hi")
        assert sibling.result().text == TEXT
        held_back = sent < 75 * blocks  # loopback sockets hold up to 10 MB of the 26
        piled_up = len(stream._delivery.queue)
        for _ in range(100 * blocks - 10_000 + 1):  # Start too
            next(loop)
        assert len(stream.text) == 50 * 100 * blocks
        stream.cancel()
        assert list(loop) == []
    assert held_back and piled_up < 10_000


def test_a_flood_that_ends_while_it_is_held_back_is_complete(multi: engine.Multi) -> None:
    flood = [b"".join([chat_chunk("x")] * 2500), *chat("end")]
    with serve(lambda peer: peer.stream(flood)) as server:
        for _ in range(20):
            stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
            assert sum(1 for _ in stream) == 2503
            assert stream.result().status == "complete"


# -- retry -------------------------------------------------------------------------------------


def test_a_refusal_before_anything_was_delivered_is_tried_again(multi: engine.Multi) -> None:
    def second_time(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.json(b'{"error": {"message": "busy"}}', "503 Busy")
        else:
            peer.stream(chat(*HEALTHY))

    with serve(second_time) as server:
        seen: list[events.Event] = []
        client = engine.Client(multi, base_url=server.url, retry=FAST)
        completion = client.stream("m", "hi", on_event=seen.append).result()
        assert [r.body for r in server.requests] == [server.requests[0].body] * 2
    assert (completion.status, completion.attempts, completion.text) == ("complete", 2, TEXT)
    first = seen[0]
    assert isinstance(first, events.RetryScheduled)
    assert (first.attempt, first.error.http_status) == (2, 503)
    assert sum(isinstance(e, events.Start) for e in seen) == 1


def test_a_start_alone_is_no_delivery(multi: engine.Multi) -> None:
    # The first event of most providers holds no content: a cut after it may be tried again.
    def cut(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.send(OK_SSE)
            peer.chunk(b'data: {"id": "c0", "model": "m", "choices": [{"index": 0, '
                       b'"delta": {"role": "assistant", "content": ""}}]}\n\n')  # fmt: skip
        else:
            peer.stream(chat(*HEALTHY))

    with serve(cut) as server:
        completion = engine.Client(multi, base_url=server.url, retry=FAST).stream("m", "x").result()
    assert (completion.status, completion.attempts, completion.text) == ("complete", 2, TEXT)


def test_never_again_after_the_first_delivered_event(multi: engine.Multi) -> None:
    def cut(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat(*HEALTHY)[0])

    with serve(cut) as server:
        completion = engine.Client(multi, base_url=server.url, retry=FAST).stream("m", "x").result()
        assert len(server.requests) == 1
    assert (completion.status, completion.attempts) == ("truncated", 1)


def test_the_wait_the_server_asks_for_is_in_timeout(multi: engine.Multi) -> None:
    def limited(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.json(b"{}", "429 Slow down", "retry-after-ms: 150\r\n")
        else:
            peer.stream(chat(*HEALTHY))

    with serve(limited) as server:
        stream = engine.Client(multi, base_url=server.url).stream("m", "x")
        reader = iter(stream)
        scheduled = next(reader)
        assert isinstance(scheduled, events.RetryScheduled)
        assert scheduled.delay == 0.15
        assert scheduled.error.category is Category.RATE_LIMIT
        assert multi.statistics().backing_off == 1
        left = multi.timeout()
        assert left is not None and left <= 0.15
        assert stream.result().status == "complete"


def test_a_wait_that_is_too_long_is_reported_at_once(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.json(b"{}", "429 No", "Retry-After: 3600\r\n")) as server:
        completion = engine.Client(multi, base_url=server.url).stream("m", "x").result()
        assert len(server.requests) == 1
    assert completion.error is not None and completion.error.retry_after == 3600


def test_a_stream_may_be_cancelled_while_it_waits_to_try_again(multi: engine.Multi) -> None:
    patient = engine.Retry(base_delay=600, max_delay=600)
    with serve(lambda peer: peer.json(b"{}", "503 Busy")) as server:
        client = engine.Client(multi, base_url=server.url, retry=patient)
        stream = client.stream("m", "x", on_event=lambda e, s: s.cancel())
        completion = stream.result()
    assert (completion.status, completion.attempts) == ("cancelled", 1)
    assert multi.statistics().backing_off == 0


def test_a_refused_connection_is_a_network_error_with_advice() -> None:
    with serve(lambda peer: None) as server:
        url = server.url
    client = engine.Client(base_url=f"{url}/v1", retry=FAST)
    completion = client.stream("m", "hi").result()
    client.close()
    assert (completion.status, completion.attempts) == ("error", 3)
    assert completion.error is not None
    assert completion.error.category is Category.NETWORK
    assert "check" in str(completion.error)


# -- not streaming -------------------------------------------------------------------------------


def test_a_request_completes_like_a_stream(multi: engine.Multi) -> None:
    body = (
        b'{"id": "c1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", '
        b'"message": {"role": "assistant", "content": "All is well."}}]}'
    )
    with serve(lambda peer: peer.json(body)) as server:
        done: list[engine.Completion] = []
        stream = engine.Client(multi, base_url=server.url).request("m", "x", on_done=done.append)
        completion = stream.result()
        assert b'"stream":true' not in server.requests[0].body
    assert (completion.status, completion.text, done) == ("complete", TEXT, [completion])


def test_arguments_that_still_arrive_can_be_looked_at_and_are_no_call(multi: engine.Multi) -> None:
    def piece(**call: object) -> bytes:
        delta = {"tool_calls": [{"index": 0, **call}]}
        chunk = json.dumps({"choices": [{"index": 0, "delta": delta}]})
        return f"data: {chunk}\n\n".encode()

    sent = [
        piece(id="a", function={"name": "weather", "arguments": '{"city": "Par'}),
        piece(function={"arguments": 'is", "days": 1'}),
    ]
    looks: list[object] = []

    def look(event: events.Event, stream: engine.Stream) -> None:
        if isinstance(event, events.ToolCallDelta):
            looks.append(stream.partial_arguments(event.index))

    with serve(lambda peer: peer.stream(sent)) as server:
        client = engine.Client(multi, base_url=server.url)
        completion = client.stream("m", "hi", on_event=look).result()
    assert looks == [{"city": "Par"}, {"city": "Paris"}]
    assert completion.status == "truncated" and completion.message.tool_calls == []
