"""How real models write ReAct: what they say, and what is meant.

Each is (text, thoughts, what follows): a call as (name, arguments), an answer as a string, or None
where neither is in it. The tools are `search(query)`, `add(a, b)`, `weather(city, days=1)` and
`now()`.
"""

from __future__ import annotations

from typing import Any

CATS = ("search", {"query": "cats"})
SUM = ("add", {"a": 1, "b": 2})

TRANSCRIPTS: list[tuple[str, list[str], Any]] = [
    # By the book.
    (
        'Thought: I need facts.\nAction: search\nAction Input: {"query": "cats"}',
        ["I need facts."],
        CATS,
    ),
    ("Thought: I know.\nFinal Answer: 42", ["I know."], "42"),
    ("Final Answer: 42", [], "42"),
    ('Action: search\nAction Input: {"query": "cats"}', [], CATS),
    ("Thought: No input.\nAction: now\nAction Input: {}", ["No input."], ("now", {})),
    # With spaces and lines in odd places.
    (
        '\n\nThought:   x  \n\nAction:   search  \n\nAction Input:  {"query": "cats"}  \n\n',
        ["x"],
        CATS,
    ),
    (
        'Thought:\nI need facts.\nAction:\nsearch\nAction Input:\n{"query": "cats"}\n',
        ["I need facts."],
        CATS,
    ),
    (
        'Thought: one\ntwo\n\nthree\nAction: search\nAction Input: {"query": "cats"}',
        ["one\ntwo\n\nthree"],
        CATS,
    ),
    ('Thought : x\nAction : search\nAction Input : {"query": "cats"}', ["x"], CATS),
    ('  Thought: x\n  Action: search\n  Action Input: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\r\nAction: search\r\nAction Input: {"query": "cats"}\r\n', ["x"], CATS),
    # In other cases and spellings.
    ('THOUGHT: x\nACTION: search\nACTION INPUT: {"query": "cats"}', ["x"], CATS),
    ('thought: x\naction: search\naction input: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\nAction: search\nAction_Input: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\nAction: search\nActionInput: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\nAction: search\nInput: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\nTool: search\nTool Input: {"query": "cats"}', ["x"], CATS),
    ('Thoughts: x\nAction Name: search\nArguments: {"query": "cats"}', ["x"], CATS),
    ("Thought：x\nFinal Answer：42", ["x"], "42"),
    ("Reasoning: x\nAnswer: 42", ["x"], "42"),
    # Decorated.
    ('**Thought:** x\n**Action:** search\n**Action Input:** {"query": "cats"}', ["x"], CATS),
    ('**Thought**: x\n**Action**: search\n**Action Input**: {"query": "cats"}', ["x"], CATS),
    ("**Thought: x**\n**Final Answer: 42**", ["x"], "42"),
    ("Thought: x\nFinal Answer: **42**", ["x"], "**42**"),
    ('### Thought\nx\n### Action: search\n### Action Input: {"query": "cats"}', ["x"], CATS),
    ("Thought: x\n\n## Final Answer\n\nIt is 42.", ["x"], "It is 42."),
    ("Thought: x\n\n**Final Answer**\n42", ["x"], "42"),
    ('- Thought: x\n- Action: search\n- Action Input: {"query": "cats"}', ["x"], CATS),
    ('1. Thought: x\n2. Action: search\n3. Action Input: {"query": "cats"}', ["x"], CATS),
    ('> Thought: x\n> Action: search\n> Action Input: {"query": "cats"}', ["x"], CATS),
    ('Thought 1: x\nAction 1: search\nAction Input 1: {"query": "cats"}', ["x"], CATS),
    ('```\nThought: x\nAction: search\nAction Input: {"query": "cats"}\n```', ["x"], CATS),
    ("*Thought:* _hm_ x\n`Action:` `search`\n`Action Input:` `cats`", ["_hm_ x"], CATS),
    # The call in other forms.
    ("Thought: x\nAction: search[cats]", ["x"], CATS),
    ('Thought: x\nAction: search("cats")', ["x"], CATS),
    ("Thought: x\nAction: search(query='cats')", ["x"], CATS),
    ('Thought: x\nAction: search{"query": "cats"}', ["x"], CATS),
    ("Thought: x\nAction: search: cats", ["x"], CATS),
    ('Thought: x\nAction: search Action Input: {"query": "cats"}', ["x"], CATS),
    ("Thought: x\nAction: add(1, 2)", ["x"], SUM),
    ("Thought: x\nAction: add\nAction Input: a=1, b=2", ["x"], SUM),
    ("Thought: x\nAction: add\nAction Input:\na: 1\nb: 2", ["x"], SUM),
    (
        'Thought: x\nAction: weather(city="São Paulo", days=2)',
        ["x"],
        ("weather", {"city": "São Paulo", "days": 2}),
    ),
    (
        'Thought: x\nAction:\n```json\n{"action": "search", "action_input": '
        '{"query": "cats"}}\n```',
        ["x"],
        CATS,
    ),
    ('Action:\n```\n{\n  "action": "search",\n  "action_input": "cats"\n}\n```', [], CATS),
    ('Action: {"name": "add", "arguments": {"a": 1, "b": 2}}', [], SUM),
    (
        'Let me see.\n<tool_call>\n{"name": "search", "arguments": '
        '{"query": "cats"}}\n</tool_call>',
        ["Let me see."],
        CATS,
    ),
    # The input in other forms.
    ("Thought: x\nAction: search\nAction Input: cats", ["x"], CATS),
    ('Thought: x\nAction: search\nAction Input: "cats"', ["x"], CATS),
    ("Thought: x\nAction: search\nAction Input: {'query': 'cats'}", ["x"], CATS),
    (
        'Thought: x\nAction: search\nAction Input: ```json\n{\n  "query": "cats"\n}\n```',
        ["x"],
        CATS,
    ),
    ('Thought: x\nAction: search\nAction Input: {"query": "cats"} (the animals)', ["x"], CATS),
    ("Thought: x\nAction: now\nAction Input: None", ["x"], ("now", {})),
    ("Thought: x\nAction: now", ["x"], ("now", {})),
    ("Thought: x\nAction: now()", ["x"], ("now", {})),
    # The tool's name in other forms.
    ('Thought: x\nAction: Search\nAction Input: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\nAction: `search`\nAction Input: {"query": "cats"}', ["x"], CATS),
    ('Thought: x\nAction: Use the search tool.\nAction Input: {"query": "cats"}', ["x"], CATS),
    ("Thought: x\nAction: fly\nAction Input: moon", ["x"], ("fly", {})),
    # All on one line.
    ("Thought: I look it up. Action: search[cats]", ["I look it up."], CATS),
    ("Thought: Easy! Final Answer: 42", ["Easy!"], "42"),
    # Text before it, or nothing else.
    (
        'Sure, here we go!\n\nThought: x\nAction: search\nAction Input: {"query": "cats"}',
        ["Sure, here we go!", "x"],
        CATS,
    ),
    ("It is 42.", [], "It is 42."),
    (
        "Paris is the capital.\n\n- It has a river.\n- And 42 bridges.",
        [],
        "Paris is the capital.\n\n- It has a river.\n- And 42 bridges.",
    ),
    ("42", [], "42"),
    ("<think>\nHm, cats.\n</think>\n\nThought: x\nAction: search[cats]", ["Hm, cats.", "x"], CATS),
    ("<think>Easy.</think>42 it is.", ["Easy."], "42 it is."),
    # The model goes on with what it cannot know.
    (
        'Thought: x\nAction: search\nAction Input: {"query": "cats"}\n'
        "Observation: They purr.\nThought: y\nFinal Answer: purr",
        ["x"],
        CATS,
    ),
    ("Thought: x\nAction: search[cats]\n\nObservation: They purr.", ["x"], CATS),
    ("Thought: x\nAction: now\nFinal Answer: noon", ["x"], ("now", {})),
    ('Thought: x\nAction: search\nAction Input: {"query": "cats"}\nThought: y', ["x"], CATS),
    ("Action: search\nAction Input: cats\nAction: search\nAction Input: dogs", [], CATS),
    ("Thought: x\nAction: search\nAction Input: cats\nFinal Answer: purr", ["x"], CATS),
    ("Thought: x\nObservation: They purr.\nFinal Answer: purr", ["x"], None),
    # Answers in disguise, and answers that hold markers.
    ("Thought: x\nAction: Final Answer\nAction Input: 42", ["x"], "42"),
    ("Thought: x\nAction: Finish[42]", ["x"], "42"),
    ('Action:\n```json\n{"action": "Final Answer", "action_input": "42"}\n```', [], "42"),
    ("Thought: x\nAction: None\nFinal Answer: 42", ["x"], "42"),
    (
        "Final Answer: Write this:\nAction: rest\nThought: none",
        [],
        "Write this:\nAction: rest\nThought: none",
    ),
    (
        "Thought: x\nFinal Answer: line one\n\n    code\n* item *",
        ["x"],
        "line one\n\n    code\n* item *",
    ),
    ('Thought: x\nFinal Answer:\n```json\n{"a": 1}\n```', ["x"], '```json\n{"a": 1}\n```'),
    (
        "Thought: Is 1 < 2? Yes. Actions speak.\nFinal Answer: 是的 🎉",
        ["Is 1 < 2? Yes. Actions speak."],
        "是的 🎉",
    ),
    # Neither.
    ("Thought: I wonder", ["I wonder"], None),
    ("", [], None),
    ("Thought: x\nI will use search to find cats.", ["x\nI will use search to find cats."], None),
]
