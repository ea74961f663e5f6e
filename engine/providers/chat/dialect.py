"""OpenAI Chat Completions, the format most servers speak.

https://platform.openai.com/docs/api-reference/chat and chat-streaming. The servers differ in what
they leave out: no field but the JSON itself is required here.
"""

from __future__ import annotations

from typing import Any

from engine.messages import Message
from engine.providers.blocks import DialectShell
from engine.providers.chat.lines import render_lines
from engine.providers.chat.parser import ChatParser
from engine.providers.chat.request import render_chat
from engine.providers.contract import Endpoint
from engine.request import ModelRequest

__all__ = ["ChatDialect", "ChatParser"]


class ChatDialect(DialectShell):
    """Chat Completions."""

    name = "chat"
    _path = "/chat/completions"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_chat(request, endpoint)

    def lines(
        self,
        messages: list[Message],
        endpoint: Endpoint,
        model: str,
        rendered: dict[Any, Any] | None,
    ) -> list[dict[str, Any]]:
        """The field `messages` of the body; no other field depends on the messages: see
        `render_lines`."""
        return render_lines(messages, endpoint.name, model, rendered)

    def parser(self) -> ChatParser:
        return ChatParser()
