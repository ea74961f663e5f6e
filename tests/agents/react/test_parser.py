"""ReAct text as models write it, whole and cut anywhere: the same is read."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.agents.react.action import parse_action
from engine.agents.react.parser import ReActParser
from engine.agents.tools.tool import as_function_tools
from engine.agents.turn import Said
from tests.agents.transcripts import TRANSCRIPTS
from tests.cases import each_case
from tests.volume import examples


def search(query: str) -> str:
    return query


def add(a: int, b: int) -> int:
    return a + b


def weather(city: str, days: int = 1) -> str:
    return city


def now() -> str:
    return "now"


TOOLS = as_function_tools([search, add, weather, now])


def read(*pieces: str) -> tuple[list[tuple[str, bool, str]], ReActParser]:
    """What is said, with the tokens of a piece of text that follow each other joined."""
    parser = ReActParser()
    said: list[Said] = []
    for piece in pieces:
        said += parser.feed(piece)
    said += parser.finish()
    joined = [
        (type, thought, "".join(each.text for each in group))
        for (type, thought), group in groupby(said, key=lambda each: (each.type, each.thought))
    ]
    return joined, parser


def meaning(parser: ReActParser) -> Any:
    """The call, the answer, or None."""
    if parser.action is None:
        return parser.answer
    name, arguments, text = parse_action(parser.action, parser.input, TOOLS)
    return text if arguments is None else (name, json.loads(arguments))


def test_there_are_sixty_transcripts_and_no_two_alike() -> None:
    assert len({text for text, *_ in TRANSCRIPTS}) == len(TRANSCRIPTS) >= 60


@each_case(("text", "thoughts", "follows"), TRANSCRIPTS)
def test_a_transcript_means_what_its_writer_meant(
    text: str, thoughts: list[str], follows: Any
) -> None:
    said, parser = read(text)
    assert parser.thoughts == thoughts
    assert [text for type, _, text in said if type == "thought"] == thoughts
    assert meaning(parser) == follows
    tokens = [(thought, text) for type, thought, text in said if type == "token"]
    if parser.answer is not None:
        assert tokens[-1] == (False, parser.answer)  # the answer was said, and nothing after it
    assert all(thought in "".join(text for _, text in tokens) for thought in thoughts)


@each_case(("text", "thoughts", "follows"), TRANSCRIPTS)
def test_cut_anywhere_the_same_is_read(text: str, thoughts: list[str], follows: Any) -> None:
    whole, reference = read(text)
    cuts = [(text[:place], text[place:]) for place in range(1, len(text))]
    for pieces in [*cuts, tuple(text), tuple(text[n : n + 3] for n in range(0, len(text), 3))]:
        said, parser = read(*pieces)
        assert said == whole, pieces
        assert meaning(parser) == follows, pieces
        assert (parser.ended, parser.over, parser.text) == (
            reference.ended,
            reference.over,
            reference.text,
        ), pieces


def test_thoughts_and_answers_are_said_while_they_are_written() -> None:
    parser = ReActParser()
    seen = [
        parser.feed(piece) for piece in ("Thought: I", " think", " so\nFinal", " Answer: 4", "2")
    ]
    texts = [[each.text for each in said] for said in seen]
    assert texts == [["I"], [" think"], [" so"], ["I think so", "4"], ["2"]]


def test_the_text_goes_no_further_than_the_action() -> None:
    _, parser = read("Action: search[cats]\nObservation: They purr.\nFinal Answer: x")
    assert parser.text == "Action: search[cats]\n"
    assert parser.over and parser.ended


@each_case(
    ("action", "input", "call"),
    [
        ("add", '{"a": 1}', ("add", {"a": 1})),  # wrong, and told to be
        ("add", '{"a": "1", "b": 2}', ("add", {"a": "1", "b": 2})),  # nothing is converted
        ("add", "1, 2", ("add", {"a": 1, "b": 2})),
        ("search", "[1, 2]", ("search", {"query": "[1, 2]"})),
        ("search", "42", ("search", {"query": "42"})),
        ("search", "a = b", ("search", {"query": "a = b"})),
        ("search", 'query: "cats"', ("search", {"query": 'query: "cats"'})),
        ("search", "`cats`", ("search", {"query": "cats"})),
        ("search", "**{deep}", ("search", {"query": "**{deep}"})),
        ("weather", "Rome", ("weather", {"city": "Rome"})),
        ("weather", "- city: Rome\n- days: 3", ("weather", {"city": "Rome", "days": 3})),
        ("weather", "city: Rome\nkeep: x", ("weather", {"city": "city: Rome\nkeep: x"})),
        ("now", "{}", ("now", {})),
        ("now", '{"x": 1}', ("now", {"x": 1})),
        ("search or add", "x", ("search or add", {})),
        ("[" * 5000, "", ("", {})),
        ("search", "(" * 5000, ("search", {"query": "(" * 5000})),
        ('{"function": {"name": "now"}}', "", ("now", {})),
        ('{"nothing": 1}', "", ('{"nothing": 1}', {})),
        ("unknown", '{"a": 1}', ("unknown", {"a": 1})),
    ],
)
def test_inputs_are_read_as_the_tool_wants_them(action: str, input: str, call: Any) -> None:
    name, arguments, _ = parse_action(action, input, TOOLS)
    if call[0] not in TOOLS and not call[0].isalpha():
        assert name not in TOOLS
    else:
        assert name == call[0]
    assert json.loads(arguments or "") == call[1]


FRAGMENTS = (
    *("Thought", "Action", "Action Input", "Final Answer", "Observation", "thought", "Input"),
    *(":", "：", " ", "\n", "\n\n", "**", "*", "`", "```", "### ", "1. ", "- ", ".", "!", "_", '"'),
    *("search", "[cats]", '{"query": "cats"}', "x", "42", "<think>", "</think>", "<tool_call>"),
)


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14), st.integers(1, 6))
def test_any_mixture_of_markers_is_read_the_same_however_it_is_cut(
    fragments: list[str], size: int
) -> None:
    text = "".join(fragments)
    whole, reference = read(text)
    said, parser = read(*(text[n : n + size] for n in range(0, len(text), size)))
    assert said == whole
    assert (parser.action, parser.input, parser.answer, parser.thoughts, parser.over) == (
        reference.action,
        reference.input,
        reference.answer,
        reference.thoughts,
        reference.over,
    )
    if parser.answer:
        assert said[-1] == ("token", False, parser.answer)
