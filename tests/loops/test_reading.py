"""Whoever reads, whenever and however slowly, gets all of the text, once: in a script, in asyncio
and in trio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import engine
from engine import events
from engine.errors import MisuseError
from tests.cases import each_case
from tests.faults.server import KEEP, FaultServer, Step, play
from tests.loops.flavours import FLAVOURS, Plain
from tests.server import DONE, OK_SSE, Request, chat_chunk

WORDS = [f"w{n} " for n in range(40)]
TEXT = "".join(WORDS)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def paced(request: Request) -> Iterable[Step]:
    """The words one by one, a millisecond apart."""
    yield OK_SSE
    for word in WORDS:
        yield chunked(chat_chunk(word))
        yield 0.001
    yield chunked(chat_chunk(finish="stop") + DONE) + b"0\r\n\r\n"
    yield KEEP


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with play(paced) as server:
        yield server


def text_of(told: Iterable[Any]) -> str:
    return "".join(e.text for e in told if isinstance(e, events.TextDelta))


class Consumer:
    """Reads a stream to its end; a slow one stops now and then, and holds its server back."""

    def __init__(self, flavour: Plain, slow: bool) -> None:
        self.flavour = flavour
        self.pause = 0.002 if slow else 0.0
        self.limit = {"max_unread_bytes": 500} if slow else {}
        self.got: list[Any] = []

    async def rest(self) -> None:
        if self.pause:
            await self.flavour.sleep(self.pause)

    async def read(self, source: Any) -> list[Any]:
        got = []
        async for event in self.flavour.each(source):
            got.append(event)
            await self.rest()
        return got


async def at_once(client: Any, consumer: Consumer) -> None:
    assert text_of(await consumer.read(client.stream("m", "hi"))) == TEXT


async def late(client: Any, consumer: Consumer) -> None:
    stream = client.stream("m", "hi")
    await consumer.flavour.sleep(0.02)
    assert text_of(await consumer.read(stream)) == TEXT


async def after_the_end(client: Any, consumer: Consumer) -> None:
    stream = client.stream("m", "hi")
    assert (await consumer.flavour.result(stream)).text == TEXT
    for _ in range(2):
        told = await consumer.read(stream)
        assert [type(e) for e in told] == [events.Start, events.TextDelta, events.Done]
        assert text_of(told) == TEXT


async def one_after_another(client: Any, consumer: Consumer) -> None:
    first, second = client.stream("m", "hi"), client.stream("m", "hi")
    for stream in (first, second):
        assert text_of(await consumer.read(stream)) == TEXT


async def two_readers(client: Any, consumer: Consumer) -> None:
    flavour, stream = consumer.flavour, client.stream("m", "hi")
    if flavour.name != "plain":
        got: list[str] = []

        async def read() -> None:
            got.append(text_of(await consumer.read(stream)))

        await flavour.together(read, read)
        assert got == [TEXT, TEXT]
        return
    first, second, told = flavour.reader(stream), flavour.reader(stream), ([], [])
    while True:
        one, other = next(first, None), next(second, None)
        if one is None or other is None:
            break
        told[0].append(one), told[1].append(other)
        await consumer.rest()
    assert [text_of(each) for each in told] == [TEXT, TEXT]


async def merged(client: Any, consumer: Consumer) -> None:
    streams = [client.stream("m", "hi") for _ in range(3)]
    told = await consumer.read(engine.merged(*streams))
    for stream in streams:
        assert text_of(event for source, event in told if source is stream) == TEXT


async def merged_after_the_end(client: Any, consumer: Consumer) -> None:
    over, live = client.stream("m", "hi"), client.stream("m", "hi")
    await consumer.flavour.result(over)
    told = await consumer.read(engine.merged(over, live))
    for stream in (over, live):
        assert text_of(event for source, event in told if source is stream) == TEXT


async def text_deltas(client: Any, consumer: Consumer) -> None:
    assert "".join(await consumer.read(client.stream("m", "hi").text_deltas())) == TEXT


async def whole(client: Any, consumer: Consumer) -> None:
    """Somebody waits for the end while a reader that was begun does not read."""
    stream = client.stream("m", "hi")
    reader = consumer.flavour.reader(stream)
    first = await consumer.flavour.next(reader)
    completion = await consumer.flavour.result(stream)
    assert (completion.status, completion.text) == ("complete", TEXT)
    assert text_of([first, *await consumer.read(reader)]) == TEXT


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize(
    "scenario",
    [
        at_once,
        late,
        after_the_end,
        one_after_another,
        two_readers,
        merged,
        merged_after_the_end,
        text_deltas,
        whole,
    ],
    ids=lambda scenario: scenario.__name__,
)
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_everybody_gets_all_of_it_once(
    server: FaultServer, flavour: Plain, scenario: Any, slow: bool
) -> None:
    consumer = Consumer(flavour, slow)

    async def main() -> None:
        async with flavour.client(base_url=server.url, **consumer.limit) as client:
            await scenario(client, consumer)

    flavour.run(main)


# -- far behind --------------------------------------------------------------------------------


def endless(request: Request) -> Iterable[Step]:
    yield OK_SSE
    block = chunked(chat_chunk("x" * 40) * 50)
    while True:
        yield block


def rss() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) * 1024


@each_case("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_a_reader_that_stands_still_before_an_endless_answer_holds_little(flavour: Plain) -> None:
    async def main() -> int:
        async with flavour.client(base_url=server.url) as client:
            reader = flavour.reader(client.stream("m", "hi"))
            await flavour.next(reader)
            before = rss()
            await flavour.sleep(0.5)
            return rss() - before

    with play(endless) as server:
        assert flavour.run(main) < 20e6


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_beside_a_reader_that_stands_still_others_go_on(
    server: FaultServer, flavour: Plain
) -> None:
    async def main() -> None:
        async with flavour.client(base_url=server.url, max_unread_bytes=100) as client:
            still = client.stream("m", "hi")
            reader = flavour.reader(still)
            first = await flavour.next(reader)
            assert (await flavour.result(client.stream("m", "hi"))).text == TEXT
            assert not (await flavour.sleep(0) or still.completion)
            consumer = Consumer(flavour, slow=False)
            assert text_of([first, *await consumer.read(reader)]) == TEXT

    flavour.run(main)


def test_a_loop_that_only_another_readers_reading_could_end_is_a_mistake(
    server: FaultServer,
) -> None:
    with engine.Client(base_url=server.url, max_unread_bytes=500) as client:
        stream = client.stream("m", "hi")
        still = iter(stream)
        with pytest.raises(MisuseError, match="max_unread_bytes"):
            list(stream)
        assert text_of(still) == TEXT  # the other one goes on


def test_a_paused_stream_that_nobody_resumes_is_a_mistake_to_wait_for(server: FaultServer) -> None:
    with engine.Client(base_url=server.url) as client:
        stream = client.stream("m", "hi")
        reader = iter(stream)
        next(reader)
        stream.pause()
        with pytest.raises(MisuseError, match="resume"):
            stream.result()
        stream.resume()
        assert stream.result().text == TEXT


@pytest.mark.parametrize("when", ["before", "connected", "amid"])
def test_pause_holds_from_wherever_it_was_said_and_resume_loses_nothing(
    server: FaultServer, when: str
) -> None:
    with engine.Client(base_url=server.url) as client:
        multi, heard = client.multi, list[str]()
        stream = client.stream("m", "hi", on_text=heard.append)
        if when == "before":
            stream.pause()
        elif when == "connected":
            stream.on("connect", stream.pause)
        while when == "amid" and not heard:
            multi.poll(0.01)
        stream.pause()
        before = list(heard)
        for _ in range(20):
            multi.poll(0.002)
        assert heard == before
        assert stream.completion is None
        stream.resume()
        assert stream.result().text == "".join(heard) == TEXT
