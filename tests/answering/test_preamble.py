"""What may be repeated by another attempt is not handed over."""

from __future__ import annotations

from engine import events
from engine.answering.preamble import Preamble, is_content
from engine.messages import Usage
from tests.cases import each_case

START, USAGE, PING = events.Start("a", "m"), events.UsageUpdate(Usage(1)), events.Ping()
UNKNOWN, WORD = events.Unknown("new", {}), events.TextDelta("a")


def test_it_is_held_until_there_is_content() -> None:
    preamble = Preamble()
    assert preamble.sift([START, PING, UNKNOWN]) == ([PING], False)
    assert preamble.held == [START, UNKNOWN]
    assert preamble.sift([USAGE, PING, WORD, PING]) == (
        [START, UNKNOWN, USAGE, PING, WORD, PING],
        True,
    )
    assert preamble.held == []


@each_case("first", [[], [START], [START, UNKNOWN]])
@each_case("then", [[WORD], [PING, WORD], [UNKNOWN, WORD, PING], [UNKNOWN, PING, WORD]])
def test_what_was_held_comes_before_all_else(
    first: list[events.Event], then: list[events.Event]
) -> None:
    preamble = Preamble()
    assert preamble.sift(first) == ([], False)
    ready, content = preamble.sift(then)
    assert content and preamble.held == []
    assert [e for e in ready if e is not PING] == [e for e in (*first, *then) if e is not PING]
    assert ready.count(PING) == then.count(PING)
    assert ready[-1] is then[-1]


@each_case(
    ("event", "content"),
    [
        (START, False),
        (USAGE, False),
        (PING, False),
        (UNKNOWN, False),
        (events.TextDelta(""), False),
        (WORD, True),
        (events.ThinkingDelta("a"), True),
        (events.ToolCallStart("id", "name"), True),
        (events.RefusalDelta("no"), True),
    ],
)
def test_what_is_content(event: events.Event, content: bool) -> None:
    assert is_content(event) is content
