"""What a reader who begins late is told: everything, in order, joined, and no more than 1 MiB of
what nobody knows."""

from __future__ import annotations

from typing import Any

from engine import events
from engine.answering.accumulate import Accumulator
from engine.errors import NetworkError
from engine.messages import Citation, FinishReason, ToolCall, Usage

RETRY = events.RetryScheduled(2, 0.5, NetworkError("cut"))
START = events.Start("a", "m")
DONE = events.Done(FinishReason.STOP)


def recap(*taken: Any) -> list[Any]:
    accumulator = Accumulator()
    accumulator.extend(taken)
    told = accumulator.events()
    assert accumulator.events() == told  # to look changes nothing
    return told


def test_the_order() -> None:
    call = ToolCall("id", "name", '{"a": 1}')
    citation, log = Citation(url="u"), [{"token": "t"}]
    told = recap(
        RETRY,
        START,
        events.Ping(),
        events.ThinkingDelta("so ", 0),
        events.UsageUpdate(Usage(1)),
        events.TextDelta("a", 1),
        events.LogprobsDelta(log, 1),
        events.CitationDelta(citation, 1),
        events.ToolCallStart("id", "name", 2),
        events.SignatureDelta("seal", 0),
        events.Unknown("new", {"x": 1}),
        events.TextDelta("b", 1),
        events.ToolCallDelta('{"a"', 2),
        events.ThinkingDelta("what", 0),
        events.ToolCallDelta(": 1}", 2),
        events.ToolCallDone(call, 2),
        events.UsageUpdate(Usage(2)),
        DONE,
    )
    assert told == [
        RETRY,
        START,
        events.ThinkingDelta("so what", 0),
        events.SignatureDelta("seal", 0),
        events.TextDelta("ab", 1),
        events.LogprobsDelta(log, 1),
        events.CitationDelta(citation, 1),
        events.ToolCallStart("id", "name", 2),
        events.ToolCallDelta('{"a": 1}', 2),
        events.ToolCallDone(call, 2),
        events.Unknown("new", {"x": 1}),
        events.UsageUpdate(Usage(2)),
        DONE,
    ]


def test_choices_are_apart() -> None:
    told = recap(events.TextDelta("a", 0, 0), events.TextDelta("b", 0, 1), events.TextDelta("c"))
    assert told == [events.TextDelta("ac"), events.TextDelta("b", 0, 1)]


def test_what_a_restart_voided_is_not_told() -> None:
    again = events.Start("b", "m")
    told = recap(
        START,
        events.TextDelta("void"),
        events.LogprobsDelta([{}]),
        events.ToolCallStart("id", "name", 1),
        again,
        events.TextDelta("kept"),
    )
    assert told == [again, events.TextDelta("kept")]


def test_a_mebibyte_of_what_nobody_knows_is_kept_and_the_rest_counted() -> None:
    piece = events.Unknown("new", "x" * 100_000)
    told = recap(START, *[piece] * 25, DONE)
    assert told[1:11] == [piece] * 10
    assert told[11:] == [events.Unknown("left out", {"events": 15}), DONE]


def test_sound_is_joined_with_its_words() -> None:
    told = recap(events.AudioDelta("QUJD", "Hi", "audio/wav"), events.AudioDelta("REVG", " you"))
    assert told == [events.AudioDelta("QUJDREVG", "Hi you", "audio/wav")]


def test_after_it_was_told_more_can_come() -> None:
    accumulator = Accumulator()
    accumulator.extend([START, events.TextDelta("a")])
    accumulator.events()
    accumulator.extend([events.TextDelta("b")])
    assert accumulator.events() == [START, events.TextDelta("ab")]
    assert accumulator.text() == "ab"
