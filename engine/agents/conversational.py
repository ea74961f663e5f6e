"""An agent that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Unpack

from engine.agents.agent import AgentOptions
from engine.agents.function_agent import FunctionAgent
from engine.agents.memory import All
from engine.agents.tools.tool import FunctionTool
from engine.client import Client

__all__ = ["ConversationalAgent"]


class ConversationalAgent(FunctionAgent):
    """A `FunctionAgent` whose runs are one conversation, one question at a time.

    Args:
        memory: what the model is shown of the conversation: `All` (the default), `Window`,
            `Selective` or `Summarise`.

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
        if options.get("memory") is None:
            options["memory"] = All()
        super().__init__(client, model, tools, text_calls=text_calls, **options)
