"""Calls that stand in the text, in the forms of the models' own templates, at every cut."""

from __future__ import annotations

import json
from typing import Any

import engine
from engine.agents import FunctionAgent
from engine.agents.text_calls import TextCalls
from engine.agents.tools.tool import as_function_tools
from tests.agents.support import add, collect, script, shout, text_of, watch_bodies
from tests.cases import each_case
from tests.volume import every


def now() -> str:
    """The time."""
    return "noon"


def flag(on: bool, label: str | None = None) -> str:
    """Raise or lower it."""
    return "up" if on else "down"


TOOLS = as_function_tools([add, shout, now, flag])
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
# Of the templates of models, one after the other.
ARGS = '{"a": 1, "b": 2}'
TEMPLATES: dict[str, tuple[str, list[Any]]] = {
    "qwen coder": (
        "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n"
        "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=shout>\n"
        "<parameter=text>\nhey\n</parameter>\n</function>\n</tool_call>",
        [SUM, HEY],
    ),
    "qwen 2.5 coder": (f"<tools>\n{OBJECT}\n</tools>", [SUM]),
    "glm 4.5": (
        "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n<arg_key>b</arg_key>\n"
        "<arg_value>2</arg_value>\n</tool_call>\n<tool_call>shout\n<arg_key>text</arg_key>\n"
        "<arg_value>hey</arg_value>\n</tool_call>",
        [SUM, HEY],
    ),
    "glm 4.6": (
        "<tool_call>shout<arg_key>text</arg_key><arg_value>hey</arg_value></tool_call>",
        [HEY],
    ),
    "longcat": (
        "<longcat_tool_call>shout\n<longcat_arg_key>text</longcat_arg_key>\n"
        "<longcat_arg_value>hey</longcat_arg_value>\n</longcat_tool_call>",
        [HEY],
    ),
    "kimi": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0"
        f"<|tool_call_argument_begin|>{ARGS}<|tool_call_end|><|tool_call_begin|>functions.shout:1"
        '<|tool_call_argument_begin|>{"text": "hey"}<|tool_call_end|><|tool_calls_section_end|>',
        [SUM, HEY],
    ),
    "deepseek v3": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n"
        f"{ARGS}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>shout\n```json\n"
        '{"text": "hey"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>',
        [SUM, HEY],
    ),
    "deepseek v3.1": (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{ARGS}<｜tool▁call▁end｜>"
        '<｜tool▁call▁begin｜>shout<｜tool▁sep｜>{"text": "hey"}<｜tool▁call▁end｜>'
        "<｜tool▁calls▁end｜>",
        [SUM, HEY],
    ),
    "deepseek v3.2": (
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="add">\n'
        '<｜DSML｜parameter name="a" string="false">1</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="b" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜function_calls>",
        [SUM],
    ),
    "granite": (f"<|tool_call|>[{OBJECT}, {LOUD}]", [SUM, HEY]),
    "granite 3.0": (f"<|tool_call|>{OBJECT}", [SUM]),
    "granite 20b": (f"<function_call> {OBJECT}", [SUM]),
    "functionary 3.2": (f">>>add\n{ARGS}>>>shout\n" + '{"text": "hey"}', [SUM, HEY]),
    "functionary 3.2, begun by the prompt": (f"add\n{ARGS}", [SUM]),
    "functionary 2": (f"<|recipient|>add\n<|content|>{ARGS}", [SUM]),
    "llama 3.1": (f"<function=add>{ARGS}</function><|eom_id|>", [SUM]),
    "llama 3.2": (f"<|python_tag|>{OBJECT}; {LOUD}<|eom_id|>", [SUM, HEY]),
    "llama 3.3, without a tag": (f"{OBJECT}; {LOUD}<|eot_id|>", [SUM, HEY]),
    "llama built in": ('<|python_tag|>shout.call(text="hey")', [HEY]),
    "llama 4": (
        '<|python_start|>[add(a=1, b=2), shout(text="hey")]<|python_end|><|eot|>',
        [SUM, HEY],
    ),
    "llama pythonic": ('[add(a=1, b=2), shout(text="hey")]', [SUM, HEY]),
    "gemma": ("```tool_code\nadd(a=1, b=2)\n```", [SUM]),
    "function gemma": (
        "<start_function_call>call:shout{text:<escape>hey<escape>}<end_function_call>",
        [HEY],
    ),
    "function gemma, numbers": ("<start_function_call>call:add{a:1,b:2}<end_function_call>", [SUM]),
    "mistral 11": (f"[TOOL_CALLS]add[CALL_ID]abc123xyz[ARGS]{ARGS}", [SUM]),
    "command r": (
        'Action: ```json\n[\n    {\n        "tool_name": "add",\n        "parameters": {"a": 1, '
        '"b": 2}\n    }\n]```',
        [SUM],
    ),
    "command a": (
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "add", "parameters": '
        f"{ARGS}}}\n]<|END_ACTION|>",
        [SUM],
    ),
    "minimax m1": (f"<tool_calls>\n{OBJECT}\n{LOUD}\n</tool_calls>", [SUM, HEY]),
    "minimax m2": (
        '<minimax:tool_call>\n<invoke name="add">\n<parameter name="a">1</parameter>\n'
        '<parameter name="b">2</parameter>\n</invoke>\n</minimax:tool_call>',
        [SUM],
    ),
    "claude": (
        '<function_calls>\n<invoke name="shout">\n<parameter name="text">hey</parameter>\n'
        "</invoke>\n</function_calls>",
        [HEY],
    ),
    "seed": (
        "<seed:tool_call>\n<function=shout>\n<parameter=text>hey</parameter>\n</function>\n"
        "</seed:tool_call>",
        [HEY],
    ),
    "phi": (f"<|tool_call|>[{OBJECT}]<|/tool_call|>", [SUM]),
    "phi, firefunction": (f"functools[{OBJECT}, {LOUD}]", [SUM, HEY]),
    "internlm": (f"<|action_start|><|plugin|>\n{OBJECT}<|action_end|>", [SUM]),
    "jamba, hunyuan": (f"<tool_calls>[{OBJECT}]</tool_calls>", [SUM]),
    "nemotron": (f"<TOOLCALL>[{OBJECT}]</TOOLCALL>", [SUM]),
    "lfm": ("<|tool_call_start|>[add(a=1, b=2)]<|tool_call_end|>", [SUM]),
    "olmo": ('<function_calls>\nadd(a=1, b=2)\nshout(text="hey")\n</function_calls>', [SUM, HEY]),
    "apertus": (f'<|tools_prefix|>[{{"add": {ARGS}}}]<|tools_suffix|>', [SUM]),
    "harmony": (
        f"<|channel|>commentary to=functions.add <|constrain|>json<|message|>{ARGS}<|call|>",
        [SUM],
    ),
    "harmony, recipient first": (
        f"<|start|>assistant to=functions.add<|channel|>commentary json<|message|>{ARGS}<|call|>",
        [SUM],
    ),
    "chat's own": (
        '{"tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", '
        '"arguments": "{\\"a\\": 1, \\"b\\": 2}"}}]}',
        [SUM],
    ),
    "hermes in a fence": (f"```xml\n<tool_call>\n{OBJECT}\n</tool_call>\n```", [SUM]),
    "python's words": (
        "<function=flag>\n<parameter=on>\nTrue\n</parameter>\n<parameter=label>\n12\n"
        "</parameter>\n</function>",
        [("flag", {"on": True, "label": "12"})],
    ),
    "without parameters": ('<tool_call>{"name": "now"}</tool_call>', [("now", {})]),
    "without parameters, glm": ("<tool_call>now\n</tool_call>", [("now", {})]),
    "after a thought": (f"<think>add?</think>\n\n{OBJECT}", [SUM]),
    "after a thought begun by the prompt": (
        f"I could <tool_call>{LOUD}</tool_call> but add.</think><tool_call>{OBJECT}</tool_call>",
        [SUM],
    ),
    "at the end of a thought that is not closed": (
        f"<think>I could <tool_call>{LOUD}</tool_call>, no: <tool_call>\n{OBJECT}\n</tool_call>",
        [SUM],
    ),
    "a fence in what is said": (
        '<tool_call>{"name": "shout", "arguments": {"text": "```"}}</tool_call>\n'
        f"<tool_call>{OBJECT}</tool_call>",
        [("shout", {"text": "```"}), SUM],
    ),
    "a made up result": (
        f"<tool_call>{OBJECT}</tool_call>\n<tool_response>\n4\n</tool_response>\nIt is 4.",
        [SUM],
    ),
}
TEXT = [
    f"<think>I could <tool_call>{OBJECT}</tool_call> but no.</think>Three.",
    f"<think>I could <tool_call>{OBJECT}</tool_call> but no, it is three.",
    f"It looks so: `<tool_call>{OBJECT}</tool_call>`.",
    f"It looks so:\n```\n<tool_call>{OBJECT}</tool_call>\n```\nDo you see?",
    "Write `<tool_call>` and then the name.",
    "The <tool_call> tag opens a call.",
    "<tools>\n  <tool>hammer</tool>\n</tools>",
    ">>> add(1, 2)\n3",
    ">>>all\nThree.",
    "```python\nadd(a=1, b=2)\n```",
    "add(a=1, b=2)",
    "[fly(to='Rome')]",
    "I would call functools.partial there, to=functions",
    "Action: I think.",
    "add\nand subtract",
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
    f"<function=add>{ARGS}</function> and then <function=shout><parameter=text>he",
    "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n<arg_key>b",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{",
    '<｜DSML｜function_calls><｜DSML｜invoke name="add"><｜DSML｜parameter name="a">1',
    "<|tool_call_start|>[add(a=1, b",
    "<|python_tag|>add.call(",
    "<start_function_call>call:add{a:1",
    "I do it.\n<tool_call>",
    "I do it.\n<tool_call>\n<func",
    ">>>add\n{",
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
    return [(text[:place], text[place:]) for place in range(0, len(text), every(5))] + [tuple(text)]


@each_case(("text", "said", "calls"), CALLS)
def test_calls_are_found_however_they_arrive(text: str, said: str, calls: list[Any]) -> None:
    for pieces in cuts(text):
        assert read(*pieces) == (said, calls, False), pieces


@each_case("model", TEMPLATES)
def test_the_template_of_each_model_is_known(model: str) -> None:
    text, calls = TEMPLATES[model]
    for pieces in cuts(text):
        said, found, broken = read(*pieces)
        assert (found, broken) == (calls, False), pieces
        assert said == read(text)[0], pieces


@each_case("model", TEMPLATES)
def test_no_beginning_of_a_template_is_another_call(model: str) -> None:
    text, calls = TEMPLATES[model]
    allowed = [*calls, *([HEY] if "thought" in model else [])]
    for place in range(0, len(text), every(5)):
        _, found, _ = read(text[:place])
        assert all(call in allowed for call in found), text[:place]


@each_case("text", TEXT)
def test_text_is_text(text: str) -> None:
    for pieces in cuts(text):
        assert read(*pieces) == (text, [], False), pieces


@each_case("text", BROKEN)
def test_a_call_that_is_not_whole_voids_all_of_them(text: str) -> None:
    for pieces in cuts(text):
        _, calls, broken = read(*pieces)
        assert calls == [] and broken, pieces


@each_case(("text", "said", "calls"), CALLS)
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
