"""``<think>`` in the text: split off where it begins the text, however the pieces fall."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.answering.think_tags import ThinkTags
from engine.events import Done, Event, Start, TextDelta, ThinkingDelta, ToolCallStart
from engine.messages import FinishReason

DONE = Done(FinishReason.STOP)


def split(*pieces: str, choice: int = 0) -> list[Event]:
    tags = ThinkTags()
    events = [e for piece in pieces for e in tags.split([TextDelta(piece, 0, choice)])]
    return events + tags.split([DONE])


def words(events: list[Event]) -> tuple[str, str]:
    thought = "".join(e.text for e in events if isinstance(e, ThinkingDelta))
    return thought, "".join(e.text for e in events if isinstance(e, TextDelta))


@given(st.data())
def test_any_cut_gives_the_same(data: st.DataObject) -> None:
    text = data.draw(
        st.sampled_from(
            [
                "<think>a < b</think>\n\nSo: </think> and <think> stay.",
                "\n <think>a</thin k></think>x",
                "<think></think>x",
                "<thinking>no</thinking>",
                "plain <think>late</think>",
                "<thi",
                "<think>open </thi",
            ]
        )
    )
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert words(split(*(piece for piece in pieces if piece))) == words(split(text))


def test_what_is_thinking_and_what_is_text() -> None:
    assert words(split("<think>a</think>\n\nb<think>c")) == ("a", "b<think>c")
    assert words(split("\n<think>a")) == ("a", "")
    assert words(split("no <think>a</think>")) == ("", "no <think>a</think>")
    assert words(split("<thi")) == ("", "<thi")


def test_blocks_after_the_thinking_rise_by_one() -> None:
    tags = ThinkTags()
    call = ToolCallStart("a", "f", 1)
    events = tags.split([Start("i", "m"), TextDelta("<think>a</think>b", 0), call, DONE])
    assert events == [
        Start("i", "m"),
        ThinkingDelta("a", 0),
        TextDelta("b", 1),
        ToolCallStart("a", "f", 2),
        DONE,
    ]


def test_alternatives_are_split_apart() -> None:
    tags = ThinkTags()
    first, second = TextDelta("<think>a", 0, 0), TextDelta("b", 1, 1)
    events = tags.split([first, second, TextDelta("</think>c", 0, 0)], last=True)
    assert events == [ThinkingDelta("a", 0, 0), TextDelta("b", 2, 1), TextDelta("c", 1, 0)]


def test_at_the_end_each_alternative_gets_what_was_held_for_a_tag() -> None:
    tags = ThinkTags()
    pieces = ["whole", "<thi", "<think>a</thi", "<", "whole too"]
    events = [e for n, piece in enumerate(pieces) for e in tags.split([TextDelta(piece, 0, n)])]
    events += tags.split([DONE])
    for choice, piece in enumerate(pieces):
        told = [e for e in events if getattr(e, "choice", None) == choice]
        within = piece.startswith("<think>")
        kind = ThinkingDelta if within else TextDelta
        assert {type(e) for e in told} == {kind}, piece
        assert "".join(e.text for e in told) == piece.removeprefix("<think>")  # type: ignore[union-attr]
