"""A reader is an object: what it says, what it refuses, and what it leaves when it is dropped."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

import engine
from engine import events
from engine.answering.reader import Place, Reader, Texts
from engine.errors import EngineError, MisuseError, NetworkError
from tests.answering.support import Fixture, drained
from tests.server import HEALTHY, chat, serve

TEXT = events.TextDelta


def test_a_dropped_reader_is_one_that_was_left() -> None:
    fixture = Fixture()
    reader: Reader[Any] = Reader(fixture.place())
    del reader
    assert fixture.source.asked == ["cancel"]


@pytest.mark.parametrize("where", ["in a turn", "on another thread"])
def test_a_drop_at_a_bad_moment_is_noted_for_the_next_turn(where: str) -> None:
    fixture = Fixture()
    fixture.multi.at_rest = False
    held: list[Any] = [Reader(fixture.place())]
    if where == "in a turn":
        held.clear()
    else:
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
    assert fixture.source.asked == []
    fixture.multi.turn()
    assert fixture.source.asked == ["cancel"]


def test_a_drop_in_a_forked_child_is_nobodys() -> None:
    fixture = Fixture()
    fixture.multi.forked = True
    reader: Reader[Any] = Reader(fixture.place())
    del reader
    assert (fixture.source.asked, fixture.multi.soon) == ([], [])


def test_a_reader_that_moved_leaves_nothing_when_it_is_dropped() -> None:
    fixture = Fixture()
    fixture.delivery.post([TEXT("a")])
    reader = Reader(fixture.place())
    place = reader.place
    reader.move()
    del reader
    assert fixture.source.asked == []
    assert drained(place) == [TEXT("a")]


def test_a_place_that_no_reader_has_yet_holds_nothing_back() -> None:
    fixture = Fixture()
    place = Place(fixture.delivery)
    fixture.delivery.post([TEXT("a")])
    assert not fixture.delivery.is_read
    reader = Reader(place)
    assert fixture.delivery.is_read
    place.begin()  # once: it would be read twice
    assert [*drained(place)] == [TEXT("a")]
    reader.close()
    assert not fixture.delivery.is_read


def test_who_was_let_go_waits_where_nothing_is_new() -> None:
    fixture = Fixture()
    place = fixture.place()
    fixture.delivery.let_go()
    assert place.take() is None
    fixture.delivery.post([TEXT("a"), TEXT("b")])
    fixture.multi.turn()
    assert drained(place) == [TEXT("ab")]
    assert place.take() is None
    fixture.delivery.post([TEXT("c")])
    fixture.multi.turn()
    assert drained(place) == [TEXT("c")]


def test_texts_are_the_first_choices_and_an_error_is_raised() -> None:
    fixture = Fixture()
    texts = Texts(Reader(fixture.place()))
    failure = NetworkError("cut")
    fixture.delivery.post([TEXT("a"), TEXT("x", 0, 1), events.Ping(), events.StreamError(failure)])
    assert next(texts) == "a"
    with pytest.raises(EngineError) as raised:
        next(texts)
    assert raised.value is failure


def test_in_a_callback_a_loop_over_a_stream_is_a_mistake(multi: engine.Multi) -> None:
    refused: list[str] = []

    def read(delta: str, stream: engine.Stream) -> None:
        try:
            iter(stream)
        except MisuseError as error:
            refused.append(str(error))

    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        engine.Client(multi, base_url=server.url).stream("m", "hi", on_text=read).result()
    assert len(refused) == len(HEALTHY) and "perform" in refused[0]


def test_a_stream_shows_what_a_user_may_call_and_nothing_else() -> None:
    names = [name for name in dir(engine.Stream) if not name.startswith("_")]
    assert len(names) <= 24
    inside = {
        *("conclude", "deliver", "began", "connected", "received", "attempt_ended", "announce"),
        *("open", "hold", "enqueue", "release", "finished", "call_later", "stalled"),
    }
    assert not inside & set(names)
    documented = (engine.Stream.__doc__ or "") + "".join(
        name for name in names if getattr(engine.Stream, name).__doc__
    )
    assert [name for name in names if name not in documented] == []


def test_to_end_with_a_reader_open_says_nothing() -> None:
    script = (
        "import engine\n"
        "client = engine.Client(base_url='http://127.0.0.1:1')\n"
        "reader = iter(client.stream('m', 'hi'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
