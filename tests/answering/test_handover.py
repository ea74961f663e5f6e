"""A run of events that one reader takes without asking: whoever looks sees what it has, to the
event, and what comes in between counts from the next event on."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import engine
from engine import events
from engine.answering.contract import Kept
from engine.answering.handover import Handover
from engine.answering.reader import Place, Reader
from tests.answering.support import Fixture, drained
from tests.cases import each_case
from tests.server import chat, serve
from tests.volume import examples

TEXT = events.TextDelta
ALL = [TEXT(str(number)) for number in range(10)]


def reading(taken: int) -> tuple[Fixture, Place[Any]]:
    """One who has taken so many of `ALL`, which came in one read."""
    fixture = Fixture(max_unread_bytes=8)
    place = fixture.place()
    fixture.delivery.post(ALL[:], b"0123456789")
    assert [place.take() for _ in range(taken)] == ALL[:taken]
    return fixture, place


def text(fixture: Fixture) -> str:
    fixture.delivery.fold_now()
    return str(fixture.history.text())


def test_the_run_is_what_waits_of_one_read_but_for_its_last() -> None:
    _, place = reading(1)
    assert [*place.lent] == ALL[1:-1]
    assert drained(place) == ALL[-1:]


@each_case("taken", [*range(11)])
def test_whoever_looks_sees_what_was_taken(taken: int) -> None:
    fixture, place = reading(taken)
    assert fixture.delivery.cursor == taken
    assert text(fixture) == "0123456789"[:taken]
    assert drained(place) == ALL[taken:]
    assert text(fixture) == "0123456789"


@each_case("taken", [*range(11)])
def test_a_callback_that_is_added_gets_the_next_event_first(taken: int) -> None:
    fixture, place = reading(taken)
    told = list[Any]()
    fixture.callbacks.others = told.append
    fixture.callbacks.changed()
    assert place.take() is None
    fixture.delivery.deliver()
    assert told == ALL[taken:]
    assert drained(place) == ALL[taken:]


@each_case("name", ["event", "text"])
@each_case("taken", [1, 2, 5, 9])
def test_a_callback_added_in_a_loop_over_what_came_whole_does_not_end_it(
    taken: int, name: str
) -> None:
    pieces, got, told = [*"0123456789"], list[Any](), list[Any]()
    with serve(lambda place: place.at_once(chat(*pieces))) as server, engine.Multi() as multi:
        client = engine.Client(multi, base_url=server.url, api_key="k")
        stream = client.stream("m", "hi")
        for event in stream:
            got.append(event)
            if len(got) == taken:
                stream.on(name, lambda event, _: told.append(event))  # type: ignore[call-overload]
    assert [e.text for e in got if type(e) is TEXT] == pieces
    assert len(told) == (len(got) - taken if name == "event" else len(pieces) - (taken - 1))


@each_case("taken", [*range(11)])
def test_one_who_is_told_of_turns_hears_of_the_text_from_then_on(taken: int) -> None:
    fixture, place = reading(taken)
    fixture.multi.texts = {}
    fixture.delivery.recall()
    drained(place)
    assert fixture.multi.texts.get("face", []) == [*"0123456789"[taken:]]


@each_case("taken", [*range(11)])
def test_a_second_reader_gets_what_the_first_has_joined_and_the_rest_as_it_came(taken: int) -> None:
    fixture, place = reading(taken)
    second = fixture.place()
    got = drained(second)
    assert got == ([TEXT("0123456789"[:taken])] if taken else []) + ALL[taken:]
    assert drained(place) == ALL[taken:]


@each_case("taken", [*range(11)])
def test_what_is_dropped_is_not_taken(taken: int) -> None:
    fixture, place = reading(taken)
    fixture.source.cancel()
    assert drained(place) == []
    fixture.multi.turn()
    assert (fixture.delivery.completion, place.ended) == ("the end", True)
    assert fixture.delivery.cursor == taken


@each_case("taken", [*range(11)])
def test_who_is_let_go_gets_the_rest_joined(taken: int) -> None:
    fixture, place = reading(taken)
    fixture.delivery.let_go()
    fixture.delivery.deliver()
    assert drained(place) == ([TEXT("0123456789"[taken:])] if taken < 10 else [])


@each_case("taken", [*range(11)])
def test_who_leaves_takes_no_more(taken: int) -> None:
    fixture, place = reading(taken)
    place.close()
    assert (drained(place), fixture.delivery.cursor) == ([], taken)
    assert fixture.source.asked.count("cancel") == 1


def test_the_end_is_told_when_the_last_event_was_taken() -> None:
    fixture, place = reading(0)
    fixture.delivery.finish()
    for _ in ALL:
        fixture.multi.turn()
        assert fixture.delivery.completion is None
        place.take()
    fixture.multi.turn()
    assert fixture.delivery.completion == "the end"


def test_the_source_goes_on_when_the_last_event_of_the_read_was_taken() -> None:
    fixture, place = reading(9)
    assert fixture.source.asked == ["hold back: reader"]
    place.take()
    assert fixture.source.asked == ["hold back: reader", "go on: reader"]


def test_what_was_delivered_leaves_the_queue_while_a_long_run_is_read() -> None:
    fixture = Fixture(history=Kept())
    place = fixture.place()
    fixture.delivery.post([TEXT("a")] * 5000, b"a")
    most = 0
    while place.take() is not None:
        most = max(most, fixture.delivery.cursor - fixture.delivery.base)
    assert fixture.delivery.cursor == 5000
    assert most < 1100


def test_one_who_looks_at_each_event_is_lent_none() -> None:
    class Watching(Place[Any]):
        __slots__ = ()

    fixture = Fixture()
    place = Watching(fixture.delivery)
    place.begin()
    fixture.delivery.post(ALL[:], b"a")
    assert place.take() == ALL[0]
    assert [*place.lent] == []
    assert drained(place) == ALL[1:]


def test_where_it_is_is_the_same_before_and_after_it_is_stopped() -> None:
    for taken in range(5):
        handover: Handover[str] = Handover([*"abcd"], 7)
        assert [next(handover.rest) for _ in range(taken)] == [*"abcd"[:taken]]
        for _ in range(3):
            assert handover.position == 7 + taken
            handover.stop()
        assert [*handover.rest] == []
        assert handover.position == 7 + taken


_LOOKED_AT = ("handover.py", "items.py", "delivery.py")


def interrupted_at(number: int, call: Callable[[], object]) -> bool:
    """Call `call`, with an interrupt at so manieth opcode of ours; whether it came."""
    left = number

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(_LOOKED_AT):
            return trace
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if not left:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@each_case("taken", [1, 4, 8, 9])
def test_an_interrupt_of_who_looks_loses_nothing_and_repeats_nothing(taken: int) -> None:
    number, came = 0, True
    while came:
        number += 1
        fixture, place = reading(taken)
        came = interrupted_at(number, fixture.delivery.recall)
        rest = drained(place)
        assert rest == ALL[taken:], number
        assert fixture.delivery.cursor == 10
        assert text(fixture) == "0123456789"
    assert number > 2


def test_callbacks_that_are_interrupted_anywhere_between_two_events_get_each_once() -> None:
    number, came = 0, True
    while came:
        number += 1
        fixture, told = Fixture(), list[Any]()
        fixture.callbacks.others = told.append
        fixture.delivery.post(ALL[:])
        came = interrupted_at(number, fixture.delivery.deliver)
        fixture.delivery.deliver()
        # An interrupt of the very call is the callback's: it is called at most once.
        assert told == sorted({*told}, key=ALL.index)
        assert len(told) >= len(ALL) - 1, number
        assert fixture.delivery.cursor == 10
        fixture.delivery.post([TEXT("z")])
        fixture.delivery.deliver()
        assert (told[-1], fixture.delivery.cursor) == (TEXT("z"), 11)


@each_case("seed", [*range(examples(20))])
def test_a_loop_sees_the_text_grow_by_each_event_whatever_else_happens(seed: int) -> None:
    chance = random.Random(seed)
    fixture = Fixture(max_unread_bytes=chance.choice((1, 8, 1000)))
    first = fixture.place()
    others, posted, got, seen, watched = list[Place[Any]](), "", "", 0, list[Any]()
    for _ in range(300):
        what = chance.randrange(8)
        if what < 2:
            piece = "".join(chance.choices("abc", k=chance.randrange(1, 20)))
            fixture.delivery.post([TEXT(letter) for letter in piece], piece.encode())
            posted += piece
        elif what < 6 and (event := first.take()) is not None:
            got += event.text
            seen = max(seen, len(got))
            if chance.randrange(3) == 0:
                assert text(fixture) == posted[:seen]
        elif what == 6:
            if fixture.callbacks.others is None:
                fixture.callbacks.others = watched.append
            else:
                fixture.callbacks.others = None
            fixture.callbacks.changed()
            fixture.delivery.deliver()
            seen = len(posted) if fixture.callbacks.others is not None else seen
        elif others:
            others.pop().close()
        else:
            others.append(fixture.place())
    fixture.callbacks.others = None
    got += "".join(event.text for event in drained(first))
    for other in others:
        drained(other)
    assert got == posted == text(fixture)


def test_a_loop_over_a_reader_takes_what_it_was_lent() -> None:
    fixture = Fixture()
    reader = Reader(fixture.place())
    fixture.delivery.post(ALL[:], b"a")
    assert [next(reader) for _ in range(5)] == ALL[:5]
    assert fixture.delivery.cursor == 5
    reader.close()
    with pytest.raises(StopIteration):
        next(reader)
