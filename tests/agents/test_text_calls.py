"""Calls that stand in the text, in the forms of the models' own templates, at every cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent
from engine.agents.text_calls import TextCalls
from engine.agents.tools.tool import as_function_tools
from tests.agents.support import add, collect, script, shout, text_of, watch_bodies

TOOLS = as_function_tools([add, shout])
SUM = ("add", {"a": 1, "b": 2})
HEY = ("shout", {"text": "hey"})
OBJECT = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
LOUD = '{"name": "shout", "arguments": {"text": "hey"}}'

CALLS: list[tuple[str, str, list[Any]]] = [
    (f"<tool_call>\n{OBJECT}\n</tool_call>", "", [SUM]),
    (f"<tool_call>{OBJECT}", "", [SUM]),
    (f"I add.\n<tool_call>{OBJECT}</tool_call>", "I add.\n", [SUM]),
    (f"<tool_call>{OBJECT}</tool_call>\n<tool_call>{LOUD}</tool_call>", "", [SUM, HEY]),
    (f"<tool_call>{OBJECT}</tool_call> and <tool_call>{LOUD}</tool_call> So.", "", [SUM, HEY]),
    ('<function=add>{"a": 1, "b": 2}</function>', "", [SUM]),
    (
        "<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n"
        "</function>",
        "",
        [SUM],
    ),
    (
        "<tool_call>\n<function=shout>\n<parameter=text>\nhey\n</parameter>\n</function>\n"
        "</tool_call>",
        "",
        [HEY],
    ),
    ("<function=shout><parameter=text>{}</parameter></function>", "", [("shout", {"text": "{}"})]),
    (f"[TOOL_CALLS][{OBJECT}, {LOUD}]", "", [SUM, HEY]),
    (f"[TOOL_CALLS] [{OBJECT}]</s>", "", [SUM]),
    ('[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}', "", [SUM]),
    ('[TOOL_CALLS]add{"a": 1, "b": 2}[TOOL_CALLS]shout{"text": "hey"}', "", [SUM, HEY]),
    ('<|python_tag|>{"name": "add", "parameters": {"a": 1, "b": 2}}<|eom_id|>', "", [SUM]),
    (OBJECT, "", [SUM]),
    (f"\n {OBJECT}\n", "", [SUM]),
    (f"[{OBJECT}, {LOUD}]", "", [SUM, HEY]),
    (f"```json\n{OBJECT}\n```", "", [SUM]),
    (f'{{"type": "function", "function": {OBJECT}}}', "", [SUM]),
    ('{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": 2}"}', "", [SUM]),
    ('<tool_call>{"name": "fly", "arguments": {}}</tool_call>', "", [("fly", {})]),
]
TEXT = [
    "Just words.",
    "1 < 2 and [brackets] of <tool_x>",
    '{"name": "Rome", "people": 3}',
    '{"name": "fly", "arguments": {}}',  # no tool of ours: an answer that is JSON
    f"Use {OBJECT} for that.",
    '{"name": "add", "arguments": {"a": 1',
    '```json\n{"a": 1}\n```',
    "[1, 2, 3]",
    "```\nprint(1)\n```",
    "<function",
    "",
]
BROKEN = [
    '<tool_call>{"name": "add", "arguments": {"a": 1',
    '<tool_call>{"name": "add"}</tool_call>',
    '<tool_call>{"arguments": {"a": 1}}</tool_call>',
    '<function=add>{"a": 1',
    "<function=add><parameter=a>1",
    f"[TOOL_CALLS][{OBJECT}",
    f"<tool_call>{OBJECT}</tool_call><tool_call>" + '{"name": "shout"',
    '<|python_tag|>{"name": "add", "parameters": [1, 2]}',
]


def read(*pieces: str) -> tuple[str, list[Any], bool]:
    texts = TextCalls(TOOLS)
    said = "".join(map(texts.feed, pieces))
    rest, calls = texts.finish()
    found = [(call.name, json.loads(call.arguments)) for call in calls]
    return said + rest, found, texts.broken is not None


def cuts(text: str) -> list[tuple[str, ...]]:
    return [(text[:place], text[place:]) for place in range(len(text))] + [tuple(text)]


@pytest.mark.parametrize(("text", "said", "calls"), CALLS)
def test_calls_are_found_however_they_arrive(text: str, said: str, calls: list[Any]) -> None:
    for pieces in cuts(text):
        assert read(*pieces) == (said, calls, False), pieces


@pytest.mark.parametrize("text", TEXT)
def test_text_is_text(text: str) -> None:
    for pieces in cuts(text):
        assert read(*pieces) == (text, [], False), pieces


@pytest.mark.parametrize("text", BROKEN)
def test_a_call_that_is_not_whole_voids_all_of_them(text: str) -> None:
    for pieces in cuts(text):
        _, calls, broken = read(*pieces)
        assert calls == [] and broken, pieces


@pytest.mark.parametrize(("text", "said", "calls"), CALLS)
def test_no_beginning_of_a_call_is_another_call(text: str, said: str, calls: list[Any]) -> None:
    for place in range(len(text)):
        _, found, _ = read(text[:place])
        assert found == calls[: len(found)]


def test_an_agent_carries_them_out_where_it_is_told_to(client: engine.Client) -> None:
    question = script(f"I add.\n<tool_call>{OBJECT}</tool_call>", "It is 3.")
    bodies = watch_bodies(client)
    run = FunctionAgent(client, "demo", [add], text_calls=True).run_stream(question)
    events = collect(run)
    assert run.completion.answer == "It is 3."
    assert text_of(events).strip() == "I add.\nIt is 3."
    sent = bodies[1]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[1]["content"] == "I add." and sent[1]["tool_calls"][0]["function"]["name"] == "add"
    assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"]
    off = FunctionAgent(client, "demo", [add]).run(question)
    assert OBJECT in off.answer and off.trace[0].tools == []


def test_what_is_not_whole_goes_back_to_the_model(client: engine.Client) -> None:
    agent = FunctionAgent(client, "demo", [add], text_calls=True)
    result = agent.run(script('<tool_call>{"name": "add", "argum', "Then not."))
    assert result.answer == "Then not."
    assert "is not whole" in result.messages[2].text
