"""Who is told of what, and what a snapshot costs."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from engine import events
from engine.answering.callbacks import StreamCallbacks
from engine.answering.listeners import STOP
from engine.messages import ToolCall
from tests.cases import each_case


class Face:
    """A stream, of which the text is asked."""

    def __init__(self) -> None:
        self.text = self.thinking = ""
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "text":
            object.__setattr__(self, "asked", object.__getattribute__(self, "asked") + 1)
        return object.__getattribute__(self, name)


def told(callbacks: StreamCallbacks, *happened: Any) -> None:
    for event in happened:
        if callbacks.on_event is not None:
            callbacks.on_event(event, callbacks.face)
        if callbacks.others is not None:
            callbacks.others(event)


def make(**given: Any) -> tuple[StreamCallbacks, list[str]]:
    stops: list[str] = []
    callbacks = StreamCallbacks(
        given.get("face", "stream"),
        lambda: stops.append("stop"),
        given.get("on_event"),
        given.get("on_text"),
        given.get("on_done"),
    )
    return callbacks, stops


def test_nobody_is_called_where_nobody_listens() -> None:
    callbacks, _ = make()
    assert callbacks.on_event is None and callbacks.others is None
    for name in ("connect", "message", "final_message", "error", "abort", "end"):
        callbacks.add(name, lambda: None)
    assert callbacks.others is None  # none of these is called for an event
    callbacks.add("text", lambda: None)
    assert callbacks.others is not None


@each_case(
    ("name", "reads"),
    [("event", True), ("text", True), ("thinking", True), ("tool_call", True), ("message", True)]
    + [(name, False) for name in ("connect", "final_message", "error", "abort", "end")],
)
def test_who_reads_the_answer(name: str, reads: bool) -> None:
    def listener() -> None:
        pass

    callbacks, _ = make()
    callbacks.add(name, listener)
    assert callbacks.take_events is reads
    callbacks.remove(name, listener)
    assert callbacks.take_events is False


def test_who_reads_by_an_argument() -> None:
    assert make(on_event=print)[0].take_events and make(on_text=print)[0].take_events
    assert not make(on_done=print)[0].take_events


def test_each_event_is_told_to_whom_it_concerns() -> None:
    got: list[Any] = []
    callbacks, _ = make(on_text=lambda d: got.append(("on_text", d)))
    for name in ("event", "thinking", "tool_call"):
        callbacks.add(name, partial(lambda name, first: got.append((name, first)), name))
    call = ToolCall("id", "name", "{}")
    text, done = events.TextDelta("a"), events.ToolCallDone(call)
    other = events.TextDelta("b", 0, 1)
    told(callbacks, text, done, other)
    assert got == [
        ("on_text", "a"),
        ("event", text),
        ("event", done),
        ("tool_call", call),
        ("event", other),  # another choice: told as an event only
    ]


@pytest.mark.parametrize("name", ["event", "text"])
def test_stop_stops(name: str) -> None:
    callbacks, stops = make()
    callbacks.add(name, lambda: STOP)
    told(callbacks, events.TextDelta("a"))
    assert stops == ["stop"]


def test_a_snapshot_is_made_for_who_takes_it_only() -> None:
    face = Face()
    callbacks, _ = make(face=face)
    callbacks.add("text", lambda delta: None)
    told(callbacks, *map(events.TextDelta, "abc"))
    assert face.asked == 0
    snapshots: list[str] = []
    face.text = "abcd"
    callbacks.add("text", lambda delta, snapshot: snapshots.append(snapshot))
    told(callbacks, *map(events.TextDelta, "def"))
    assert (snapshots, face.asked) == (["abcd", "abcde", "abcdef"], 1)


def test_a_snapshot_of_blocks_that_take_turns_is_in_their_order() -> None:
    face, snapshots = Face(), list[str]()
    callbacks, _ = make(face=face)
    callbacks.add("text", lambda delta, snapshot: snapshots.append(snapshot))
    blocks = {0: "", 1: ""}
    for index, word in ((0, "a"), (1, "x"), (0, "b"), (1, "y"), (1, "z")):
        blocks[index] += word
        face.text = blocks[0] + blocks[1]
        told(callbacks, events.TextDelta(word, index))
    assert snapshots == ["a", "ax", "abx", "abxy", "abxyz"]


def test_a_new_beginning_voids_the_snapshot() -> None:
    face, snapshots = Face(), list[str]()
    callbacks, _ = make(face=face)
    callbacks.add("text", lambda delta, snapshot: snapshots.append(snapshot))
    for happened in (events.Start("a", "m"), events.TextDelta("x"), events.Start("b", "m")):
        face.text = "x"
        told(callbacks, happened)
    face.text = "y"
    told(callbacks, events.TextDelta("y"))
    assert snapshots == ["x", "y"]


@pytest.mark.slow
def test_snapshots_that_nobody_keeps_cost_no_square() -> None:
    def cost(count: int) -> float:
        face = Face()
        callbacks, _ = make(face=face)
        callbacks.add("text", lambda delta, snapshot: None)
        begun = time.thread_time()
        told(callbacks, *[events.TextDelta("some words ")] * count)
        return time.thread_time() - begun

    cost(1000)
    small, large = min(cost(4000) for _ in range(3)), min(cost(32_000) for _ in range(3))
    assert large < 8 * 3 * small


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_the_last_callback_is_called_once_whatever_it_raises(error: BaseException) -> None:
    called: list[Any] = []

    def on_done(*arguments: Any) -> None:
        called.append(arguments)
        raise error

    stream: Any = object()
    ending: Any = object()
    callbacks = StreamCallbacks(stream, lambda: None, None, None, on_done)
    with pytest.raises(type(error)):
        callbacks.announce(ending)
    assert callbacks.announce(ending) is False
    assert called == [(ending, stream)]
