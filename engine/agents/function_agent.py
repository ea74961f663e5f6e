"""An agent for models that call tools by their provider's protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.agents.agent import Agent
from engine.agents.turn import FunctionTurn
from engine.messages import Message, ToolResult

__all__ = ["FunctionAgent"]


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

    def turn(self) -> FunctionTurn:
        return FunctionTurn()

    def results(self, results: Sequence[ToolResult]) -> Message:
        return Message.tool(*results)

    def request_options(self) -> dict[str, Any]:
        options = super().request_options()
        if not self.tools:
            return options
        return {**options, "tools": [tool.definition for tool in self.tools.values()]}
