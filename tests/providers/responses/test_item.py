"""Which item an event is about, however it is named, and whichever way its bytes are read."""

from __future__ import annotations

import json
from typing import Any

from engine.events import Event, TextDelta, Unknown
from engine.providers import dialect
from tests.cases import each_case
from tests.providers.test_reads import check
from tests.volume import every

DELTAS = [
    "output_text",
    "refusal",
    "reasoning_summary_text",
    "reasoning_text",
    "function_call_arguments",
    "custom_tool_call_input",
]
# Ids that are none: to an event they are as good as missing.
NO_IDS: list[Any] = [None, [None], [], {}, {"id": "a"}, 5, 0, 1.5, True, ""]
IDS: list[Any] = [*NO_IDS, "a", "b", "x" * 5_000, "\u00e9"]


def event(type: str, **fields: Any) -> bytes:
    data = json.dumps({"type": f"response.{type}", **fields})
    return f"event: response.{type}\ndata: {data}\n\n".encode()


def added(kind: str, id: str, number: int, step: str = "added") -> bytes:
    item = {"id": id, "type": kind, "call_id": f"call_{id}", "name": "f"}
    return event(f"output_item.{step}", output_index=number, item=item)


END = event("completed", response={"id": "r", "status": "completed"})


def events_of(*stream: bytes) -> list[Event]:
    parser, decoder = dialect("responses").parser(), dialect("responses").decoder()
    return parser.feed(decoder.feed(b"".join(stream))) + parser.finish()


def streams(kind: str, ids: dict[str, Any]) -> list[list[bytes]]:
    """Pieces of one or two items, announced or not, of which one in the middle is called `ids`."""
    delta = f"{kind}.delta"

    def piece(**fields: Any) -> bytes:
        return event(delta, delta="t", **fields)

    odd = piece(output_index=0, **ids)
    usual = piece(output_index=0, item_id="a")
    what = "function_call" if kind.startswith("function") else "message"
    return [
        [added(what, "a", 0), usual, usual, odd, usual, odd, odd, END],
        [usual, usual, odd, usual, END],
        [odd, usual, usual, odd, END],
        [piece(item_id="a"), usual, usual, odd, usual, piece(item_id="a"), piece(**ids), END],
        [piece(item_id="a"), usual, piece(item_id="b"), odd, usual, piece(**ids), END],
        [added(what, "a", 0), usual, added(what, "b", 0), odd, usual, odd, piece(**ids), END],
        [
            added(what, "a", 0),
            usual,
            added(what, "a", 0, "done"),
            added(what, "b", 0),
            odd,
            usual,
            END,
        ],
        [usual, piece(output_index=0, **ids), piece(item_id="b"), piece(**ids), piece(), END],
        [usual, usual, odd, added(what, "b", 1), piece(**ids), usual, odd, piece(), END],
    ]


@each_case("kind", DELTAS)
@each_case("id", IDS)
def test_an_item_id_of_any_kind_means_the_same_the_short_way_and_the_long_one(
    kind: str, id: Any
) -> None:
    for stream in streams(kind, {"item_id": id}):
        check("responses", stream, 1 << 24)
        whole = b"".join(stream)
        for size in (len(whole), 497)[: 2 // every(2)]:
            parts = [whole[at : at + size] for at in range(0, len(whole), size)]
            check("responses", parts, 1 << 24)


@each_case("kind", DELTAS)
@each_case("id", NO_IDS, ids=repr)
def test_an_item_id_that_is_none_is_as_good_as_missing(kind: str, id: Any) -> None:
    for odd, without in zip(streams(kind, {"item_id": id}), streams(kind, {}), strict=True):
        assert repr(events_of(*odd)) == repr(events_of(*without))
        assert not [e for e in events_of(*odd) if type(e) is Unknown]


def text(delta: str, **fields: Any) -> bytes:
    return event("output_text.delta", delta=delta, **fields)


def told(*stream: bytes) -> list[tuple[str, int]]:
    """The pieces of text, and the block of each."""
    return [(e.text, e.index) for e in events_of(*stream) if type(e) is TextDelta]


def test_what_had_an_id_alone_gets_the_number_that_comes_with_it() -> None:
    assert told(
        text("1", item_id="a"),
        text("2", item_id="a", output_index=0),
        text("3", output_index=0),
        text("4", item_id="b", output_index=0),
    ) == [("1", 0), ("2", 0), ("3", 0), ("4", 0)]


def test_an_open_item_whose_number_another_took_is_known_by_its_id() -> None:
    begun = [added("message", "a", 0), text("1", item_id="a", output_index=0)]
    begun += [added("message", "b", 0), text("2", item_id="b", output_index=0)]
    after = [text("3", item_id="a", output_index=0), text("4", item_id="b", output_index=0)]
    assert told(*begun, *after) == [("1", 0), ("2", 1), ("3", 0), ("4", 1)]


def test_an_item_that_is_done_leaves_its_number_to_the_next_whatever_ids_its_pieces_have() -> None:
    first = [added("message", "a", 0), text("1", item_id="a", output_index=0)]
    second = [added("message", "a", 0, "done"), added("message", "b", 0)]
    pieces = [text("2", item_id="b", output_index=0), text("3", item_id="a", output_index=0)]
    assert told(*first, *second, *pieces) == [("1", 0), ("2", 1), ("3", 1)]
    again = [added("message", "a", 0, "done"), text("4", output_index=0)]
    assert told(*first, *second, *pieces, *again)[-1] == ("4", 1)


def test_an_id_said_beside_a_number_goes_with_its_item_where_another_takes_the_number() -> None:
    begun = [added("message", "a", 0), text("1", item_id="x", output_index=0)]
    begun += [added("message", "b", 0), text("2", item_id="b", output_index=0)]
    assert told(*begun, text("3", item_id="x")) == [("1", 0), ("2", 1), ("3", 0)]


def test_the_last_id_said_beside_a_number_stands_for_it() -> None:
    pieces = [text(str(n), item_id=f"copilot_{n}", output_index=0) for n in range(4)]
    assert told(*pieces, text("4", item_id="copilot_3"))[-1] == ("4", 0)
    assert told(*pieces, text("4", item_id="copilot_2"))[-1] == ("4", 1)


def test_what_an_event_says_it_is_counts_before_the_name_it_came_by() -> None:
    other = event("refusal.delta", delta="r", output_index=0)
    other = other.replace(b"event: response.refusal.delta", b"event: response.output_text.delta")
    stream = [text("1", output_index=0), text("2", output_index=0), other, END]
    assert told(*stream) == [("1", 0), ("2", 0)]
    check("responses", stream, 1 << 24)


def test_half_a_character_in_the_event_that_ends_the_answer_is_told_as_such() -> None:
    item = {"id": "a", "type": "message", "content": [{"type": "output_text", "text": "h\ud83d"}]}
    whole = {"id": "r", "status": "completed", "output": [item]}
    assert "".join(text for text, _ in told(event("completed", response=whole))) == "h\ufffd"


def test_the_latest_item_is_the_one_of_the_last_piece() -> None:
    first, second = text("1", output_index=0), text("2", output_index=1)
    assert told(first, second, first, first, text("3"))[-1] == ("3", 0)
    other = event("refusal.delta", delta="r", output_index=1)
    assert told(first, other, first, text("3"))[-1] == ("3", 0)
