"""An agent for models that call tools by their provider's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

from engine.agents.agent import Agent, AgentOptions
from engine.agents.plan import Idiom
from engine.agents.tools.tool import FunctionTool
from engine.agents.turn import FunctionTurn, TextCallTurn
from engine.client import Client
from engine.messages import Message, ToolResult

__all__ = ["FunctionAgent"]


class FunctionIdiom:
    """Tools by the provider's protocol.

    Args:
        text_calls: calls that stand in the text are calls.
    """

    def __init__(self, text_calls: bool) -> None:
        self._text_calls = text_calls

    def turn(self, tools: Mapping[str, FunctionTool]) -> FunctionTurn:
        return TextCallTurn(tools) if self._text_calls else FunctionTurn()

    def results(self, results: Sequence[ToolResult]) -> Message:
        return Message.tool(*results)

    def instructions(self, tools: Mapping[str, FunctionTool]) -> str | None:
        return None

    def options(self, tools: Mapping[str, FunctionTool]) -> dict[str, Any]:
        # The tools and not their definitions, which would be checked anew in each turn.
        return {"tools": list(tools.values())} if tools else {}


class FunctionAgent(Agent):
    """Calls tools natively, in parallel where the model asks for several at once.

        @engine.tool
        def add(a: int, b: int) -> int:
            "Add two numbers."
            return a + b

        agent = FunctionAgent(client, "openai/gpt-4o-mini", [add])
        for event in agent.run_stream("What is 2 + 3?"):
            if event.type == "token" and event.data != "thought":
                print(event.content, end="")

    Args:
        text_calls: the model's server may leave its calls in the text (``<tool_call>``,
            ``<function=…>``, ``[TOOL_CALLS]``, ``<|python_tag|>`` and what other templates write,
            or an answer that is all an object with a tool's name and arguments): take them for
            what they are. Where the server parses calls itself, leave it off: there such text is
            text. What is quoted or thought is text here too.

    The others as in `Agent`.
    """

    def __init__(
        self,
        client: Client,
        model: str,
        tools: Iterable[FunctionTool | Callable[..., Any]] | None = None,
        *,
        text_calls: bool = False,
        **options: Unpack[AgentOptions],
    ) -> None:
        super().__init__(client, model, tools, **options)
        self.text_calls: bool = text_calls

    def idiom(self) -> Idiom:
        return FunctionIdiom(self.text_calls)
