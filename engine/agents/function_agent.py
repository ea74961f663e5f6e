"""An agent for models that call tools by their provider's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.agents.agent import Agent
from engine.agents.plan import Idiom
from engine.agents.tools.tool import FunctionTool
from engine.agents.turn import FunctionTurn
from engine.messages import Message, ToolResult

__all__ = ["FunctionAgent"]


class FunctionIdiom:
    """Tools by the provider's protocol."""

    def turn(self, tools: Mapping[str, FunctionTool]) -> FunctionTurn:
        return FunctionTurn()

    def results(self, results: Sequence[ToolResult]) -> Message:
        return Message.tool(*results)

    def instructions(self, tools: Mapping[str, FunctionTool]) -> str | None:
        return None

    def options(self, tools: Mapping[str, FunctionTool]) -> dict[str, Any]:
        return {"tools": [tool.definition for tool in tools.values()]} if tools else {}


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

    Arguments as in `Agent`.
    """

    def idiom(self) -> Idiom:
        return FunctionIdiom()
