"""Several streams read as one, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import engine
from engine import events
from engine.answering.merged import Merged
from engine.errors import ConfigError, MisuseError
from tests.cases import each_case
from tests.server import HEALTHY, chat, serve

TEXT = "".join(HEALTHY)


@pytest.fixture
def client(multi: engine.Multi) -> Iterator[engine.Client]:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        yield engine.Client(multi, base_url=server.url)


def test_each_has_its_turn(client: engine.Client) -> None:
    first, second = client.stream("m", "hi"), client.stream("m", "hi")
    client.multi.poll(0)
    for stream in (first, second):
        stream.result()
    order = [stream is first for stream, _ in engine.merged(first, second)]
    assert order == [True, False] * 3  # a late reader's three: the beginning, the text, the end


def test_to_leave_leaves_each(client: engine.Client) -> None:
    streams = [client.stream("m", "hi") for _ in range(3)]
    reader = engine.merged(*streams)
    next(reader)
    reader.close()
    assert list(reader) == []
    assert [stream.result().status for stream in streams] == ["cancelled"] * 3


def test_one_that_fails_ends_for_itself(client: engine.Client) -> None:
    good, bad = client.stream("m", "hi"), client.stream("m", "hi")
    bad.on("text", lambda: 1 // 0)
    told = list(engine.merged(good, bad))
    texts = [e.text for stream, e in told if stream is good and isinstance(e, events.TextDelta)]
    assert "".join(texts) == TEXT
    assert bad.completion is not None and bad.completion.status == "error"


def test_what_cannot_be_read_as_one_is_refused(client: engine.Client) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        engine.merged()
    other = engine.Client(base_url="http://127.0.0.1:1")
    with other, pytest.raises(MisuseError, match="one Multi"):
        engine.merged(client.stream("m", "hi"), other.stream("m", "hi"))


def test_in_a_callback_it_is_refused(client: engine.Client) -> None:
    refused: list[Exception] = []

    def read(delta: str, stream: engine.Stream) -> None:
        try:
            engine.merged(stream)
        except MisuseError as error:
            refused.append(error)

    client.stream("m", "hi", on_text=read).result()
    assert len(refused) == len(HEALTHY)


@pytest.mark.parametrize("max_unread_bytes", [1, 1 << 20])
def test_what_a_turn_did_not_come_to_is_no_reason_to_give_up(max_unread_bytes: int) -> None:
    """A turn of no time, as on a machine that stands still for the length of one."""
    with (
        serve(lambda peer: peer.stream(chat(*HEALTHY))) as server,
        engine.Multi(turn_seconds=0) as multi,
    ):
        client = engine.Client(multi, base_url=server.url, max_unread_bytes=max_unread_bytes)
        for _ in range(5):
            streams = [client.stream("m", "hi") for _ in range(3)]
            told = list(engine.merged(*streams))
            assert [read_of(told, stream) for stream in streams] == [TEXT] * 3


def read_of(told: list[Any], stream: engine.Stream) -> str:
    return "".join(
        event.text
        for source, event in told
        if source is stream and isinstance(event, events.TextDelta)
    )


def test_one_that_another_reader_holds_up_does_not_keep_the_others(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY * 4000))) as server:
        client = engine.Client(multi, base_url=server.url, max_unread_bytes=1)
        held_up, other = (client.stream("m", "hi") for _ in range(2))
        still = iter(held_up)
        told: list[Any] = []
        with pytest.raises(MisuseError, match="max_unread_bytes"):
            for pair in engine.merged(held_up, other):
                told.append(pair)
        assert read_of(told, other) == TEXT * 4000
        assert isinstance(next(still), events.Start)  # which goes on, now as then


def test_a_stream_that_is_silent_costs_nothing_while_another_speaks() -> None:
    asked: Counter[str] = Counter()

    class Silent:
        ended = False

        def take(self) -> None:
            asked["silent"] += 1

        def watch(self, call: Callable[[], None]) -> None:
            asked["watched"] += 1

    class Speaks(Silent):
        def take(self) -> Any:
            return events.TextDelta(text="word")

    pairs: Any = [*(("silent", Silent()) for _ in range(3)), ("speaks", Speaks())]
    reader: Merged[str, events.Event] = Merged(pairs)
    assert [next(reader)[0] for _ in range(100)] == ["speaks"] * 100
    assert asked == {"silent": 3, "watched": 3}  # once each, until there is news


@each_case("raised", [KeyboardInterrupt(), MisuseError("no news could come")])
@each_case("where", ["take", "drive"])
def test_what_breaks_in_is_raised_and_leaves_each(where: str, raised: BaseException) -> None:
    closed: list[int] = []

    class Reader:
        ended = held_back = False

        def __init__(self, number: int) -> None:
            self.number = number

        def take(self) -> None:
            if where == "take" and self.number:
                raise raised

        def watch(self, call: Callable[[], None]) -> None:
            pass

        def drive(self) -> None:
            raise raised

        def close(self) -> None:
            closed.append(self.number)

    pairs: Any = [(number, Reader(number)) for number in range(3)]
    reader: Merged[int, events.Event] = Merged(pairs)
    with pytest.raises(type(raised)) as told:
        next(reader)
    assert told.value is raised
    assert sorted(closed) == [0, 1, 2]
    assert list(reader) == []  # it was left
