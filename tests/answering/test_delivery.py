"""Delivery: each event once, to callbacks and to every reader, whenever it begins."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import events
from engine.answering.contract import Kept
from engine.answering.listeners import STOP
from engine.messages import FinishReason, Usage
from engine.providers import dialect
from tests.answering.support import Fixture, concatenated, drained
from tests.cases import each_case
from tests.corpus import CORPUS, DIALECTS, recordings, replay
from tests.volume import examples

START, TEXT = events.Start("a", "m"), events.TextDelta
DONE = events.Done(FinishReason.STOP)


def texts(*words: str) -> list[events.Event]:
    return [TEXT(word) for word in words]


# -- callbacks ---------------------------------------------------------------------------------


def test_callbacks_get_each_event_once_and_in_order() -> None:
    fixture, seen = Fixture(), list[Any]()
    fixture.callbacks.on_event = lambda event, face: seen.append((event, face))
    fixture.delivery.post(texts("a", "b"))
    fixture.multi.turn()
    fixture.delivery.post(texts("c"))
    fixture.multi.turn()
    assert seen == [(event, "face") for event in texts("a", "b", "c")]


def test_what_interrupts_a_callback_does_not_make_its_event_come_twice() -> None:
    fixture, seen = Fixture(), list[Any]()

    def interrupted(event: Any, _: Any) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise KeyboardInterrupt

    fixture.callbacks.on_event = interrupted
    fixture.delivery.post(texts("a", "b"))
    with pytest.raises(KeyboardInterrupt):
        fixture.delivery.deliver()
    fixture.delivery.deliver()
    assert seen == texts("a", "b")


def test_stop_cancels_and_the_rest_is_dropped() -> None:
    fixture, seen = Fixture(), list[Any]()

    def stop(event: Any, _: Any) -> object:
        seen.append(event)
        return STOP

    fixture.callbacks.on_event = stop
    fixture.delivery.post(texts("a", "b"))
    fixture.multi.turn()
    assert (seen, fixture.source.asked) == (texts("a"), ["cancel"])
    assert fixture.delivery.completion == "the end"


def test_an_end_after_which_nothing_waits_needs_no_delivery() -> None:
    fixture = Fixture()
    fixture.delivery.post(texts("a"))
    fixture.delivery.deliver()
    fixture.multi.deliverable.clear()
    fixture.delivery.finish()
    fixture.delivery.finish()
    assert (list(fixture.multi.deliverable), fixture.multi.over) == ([], [fixture.delivery])


@each_case("what", ["event", "note", "watcher"])
def test_an_end_before_which_something_waits_comes_after_it(what: str) -> None:
    fixture, called = Fixture(), list[str]()
    if what == "event":
        fixture.callbacks.on_event = lambda event, face: called.append(what)
        fixture.delivery.post(texts("a"))
    elif what == "note":
        fixture.delivery.note(lambda: called.append(what))
    else:
        fixture.delivery.watch(lambda: called.append(what))
    fixture.delivery.finish()
    assert (called, fixture.multi.over) == ([], [])
    fixture.delivery.deliver()
    assert (called, fixture.multi.over) == ([what], [fixture.delivery])


def test_a_note_that_a_callback_leaves_is_called_before_the_end() -> None:
    fixture, order = Fixture(), list[str]()

    def leaves(event: Any, _: Any) -> None:
        fixture.delivery.note(lambda: order.append("note"))

    fixture.callbacks.on_event = leaves
    fixture.callbacks.ends = [lambda: order.append("end")]
    fixture.delivery.post(texts("a", "b"))
    assert fixture.delivery.deliver() is False
    fixture.multi.deliverable.clear()
    fixture.delivery.finish()
    fixture.multi.turn()
    assert order == ["note", "note", "end"]


def test_a_turn_looks_at_the_clock_and_goes_on_where_it_stopped() -> None:
    fixture, seen = Fixture(), list[Any]()
    fixture.callbacks.on_event = lambda event, _: seen.append(event)
    fixture.delivery.post([TEXT(str(n)) for n in range(100)])
    fixture.delivery.finish()
    assert fixture.delivery.deliver(0.0) is True
    assert 0 < len(seen) < 100
    assert fixture.multi.over == []
    assert fixture.delivery.deliver(math.inf) is False
    assert seen == [TEXT(str(n)) for n in range(100)]
    assert fixture.multi.over == [fixture.delivery]


def test_a_callback_that_looks_at_the_text_does_not_put_off_the_clock() -> None:
    fixture, seen = Fixture(), list[Any]()

    def look(event: Any, _: Any) -> None:
        fixture.delivery.fold_now()
        seen.append(event)

    fixture.callbacks.on_event = look
    fixture.delivery.post([TEXT(str(n)) for n in range(100)])
    assert fixture.delivery.deliver(0.0) is True
    assert len(seen) < 20


def test_a_pause_in_a_callback_holds_from_the_next_event_on() -> None:
    fixture, seen = Fixture(), list[Any]()

    def pause(event: Any, _: Any) -> None:
        seen.append(event)
        fixture.delivery.pause()

    fixture.callbacks.on_event = pause
    fixture.delivery.post(texts("a", "b"))
    fixture.multi.turn()
    assert seen == texts("a")
    assert fixture.delivery.stalled
    fixture.delivery.resume()
    fixture.multi.turn()
    assert seen == texts("a", "b")
    assert fixture.source.asked == ["hold back: pause", "go on: pause", "hold back: pause"]


def test_one_event_after_a_pause_is_handed_over_as_one_before_it() -> None:
    fixture, seen = Fixture(), list[Any]()

    def on_event(event: Any, _: Any) -> None:
        seen.append(event.text)
        if event.text != "more":
            fixture.delivery.post(texts("more"))

    fixture.callbacks.on_event = on_event
    fixture.delivery.pause()
    fixture.delivery.post(texts("a"))
    fixture.delivery.resume()
    fixture.multi.deliverable.clear()
    assert not fixture.delivery.deliver()
    assert (seen, [*fixture.multi.deliverable]) == (["a"], [fixture.delivery])
    fixture.multi.turn()
    assert seen == ["a", "more"]


@each_case("at", [*range(20), *range(254, 259), 298, 299])
@each_case("what", ["pause", "stop", "fold", "more"])
def test_what_a_callback_does_in_the_middle_of_many_counts_from_the_next_on(
    what: str, at: int
) -> None:
    fixture, seen = Fixture(), list[Any]()
    many = texts(*map(str, range(20 if at < 20 else 300)))

    def on_event(event: Any, _: Any) -> object:
        seen.append(event)
        if len(seen) == at + 1:
            if what == "pause":
                fixture.delivery.pause()
            elif what == "fold":
                fixture.delivery.fold_now()
            elif what == "more":
                fixture.delivery.post(texts("more"))
        return STOP if what == "stop" and len(seen) == at + 1 else None

    fixture.callbacks.on_event = on_event
    fixture.delivery.post(many)
    fixture.multi.turn()
    if what == "pause":
        assert seen == many[: at + 1]
        fixture.delivery.resume()
        fixture.multi.turn()
    if what == "more":
        many += texts("more")
    assert seen == (many[: at + 1] if what == "stop" else many)


@each_case("before", [0, 1, 9])
@each_case("what", ["post", "step", "finish", "cancel", "raise", "pause"])
def test_what_a_callback_brings_about_is_handed_over_without_another_asking(
    what: str, before: int
) -> None:
    fixture, seen = Fixture(), list[Any]()
    delivery = fixture.delivery

    def on_event(event: Any, _: Any) -> None:
        seen.append(event.text)
        if event.text != "last":
            return
        if what == "post":
            delivery.post(texts("more"))
        elif what == "step":
            delivery.step(lambda: seen.append("more"))
        elif what == "finish":
            delivery.post(texts("more"))
            delivery.finish()
        elif what == "cancel":
            fixture.source.cancel()
        elif what == "raise":
            delivery.post(texts("more"))
            raise ValueError
        else:
            delivery.pause()
            delivery.post(texts("more"))
            delivery.resume()

    fixture.callbacks.on_event = on_event
    delivery.post(texts(*map(str, range(before)), "last"))
    fixture.multi.turn()
    assert seen[before:] == (["last"] if what == "cancel" else ["last", "more"])
    assert (delivery.completion is not None) is (what in ("finish", "cancel"))
    delivery.post(texts("after"))  # and it is asked for again
    fixture.multi.turn()
    assert seen[-1] == "after"


def test_what_is_posted_together_is_asked_for_once() -> None:
    fixture, seen = Fixture(), list[Any]()

    def on_event(event: Any, _: Any) -> None:
        seen.append(event.text)
        if len(seen) < 9:
            fixture.delivery.post(texts("more"))
            fixture.delivery.step(lambda: None)

    fixture.callbacks.on_event = on_event
    for _ in range(3):
        fixture.delivery.step(lambda: None)
        fixture.delivery.post(texts("a"))
    assert list(fixture.multi.deliverable) == [fixture.delivery]
    fixture.delivery.deliver()
    assert list(fixture.multi.deliverable) == [fixture.delivery]
    assert seen == [*"aaa", *["more"] * 8]


@pytest.mark.parametrize("called", [False, True])
def test_what_was_delivered_leaves_the_queue_while_more_comes(called: bool) -> None:
    fixture = Fixture()
    if called:
        fixture.callbacks.on_event = lambda *_: None
    for n in range(200):
        fixture.delivery.post(texts(str(n)))
        fixture.multi.turn()
    assert len(fixture.delivery.queue) < 20


def test_completion_handlers_are_called_one_a_time() -> None:
    fixture, called = Fixture(), list[int]()
    fixture.callbacks.ends = [lambda: called.append(1), lambda: called.append(2)]
    fixture.delivery.finish()
    fixture.delivery.deliver()
    fixture.delivery.conclude()
    assert fixture.delivery.announce() is True
    assert called == [1]
    assert fixture.delivery.announce() is True
    assert fixture.delivery.announce() is False
    assert called == [1, 2]


def test_slow_callbacks_have_the_clock_looked_at_after_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture, seen, now = Fixture(), list[Any](), [0.0]
    monkeypatch.setattr("engine.answering.delivery.monotonic", lambda: now[0])

    def slow(event: Any, _: Any) -> None:
        seen.append(event)
        now[0] += 0.010

    fixture.callbacks.on_event = slow
    fixture.delivery.post([TEXT(str(n)) for n in range(100)])
    assert fixture.delivery.deliver(0.035) is True
    assert len(seen) == 4


def test_quick_callbacks_have_it_looked_at_seldom_and_the_first_ones_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture, seen, looks = Fixture(), list[Any](), list[int]()

    def clock() -> float:
        looks.append(len(seen))
        return 100.0

    monkeypatch.setattr("engine.answering.delivery.monotonic", clock)
    fixture.callbacks.on_event = lambda event, _: seen.append(event)
    fixture.delivery.post([TEXT(str(n)) for n in range(300)])
    assert fixture.delivery.deliver(101.0) is False
    assert looks[:6] == [0, 1, 3, 7, 15, 23]
    assert len(seen) == 300 and len(looks) < 45


def test_the_text_of_a_turn_is_noted_once_for_who_listens_to_turns() -> None:
    fixture = Fixture()
    driver = fixture.multi
    fixture.delivery.post([START, *texts("x")])
    driver.turn()
    driver.texts = {}
    fixture.delivery.post(texts("a", "b"))
    driver.turn()
    assert driver.texts == {"face": ["a", "b"]}
    driver.texts = {}
    fixture.delivery.post([TEXT(str(n)) for n in range(20)])
    driver.turn()
    fixture.delivery.post([events.TextDelta("other", 0, 1), events.Ping()])
    driver.turn()
    assert driver.texts == {"face": [*map(str, range(20))]}
    driver.texts = {}
    fixture.delivery.post([events.Ping()])
    driver.turn()
    assert driver.texts == {}


# -- steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [False, True])
def test_a_step_is_taken_after_the_events_before_it(reads: bool) -> None:
    fixture, done = Fixture(history=Kept()), list[Any]()
    place = fixture.place() if reads else None
    fixture.delivery.post(texts("a"))
    fixture.delivery.step(lambda: done.append("step"))
    fixture.delivery.post(texts("b"))
    if place is None:
        fixture.callbacks.on_event = lambda event, _: done.append(event)
        fixture.multi.turn()
    else:
        fixture.multi.turn()
        assert done == []  # a slow reader slows down its own source only
        done.append(place.take())
        assert done == texts("a")
        done.append(place.take())
    assert done == [*texts("a"), "step", *texts("b")]
    assert drained(fixture.place()) == texts("a", "b")


def test_a_step_that_raises_is_told_the_source_and_an_interrupt_leaves() -> None:
    fixture = Fixture()

    def broken(error: BaseException) -> Any:
        def step() -> None:
            raise error

        return step

    fixture.delivery.step(broken(ValueError("no")))
    fixture.multi.turn()
    fixture.delivery.step(broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        fixture.multi.turn()
    assert fixture.source.asked == ["failed: no", "interrupted"]


# -- readers -----------------------------------------------------------------------------------


def test_a_late_reader_gets_what_came_before_joined() -> None:
    fixture = Fixture()
    fixture.delivery.post([START, *texts("a", "b")])
    fixture.multi.turn()
    place = fixture.place()
    fixture.delivery.post([*texts("c", "d"), DONE])
    assert drained(place) == [START, TEXT("ab"), *texts("c", "d"), DONE]


def test_two_readers_each_get_all_and_nothing_is_kept_for_them_longer_than_needed() -> None:
    fixture = Fixture()
    fast, slow = fixture.place(), fixture.place()
    fixture.delivery.post([TEXT(str(n)) for n in range(1000)])
    assert len(drained(fast)) == 1000
    assert len(fixture.delivery.queue) == 1000
    assert drained(slow) == [TEXT(str(n)) for n in range(1000)]
    fixture.delivery.fold_now()
    assert fixture.delivery.queue == []


def test_a_reader_follows_callbacks() -> None:
    fixture, seen = Fixture(), list[Any]()
    fixture.callbacks.on_event = lambda event, _: seen.append(event)
    place = fixture.place()
    fixture.delivery.post(texts("a"))
    assert (place.take(), seen) == (None, [])
    fixture.multi.turn()
    assert (place.take(), seen) == (TEXT("a"), texts("a"))


def test_the_snapshot_is_what_the_foremost_reader_has() -> None:
    fixture = Fixture()
    first, second = fixture.place(), fixture.place()
    fixture.delivery.post(texts("a", "b", "c"))
    first.take(), first.take(), second.take()
    fixture.delivery.fold_now()
    assert fixture.history.text() == "ab"


def test_one_event_that_came_alone_waits_for_the_reader_too() -> None:
    fixture = Fixture()
    place = fixture.place()
    fixture.delivery.post(texts("a"))
    fixture.delivery.deliver()
    fixture.delivery.fold_now()
    assert fixture.history.text() == ""
    assert place.take() == TEXT("a")
    fixture.delivery.fold_now()
    assert fixture.history.text() == "a"


@pytest.mark.parametrize("alone", [True, False])
def test_who_is_told_of_text_alone_is_told_of_each_event_once(alone: bool) -> None:
    fixture, seen = Fixture(), list[Any]()
    fixture.callbacks.others = seen.append
    for words in ("a", "b", "c") if alone else ("abc",):
        fixture.delivery.post(texts(*words))
        fixture.multi.turn()
    assert seen == texts("a", "b", "c")


def test_after_a_cancel_everybody_gets_what_was_delivered_and_no_more() -> None:
    fixture = Fixture()
    first, second = fixture.place(), fixture.place()
    fixture.delivery.post(texts("a", "b", "c"))
    first.take(), first.take()
    fixture.source.cancel()
    assert drained(first) == []
    assert drained(second) == texts("a", "b")
    assert drained(fixture.place()) == [TEXT("ab")]


def test_the_slowest_reader_holds_back_by_bytes_and_lets_go_at_half() -> None:
    fixture = Fixture(max_unread_bytes=100)
    fast, slow = fixture.place(), fixture.place()
    for n in range(3):
        fixture.delivery.post(texts(str(n)), bytes(50))
    drained(fast)
    assert fixture.source.asked == ["hold back: reader"]
    assert fixture.delivery.stalled
    slow.take()
    assert fixture.source.asked == ["hold back: reader"]
    slow.take()
    assert fixture.source.asked == ["hold back: reader", "go on: reader"]


@pytest.mark.parametrize("how", ["close", "let go"])
def test_who_reads_no_more_holds_nobody_back(how: str) -> None:
    fixture = Fixture(max_unread_bytes=100)
    fast, slow = fixture.place(), fixture.place()
    fixture.delivery.post(texts("a", "b"), bytes(150))
    drained(fast)
    if how == "close":
        slow.close()
    else:
        fixture.delivery.let_go()
        fixture.delivery.post(texts("c"), bytes(1000))
    assert fixture.source.asked == ["hold back: reader", "go on: reader"]


def test_who_was_let_go_gets_the_rest_joined_once() -> None:
    fixture = Fixture()
    place = fixture.place()
    fixture.delivery.post([START, *texts("a", "b", "c")])
    assert [place.take(), place.take()] == [START, TEXT("a")]
    fixture.delivery.let_go()
    fixture.multi.turn()
    fixture.delivery.post(texts("d"))
    fixture.multi.turn()
    assert drained(place) == [TEXT("bcd")]
    fixture.delivery.post([*texts("e", "f"), DONE])
    fixture.multi.turn()
    assert drained(place) == [TEXT("ef"), DONE]
    assert drained(place) == []


# -- leaving -----------------------------------------------------------------------------------


def test_the_last_one_who_leaves_cancels() -> None:
    fixture = Fixture()
    first, second = fixture.place(), fixture.place()
    first.close()
    assert fixture.source.asked == []
    second.close()
    second.close()
    assert fixture.source.asked == ["cancel"]


def test_where_callbacks_take_the_events_nobody_who_leaves_cancels() -> None:
    fixture = Fixture()
    fixture.callbacks.take_events = True
    fixture.place().close()
    assert fixture.source.asked == []


def test_to_read_without_owning_cancels_nothing() -> None:
    fixture = Fixture()
    owner, guest = fixture.place(), fixture.place(cancel=False)
    owner.close()
    guest.close()
    assert fixture.source.asked == []


def test_at_the_end_it_is_no_leaving() -> None:
    fixture = Fixture()
    place = fixture.place()
    fixture.delivery.post(texts("a"))
    fixture.delivery.finish()
    assert drained(place) == texts("a")
    fixture.multi.turn()
    assert place.ended
    place.close()
    assert fixture.source.asked == []


def test_who_watches_is_told_of_news_and_of_the_end() -> None:
    fixture, told = Fixture(), list[str]()
    fixture.delivery.watch(lambda: told.append("news"))
    fixture.multi.turn()
    assert told == []
    fixture.delivery.post(texts("a"))
    fixture.multi.turn()
    assert told == ["news"]
    fixture.delivery.watch(lambda: told.append("end"))
    fixture.delivery.finish()
    fixture.multi.turn()
    assert told == ["news", "end"]
    fixture.delivery.watch(lambda: told.append("once more"))
    fixture.delivery.wake()
    assert told == ["news", "end", "once more"]


# -- whatever comes, whenever one begins --------------------------------------------------------

INDEX = st.integers(0, 2)
WORD = st.text("ab", min_size=1, max_size=3)
EVENT = st.one_of(
    st.builds(TEXT, WORD, INDEX.map(lambda n: 10 + n), st.integers(0, 1)),
    st.builds(events.ThinkingDelta, WORD, INDEX.map(lambda n: 20 + n)),
    st.builds(events.SignatureDelta, WORD, INDEX.map(lambda n: 20 + n)),
    st.builds(events.ToolCallStart, WORD, WORD, INDEX.map(lambda n: 30 + n)),
    st.builds(events.ToolCallDelta, WORD, INDEX.map(lambda n: 30 + n)),
    st.builds(events.AudioDelta, WORD, WORD, st.just(None), INDEX.map(lambda n: 40 + n)),
    st.builds(events.LogprobsDelta, st.just([{"token": "a"}]), INDEX.map(lambda n: 10 + n)),
    st.builds(events.Unknown, WORD, st.just({"a": 1})),
    st.builds(events.UsageUpdate, st.builds(Usage, st.integers(0, 9))),
    st.builds(events.Start, WORD, WORD),
    st.just(events.Ping()),
)
# What happens: events come, a turn passes, a reader begins, the reader of that number takes some.
ACTION = st.one_of(
    st.lists(EVENT, min_size=1, max_size=6),
    st.just("turn"),
    st.just("begin"),
    st.tuples(st.integers(0, 5), st.integers(1, 5)),
    st.just("let go"),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(ACTION, max_size=25), st.booleans())
def test_joined_by_kind_and_block_every_reader_gets_the_same(
    actions: list[Any], callbacks: bool
) -> None:
    fixture = Fixture(max_unread_bytes=5)
    heard: list[Any] = []
    if callbacks:
        fixture.callbacks.on_event = lambda event, _: heard.append(event)
    came: list[Any] = []
    readers: list[tuple[Any, list[Any]]] = []
    for action in [[START], *actions, "begin", [DONE], "end"]:
        if isinstance(action, list):
            came += action
            fixture.delivery.post(action, bytes(len(action)))
        elif action == "begin":
            readers.append((fixture.place(), []))
        elif action == "let go":
            fixture.delivery.let_go()
        elif action == "end":
            fixture.delivery.finish()
            for _ in range(3):
                fixture.multi.turn()
                for place, got in readers:
                    got += drained(place)
        elif action == "turn":
            fixture.multi.turn()
        elif readers:
            place, got = readers[action[0] % len(readers)]
            got += filter(None, (place.take() for _ in range(action[1])))
    assert not callbacks or heard == came
    for place, got in readers:
        assert concatenated(got) == concatenated(came)
        assert place.ended
    assert fixture.delivery.completion == "the end"


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_on_every_recorded_stream_a_late_reader_gets_what_an_early_one_got() -> None:
    replayed = 0
    for recording in recordings():
        if recording.dialect is None or recording.wire not in DIALECTS:
            continue
        whole = replay(recording, dialect(recording.dialect), [recording.body]).events
        for begin in (len(whole) // 2,):
            for let_go in (False, True):
                fixture = Fixture()
                early = fixture.place()
                got = []
                fixture.delivery.post(whole[:begin])
                if let_go:
                    got += [e for e in (early.take() for _ in range(begin // 2)) if e is not None]
                    fixture.delivery.let_go()
                else:
                    got += drained(early)
                fixture.multi.turn()
                late = fixture.place()
                fixture.delivery.post(whole[begin:])
                fixture.multi.turn()
                wanted = concatenated(whole)
                assert concatenated([*got, *drained(early)]) == wanted, recording.file
                assert concatenated(drained(late)) == wanted, recording.file
        replayed += 1
    assert replayed > 100


def test_a_pause_holds_however_often_it_is_asked_for() -> None:
    fixture, seen = Fixture(), list[Any]()
    fixture.callbacks.on_event = lambda event, face: seen.append(event)
    fixture.delivery.pause()
    fixture.delivery.post(texts("a"))
    for _ in range(3):
        fixture.delivery.deliver()
    assert not seen
    fixture.delivery.resume()
    fixture.delivery.deliver()
    assert seen == texts("a")
