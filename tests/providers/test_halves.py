"""A character cut in two is one again; a half that stays alone is U+FFFD."""

from __future__ import annotations

import json

from engine.events import Done, Event, Ping, TextDelta, ThinkingDelta, ToolCallDelta, UsageUpdate
from engine.messages import FinishReason, Usage
from engine.providers import dialect
from engine.providers.halves import NO_HALVES, Halves, joined
from engine.wire.json import HALF_BASE
from tests.cases import each_case

HIGH, LOW = chr(HALF_BASE + 0x3D), chr(HALF_BASE + 0x600)
SMILE = "\U0001f600"
DONE = Done(FinishReason.STOP)


def mend(*events: Event) -> list[Event]:
    halves = Halves()
    out: list[Event] = []
    for event in events:
        since = len(out)
        out.append(event)
        halves.mend(out, since)
    assert halves.open is bool(halves._waiting)
    return out + halves.give_up()


def test_two_halves_are_a_character_and_one_is_none() -> None:
    assert joined(f"a{HIGH}{LOW}b{HIGH}c{LOW}") == f"a{SMILE}b\ufffdc\ufffd"


def test_a_half_waits_for_the_next_delta_of_its_block() -> None:
    usage = UsageUpdate(Usage(1))
    assert mend(TextDelta(f"a{HIGH}"), Ping(), usage, TextDelta(f"{LOW}b")) == [
        TextDelta("a"),
        Ping(),
        usage,
        TextDelta(f"{SMILE}b"),
    ]
    assert mend(ToolCallDelta(HIGH), ToolCallDelta(LOW)) == [ToolCallDelta(SMILE)]


def test_what_comes_instead_gives_it_up_before_itself() -> None:
    assert mend(TextDelta(HIGH), TextDelta("b")) == [TextDelta("\ufffdb")]
    assert mend(TextDelta(HIGH), ThinkingDelta(LOW)) == [
        TextDelta("\ufffd"),
        ThinkingDelta("\ufffd"),
    ]
    assert mend(TextDelta(HIGH), DONE) == [TextDelta("\ufffd"), DONE]
    assert mend(TextDelta(HIGH, 0), TextDelta("b", 1)) == [
        TextDelta("\ufffd", 0),
        TextDelta("b", 1),
    ]
    assert mend(TextDelta(HIGH)) == [TextDelta("\ufffd")]


def test_alternatives_do_not_disturb_each_other() -> None:
    told = mend(TextDelta(HIGH, 0, 0), TextDelta(HIGH, 1, 1), TextDelta(LOW, 0, 0))
    assert told == [TextDelta(SMILE, 0, 0), TextDelta("\ufffd", 1, 1)]


@each_case("name", ["chat", "completions"])
def test_half_a_character_in_one_answer_is_nothing_to_another(name: str) -> None:
    said = {"chat": {"delta": {"content": "\ud83d"}}, "completions": {"text": "\ud83d"}}[name]
    parser = dialect(name).parser()
    parser.feed([json.dumps({"choices": [said]}).encode()])
    assert parser._halves.open  # type: ignore[attr-defined]
    assert not NO_HALVES.open and not NO_HALVES._waiting
