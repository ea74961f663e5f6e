"""Cohere's own chat, version 2.

https://docs.cohere.com/reference/chat-stream and https://docs.cohere.com/v2/docs/streaming.
"""

from __future__ import annotations

from typing import Any

from engine.providers.blocks import DialectShell
from engine.providers.cohere.parser import CohereParser
from engine.providers.cohere.request import render_cohere
from engine.providers.contract import Decoder, Endpoint
from engine.request import ModelRequest
from engine.wire.event_stream import EventStreamDecoder

__all__ = ["CohereDialect", "CohereParser"]


class CohereDialect(DialectShell):
    """``/v2/chat``."""

    name = "cohere"
    _path = "/v2/chat"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_cohere(request, endpoint)

    def decoder(self) -> Decoder:
        return EventStreamDecoder(plain="content-delta")

    def parser(self) -> CohereParser:
        return CohereParser()
