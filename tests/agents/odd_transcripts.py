"""ReAct text of odd models: what they say, and what may be carried out.

Each is (text, what follows): a call as (name, arguments), an answer as a string, or None where
nothing may be carried out and the model must say it again. The tools are `run(command)`,
`delete(path, recursive=False)`, `search(query)`, `add(a, b)`, `now()`, `clean(path="/")` and
`note(data)` of any JSON.
"""

from __future__ import annotations

from typing import Any

LS = ("run", {"command": "ls"})
CATS = ("search", {"query": "cats"})
WRONG = "wrong"  # a call that does not fit: told as its result, and never carried out


def act(name: str, input: str) -> str:
    return f"Thought: so.\nAction: {name}\nAction Input: {input}"


ODD: list[tuple[str, Any]] = [
    # JSON that is not whole.
    (act("run", '{"command": "rm -rf /data/x'), None),
    (act("run", '{"command": "rm -rf /data/x"'), None),
    (act("run", '{"command": '), None),
    (act("run", "{"), None),
    (act("run", '{"command": "ls",'), None),
    (act("run", '{"command" "ls"}'), None),
    (act("run", '{"command": "ls\n"}'), None),  # a raw line break is no JSON
    (act("run", "{'command': 'ls"), None),
    (act("run", '["ls"'), None),
    (act("run", "[["), None),
    (act("run", '"ls'), None),
    (act("run", "'rm -rf /"), None),
    (act("run", '```json\n{"command": "ls"'), None),
    (act("run", '{"command": "ls"}{"command": "rm"}'), None),
    (act("run", '{"command": "ls"}, {"command": "rm"}'), None),
    (act("run", "{command: ls}"), None),
    (act("run", "{command: 'ls'}"), None),
    (act("run", '{{"command": "ls"}}'), None),
    (act("clean", '{"path": "/tmp/x'), None),
    (act("clean", "{"), None),
    (act("delete", '{"path": "/data", "recursive": tru'), None),
    # JSON that does not fit.
    (act("run", '{"cmd": "rm -rf /data/x"}'), WRONG),
    (act("run", '{"command": "ls", "sudo": true}'), WRONG),
    (act("run", '{"command": ["rm", "-rf", "/"]}'), WRONG),
    (act("run", '{"command": null}'), WRONG),
    (act("run", "{}"), WRONG),
    (act("run", '["rm -rf /"]'), WRONG),
    (act("run", '[{"command": "ls"}]'), WRONG),
    (act("add", '{"a": "1", "b": 2}'), WRONG),
    (act("add", '{"a": 1}'), WRONG),
    (act("add", '{"a": 1, "b": 2, "c": 3}'), WRONG),
    (act("now", '{"zone": "UTC"}'), WRONG),
    (act("clean", '{"dir": "/tmp"}'), WRONG),
    (act("clean", '{"path": 1}'), WRONG),
    (act("delete", '{"path": "/x", "recursive": "yes"}'), WRONG),
    (act("delete", '{"arguments": {"path": "/x"}}'), WRONG),
    # What the model was told, written back.
    (act("run", '{"type": "object", "properties": {"command": {"type": "string"}}}'), None),
    (act("run", '{"command": {"type": "string"}}'), None),
    (act("note", '{"data": {"type": "object"}}'), ("note", {"data": {"type": "object"}})),
    (
        act("run", '{"type":"object","properties":{"command":{"type":"string"}},"required":'),
        None,
    ),
    # Encoded twice, labelled, fenced: it can be read.
    (act("run", '"{\\"command\\": \\"ls\\"}"'), LS),
    (act("run", '"{\\"command\\": \\"ls\\""'), None),
    (act("run", 'json {"command": "ls"}'), LS),
    (act("run", 'Arguments: {"command": "ls"}'), LS),
    (act("run", '~~~\n{"command": "ls"}'), ("run", {"command": '~~~\n{"command": "ls"}'})),
    (act("add", '{"a": 1.0, "b": 2}'), ("add", {"a": 1.0, "b": 2})),
    (act("run", '{"command": "echo \\"}\\""}'), ("run", {"command": 'echo "}"'})),
    (act("run", '{"command": "ls"}\n\n'), LS),
    (act("run", '{"command": "ls"}</s>'), LS),
    # Text is text.
    (act("run", "ls"), LS),
    (act("search", "[INFO] started"), ("search", {"query": "[INFO] started"})),
    (act("search", "{x for x in y}"), ("search", {"query": "{x for x in y}"})),
    (act("search", "it's"), ("search", {"query": "it's"})),
    # Names.
    (act("1", '{"command": "ls"}'), WRONG),
    (act("rm", "-rf /"), WRONG),
    (act("I should not use run here", "ls"), WRONG),
    (act("don't delete anything", '{"path": "/x"}'), WRONG),
    (act("none, run would be dangerous", "rm"), WRONG),
    (act("run or delete", "x"), WRONG),
    (act("RUN", '{"command": "ls"}'), LS),
    ("Action: run\nAction: delete\nAction Input: /x", WRONG),
    ("Action:\nAction Input: ls", None),
    # In Chinese.
    ('思考：我要查。\n行动：search\n行动输入：{"query": "cats"}', CATS),
    ('思考: 我要查。\n行动: search\n行动输入: {"query": "cats"}\n观察: 没有', CATS),
    ("思考：我知道了。\n最终答案：四十二", "四十二"),
    ("**思考**：好。\n**最终答案**：四十二", "四十二"),
    ('思考：我要查。行动：search\n行动输入：{"query": "cats"}', CATS),
    ('想法：查。\n动作：search\n动作输入：{"query": "cats', None),
    ("思考：行动很重要，我先想想。", None),
    # A thought that is never closed.
    ('思考：我要查。\n行動：search\n行動輸入：{"query": "cats"}\n觀察：沒有', CATS),
    ("思考：好。\n最終答案：貓\n觀察：沒有", "貓"),
    # Thoughts between other tags, or with the beginning in the prompt: what is tried out there is
    # not asked for.
    *(
        (f'{tag}Action: run\nAction Input: {{"command": "rm"}}{end}\nFinal Answer: no', "no")
        for tag, end in (
            ("<thinking>", "</thinking>"),
            ("[THINK]", "[/THINK]"),
            ("◁think▷", "◁/think▷"),
            ("<seed:think>", "</seed:think>"),
        )
    ),
    (act("note", '{"data": "a </think> in it"}'), ("note", {"data": "a </think> in it"})),
    # No input is no text.
    (act("search", "None"), WRONG),
    (act("search", "null"), WRONG),
    (act("clean", "None"), ("clean", {})),
    ("<think>\nI could delete it all.", None),
    ("<think>\nHm.\nFinal Answer: 42", "42"),
    ('<think>\nHm.\nAction: run\nAction Input: {"command": "ls"}', LS),
    (
        '<think>\nOr this:\nAction: delete\nAction Input: {"path": "/x"}\nNo, better not.',
        None,
    ),
    (
        '<think>\nAction: delete\nAction Input: {"path": "/x"}\nOr rather:\n'
        'Action: run\nAction Input: {"command": "ls"}',
        LS,
    ),
    ('<think>Action: run\nAction Input: {"command": "rm"}</think>\nFinal Answer: no', "no"),
    # After the answer.
    ("Final Answer: 42\n\nThought: I could look again.\nAction: run\nAction Input: ls", "42"),
    ("Final Answer: 42\nObservation: right.\nAction: run", "42"),
    ("Final Answer: 42<|im_end|>\nAction: run\nAction Input: ls", "42"),
    ("Final Answer: 42\n\nQuestion: And 43?\nThought: easy", "42"),
    ("Final Answer: 42</s>", "42"),
    ("Final Answer: a < b\n\nand c", "a < b\n\nand c"),
    ("最终答案：42\n观察：对", "42"),
    # Neither.
    ("Thought: I will run rm -rf / now.", None),
    ("Observation: done\nFinal Answer: done", "done"),
    ("   \n\n", None),
]

# Thoughts whose beginning is in the prompt: until they end, nobody can tell.
THOUGHTS: list[tuple[str, Any]] = [
    ("Hm.\nAction: run\nAction Input: rm -rf /\n</think>\n" + act("run", '{"command": "ls"}'), LS),
    ("Is it 41?\nFinal Answer: 41\n</think>\nFinal Answer: 42", "42"),
    ("It is 41? No.\n</think>\n\n42", "42"),
    ('Hm.\nAction: run\nAction Input: {"command": "rm"}\n</think>\nFinal Answer: no', "no"),
    ('Action: run\nAction Input: {"command": "rm"}</think>\nFinal Answer: no', "no"),
]
