"""OpenAI Chat Completions, the format most servers speak.

https://platform.openai.com/docs/api-reference/chat and chat-streaming. The servers differ in what
they leave out: no field but the JSON itself is required here.
"""

from __future__ import annotations

from typing import Any

from engine.providers.blocks import DialectShell
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

    def parser(self) -> ChatParser:
        return ChatParser()
