"""What is read of a turn, and when: what says nothing is passed over, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine import STOP, Message, ToolCall
from engine.agents.asked import Asked, Asking
from engine.agents.conversation import Conversation
from engine.agents.function_agent import FunctionIdiom
from engine.agents.limits import Spent
from engine.agents.plan import Plan
from engine.agents.react.agent import ReActIdiom
from engine.agents.saved import SavedRun
from engine.agents.telling import Telling
from engine.agents.turn import Said
from engine.errors import EngineError
from engine.events import (
    BaseEvent,
    Ping,
    RefusalDelta,
    Restarted,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStart,
    UsageUpdate,
)
from engine.messages import Usage

CALL: list[BaseEvent] = [
    ToolCallStart("c", "add", 1),
    ToolCallDelta('{"a"', 1),
    ToolCallDelta(": 1}", 1),
    ToolCallDone(ToolCall("c", "add", '{"a": 1}'), 1),
]


class Model:
    """Stands for a client and for its stream."""

    def __init__(self) -> None:
        self.hear: Callable[..., object] = print
        self.options: dict[str, object] = {}
        self.cancelled = False

    def stream(self, *_: object, on_event: Callable[..., object], **options: object) -> Model:
        self.hear, self.options = on_event, options
        return self

    def cancel(self) -> None:
        self.cancelled = True


def asking(idiom: Any, options: dict[str, Any]) -> tuple[Asking, Model, list[Said]]:
    """Who asks a model, the model, and what it said."""
    model, said = Model(), list[Said]()
    plan = SimpleNamespace(
        client=model,
        model="m",
        tools={},
        idiom=idiom,
        options=options,
        answer_type=None,
        arguments=lambda summary, forced: {**options},
    )
    telling = SimpleNamespace(wants=lambda *_: False, say=said.extend)
    saved = SavedRun(messages=[Message.user("q")], spent=Spent())
    return (
        Asking(cast(Plan, plan), cast(Telling, telling), saved, Conversation(None), lambda: None),
        model,
        said,
    )


def asked(idiom: Any) -> tuple[Asked, Model, list[Said]]:
    """A turn that was asked for, who says it, and what it said."""
    asks, model, said = asking(idiom, {})
    return asks.ask(pictures=False), model, said


def told(said: Sequence[Said]) -> list[str]:
    return [f"{'thinking' if each.thought else each.type}: {each.text}" for each in said]


@pytest.mark.parametrize("idiom", [FunctionIdiom(False), FunctionIdiom(True)])
def test_a_thought_is_whole_when_something_else_comes(idiom: FunctionIdiom) -> None:
    _, model, said = asked(idiom)
    for event in (ThinkingDelta("Hm", 0), Ping(), UsageUpdate(Usage(1)), ThinkingDelta("!", 0)):
        model.hear(event, model)
    assert told(said) == ["thinking: Hm", "thinking: !"]
    model.hear(CALL[0], model)
    assert told(said)[2:] == ["thought: Hm!"], "as soon as the call begins"
    for event in (*CALL[1:], ThinkingDelta("So", 2), *CALL):
        model.hear(event, model)
    assert told(said)[3:] == ["thinking: So", "thought: So"]


def test_what_is_said_anew_is_read_anew() -> None:
    turn, model, said = asked(FunctionIdiom(False))
    again = Restarted(2, EngineError("lost"))
    for event in (ThinkingDelta("Hm", 0), again, *CALL, ThinkingDelta("So", 0), CALL[0]):
        model.hear(event, model)
    assert told(said) == ["thinking: Hm", "thinking: So", "thought: So"]
    assert turn.turn.thoughts == ("So",)


def test_who_left_hears_nothing_and_ends_it() -> None:
    turn, model, said = asked(FunctionIdiom(False))
    turn.cancel()
    assert model.cancelled
    for event in (*CALL, TextDelta("late", 0), RefusalDelta("late", 0)):
        assert model.hear(event, model) is STOP
    assert not said


def test_a_turn_that_is_over_ends_whatever_comes() -> None:
    _, model, said = asked(ReActIdiom())
    action = "Thought: t\nAction: add\nAction Input: {}\nObservation: 3\n"
    assert model.hear(TextDelta(action, 0), model) is STOP
    assert told(said)[-1] == "thought: t"
    assert model.hear(UsageUpdate(Usage(1)), model) is STOP


def test_options_that_change_between_two_turns_are_those_of_the_next() -> None:
    options: dict[str, Any] = {"temperature": 0.5}
    asks, model, _ = asking(FunctionIdiom(False), options)
    for change in ({}, {"temperature": 1.0}, {}, {"seed": 7}, {"temperature": 0.5}):
        options.update(change)
        asks.ask(pictures=False)
        assert {**model.options, **options} == model.options
