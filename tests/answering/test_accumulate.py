"""Events become a message: in order, by block and choice."""

from __future__ import annotations

from engine.answering.accumulate import Accumulator
from engine.events import (
    AudioDelta,
    CitationDelta,
    Event,
    ImageDone,
    LogprobsDelta,
    ModelUpdate,
    PartInfo,
    RedactedThinkingDone,
    RefusalDelta,
    ServerToolDone,
    ServerToolStart,
    SignatureDelta,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStart,
    UsageUpdate,
    VendorItemDone,
)
from engine.messages import (
    Audio,
    Citation,
    Image,
    Message,
    PartialToolCall,
    RedactedThinking,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    Usage,
    VendorItem,
)


def gathered(*events: Event) -> Accumulator:
    accumulator = Accumulator()
    accumulator.extend(events)
    return accumulator


def parts(*events: Event) -> list[object]:
    return list(gathered(*events).message("p").parts)


def test_each_event_has_its_place_in_the_message() -> None:
    call = ToolCall("a", "f", '{"x":1}')
    source, picture = Citation("https://a"), Image(data="iVBO")
    tool, item = ServerTool("s", {"id": 1}), VendorItem("shell_call", {"call_id": "c"}, "responses")
    told = parts(
        Start("i", "m"),
        ThinkingDelta("h", 0),
        ThinkingDelta("m", 0),
        SignatureDelta("S", 0),
        PartInfo(0, id="rs_1", field="reasoning"),
        RedactedThinkingDone("R", 1),
        TextDelta("a", 2),
        TextDelta("b", 2),
        CitationDelta(source, 2),
        PartInfo(2, extra={"phase": "commentary"}),
        ToolCallStart("a", "f", 3),
        ToolCallDelta('{"x":', 3),
        ToolCallDelta("1}", 3),
        ToolCallDone(call, 3),
        ServerToolStart("s", {}, 4),
        ServerToolDone(tool, 4),
        VendorItemDone(item, 5),
        ImageDone(picture, 6),
        AudioDelta("AA", "Hel", None, 7),
        AudioDelta("BB", "lo", "audio/wav", 7),
        RefusalDelta("No.", 8),
    )
    assert told == [
        Thinking("hm", "S", "rs_1", "reasoning"),
        RedactedThinking("R"),
        Text("ab", [source], extra={"phase": "commentary"}),
        call,
        tool,
        item,
        picture,
        Audio("AABB", "audio/wav", "Hello"),
        Refusal("No."),
    ]


def test_what_is_known_of_a_block_may_come_before_its_words() -> None:
    assert parts(PartInfo(0, field="reasoning"), ThinkingDelta("h", 0)) == [
        Thinking("h", field="reasoning")
    ]
    assert parts(PartInfo(0, id="x")) == []


def test_a_call_that_was_not_handed_over_stays_partial() -> None:
    assert parts(ToolCallStart("a", "f", 0), ToolCallDelta("{", 0)) == [
        PartialToolCall("a", "f", "{")
    ]
    renamed = parts(ToolCallStart("a", "get_", 0), ToolCallStart("a", "get_time", 0))
    assert renamed == [PartialToolCall("a", "get_time", "")]


def test_pieces_of_calls_go_where_they_belong_whoever_looks_in_between() -> None:
    accumulator = gathered(ToolCallStart("a", "f", 0), ToolCallStart("b", "g", 1))
    for letter in "abc":
        accumulator.extend([ToolCallDelta(letter, 0)])
        accumulator.arguments(0)
        accumulator.extend([ToolCallDelta(letter, 0)])
        assert accumulator.arguments(0).endswith(letter * 2)
        accumulator.extend([ToolCallDelta(letter, 1), ToolCallDelta(letter.upper(), 0)])
        accumulator.message("p")
        accumulator.extend([ToolCallDelta("-", 0), ToolCallDelta("-", 1, 1)])
        accumulator.events()
    first, other = accumulator.message("p"), accumulator.message("p", 1)
    assert first.parts == [
        PartialToolCall("a", "f", "aaA-bbB-ccC-"),
        PartialToolCall("b", "g", "abc"),
    ]
    assert other.parts == [PartialToolCall("", "", "---")]


def test_pieces_of_a_call_that_was_voided_are_of_the_next() -> None:
    again = gathered(Start("i", "m"), ToolCallStart("a", "f", 0), ToolCallDelta("x", 0))
    again.extend([Start("j", "m"), ToolCallStart("b", "g", 0), ToolCallDelta("y", 0)])
    assert again.message("p").parts == [PartialToolCall("b", "g", "y")]


def test_a_tool_that_only_began_is_no_part() -> None:
    assert parts(ServerToolStart("s", {"id": 1}, 0)) == []


def test_who_answers_is_who_was_said_last() -> None:
    told = gathered(Start("i", None), ModelUpdate(None, "m"), ModelUpdate("j", None)).message("p")
    assert (told.id, told.model) == ("j", "m")


def test_another_start_voids_what_came() -> None:
    again = gathered(Start("i", "m"), TextDelta("a", 0), Start("j", "m"), TextDelta("b", 1))
    assert again.message("p").parts == [Text("b")]
    assert again.message("p").id == "j"


def test_alternatives_are_messages_of_their_own() -> None:
    two = gathered(TextDelta("a", 0, 0), TextDelta("b", 1, 1), TextDelta("c", 0, 0))
    assert two.choices() == 2
    assert [two.message("p", n).text for n in range(2)] == ["ac", "b"]
    assert two.text() == "ac"
    two.extend([Start("i", "m"), TextDelta("d", 0, 0), Start("j", "m")])
    assert two.choices() == 1 and two.text() == ""


def test_blocks_are_in_the_order_of_their_numbers_whichever_came_first() -> None:
    assert parts(TextDelta("b", 1), TextDelta("c", 2), TextDelta("a", 0)) == [*map(Text, "abc")]


def test_counts_and_logprobs() -> None:
    counted = gathered(
        UsageUpdate(Usage(1)),
        LogprobsDelta([{"token": "a"}]),
        LogprobsDelta([{"token": "z"}], 1, 1),
        UsageUpdate(Usage(1, 2)),
    )
    assert counted.usage == Usage(1, 2)
    assert counted.logprobs == [{"token": "a"}]


def test_a_look_in_between_disturbs_nothing() -> None:
    accumulator = gathered(TextDelta("a", 0))
    for letter in "bcdefghijklmnopqrstuvwxyz":
        accumulator.extend([TextDelta(letter, 0)])
        accumulator.text()
    assert isinstance(accumulator.message("p"), Message)
    assert accumulator.text() == "abcdefghijklmnopqrstuvwxyz"
