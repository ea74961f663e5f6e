"""What the emulated model answers. The same conversation has the same answer.

In this order:

- A script in the conversation says it: see `engine.emulator.script`.
- The model's name says it: ``refusal``, ``loop`` (calls a tool in every turn, for ever), ``react``
  (Thought, Action and Action Input, then, after the observation, a Final Answer).
- **Tools**: where tools are offered and the last message is the user's, every tool it names is
  called, in the order named, all in one turn: "use get_weather and get_time". ``tool_choice`` may
  demand one or forbid all. The arguments are a JSON object after the name, ``add {"a": 1}``;
  else the schema's required fields, filled with the numbers and the quoted words of the prompt.
- **Tool results**: after them comes a text that quotes each.
- **JSON**: where it is asked for, an object with the schema's required fields.
- Otherwise prose of the length set.

Reasoning comes before, if it was asked for. ``max_tokens`` and stop strings cut whatever it is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from engine.emulator.contract import Answer, Block, Finish, Kind, Question, ToolOffer, Turn
from engine.emulator.schema import Sampler, arguments_after
from engine.emulator.script import Act, scripted
from engine.emulator.settings import Settings
from engine.emulator.words import (
    count_tokens,
    identifier,
    sentences,
    split_json,
    split_tokens,
)

__all__ = ["compose", "conversation_seed"]

_REFUSAL: Final = "I cannot help with that request."


def conversation_seed(question: Question, name: str) -> str:
    """What the answer depends on: the model, by its bare `name`, and every word said so far."""
    turns = "\x1e".join(f"{turn.role}\x1f{turn.text}" for turn in question.turns)
    return f"{name}\x1d{turns}"


def compose(question: Question, name: str, settings: Settings, alternative: int = 0) -> Answer:
    """The answer to `question`.

    Args:
        name: the model's name without settings in it.
        alternative: which of `Question.n`; each has words of its own.
    """
    seed = conversation_seed(question, name) + (f"\x1d{alternative}" if alternative else "")
    act = scripted(question)
    if act is None:
        act = _act(question, name, settings, seed)
    blocks = _blocks(act, question, settings, seed)
    finish = Finish.STOP
    if act.calls:
        finish = Finish.TOOL_USE
    elif act.refusal is not None:
        finish = Finish.REFUSAL
    stop = None
    if question.stop:
        blocks, stop = _until_stop(blocks, question.stop)
        finish = finish if stop is None else Finish.STOP
    if question.max_tokens is not None and sum(len(b.pieces) for b in blocks) > question.max_tokens:
        blocks, finish, stop = _first_tokens(blocks, question.max_tokens), Finish.LENGTH, None
    spoken = sum(count_tokens(turn.text) for turn in question.turns)
    return Answer(identifier(seed), blocks, finish, max(spoken, 1), stop)


def _act(question: Question, name: str, settings: Settings, seed: str) -> Act:
    """What to do in this turn, where no script says it."""
    if name == "refusal":
        return Act(refusal=_REFUSAL)
    if name == "react":
        return _react(question, settings)
    if name == "loop" and question.tools:
        wanted = [t for t in question.tools if t.name == settings.tool] or question.tools
        return Act(calls=[_call(wanted[0], question)])
    calls = [_call(tool, question) for tool in _wanted(question)]
    if calls:
        return Act(calls=calls)
    last = question.turns[-1]
    if last.role == "tool":
        return Act(text=_quoting(question.turns))
    if question.schema is not None:
        return Act(text=json.dumps(_json_value(question, settings, seed), ensure_ascii=False))
    return Act(pieces=sentences(seed, settings.tokens))


def _wanted(question: Question) -> list[ToolOffer]:
    """The tools to call now."""
    choice, last = question.tool_choice, question.turns[-1]
    if choice == "none" or not question.tools:
        return []
    if choice not in ("auto", "required"):
        return [tool for tool in question.tools if tool.name == choice]
    if last.role != "user":
        return question.tools[:1] if choice == "required" else []
    places = [(_place(tool.name, last.text), tool) for tool in question.tools]
    named = sorted((p for p in places if p[0] >= 0), key=lambda pair: pair[0])
    if not named and choice == "required":
        return question.tools[:1]
    return [tool for _, tool in named]


def _place(name: str, text: str) -> int:
    """Where `text` names a tool, just after it; -1: nowhere."""
    match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)
    return match.end() if match else -1


def _call(tool: ToolOffer, question: Question) -> tuple[str, dict[str, Any]]:
    prompt = next((t.text for t in reversed(question.turns) if t.role == "user"), "")
    place = _place(tool.name, prompt)
    given = arguments_after(prompt, place) if place >= 0 else None
    if given is not None:
        return tool.name, given
    value = Sampler(prompt[max(place, 0) :]).sample({"type": "object", **tool.parameters})
    return tool.name, value if isinstance(value, dict) else {}


def _json_value(question: Question, settings: Settings, seed: str) -> Any:
    if not question.schema:
        return {"answer": "".join(sentences(seed, settings.tokens))}
    return Sampler(question.turns[-1].text).sample(question.schema)


def _quoting(turns: list[Turn]) -> str:
    """An answer to the tool results at the end of `turns`."""
    results: list[str] = []
    for turn in reversed(turns):
        if turn.role != "tool":
            break
        results.append(turn.text[:2000])
    results.reverse()
    if len(results) == 1:
        return f"The tool answered: {results[0]}"
    return "\n".join(f"Tool {n} answered: {text}" for n, text in enumerate(results, 1))


def _react(question: Question, settings: Settings) -> Act:
    """ReAct as text, for models without tools; the observation is looked for in the last turn."""
    text = question.turns[-1].text
    _, marker, seen = text.rpartition("Observation:")
    # In the first turn it is the prompt that tells what an observation looks like.
    if marker and any(turn.role == "assistant" for turn in question.turns):
        answer = seen.strip().partition("\n")[0]
        return Act(text=f"Thought: I now know the answer.\nFinal Answer: {answer}")
    if settings.tool is None:
        return Act(text="Thought: No tool is needed.\nFinal Answer: It is done.")
    prompt = text.strip().splitlines()[-1] if text.strip() else ""
    given = re.search(r"\"([^\"]+)\"", prompt)
    wanted = given[1] if given else prompt
    return Act(
        text=f"Thought: I should use {settings.tool}.\nAction: {settings.tool}\n"
        f"Action Input: {wanted}"
    )


def _blocks(act: Act, question: Question, settings: Settings, seed: str) -> list[Block]:
    """`act` in pieces, each block with its id."""
    blocks: list[Block] = []

    def add(kind: Kind, pieces: list[str], name: str = "") -> None:
        key = identifier(f"{seed}\x1d{len(blocks)}")
        blocks.append(Block(kind, pieces, key, name))

    if act.thinking is not None:
        add(Kind.THINKING, split_tokens(act.thinking))
    elif question.thinking and settings.thinking:
        add(Kind.THINKING, sentences(f"{seed}\x1dthinking", settings.thinking))
    if act.refusal is not None:
        add(Kind.REFUSAL, split_tokens(act.refusal))
    if act.text or act.pieces:
        add(Kind.TEXT, act.pieces or split_tokens(act.text))
    for name, arguments in act.calls:
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        add(Kind.CALL, split_json(written), name)
    return blocks


def _until_stop(blocks: list[Block], stops: list[str]) -> tuple[list[Block], str | None]:
    """`blocks` up to the first stop string in a text, and which it was."""
    for number, block in enumerate(blocks):
        if block.kind is not Kind.TEXT:
            continue
        text = block.text
        found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
        if found:
            place, stop = min(found)
            cut = _replace(block, split_tokens(text[:place]))
            return [*blocks[:number], cut], stop
    return blocks, None


def _first_tokens(blocks: list[Block], limit: int) -> list[Block]:
    """`blocks` up to `limit` tokens; a call may end in the midst of its arguments."""
    kept: list[Block] = []
    for block in blocks:
        if limit <= 0:
            break
        kept.append(_replace(block, block.pieces[:limit]))
        limit -= len(block.pieces)
    return kept


def _replace(block: Block, pieces: list[str]) -> Block:
    return Block(block.kind, pieces, block.id, block.name)
