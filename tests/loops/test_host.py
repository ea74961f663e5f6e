"""The one seam to a host loop, in a host that is a few lines long, and in asyncio and trio."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import engine
import engine.loops.asyncio
import engine.loops.trio
from engine.errors import MisuseError
from engine.loops import host
from tests.server import HEALTHY, Peer, chat, serve

TEXT = "".join(HEALTHY)


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class SelectLoop:
    """A host loop of one's own: the smallest there is. With `watches` False it has timers only."""

    def __init__(self, watches: bool = True) -> None:
        self.loop = self
        self.closed = False
        self.watched: dict[int, Callable[[], None]] = {}
        self.turns = 0
        self._watches = watches
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        if not self._watches:
            raise NotImplementedError
        assert fd not in self.watched
        self.watched[fd] = call

    def unwatch(self, fd: int) -> None:
        del self.watched[fd]

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def turn(self, limit: float = 0.05) -> None:
        self.turns += 1
        due = self._timers[0][0] if self._timers else time.monotonic() + limit
        wait = max(min(due - time.monotonic(), limit), 0)
        for fd in select.select([*self.watched], [], [], wait)[0]:
            if fd in self.watched:
                self.watched[fd]()
        while self._timers and self._timers[0][0] <= time.monotonic():
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                timer.call()

    def run(self, until: Callable[[], object], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "the host loop waits for ever"
            self.turn()


class Reporting(SelectLoop):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[Exception] = []

    def failed(self, error: Exception) -> None:
        self.told.append(error)


@pytest.fixture
def client(multi: engine.Multi) -> Iterator[engine.Client]:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        yield engine.Client(multi, base_url=server.url)


@pytest.mark.parametrize("watches", [True, False], ids=["descriptor", "timer only"])
def test_a_host_drives(client: engine.Client, watches: bool) -> None:
    loop = SelectLoop(watches)
    with host.attach(client.multi, loop) as attachment:
        streams = [client.stream("m", "hi") for _ in range(5)]
        loop.run(lambda: all(stream.completion for stream in streams))
        later = client.stream("m", "hi")  # begun while the loop was idle
        loop.run(lambda: later.completion)
        assert not attachment.closed
    assert [stream.text for stream in [*streams, later]] == [TEXT] * 6
    assert attachment.closed and loop.watched == {}


@pytest.mark.parametrize("watches", [True, False], ids=["descriptor", "timer only"])
def test_deadlines_and_other_threads_wake_the_host(watches: bool) -> None:
    with serve(Peer.wait_closed) as server:
        timeouts = engine.Timeouts(first_event=0.05)
        retry = engine.Retry(max_attempts=1)
        with engine.Client(base_url=server.url, timeouts=timeouts, retry=retry) as client:
            loop, called = SelectLoop(watches), list[int]()
            host.attach(client.multi, loop)
            stream = client.stream("m", "hi")
            loop.run(lambda: stream.completion)
            client.call_soon(lambda: called.append(1))
            loop.run(lambda: called)
    assert stream.completion is not None and stream.completion.error is not None
    assert loop.watched == {}  # `close` of the client told it


def test_idle_costs_a_turn_a_second_at_most(multi: engine.Multi) -> None:
    loop = SelectLoop()
    host.attach(multi, loop)
    for _ in range(3):
        loop.turn(0)
    before, multi_turns = loop.turns, multi.statistics().turns
    loop.run(lambda: loop.turns > before + 5)
    assert multi.statistics().turns <= multi_turns + 1


def test_a_busy_host_is_not_filled_with_timers(client: engine.Client) -> None:
    loop = SelectLoop()
    host.attach(client.multi, loop)
    streams = [client.stream("m", "hi") for _ in range(50)]
    loop.run(lambda: all(stream.completion for stream in streams))
    assert next(loop._order) < loop.turns + 60


# -- twice, elsewhere, and in which order --------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1)])
def test_a_second_attachment_to_the_same_loop_is_counted(
    client: engine.Client, order: tuple[int, ...]
) -> None:
    loop = SelectLoop()
    attachments = [host.attach(client.multi, loop), host.attach(client.multi, loop)]
    for number in order[:-1]:
        attachments[number].close()
    stream = client.stream("m", "hi")
    loop.run(lambda: stream.completion)
    attachments[order[-1]].close()
    assert loop.watched == {}
    assert host.attach(client.multi, loop).closed is False


def test_another_living_loop_is_refused_and_a_closed_one_is_over(client: engine.Client) -> None:
    first, second = SelectLoop(), SelectLoop()
    attachment = host.attach(client.multi, first)
    with pytest.raises(MisuseError, match="another loop"):
        host.attach(client.multi, second)
    first.closed = True
    assert attachment.closed
    host.attach(client.multi, second)
    stream = client.stream("m", "hi")
    second.run(lambda: stream.completion)
    attachment.close()  # of the loop that is over: it takes nothing from the other
    again = client.stream("m", "hi")
    second.run(lambda: again.completion)
    assert len(second.watched) == 1


@pytest.mark.parametrize("first", ["multi", "attachment", "loop"])
def test_close_in_every_order(client: engine.Client, first: str) -> None:
    loop = SelectLoop()
    attachment = host.attach(client.multi, loop)
    client.stream("m", "hi")
    loop.turn()
    if first == "loop":
        loop.closed = True
    elif first == "attachment":
        attachment.close()
    client.multi.close()
    attachment.close()
    assert attachment.closed
    assert loop.watched == {} or first == "loop"


def test_two_loops_with_two_attachments_each_are_let_go_in_every_order() -> None:
    """Whoever is still attached is driven, by his own loop; who is not is left alone."""
    with (
        serve(lambda peer: peer.stream(chat(*HEALTHY))) as server,
        engine.Multi() as one,
        engine.Multi() as another,
    ):
        clients = [engine.Client(multi, base_url=server.url) for multi in (one, another)]
        for order in itertools.permutations(range(4)):
            loops = [SelectLoop(), SelectLoop()]
            attachments = [host.attach(clients[n // 2].multi, loops[n // 2]) for n in range(4)]
            holders = [2, 2]
            for number in order:
                attachments[number].close()
                holders[number // 2] -= 1
                for client, loop, held in zip(clients, loops, holders, strict=True):
                    assert len(loop.watched) == bool(held)
                    if held:
                        stream = client.stream("m", "hi")
                        loop.run(lambda stream=stream: stream.completion)  # type: ignore[misc]
            assert all(each.closed for each in attachments)


@pytest.mark.parametrize("order", list(itertools.permutations(["one", "another", "loop"])))
def test_a_multi_leaves_one_asyncio_loop_for_another_in_every_order(
    client: engine.Client, order: tuple[str, ...]
) -> None:
    first = asyncio.new_event_loop()
    attachments = {
        name: engine.loops.asyncio.attach(client.multi, first) for name in ("one", "another")
    }
    stream = client.stream("m", "hi")
    first.run_until_complete(asyncio.sleep(0))
    for each in order:
        if each == "loop":
            first.close()
        else:
            attachments[each].close()

    async def go_on() -> list[str]:
        async with engine.loops.asyncio.AsyncioLoop(client.multi) as loop:
            again = client.stream("m", "hi")
            return [(await loop.result(each)).status for each in (stream, again)]

    assert asyncio.run(go_on()) == ["complete"] * 2
    for attachment in attachments.values():
        attachment.close()


def test_a_closed_multi_leaves_no_dead_number_behind(client: engine.Client) -> None:
    loop = SelectLoop()
    host.attach(client.multi, loop)
    client.multi.close()
    # The host's next descriptor gets the number of the closed one.
    near, far = socket.socketpair()
    loop.watch(near.fileno(), lambda: None)
    for each in (near, far):
        each.close()


@pytest.mark.parametrize("close", [lambda c: c.multi.close(), lambda c: c.close()])
def test_a_close_from_a_callback_unhooks(close: Any) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        client = engine.Client(base_url=server.url)
        loop = SelectLoop()
        attachment = host.attach(client.multi, loop)
        client.stream("m", "hi", on_done=lambda: close(client))
        loop.run(lambda: attachment.closed)
        assert loop.watched == {}


def test_another_thread_is_refused(multi: engine.Multi) -> None:
    import threading

    multi.poll(0)
    refused: list[BaseException] = []

    def attach() -> None:
        try:
            host.attach(multi, SelectLoop())
        except MisuseError as error:
            refused.append(error)

    thread = threading.Thread(target=attach)
    thread.start()
    thread.join()
    assert len(refused) == 1


def test_a_host_whose_watch_fails_is_not_half_attached(client: engine.Client) -> None:
    class Broken(SelectLoop):
        def watch(self, fd: int, call: Callable[[], None]) -> None:
            raise OSError("no")

    with pytest.raises(OSError):
        host.attach(client.multi, Broken())
    loop = SelectLoop()
    host.attach(client.multi, loop)
    stream = client.stream("m", "hi")
    loop.run(lambda: stream.completion)


# -- mistakes of the user's -----------------------------------------------------------------------


def broken(completion: object) -> None:
    raise ValueError("a mistake of mine")


def test_a_handler_that_raises_is_told_and_the_host_goes_on(client: engine.Client) -> None:
    loop = Reporting()
    host.attach(client.multi, loop)
    for _ in range(3):
        client.stream("m", "hi", on_done=broken)
    loop.run(lambda: loop.told and not len(client.multi))
    assert all(isinstance(error, ValueError) for error in loop.told)
    stream = client.stream("m", "hi")
    loop.run(lambda: stream.completion)


def test_a_host_that_cannot_be_told_has_it_on_stderr(
    client: engine.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    loop = SelectLoop()
    host.attach(client.multi, loop)
    client.stream("m", "hi", on_done=broken)
    loop.run(lambda: not len(client.multi))
    assert "a mistake of mine" in capfd.readouterr().err
    stream = client.stream("m", "hi")
    loop.run(lambda: stream.completion)


def test_an_interrupt_leaves_the_host_and_the_host_can_go_on(client: engine.Client) -> None:
    loop = SelectLoop()
    host.attach(client.multi, loop)

    def interrupt(delta: str) -> None:
        raise KeyboardInterrupt

    stream = client.stream("m", "hi").once("text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.run(lambda: stream.completion)
    loop.run(lambda: stream.completion)
    assert stream.text == TEXT


def test_a_loop_inside_of_a_callback_neither_spins_nor_breaks(client: engine.Client) -> None:
    loop, spun = SelectLoop(), list[int]()
    host.attach(client.multi, loop)

    def dialog(delta: str) -> None:
        before = loop.turns
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            loop.turn(0.01)
        spun.append(loop.turns - before)

    stream = client.stream("m", "hi").once("text", dialog)
    client.stream("m", "hi")
    loop.run(lambda: stream.completion)
    assert spun[0] < 30
    assert stream.text == TEXT


# -- asyncio -----------------------------------------------------------------------------------


def test_two_clients_of_one_multi_in_one_loop(client: engine.Client) -> None:
    async def main() -> None:
        other = engine.loops.asyncio.AsyncClient(client.multi, base_url="http://127.0.0.1:1")
        async with engine.loops.asyncio.AsyncioLoop(client.multi) as loop:
            async with other:
                pass
            assert (await loop.result(client.stream("m", "hi"))).text == TEXT

    asyncio.run(asyncio.wait_for(main(), 10))


def test_one_multi_in_one_loop_after_another(client: engine.Client) -> None:
    async def main() -> str:
        attachment = engine.loops.asyncio.attach(client.multi)
        stream = client.stream("m", "hi")
        while stream.completion is None:
            await asyncio.sleep(0.001)
        assert not attachment.closed
        return stream.text

    # The first loop is closed with the attachment open: it is over.
    assert [asyncio.run(asyncio.wait_for(main(), 10)) for _ in range(3)] == [TEXT] * 3


def test_to_close_the_attachment_wakes_who_waits(client: engine.Client) -> None:
    async def main() -> None:
        with serve(Peer.wait_closed) as server:
            async_client = engine.loops.asyncio.AsyncClient(client.multi, base_url=server.url)
            stream = async_client.stream("m", "hi")
            tasks = [asyncio.ensure_future(work) for work in (stream.result(), _each(stream))]
            await asyncio.sleep(0.01)
            await async_client.aclose()
            for task in tasks:
                with pytest.raises(MisuseError, match="closed"):
                    await task
            stream.cancel()

    asyncio.run(asyncio.wait_for(main(), 10))


async def _each(stream: Any) -> None:
    async for _ in stream:
        pass


def test_to_close_the_client_ends_what_is_open_and_wakes_who_waits() -> None:
    async def main() -> None:
        with serve(Peer.wait_closed) as server:
            async with engine.loops.asyncio.AsyncClient(base_url=server.url) as client:
                stream = client.stream("m", "hi")
                task = asyncio.ensure_future(stream.result())
                await asyncio.sleep(0.01)
            assert (await task).status == "cancelled"
            with pytest.raises(MisuseError):
                client.stream("m", "hi")

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_loop_that_watches_nothing_drives_by_its_timers(
    client: engine.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError  # as Windows' Proactor loop does

    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "add_reader", refuse)
        monkeypatch.setattr(loop, "remove_reader", refuse)
        async with engine.loops.asyncio.AsyncioLoop(client.multi) as attached:
            assert (await attached.result(client.stream("m", "hi"))).text == TEXT
            await asyncio.sleep(0.12)
            assert (await attached.result(client.stream("m", "hi"))).text == TEXT

    asyncio.run(asyncio.wait_for(main(), 10))


def test_what_on_done_raises_reaches_asyncio_and_its_reader_stays(client: engine.Client) -> None:
    caught: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: caught.append(context["exception"]))
        async with engine.loops.asyncio.AsyncioLoop(client.multi) as attached:
            for _ in range(3):
                bad = client.stream("m", "hi", on_done=broken)
                assert (await attached.result(bad)).text == TEXT
            assert (await attached.result(client.stream("m", "hi"))).text == TEXT

    asyncio.run(asyncio.wait_for(main(), 10))
    assert len(caught) == 3


def test_nothing_is_left_of_a_loop(client: engine.Client) -> None:
    async def main() -> None:
        async with engine.loops.asyncio.AsyncClient(client.multi):
            pass

    async def trio_main() -> None:
        async with engine.loops.trio.AsyncClient(client.multi):
            pass

    client.stream("m", "hi").result()
    asyncio.run(main())
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        asyncio.run(main())
        trio.run(trio_main)
    assert len(os.listdir("/proc/self/fd")) == before
