"""Nobody pays for tokens that nobody reads: to leave a stream before its end closes it upstream
within 0.2 s, in a script, in asyncio and in trio; and where somebody reads on it goes on."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
import trio

import engine
from engine.loops.asyncio import AsyncClient
from engine.loops.trio import AsyncClient as TrioClient
from tests.faults.server import FaultServer, Step, play
from tests.server import OK_SSE, Request, chat_chunk
from tests.steady import comes_about

LIMIT = 0.2


class Broken(Exception):
    pass


def endless(request: Request) -> Iterable[Step]:
    """A word each 2 ms, for ever."""
    yield OK_SSE
    piece = chat_chunk("word ")
    while True:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
        yield 0.002


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with play(endless) as server:
        yield server


def left(server: FaultServer) -> bool:
    """Whether the client has closed the connection: what it put off does not come, since nothing
    drives it meanwhile."""
    return comes_about(lambda: server.left)


async def left_soon(server: FaultServer, sleep: Callable[[float], Awaitable[object]]) -> bool:
    """Whether it does so within the limit: passes of the loop are counted, as long as a machine may
    take for each, and then none is made any more."""
    for _ in range(round(LIMIT / 0.005)):
        if not server.left:
            await sleep(0.005)
    return left(server)


# -- in a script -------------------------------------------------------------------------------


def by_break(stream: engine.Stream) -> None:
    for _ in stream:
        break


def by_break_from_text(stream: engine.Stream) -> None:
    for _ in stream.text_deltas():
        break


def by_break_from_merged(stream: engine.Stream) -> None:
    for _ in engine.merged(stream):
        break


def by_an_exception(stream: engine.Stream) -> None:
    with pytest.raises(Broken):
        for _ in stream:
            raise Broken


def by_close(stream: engine.Stream) -> None:
    reader = iter(stream)
    next(reader)
    reader.close()
    assert list(reader) == []


def by_next_of_iter(stream: engine.Stream) -> None:
    next(iter(stream))


def by_the_end_of_with(stream: engine.Stream) -> None:
    with stream:
        reader = iter(stream)
        next(reader)
    assert list(reader) == []


def by_with_and_no_reader(stream: engine.Stream) -> None:
    with stream:
        while not stream.text:
            multi_of(stream).poll()


def by_an_exception_in_with(stream: engine.Stream) -> None:
    with pytest.raises(Broken), stream:
        reader = iter(stream)
        next(reader)
        raise Broken


def by_a_generator_that_is_left(stream: engine.Stream) -> None:
    def upper() -> Iterator[str]:
        for delta in stream.text_deltas():
            yield delta.upper()

    for _ in upper():
        break


def by_an_interrupt_while_it_waits(stream: engine.Stream) -> None:
    reader = iter(stream)
    next(reader)
    timer = threading.Timer(0.02, signal.raise_signal, (signal.SIGINT,))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            for _ in reader:
                pass
    finally:
        signal.signal(signal.SIGINT, before)
        timer.join()
    del reader


def by_a_garbage_cycle(stream: engine.Stream) -> None:
    cycle: list[Any] = [iter(stream)]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()


def by_a_drop_on_another_thread(stream: engine.Stream) -> None:
    held = [iter(stream)]
    next(held[0])
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    multi_of(stream).poll(0)  # it is noted there, and done by the owner


def multi_of(stream: engine.Stream) -> engine.Multi:
    return stream._delivery.multi


SYNC = [
    by_break,
    by_break_from_text,
    by_break_from_merged,
    by_an_exception,
    by_close,
    by_next_of_iter,
    by_the_end_of_with,
    by_with_and_no_reader,
    by_an_exception_in_with,
    by_a_generator_that_is_left,
    by_an_interrupt_while_it_waits,
    by_a_garbage_cycle,
    by_a_drop_on_another_thread,
]


@pytest.mark.parametrize("leave", SYNC, ids=lambda leave: leave.__name__)
def test_a_script_that_leaves_closes_it_upstream(
    server: FaultServer, leave: Callable[[engine.Stream], None]
) -> None:
    done: list[str] = []
    with engine.Client(base_url=server.url) as client:
        stream = client.stream("m", "hi", on_done=lambda c: done.append(c.status))
        leave(stream)
        assert left(server)
        completion = stream.result()
    assert completion.status == "cancelled" and done == ["cancelled"]
    assert "word" in completion.text or completion.delivered == 1  # Start alone


# -- where somebody reads on -------------------------------------------------------------------


def _listen(name: str) -> Callable[[engine.Stream], object]:
    return lambda stream: stream.on(name, lambda *_: None)


@pytest.mark.parametrize(
    "attend",
    [
        *(_listen(name) for name in ("event", "text", "thinking", "tool_call", "message")),
        lambda stream: iter(stream),
        lambda stream: stream.events(cancel=False),
    ],
    ids=["event", "text", "thinking", "tool_call", "message", "a reader", "a guest"],
)
def test_where_somebody_attends_a_break_leaves_it_open(
    server: FaultServer, attend: Callable[[engine.Stream], object]
) -> None:
    with engine.Client(base_url=server.url) as client:
        stream = client.stream("m", "hi")
        held = attend(stream)
        by_break(stream)
        client.multi.poll(0.02)
        assert not server.left and stream.completion is None
        del held


@pytest.mark.parametrize("name", ["connect", "final_message", "error", "abort", "end"])
def test_who_only_hears_of_the_end_does_not_attend(server: FaultServer, name: str) -> None:
    with engine.Client(base_url=server.url) as client:
        stream = client.stream("m", "hi").on(name, lambda *_: None)
        by_break(stream)
        assert left(server)


def test_a_listener_that_was_taken_off_attends_no_more(server: FaultServer) -> None:
    def listener(delta: str) -> None:
        pass

    with engine.Client(base_url=server.url) as client:
        stream = client.stream("m", "hi").on("text", listener).off("text", listener)
        by_break(stream)
        assert left(server)


def test_to_read_without_owning_leaves_it_open(server: FaultServer) -> None:
    with engine.Client(base_url=server.url) as client:
        stream = client.stream("m", "hi")
        for _ in stream.events(cancel=False):
            break
        client.multi.poll(0.02)
        assert not server.left
        for _ in stream.events():
            break
        assert left(server)


def test_a_dropped_stream_goes_on(server: FaultServer) -> None:
    heard: list[str] = []
    with engine.Client(base_url=server.url) as client:
        client.stream("m", "hi", on_text=lambda d: heard.append(d))
        gc.collect()
        while len(heard) < 3:
            client.multi.poll()
        assert not server.left


def test_a_reader_that_is_dropped_inside_a_callback_waits_for_the_turn(server: FaultServer) -> None:
    with engine.Client(base_url=server.url) as client:
        held = [iter(client.stream("m", "hi"))]
        next(held[0])
        client.stream("m", "hi", on_text=lambda d: held.clear())
        while held:
            client.multi.poll()
        client.multi.poll(0)
        assert left(server)


# -- in asyncio --------------------------------------------------------------------------------


async def read(stream: Any, began: Callable[[], object] = lambda: None) -> None:
    async for _ in stream:
        began()


async def hold_and_read(stream: Any, began: Callable[[], object]) -> None:
    reader = aiter(stream)  # a local name: a traceback that is kept keeps it
    async for _ in reader:
        began()


async def aby_break(stream: Any) -> None:
    async for _ in stream:
        break


async def aby_break_from_text(stream: Any) -> None:
    async for _ in stream.text_deltas():
        break


async def aby_break_from_merged(stream: Any) -> None:
    async for _ in engine.merged(stream):
        break


async def aby_an_exception(stream: Any) -> None:
    with pytest.raises(Broken):
        async for _ in stream:
            raise Broken


async def aby_aclose(stream: Any) -> None:
    reader = aiter(stream)
    await anext(reader)
    await reader.aclose()
    assert [event async for event in reader] == []


async def aby_the_end_of_with(stream: Any) -> None:
    async with stream:
        reader = aiter(stream)
        await anext(reader)
    assert [event async for event in reader] == []


async def aby_a_garbage_cycle(stream: Any) -> None:
    cycle: list[Any] = [aiter(stream)]
    await anext(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()


ASYNC = [
    aby_break,
    aby_break_from_text,
    aby_break_from_merged,
    aby_an_exception,
    aby_aclose,
    aby_the_end_of_with,
    aby_a_garbage_cycle,
]


async def _cancelled(work: Awaitable[None], began: asyncio.Event) -> None:
    task = asyncio.ensure_future(work)
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    KEPT.append(task)


KEPT: list[Any] = []


async def by_a_cancelled_task(stream: Any) -> None:
    began = asyncio.Event()
    await _cancelled(read(stream, began.set), began)


async def by_a_cancelled_task_that_holds_its_reader(stream: Any) -> None:
    began = asyncio.Event()
    await _cancelled(hold_and_read(stream, began.set), began)


async def by_a_cancelled_await(stream: Any) -> None:
    began = asyncio.Event()

    async def wait() -> None:
        stream.once("connect", began.set)
        await stream

    await _cancelled(wait(), began)


async def answered(stream: Any, sleep: Callable[[float], Awaitable[None]]) -> None:
    """A limit in seconds may be over before a slow machine has asked: there is nothing to close."""
    while not stream.text:
        await sleep(0.001)


async def by_a_timeout_around_the_loop(stream: Any) -> None:
    await answered(stream, asyncio.sleep)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(read(stream), 0.03)


async def by_a_timeout_around_await(stream: Any) -> None:
    await answered(stream, asyncio.sleep)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream, 0.03)


async def by_a_loop_in_an_async_generator(stream: Any) -> None:
    async def upper() -> Any:
        async for delta in stream.text_deltas():
            yield delta.upper()

    generator = upper()
    await anext(generator)
    await generator.aclose()


@pytest.mark.parametrize(
    "leave",
    [
        *ASYNC,
        by_a_cancelled_task,
        by_a_cancelled_task_that_holds_its_reader,
        by_a_cancelled_await,
        by_a_timeout_around_the_loop,
        by_a_timeout_around_await,
        by_a_loop_in_an_async_generator,
    ],
    ids=lambda leave: leave.__name__,
)
def test_a_task_that_leaves_closes_it_upstream(server: FaultServer, leave: Any) -> None:
    async def main() -> None:
        async with AsyncClient(base_url=server.url) as client:
            stream = client.stream("m", "hi")
            await leave(stream)
            assert await left_soon(server, asyncio.sleep)
            assert (await stream).status == "cancelled"

    try:
        asyncio.run(asyncio.wait_for(main(), 20))
    finally:
        KEPT.clear()


def test_a_timed_out_anext_alone_is_no_leaving(server: FaultServer) -> None:
    async def main() -> None:
        async with AsyncClient(base_url=server.url) as client:
            stream = client.stream("m", "hi")
            reader = aiter(stream)
            for _ in range(20):
                try:
                    await asyncio.wait_for(anext(reader), 0.0005)
                except TimeoutError:
                    pass
            stream.pause()
            with pytest.raises(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(anext(reader), 0.01)
            stream.resume()
            await anext(reader)
            assert not server.left and stream.completion is None

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is new in 3.11")
def test_a_timeout_block_around_anext_alone_is_no_leaving(server: FaultServer) -> None:
    async def main() -> None:
        async with AsyncClient(base_url=server.url) as client:
            stream = client.stream("m", "hi")
            reader = aiter(stream)
            await anext(reader)
            stream.pause()
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    async with asyncio.timeout(0.01):
                        while True:
                            await anext(reader)
            stream.resume()
            await anext(reader)
            assert not server.left

    asyncio.run(asyncio.wait_for(main(), 20))


def test_another_task_reads_on_when_one_leaves_async_with(server: FaultServer) -> None:
    async def main() -> None:
        async with AsyncClient(base_url=server.url) as client:
            stream = client.stream("m", "hi")
            began = asyncio.Event()
            async with stream:
                other = asyncio.create_task(read(stream, began.set))
                await began.wait()
                reader = aiter(stream)
                await anext(reader)
            await asyncio.sleep(0.02)
            assert not server.left and stream.completion is None
            other.cancel()
            await asyncio.wait([other])
            assert left(server)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_who_awaits_the_end_reads_on_when_a_loop_is_left(server: FaultServer) -> None:
    async def main() -> None:
        async with AsyncClient(base_url=server.url) as client:
            stream = client.stream("m", "hi")
            waiter = asyncio.ensure_future(stream.result())
            await asyncio.sleep(0)
            await aby_break(stream)
            await asyncio.sleep(0.02)
            assert not server.left and not waiter.done()
            waiter.cancel()
            await asyncio.wait([waiter])
            assert left(server)

    asyncio.run(asyncio.wait_for(main(), 20))


# -- in trio -----------------------------------------------------------------------------------


async def by_move_on_after(stream: Any) -> None:
    await answered(stream, trio.sleep)
    with trio.move_on_after(0.03) as scope:
        await read(stream)
    assert scope.cancelled_caught


async def by_move_on_after_await(stream: Any) -> None:
    await answered(stream, trio.sleep)
    with trio.move_on_after(0.03):
        await stream


async def by_a_cancelled_nursery(stream: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold_and_read, stream, lambda: nursery.cancel_scope.cancel())


@pytest.mark.parametrize(
    "leave",
    [*ASYNC, by_move_on_after, by_move_on_after_await, by_a_cancelled_nursery],
    ids=lambda leave: leave.__name__,
)
def test_a_trio_task_that_leaves_closes_it_upstream(server: FaultServer, leave: Any) -> None:
    async def main() -> None:
        with trio.fail_after(20):
            async with TrioClient(base_url=server.url) as client:
                stream = client.stream("m", "hi")
                await leave(stream)
                assert await left_soon(server, trio.sleep)
                assert (await stream).status == "cancelled"

    trio.run(main)


def test_a_timed_out_anext_alone_is_no_leaving_in_trio(server: FaultServer) -> None:
    async def main() -> None:
        with trio.fail_after(20):
            async with TrioClient(base_url=server.url) as client:
                stream = client.stream("m", "hi")
                reader = aiter(stream)
                await anext(reader)
                stream.pause()
                for _ in range(3):
                    with trio.move_on_after(0.01):
                        while True:
                            await anext(reader)
                stream.resume()
                await anext(reader)
                assert not server.left

    trio.run(main)
