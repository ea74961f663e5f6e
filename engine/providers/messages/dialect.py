"""Anthropic Messages.

https://platform.claude.com/docs/en/api/messages and build-with-claude/streaming. vLLM,
llama-server, LiteLLM and OpenRouter serve it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.providers.blocks import DialectShell
from engine.providers.contract import Decoder, Endpoint
from engine.providers.messages.parser import MessagesParser
from engine.providers.messages.request import render_messages
from engine.request import ModelRequest
from engine.wire.event_stream import EventStreamDecoder

__all__ = ["MessagesDialect", "MessagesParser"]


class MessagesDialect(DialectShell):
    """Anthropic Messages."""

    name = "messages"
    _path = "/v1/messages"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {"anthropic-version": "2023-06-01"}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_messages(request, endpoint)

    def decoder(self) -> Decoder:
        return EventStreamDecoder(plain="content_block_delta")

    def parser(self) -> MessagesParser:
        return MessagesParser()
