"""An agent that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from engine.agents.function_agent import FunctionAgent
from engine.agents.memory import All, Memory
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
        memory: Memory | None = None,
        **options: Any,
    ) -> None:
        super().__init__(client, model, tools, memory=memory or All(), **options)
