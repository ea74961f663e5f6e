"""What may be carried out of what odd models write, whole and cut at every place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.agents.react.action import MisreadError, parse_action
from engine.agents.react.agent import ReActTurn
from engine.agents.react.parser import ReActParser
from engine.agents.tools.tool import as_function_tools
from engine.completion import Completion, Timing
from engine.errors import EngineError
from engine.events import TextDelta
from engine.messages import FinishReason, Message
from tests.agents.odd_transcripts import ODD, THOUGHTS, WRONG
from tests.cases import each_case


def run(command: str) -> str:
    return command


def delete(path: str, recursive: bool = False) -> str:
    return path


def search(query: str) -> str:
    return query


def add(a: int, b: int) -> int:
    return a + b


def now() -> str:
    return "now"


def clean(path: str = "/") -> str:
    return path


def note(data: Any) -> str:
    return str(data)


TOOLS = as_function_tools([run, delete, search, add, now, clean, note])


def completion(text: str, finish: FinishReason | None) -> Completion:
    return Completion(
        status="complete" if finish is not None else "truncated",
        message=Message.assistant(text),
        messages=[Message.assistant(text)],
        finish_reason=finish,
        finish_reason_raw=None,
        usage=None,
        error=None if finish is not None else EngineError("cut"),
        http_status=200,
        headers={},
        request_id=None,
        rate_limit=None,
        attempts=1,
        timing=Timing(),
        delivered=1,
    )


def followed(*pieces: str, finish: FinishReason | None = FinishReason.STOP) -> Any:
    """What a turn that says `pieces` leads to: a call that will be carried out, `WRONG` for one
    that will not, an answer, or None."""
    turn = ReActTurn(TOOLS, "call_1")
    said = ""
    for piece in pieces:
        turn.read(TextDelta(piece))
        said += piece
        if turn.over:
            break
    decision = turn.end(completion(said, finish))
    if decision.answer is not None and not decision.empty:
        return decision.answer
    if not decision.calls:
        assert decision.correction or decision.empty or decision.error
        return None
    [call] = decision.calls
    tool = TOOLS.get(call.name)
    try:
        if tool is None:
            return WRONG
        tool.signature.decode(call.arguments)
    except EngineError:
        return WRONG
    return call.name, json.loads(call.arguments)


def test_there_are_eighty_and_no_two_alike() -> None:
    assert len({text for text, _ in ODD}) == len(ODD) >= 80


@each_case(("text", "follows"), [*ODD, *THOUGHTS])
def test_nothing_is_carried_out_that_was_not_asked_for(text: str, follows: Any) -> None:
    assert followed(text) == follows


@each_case(("text", "follows"), [*ODD, *THOUGHTS])
def test_however_it_arrives_the_same_follows(text: str, follows: Any) -> None:
    for place in range(1, len(text)):
        assert followed(text[:place], text[place:]) == follows, place
    assert followed(*text) == follows


@each_case(("text", "follows"), ODD)
@each_case("finish", [None, FinishReason.LENGTH, FinishReason.UNKNOWN])
def test_cut_anywhere_only_a_call_that_was_whole_before_is_carried_out(
    text: str, follows: Any, finish: FinishReason | None
) -> None:
    for place in range(len(text)):
        given = followed(text[:place], finish=finish)
        assert not isinstance(given, tuple) or given == follows, text[:place]


OBJECTS = [(t, f) for t, f in ODD if t.count("Action Input: {") == 1 and not t.startswith("<")]


@each_case(("text", "follows"), OBJECTS)
def test_a_server_that_calls_a_cut_the_end_has_no_part_of_an_object_carried_out(
    text: str, follows: Any
) -> None:
    begin = text.index("Action Input: {") + len("Action Input: {")
    first = text.find("}", begin) + 1  # of two objects, the first was whole for a moment
    for place in range(begin, len(text)):
        given = followed(text[:place])
        assert not isinstance(given, tuple) or given == follows or place == first, text[:place]


def test_a_misread_input_says_which_tool_and_why() -> None:
    with pytest.raises(MisreadError, match="the arguments of run, is not whole JSON"):
        parse_action("run", '{"command": "ls', TOOLS)
    with pytest.raises(MisreadError, match="is the schema of run"):
        parse_action("run", '{"command": {"type": "string"}}', TOOLS)


def test_a_long_run_of_blank_lines_in_an_answer_is_read_in_linear_time() -> None:
    parser = ReActParser()
    parser.feed("Final Answer: a")
    for _ in range(200):
        parser.feed("\n" * 100)
    parser.feed("b")
    parser.finish()
    assert parser.answer == "a" + "\n" * 20_000 + "b"
