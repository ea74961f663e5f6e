"""The assembly of calls: one name, one id, its own arguments, or it is handed over to nobody."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Event, ToolCallDelta, ToolCallDone, ToolCallStart
from engine.messages import ToolCall
from engine.providers.finish import Finish
from engine.providers.tool_calls import Calls, text_of_arguments, text_of_raw
from tests.cases import each_case


def finish(word: str | None = "tool_calls") -> Finish:
    return Finish() if word is None else Finish().said(word)


def handed(events: list[Event]) -> list[ToolCall]:
    return [event.call for event in events if isinstance(event, ToolCallDone)]


def test_the_beginning_is_told_when_the_name_is_known_and_arguments_come() -> None:
    call = Calls().open("a", "", 3)
    assert call.add('{"x"') == []
    assert call.named("fetch") == []
    assert call.add(":1}") == [ToolCallStart("a", "fetch", 3), ToolCallDelta('{"x":1}', 3)]
    assert call.tell() == []


@each_case(
    ("pieces", "name"),
    [
        (("get_wea", "ther"), "get_weather"),
        (("get_wea", "get_weather"), "get_weather"),
        (("f", "f", "f"), "f"),
        (("", "f"), "f"),
    ],
)
def test_a_name_comes_in_pieces_or_again(pieces: tuple[str, ...], name: str) -> None:
    call = Calls().open("a", pieces[0], 0)
    for piece in pieces[1:]:
        call.named(piece)
    assert call.name == name


# Arguments; handed over at the format's marker; at a good end; at the end of a cut turn.
TABLE = [
    ('{"x":1}', True, True, False),
    (' {"x":1} ', True, True, False),
    ("{}", False, True, False),
    ("", False, True, False),
    ("null", False, True, False),
    ("[]", False, True, False),
    ('{"x":', False, False, False),
    ('{"x":1}{', False, False, False),
    ("[1]", False, False, False),
    ('"x"', False, False, False),
    ("5", False, False, False),
    ('{"x":NaN}', False, False, False),
]


@each_case(("arguments", "marked", "ended", "cut"), TABLE)
def test_when_a_call_is_handed_over(arguments: str, marked: bool, ended: bool, cut: bool) -> None:
    for word, wanted in (("tool_calls", ended), ("stop", ended), (None, ended), ("length", cut)):
        calls = Calls()
        calls.open("a", "f", 0).add(arguments)
        assert bool(handed(calls.end(finish(word)))) is wanted, word
        assert calls.partial is not wanted
    calls = Calls()
    call = calls.open("a", "f", 0)
    call.add(arguments)
    assert bool(handed(calls.mark(call))) is marked
    assert bool(handed(calls.end(finish("length")))) is False


@each_case("word", ["content_filter", "error", "refusal", "abort", "of tomorrow"])
def test_no_call_is_handed_over_after_an_end_that_speaks_against_it(word: str) -> None:
    calls = Calls()
    calls.open("a", "f", 0).add('{"x":1}')
    assert handed(calls.end(finish(word))) == []
    assert not calls.called


def test_what_belongs_nowhere_keeps_all_calls_back() -> None:
    calls = Calls()
    calls.open("a", "f", 0).add('{"x":1}')
    calls.open(None, "", 1).add('{"lost":1}')
    events = calls.end(finish())
    assert handed(events) == []
    assert ToolCallDelta('{"lost":1}', 1) in events
    other = Calls()
    other.open("a", "f", 0).add('{"x":1}')
    other.astray = True
    assert handed(other.end(finish())) == []


def test_a_broken_call_keeps_only_itself_back() -> None:
    calls = Calls()
    calls.open("a", "f", 0).broken = True
    calls.open("b", "g", 1).add('{"x":1}')
    assert [call.id for call in handed(calls.end(finish()))] == ["b"]
    assert calls.partial


def test_two_calls_under_one_id_are_two() -> None:
    calls = Calls()
    calls.open("a", "f", 0).add('{"x":1}')
    calls.open("a", "f", 1).add('{"x":2}')
    first, second = handed(calls.end(finish()))
    assert first.id == "a"
    assert second.id not in ("", "a")
    again = Calls()
    again.open("a", "f", 0)
    assert again.open("a", "f", 1).id == second.id  # the same each time


def test_a_custom_tool_takes_text() -> None:
    calls = Calls()
    call = calls.open("a", "python", 0)
    call.custom = True
    call.add('print("é")\n')
    (whole,) = handed(calls.end(finish()))
    assert whole.custom
    assert whole.input == 'print("é")\n'


def test_an_escaped_half_of_a_character_spoils_no_call() -> None:
    calls = Calls()
    calls.open("a", "f", 0).add('{"t":"\\ud83d"}')
    (call,) = handed(calls.end(finish()))
    assert call.input == {"t": "\ufffd"}


@given(
    st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=9), min_size=1), st.data()
)
def test_any_cut_of_the_arguments_gives_the_same_call(
    value: dict[str, object], data: st.DataObject
) -> None:
    import json

    text = json.dumps(value)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    calls = Calls()
    call = calls.open("a", "f", 0)
    told: list[Event] = []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        told += call.add(text[begin:end])
    told += calls.end(finish())
    assert handed(told) == [ToolCall("a", "f", text)]
    assert "".join(e.arguments for e in told if isinstance(e, ToolCallDelta)) == text


def test_what_is_told_once_more_adds_what_had_not_come() -> None:
    call = Calls().open("a", "f", 0)
    call.add('{"x"')
    assert call.whole('{"x":1}') == [ToolCallDelta(":1}", 0)]
    assert call.whole('{"x":1}') == []
    for nothing in ("", "{}", "null"):
        assert call.whole(nothing) == []
        assert call.arguments == '{"x":1}'
    assert call.whole('{"y":2}') == []  # the last word counts
    assert call.arguments == '{"y":2}'


@each_case(
    ("given", "text"),
    [({"x": 1}, '{"x":1}'), ('{"x": 1}', '{"x": 1}'), (None, ""), ([], "[]"), ("", "")],
)
def test_arguments_that_came_whole_are_text(given: object, text: str) -> None:
    assert text_of_arguments(given) == text
    if given not in ("", []):
        raw = msgspec.Raw(msgspec.json.encode(given))
        assert text_of_raw(raw) == text
    assert text_of_raw(msgspec.Raw(b'{"x": 1.0}')) == '{"x": 1.0}'
