"""An agent for models that cannot call tools: they write what they want done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec

from engine.agents.agent import Agent
from engine.agents.memory import own_words
from engine.agents.plan import Idiom
from engine.agents.react.action import MisreadError, parse_action
from engine.agents.react.parser import ReActParser
from engine.agents.tools.tool import FunctionTool
from engine.agents.turn import CARRIES_OUT, Decision, FunctionTurn, Said, ending_error
from engine.completion import Completion
from engine.events import Event, TextDelta
from engine.messages import FinishReason, Message, ToolCall, ToolResult

__all__ = ["ReActAgent", "ReActTurn"]

_FORMAT: Final = """\
Answer the question as well as you can. You can use these tools:

{tools}

Use exactly this format:

Thought: what you think you should do next
Action: the name of one tool, of: {names}
Action Input: its arguments, as a JSON object
Observation: the result, which is given to you; never write it yourself

Thought, Action, Action Input and Observation may repeat. Stop after each Action Input and wait for
the Observation. Once you know the answer:

Thought: why you know it
Final Answer: the answer to the question"""

_WITHOUT_TOOLS: Final = """\
Answer the question as well as you can. Use exactly this format:

Thought: your reasoning
Final Answer: the answer to the question"""

_NEITHER: Final = (
    "Your last answer held neither an Action nor a Final Answer. Go on with either of them: "
    "'Action:' with the name of a tool and 'Action Input:' with its arguments, or 'Final Answer:'."
)
_CUT: Final = (
    "Your last answer reached its limit of tokens before the action was whole; nothing was done. "
    "Write it again, shorter."
)
_BROKEN_OFF: Final = (
    "Your last answer was broken off before the action was whole; nothing was done. Write it again."
)
_NOTHING_DONE: Final = (
    "Nothing was done. Write the Action again, and its Action Input as one whole JSON object."
)


class ReActIdiom:
    """Tools as text: Thought, Action, Action Input, Observation."""

    def __init__(self) -> None:
        self._ids = count(1)

    def turn(self, tools: Mapping[str, FunctionTool]) -> ReActTurn:
        return ReActTurn(tools, f"call_{next(self._ids)}")

    def results(self, results: Sequence[ToolResult]) -> Message:
        return own_words("\n".join(f"Observation: {result.content}" for result in results))

    def instructions(self, tools: Mapping[str, FunctionTool]) -> str | None:
        if not tools:
            return _WITHOUT_TOOLS
        lines = (_described(tool) for tool in tools.values())
        return _FORMAT.format(tools="\n".join(lines), names=", ".join(tools))

    def options(self, tools: Mapping[str, FunctionTool]) -> dict[str, Any]:
        return {}


class ReActAgent(Agent):
    """Has the model write Thought, Action and Final Answer, and reads them while they are written:
    thoughts and the answer token by token. As soon as an action is whole and the model goes on to
    make up its result, the stream is ended.

    Arguments as in `Agent`.
    """

    def idiom(self) -> Idiom:
        return ReActIdiom()


class ReActTurn(FunctionTurn):
    """A turn of a model that writes its calls as text; also one that reasons natively.

    Args:
        tools: by name.
        id: of the call, if there is one.
    """

    def __init__(self, tools: Mapping[str, FunctionTool], id: str) -> None:
        super().__init__()
        self._tools = tools
        self._id = id
        self._parser = ReActParser()

    def read(self, event: Event) -> Sequence[Said]:
        if not isinstance(event, TextDelta):
            return super().read(event)
        said = [*self._whole_thought(), *self._parsed(self._parser.feed(event.text))]
        self.over: bool = self._parser.over
        return said

    def end(self, completion: Completion) -> Decision:
        parser = self._parser
        said = [*self._whole_thought(), *self._parsed(parser.finish())]
        text = parser.text.rstrip()
        messages = [Message.assistant(text)] if text else []
        error = None if self.over else completion.error or ending_error(completion)
        if error is not None:
            return Decision(messages, said, error=error)
        cut = completion.finish_reason is FinishReason.LENGTH
        if parser.action is not None:
            if not (parser.ended or completion.finish_reason in CARRIES_OUT):
                return Decision(messages, said, correction=_CUT if cut else _BROKEN_OFF)
            return self._act(messages, said)
        if parser.answer is not None:
            return Decision(messages, said, answer=parser.answer, empty=not parser.answer.strip())
        if not text:
            return Decision(said=said, empty=True)
        return Decision(messages, said, correction=_CUT if cut else _NEITHER)

    def _act(self, messages: list[Message], said: list[Said]) -> Decision:
        parser = self._parser
        assert parser.action is not None
        try:
            name, arguments, text = parse_action(parser.action, parser.input, self._tools)
        except MisreadError as mistake:
            return Decision(messages, said, correction=f"{mistake} {_NOTHING_DONE}")
        if arguments is None:
            return Decision(
                messages, [*said, Said("token", text)], answer=text, empty=not text.strip()
            )
        if not name:
            return Decision(messages, said, correction=_NEITHER)
        return Decision(messages, said, [ToolCall(self._id, name, arguments)])

    def _parsed(self, said: list[Said]) -> list[Said]:
        if thoughts := [each.text for each in said if each.type == "thought"]:
            self.thoughts = (*self.thoughts, *thoughts)
        return said


def _described(tool: FunctionTool) -> str:
    definition = tool.definition
    schema = msgspec.json.encode(definition.parameters).decode()
    return f"- {definition.name}: {definition.description}\n  arguments: {schema}"
